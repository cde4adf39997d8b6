//! Puts right what another writer has done to a table.

use std::collections::HashMap;

use ssh_guard_common::flat::{Entry, FLAGGED, Family, Found, OVERFLOWS, OVERLAPS, SLOTS};
use ssh_guard_common::source::Source;

use super::{Table, at_slot, head};
use crate::kernel::Drift;

impl<F: Family> Table<F> {
    /// How many buckets there are.
    pub(in crate::kernel) fn buckets(&self) -> u32 {
        self.shape.buckets
    }

    /// Takes out of a bucket what no reader finds there, has its head say what readers must know, and hands what is
    /// left, with the words of its ends, to `each`.
    pub(in crate::kernel) fn tidy(&mut self, bucket: u32, mut each: impl FnMut(Source, u32)) -> Drift {
        let mut drift = Drift::default();
        let mut flags = if self.beside.contains_key(&bucket) { OVERFLOWS } else { 0 };
        for slot in 1..=SLOTS {
            let tag = self.load(at_slot(bucket, slot));
            if tag == 0 {
                continue;
            }
            let source = self.source_at(bucket, slot, tag);
            match self.find(source) {
                Found::Entry(Entry { bucket: home, slot: found, .. }) if (home, found) == (bucket, slot) => {
                    let end = self.load(self.shape.end(bucket, slot));
                    flags |= if end & OVERLAPS == 0 { 0 } else { FLAGGED };
                    each(source, end);
                }
                _ => {
                    self.empty(bucket, slot);
                    drift.too_many += 1;
                }
            }
        }
        let said = self.load(head(bucket));
        // That there was an entry with a flag may be said for ever.
        let right = said & !OVERFLOWS | flags;
        if said != right {
            self.store(head(bucket), right);
            drift.other += 1;
        }
        drift
    }

    /// Takes note of how many sources of each bucket are in the hash beside the table, and has the heads of these say so.
    pub(in crate::kernel) fn set_beside(&mut self, beside: HashMap<u32, u32>) -> Drift {
        let mut drift = Drift::default();
        for bucket in beside.keys() {
            let said = self.load(head(*bucket));
            if said & OVERFLOWS == 0 {
                self.store(head(*bucket), said | OVERFLOWS);
                drift.other += 1;
            }
        }
        self.beside = beside;
        drift
    }

    /// The bucket that a source belongs to.
    pub(in crate::kernel) fn bucket_of(&self, source: Source) -> u32 {
        F::place(&self.shape, source).bucket
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;
    use ssh_guard_common::flat::{Shape, V4, V6};

    use super::*;
    use crate::kernel::memory::Memory;

    const SHAPE: Shape = Shape { seed: [3, 5, 7, 9], buckets: 2, reserved: 0 };

    fn tidy_all<F: Family>(table: &mut Table<F>) -> (Drift, Vec<(Source, u32)>) {
        let (mut drift, mut there) = (Drift::default(), Vec::new());
        for bucket in 0..table.buckets() {
            drift += table.tidy(bucket, |source, end| there.push((source, end)));
        }
        (drift, there)
    }

    fn check<F: Family>(sources: &[Source], pokes: &[(usize, u32)]) {
        let memory = Memory::alone(SHAPE.cells::<F>());
        let again = memory.again();
        let mut table = Table::<F>::new(memory, SHAPE);
        for source in sources {
            table.put(*source, 7);
        }
        assert_eq!(tidy_all(&mut table).0, Drift::default(), "nobody has done anything");
        let words = again.words();
        for (word, to) in pokes {
            // Often what is a word of another place.
            let to = if to % 2 == 0 { words[*to as usize % words.len()].load(Relaxed) } else { *to };
            words[word % words.len()].store(to, Relaxed);
        }
        let (_, there) = tidy_all(&mut table);
        for (source, end) in &there {
            assert!(matches!(table.find(*source), Found::Entry(entry) if entry.end == *end), "{source}");
        }
        let mut found: Vec<Source> = there.iter().map(|(source, _)| *source).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), there.len(), "each once");
        let lost = sources.iter().filter(|source| !found.contains(source));
        for source in lost {
            assert!(!matches!(table.find(*source), Found::Entry(_)), "{source} is found and not told of");
        }
        assert_eq!(tidy_all(&mut table).0, Drift::default(), "nothing is left to put right");
    }

    proptest! {
        #[test]
        fn what_is_left_in_a_table_is_what_readers_find(
            addresses in prop::collection::vec(any::<u128>(), 0..25),
            pokes in prop::collection::vec((any::<usize>(), any::<u32>()), 0..40),
        ) {
            let word = |address: &u128| u32::try_from(address % 1009).unwrap();
            check::<V4>(&addresses.iter().map(|address| Source::from_v4(word(address))).collect::<Vec<_>>(), &pokes);
            let v6 = |address: &u128| Source::from_words([1, word(address), 0, 0]);
            check::<V6>(&addresses.iter().map(v6).collect::<Vec<_>>(), &pokes);
        }
    }
}
