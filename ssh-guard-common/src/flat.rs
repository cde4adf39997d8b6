//! The flat table: a hash table in a memory-mapped BPF array, made so that a packet costs little however long the list is.
//!
//! It is an array of cells, each as large as a cache line. The first of them are buckets: a head, and 15 tags. A
//! seeded hash gives a source its bucket, so that nobody who chooses addresses can fill one. A miss touches that one
//! line; a hit also the one with the entry's end, unless the reader has another's word that no end has passed.
//!
//! | cells, for `n` buckets | hold |
//! |---|---|
//! | `n` | buckets: head, 15 tags |
//! | `2n` | for each slot its end and when it was last hit |
//! | `n` | for each slot how often it was hit |
//! | `4n`, IPv6 only | for each slot the whole address |
//!
//! A tag of IPv4 is the address itself; of IPv6 it is a fingerprint, and a match is compared with the whole address. A
//! bucket that is full sends further entries to a small hash beside the table, and says so in its head.
//!
//! There is one writer, in user space. It writes an entry's end and address before its tag. It takes the tag out and then
//! counts that in the bucket's head, before it writes anything else over them; a reader looks at the head before and
//! after. So it sees an entry whole or not at all.

use crate::source::Source;
use crate::time::{NEVER, Ticks};

/// Words of a cell; 64 bytes are a cache line on the machines that matter.
pub const CELL_WORDS: usize = 16;

/// Slots of a bucket, numbered from 1.
pub const SLOTS: u32 = 15;

/// The word of a bucket that has its flags and, above them, a number that changes whenever an entry is taken out.
pub const HEAD: usize = 0;

/// Flag of a bucket: sources of it are in the hash beside the table.
pub const OVERFLOWS: u32 = 1;

/// Flag of a bucket: there is, or was, an entry with a flag in the word of its end, so that has to be read.
pub const FLAGGED: u32 = 2;

/// What is added to a bucket's head when an entry is taken out.
pub const TAKEN_OUT: u32 = 4;

/// Flag in the word of an end: a part of the source is in the allowlist, so that is asked first.
pub const OVERLAPS: u32 = 1 << 31;

/// Flag in the word of the end of a known-good source: many stand behind it.
pub const SHARED: u32 = 1 << 31;

/// The latest end that fits beside a flag.
pub const LAST_END: Ticks = NEVER >> 1;

/// An end, as it fits beside the flag: [`LAST_END`] stands for none, and for nothing else.
#[inline(always)]
#[must_use]
pub const fn fitting(until: Ticks) -> Ticks {
    if until == NEVER {
        LAST_END
    } else if until < LAST_END {
        until
    } else {
        LAST_END - 1
    }
}

/// The family that a table is for.
pub trait Family {
    /// Cells that a bucket needs in all, its own included.
    const CELLS_PER_BUCKET: u32;
    /// Whether a tag is the whole address.
    const EXACT: bool;
    /// Where a source belongs.
    fn place(shape: &Shape, source: Source) -> Place;
}

/// IPv4.
#[derive(Clone, Copy, Debug)]
pub struct V4;

/// IPv6.
#[derive(Clone, Copy, Debug)]
pub struct V6;

/// How a table is laid out: the same for its whole life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Shape {
    /// Random numbers that nobody outside knows.
    pub seed: [u64; 4],
    /// Buckets, at least one.
    pub buckets: u32,
    /// Always 0.
    pub reserved: u32,
}

/// Where a source belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The bucket.
    pub bucket: u32,
    /// The tag; 0 stands for an empty slot, so a source whose tag it would be is in no table.
    pub tag: u32,
}

/// Where something of a slot stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// The cell.
    pub cell: u32,
    /// The word in it.
    pub word: usize,
}

impl Family for V4 {
    const CELLS_PER_BUCKET: u32 = 4;
    const EXACT: bool = true;

    #[inline(always)]
    fn place(shape: &Shape, source: Source) -> Place {
        let [_, _, _, word] = source.words();
        let [add, multiply, _, _] = shape.seed;
        let hash = (u64::from(word).wrapping_add(add)).wrapping_mul(multiply | 1);
        Place { bucket: shape.bucket(hash), tag: word }
    }
}

impl Family for V6 {
    const CELLS_PER_BUCKET: u32 = 8;
    const EXACT: bool = false;

    #[inline(always)]
    fn place(shape: &Shape, source: Source) -> Place {
        let [high, low] = source.halves();
        let [s, t, u, v] = shape.seed;
        let hash =
            high.wrapping_add(s).wrapping_mul(t | 1).wrapping_add(low.wrapping_add(u).wrapping_mul(v | 1));
        let print =
            high.wrapping_add(u).wrapping_mul(s | 1).wrapping_add(low.wrapping_add(t).wrapping_mul(u | 1));
        Place { bucket: shape.bucket(hash), tag: upper(print).max(1) }
    }
}

impl Shape {
    /// The bucket of a hash; its upper half decides, as the lower bits of a product hang on the lower bits of its
    /// factors alone.
    #[inline(always)]
    const fn bucket(&self, hash: u64) -> u32 {
        // Of a number below 2^32 times the buckets, the upper half is below the buckets.
        upper(upper(hash) as u64 * self.buckets as u64)
    }

    /// Cells of a table of this shape.
    #[must_use]
    pub const fn cells<F: Family>(&self) -> u32 {
        self.buckets * F::CELLS_PER_BUCKET
    }

    /// Where the end of a slot stands.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self, bucket: u32, slot: u32) -> At {
        At { cell: self.buckets + bucket * 2 + slot / 8, word: (slot % 8 * 2) as usize }
    }

    /// Where stands when a slot was last hit: behind its end.
    #[inline(always)]
    #[must_use]
    pub const fn last_hit(&self, bucket: u32, slot: u32) -> At {
        let At { cell, word } = self.end(bucket, slot);
        At { cell, word: word + 1 }
    }

    /// Where the hits of a slot stand.
    #[inline(always)]
    #[must_use]
    pub const fn hits(&self, bucket: u32, slot: u32) -> At {
        At { cell: self.buckets * 3 + bucket, word: slot as usize % CELL_WORDS }
    }

    /// Where the first word of a slot's address stands.
    #[inline(always)]
    #[must_use]
    pub const fn address(&self, bucket: u32, slot: u32) -> At {
        At { cell: self.buckets * 4 + bucket * 4 + slot / 4, word: (slot % 4 * 4) as usize }
    }
}

#[inline(always)]
const fn upper(number: u64) -> u32 {
    (number >> 32) as u32
}

/// The memory of a table, as a reader has it.
pub trait Cells {
    /// A cell of it.
    type Cell: Cell;

    /// The cell of this number, if there is one.
    fn cell(&self, number: u32) -> Option<Self::Cell>;
}

/// A cell, as a reader has it.
pub trait Cell: Copy {
    /// A word of it, read once, as it is at this moment; of the number only as many bits count as a cell has words.
    fn word(self, number: usize) -> u32;

    /// The same in a machine word: a BPF program has no narrower one to compare in.
    #[inline(always)]
    fn wide<const NUMBER: usize>(self) -> u64 {
        u64::from(self.word(NUMBER))
    }

    /// The same slot, that of a tag. Where there is a verifier, it can tell slots apart no longer, and goes on with one of
    /// them for all.
    #[inline(always)]
    #[must_use]
    fn joined(self, slot: u32) -> u32 {
        slot
    }
}

/// What a lookup found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The source is not there.
    Absent,
    /// The source is not in the table; it may be in the hash beside it.
    Beside,
    /// The source is in the table.
    Entry(Entry),
}

/// An entry of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its bucket.
    pub bucket: u32,
    /// Its slot there.
    pub slot: u32,
    /// Its end, and the flag [`OVERLAPS`].
    pub end: u32,
    /// When it was last hit.
    pub last_hit: Ticks,
}

/// Whether a source certainly is in the table, whatever its end is. Says no where an end with a flag has to be read, and
/// where the source may be beside the table.
#[inline(always)]
pub fn stands<F: Family>(cells: &impl Cells, shape: &Shape, source: Source) -> bool {
    let Place { bucket: number, tag } = F::place(shape, source);
    let Some(bucket) = cells.cell(number) else { return false };
    // Empty slots have tag 0.
    if bucket.word(HEAD) & FLAGGED != 0 || tag == 0 {
        return false;
    }
    if F::EXACT {
        return has_tag(bucket, tag);
    }
    let slot = slot_of(bucket, tag);
    slot != 0 && is_address(cells, shape.address(number, bucket.joined(slot)), source)
}

/// Whether a slot has this tag. All are looked at, since leaving early costs a wrongly predicted branch, which is
/// more than a bucket of comparisons.
#[inline(always)]
fn has_tag(bucket: impl Cell, tag: u32) -> bool {
    let tag = u64::from(tag);
    let mut any = 0;
    macro_rules! look {
        // What is 0 and no longer than 32 bits borrows from above when 1 is taken off.
        ($($slot:literal)*) => { $(any |= (bucket.wide::<$slot>() ^ tag).wrapping_sub(1);)* };
    }
    look!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    any >> 63 != 0
}

/// Looks a source up.
#[inline(always)]
pub fn find<F: Family>(cells: &impl Cells, shape: &Shape, source: Source) -> Found {
    let Place { bucket: number, tag } = F::place(shape, source);
    let Some(bucket) = cells.cell(number) else { return Found::Absent };
    let mut head = bucket.word(HEAD);
    let elsewhere = if head & OVERFLOWS == 0 { Found::Absent } else { Found::Beside };
    let slot = slot_of(bucket, tag);
    // Empty slots have tag 0.
    if slot == 0 || tag == 0 {
        return elsewhere;
    }
    let slot = bucket.joined(slot);
    for _ in 0..TRIES {
        if !F::EXACT && !is_address(cells, shape.address(number, slot), source) {
            return elsewhere;
        }
        let at = shape.end(number, slot);
        let Some(ends) = cells.cell(at.cell) else { return Found::Absent };
        let (end, last_hit) = (ends.word(at.word), ends.word(at.word + 1));
        let before = head;
        head = bucket.word(HEAD);
        if head == before {
            return Found::Entry(Entry { bucket: number, slot, end, last_hit });
        }
        // An entry was taken out of this bucket meanwhile: if it was this one, what was read may be another one's.
        if bucket.word(slot as usize) != tag {
            return elsewhere;
        }
    }
    Found::Absent
}

/// How often an entry is read before a bucket that keeps changing is given up; the writer needs longer for one change
/// than a reader for all of this.
const TRIES: usize = 3;

/// The slot with this tag; 0 for none.
#[inline(always)]
fn slot_of(bucket: impl Cell, tag: u32) -> u32 {
    let tag = u64::from(tag);
    macro_rules! look {
        ($($slot:literal)*) => { $(if bucket.wide::<$slot>() == tag { return $slot; })* };
    }
    look!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    0
}

#[inline(always)]
fn is_address(cells: &impl Cells, at: At, source: Source) -> bool {
    let Some(cell) = cells.cell(at.cell) else { return false };
    let [a, b, c, d] = source.words();
    cell.word(at.word) == a
        && cell.word(at.word + 1) == b
        && cell.word(at.word + 2) == c
        && cell.word(at.word + 3) == d
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    const SHAPE: Shape = Shape {
        seed: [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0x2545_f491_4f6c_dd1d],
        buckets: 1000,
        reserved: 0,
    };

    #[test]
    fn no_two_things_of_a_table_share_a_word() {
        let shape = Shape { buckets: 7, ..SHAPE };
        let mut taken = HashMap::new();
        for (bucket, slot) in (0..7).flat_map(|bucket| (1..=SLOTS).map(move |slot| (bucket, slot))) {
            let end = shape.end(bucket, slot);
            let address = shape.address(bucket, slot);
            let words = [
                At { cell: bucket, word: slot as usize },
                end,
                shape.last_hit(bucket, slot),
                shape.hits(bucket, slot),
            ];
            let all = words.into_iter().chain((0..4).map(|word| At { word: address.word + word, ..address }));
            for at in all {
                assert!(at.word < CELL_WORDS && at.cell < shape.cells::<V6>(), "{at:?}");
                assert_eq!(taken.insert((at.cell, at.word), (bucket, slot)), None, "{at:?}");
            }
            assert!(shape.hits(bucket, slot).cell < shape.cells::<V4>());
        }
    }

    #[test]
    fn buckets_fill_evenly_with_sources_in_a_row_and_at_random() {
        let v4 = |number: u32| -> Source { IpAddr::V4(number.into()).into() };
        let v6 = |number: u32| -> Source {
            IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) | (u128::from(number) << 64))).into()
        };
        let fullest = |places: &mut dyn Iterator<Item = Place>| {
            let mut fill = HashMap::<u32, u32>::new();
            places.for_each(|place| *fill.entry(place.bucket).or_default() += 1);
            fill.into_values().max().unwrap()
        };
        // 6 a bucket on average; a random spread has its fullest of 1000 at 14 or so.
        for step in [1, 256, 65_536, 0x9e37_79b1] {
            let sources = || (1..=6000_u32).map(move |number| number.wrapping_mul(step));
            let v4 = fullest(&mut sources().map(|number| V4::place(&SHAPE, v4(number))));
            let v6 = fullest(&mut sources().map(|number| V6::place(&SHAPE, v6(number))));
            assert!(v4 <= 24 && v6 <= 24, "step {step}: {v4}, {v6}");
        }
    }
}
