//! The writer of a flat table: see [`ssh_guard_common::flat`] for how one is made.

mod tidy;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Relaxed, Release};

use ssh_guard_common::flat::{
    At, Entry, FLAGGED, Family, Found, HEAD, OVERFLOWS, OVERLAPS, Place, SLOTS, Shape, TAKEN_OUT, find,
};
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;

use super::memory::Memory;

/// A flat table of one family's sources.
#[derive(Debug)]
pub(super) struct Table<F> {
    memory: Memory,
    shape: Shape,
    /// How many sources of a bucket are in the hash beside the table.
    beside: HashMap<u32, u32>,
    family: PhantomData<F>,
}

/// What became of a source that was put in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Put {
    /// It is in the table.
    InTable {
        /// In this bucket.
        bucket: u32,
        /// In this slot of it.
        slot: u32,
    },
    /// Its bucket is full: it belongs into the hash beside the table, which readers now ask.
    Beside,
}

/// What a slot has counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counted {
    pub(super) hits: u32,
    pub(super) last_hit: u32,
}

impl<F: Family> Table<F> {
    /// Takes memory of [`Shape::cells`] cells that holds nothing.
    pub(super) fn new(memory: Memory, shape: Shape) -> Self {
        Self { memory, shape, beside: HashMap::new(), family: PhantomData }
    }

    /// Finds a source.
    pub(super) fn find(&self, source: Source) -> Found {
        find::<F>(&&self.memory, &self.shape, source)
    }

    /// Puts a source in, or changes its end, of which readers see the old or the new.
    pub(super) fn put(&mut self, source: Source, end: u32) -> Put {
        let Place { bucket, tag } = F::place(&self.shape, source);
        match self.find(source) {
            Found::Entry(Entry { slot, .. }) => {
                self.announce(bucket, end);
                self.store(self.shape.end(bucket, slot), end);
                Put::InTable { bucket, slot }
            }
            // It may be in the hash already; an entry in both would outlive its removal from one.
            Found::Beside => Put::Beside,
            Found::Absent => match self.free_slot(bucket, tag) {
                Some(slot) => {
                    self.publish(source, (bucket, slot), tag, end);
                    Put::InTable { bucket, slot }
                }
                None => Put::Beside,
            },
        }
    }

    /// Notes that a source of this bucket was put into the hash beside the table; readers ask that from now on.
    pub(super) fn note_beside(&mut self, source: Source) {
        let bucket = F::place(&self.shape, source).bucket;
        *self.beside.entry(bucket).or_default() += 1;
        self.store(head(bucket), self.load(head(bucket)) | OVERFLOWS);
    }

    /// Notes that a source of this bucket was taken out of the hash beside the table.
    pub(super) fn note_gone(&mut self, source: Source) {
        let bucket = F::place(&self.shape, source).bucket;
        let Some(count) = self.beside.get_mut(&bucket) else { return };
        *count -= 1;
        if *count == 0 {
            self.beside.remove(&bucket);
            self.store(head(bucket), self.load(head(bucket)) & !OVERFLOWS);
        }
    }

    /// Takes a source out; says whether it was in the table.
    pub(super) fn take(&mut self, source: Source) -> bool {
        let Found::Entry(Entry { bucket, slot, .. }) = self.find(source) else { return false };
        self.empty(bucket, slot);
        true
    }

    /// Takes out every entry that is meant. It reads the table from end to end, and needs no seed.
    pub(super) fn take_each(&mut self, mut is_meant: impl FnMut(Source, &Block) -> bool) {
        for (bucket, slot) in self.slots() {
            if self.read(bucket, slot).is_some_and(|(source, block)| is_meant(source, &block)) {
                self.empty(bucket, slot);
            }
        }
    }

    fn empty(&self, bucket: u32, slot: u32) {
        // The tag goes first; who has seen it before sees the head change before the rest does.
        self.store(at_slot(bucket, slot), 0);
        self.store(head(bucket), self.load(head(bucket)).wrapping_add(TAKEN_OUT));
        self.store(self.shape.end(bucket, slot), 0);
    }

    /// Every entry, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Source, Block)> {
        self.slots().filter_map(|(bucket, slot)| self.read(bucket, slot))
    }

    /// Every slot, with its bucket.
    fn slots(&self) -> impl Iterator<Item = (u32, u32)> + use<F> {
        (0..self.shape.buckets).flat_map(|bucket| (1..=SLOTS).map(move |slot| (bucket, slot)))
    }

    /// The entry in a slot.
    fn read(&self, bucket: u32, slot: u32) -> Option<(Source, Block)> {
        let tag = self.load(at_slot(bucket, slot));
        if tag == 0 {
            return None;
        }
        let source = self.source_at(bucket, slot, tag);
        let block = Block {
            end: self.load(self.shape.end(bucket, slot)),
            last_hit: self.load(self.shape.last_hit(bucket, slot)),
            hits: self.load(self.shape.hits(bucket, slot)),
        };
        Some((source, block))
    }

    /// Whose entry stands in a slot with a tag.
    fn source_at(&self, bucket: u32, slot: u32, tag: u32) -> Source {
        if F::EXACT {
            return Source::from_v4(tag);
        }
        let address = self.shape.address(bucket, slot);
        let word = |number| self.load(At { word: address.word + number, ..address });
        Source::from_words([word(0), word(1), word(2), word(3)])
    }

    /// Notes what was counted for an entry elsewhere.
    pub(super) fn recount(&self, bucket: u32, slot: u32, Counted { hits, last_hit }: Counted) {
        self.store(self.shape.hits(bucket, slot), hits);
        self.store(self.shape.last_hit(bucket, slot), last_hit);
    }

    /// What was counted for an entry.
    pub(super) fn counted(&self, entry: &Entry) -> Counted {
        Counted { hits: self.load(self.shape.hits(entry.bucket, entry.slot)), last_hit: entry.last_hit }
    }

    /// A slot that is free. None, too, if another source has the same fingerprint: readers compare only the first match.
    fn free_slot(&self, bucket: u32, tag: u32) -> Option<u32> {
        let tag_of = |slot: u32| self.load(at_slot(bucket, slot));
        if tag == 0 || (1..=SLOTS).any(|slot| tag_of(slot) == tag) {
            return None;
        }
        (1..=SLOTS).find(|slot| tag_of(*slot) == 0)
    }

    /// Has readers of a bucket read ends, before the first one with a flag stands there. They do so ever after: it is
    /// seldom, and no error.
    fn announce(&self, bucket: u32, end: u32) {
        if end & OVERLAPS != 0 {
            self.store(head(bucket), self.load(head(bucket)) | FLAGGED);
        }
    }

    /// Writes a whole entry, and then the tag that makes it count.
    fn publish(&mut self, source: Source, (bucket, slot): (u32, u32), tag: u32, end: u32) {
        self.announce(bucket, end);
        if !F::EXACT {
            let address = self.shape.address(bucket, slot);
            for (number, word) in source.words().into_iter().enumerate() {
                self.store(At { word: address.word + number, ..address }, word);
            }
        }
        self.recount(bucket, slot, Counted::default());
        self.store(self.shape.end(bucket, slot), end);
        self.store(at_slot(bucket, slot), tag);
    }

    fn load(&self, at: At) -> u32 {
        self.memory.at(at).load(Relaxed)
    }

    fn store(&self, at: At, word: u32) {
        self.memory.at(at).store(word, Release);
    }
}

fn at_slot(bucket: u32, slot: u32) -> At {
    At { cell: bucket, word: slot as usize }
}

fn head(bucket: u32) -> At {
    At { cell: bucket, word: HEAD }
}

#[cfg(test)]
mod tests;
