//! A table of bounded size that gives up what matters least, of that what was touched longest ago.
//!
//! Entries lie one behind the other in memory, each with how much it matters and when it was touched. A full table looks at
//! the next [`VIEW`] of them and gives up the least of those. So a table of up to that many entries is exact, and a larger
//! one nearly so. Nothing is linked, so that touching an entry touches no other: in a table that no cache holds, most of
//! the time of a linked list is waiting for the neighbours.

use std::hash::{BuildHasher as _, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// A bounded table; its hash is seeded, since its keys are chosen by clients.
#[derive(Debug)]
pub struct Recent<K, V> {
    /// Where in `slots` a key is.
    index: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    seed: RandomState,
    capacity: usize,
    /// How many entries there are of each rank.
    counts: [usize; Rank::ALL.len()],
    /// Counts touches.
    clock: u32,
    /// Where the next look begins.
    hand: usize,
    evicted: u64,
}

/// How much it matters to keep an entry: the least is given up first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Rank {
    /// Little.
    #[default]
    Low,
    /// More.
    Middle,
    /// Most; unless those are more than half of the table, then they come before the middle ones: nobody is to fill a
    /// table for good.
    High,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    rank: Rank,
    touched: u32,
}

/// How many entries are compared when one must go.
pub const VIEW: usize = 8;

impl Rank {
    const ALL: [Self; 3] = [Self::Low, Self::Middle, Self::High];
}

impl<K: Hash + Eq + Clone, V: Default> Recent<K, V> {
    /// Makes an empty table for `capacity` entries, at least one and at most 2^31.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, MOST);
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            seed: RandomState::default(),
            capacity,
            counts: [0; Rank::ALL.len()],
            clock: 0,
            hand: 0,
            evicted: 0,
        }
    }

    /// Finds an entry without touching it.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).map(|slot| &self.slots[slot].value)
    }

    /// Finds an entry to change it, without touching it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).map(|slot| &mut self.slots[slot].value)
    }

    /// Finds or makes an entry of the lowest rank and touches it; a full table evicts another one for it.
    pub fn touch(&mut self, key: &K) -> &mut V {
        let (mut slot, new) = self.find_or_make(key);
        if new && self.slots.len() > self.capacity {
            slot = self.least(slot, None);
            // The new one, which is the last, comes to lie where another one lay.
            drop(self.evict(slot));
        }
        &mut self.slots[slot].value
    }

    /// Finds or makes an entry, changes it, and gives it the rank that comes of that, or drops it if none does. A full
    /// table evicts the least entry afterwards, which may be this one.
    pub fn update<T>(&mut self, key: &K, change: impl FnOnce(&mut V) -> (Option<Rank>, T)) -> T {
        self.exchange(key, change).0
    }

    /// Does the same, and gives what was evicted as well.
    pub fn exchange<T>(
        &mut self,
        key: &K,
        change: impl FnOnce(&mut V) -> (Option<Rank>, T),
    ) -> (T, Option<V>) {
        let (slot, _) = self.find_or_make(key);
        let (rank, told) = change(&mut self.slots[slot].value);
        match rank {
            Some(rank) => self.set_rank(slot, rank),
            None => drop(self.take(slot)),
        }
        if self.slots.len() <= self.capacity {
            return (told, None);
        }
        let victim = self.least(self.slots.len(), Some(slot));
        (told, Some(self.evict(victim)))
    }

    /// Evicts the least entry, full or not, which may be that of `newest`.
    pub fn give_up(&mut self, newest: Option<&K>) -> Option<V> {
        if self.is_empty() {
            return None;
        }
        let newest = newest.and_then(|key| self.find(key));
        let victim = self.least(self.slots.len(), newest);
        Some(self.evict(victim))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).map(|slot| self.take(slot))
    }

    /// Looks at the next `limit` entries, round and round, drops those that are `stale`, and says how many those were.
    pub fn sweep(&mut self, limit: usize, stale: impl Fn(&V) -> bool) -> usize {
        self.walk(limit, |value, rank| (!stale(value)).then_some(rank))
    }

    /// Looks at the next `limit` entries, round and round, gives each the rank that `rank` says, and drops those that it
    /// gives none.
    pub fn review(&mut self, limit: usize, mut rank: impl FnMut(&V) -> Option<Rank>) {
        self.walk(limit, |value, _| rank(value));
    }

    fn walk(&mut self, limit: usize, mut rank: impl FnMut(&V, Rank) -> Option<Rank>) -> usize {
        let mut dropped = 0;
        for _ in 0..limit.min(self.slots.len()) {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(Slot { value, rank: before, .. }) = self.slots.get(self.hand) else { break };
            let before = *before;
            if let Some(rank) = rank(value, before) {
                if rank != before {
                    self.set_rank(self.hand, rank);
                }
                self.hand += 1;
            } else {
                // Another entry takes its place, and is looked at next.
                drop(self.take(self.hand));
                dropped += 1;
            }
        }
        dropped
    }

    /// Changes how many entries it may hold, at least one; those that no longer fit are evicted.
    pub fn resize(&mut self, capacity: usize) {
        self.capacity = capacity.clamp(1, MOST);
        while self.slots.len() > self.capacity {
            let victim = self.least(self.slots.len(), None);
            drop(self.evict(victim));
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many entries had to make room for others so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn find(&self, key: &K) -> Option<usize> {
        let found = self.index.find(self.seed.hash_one(key), |slot| self.slots[*slot as usize].key == *key);
        found.map(|slot| *slot as usize)
    }

    /// Finds an entry, or makes one at the end; touches it. Says whether it is new.
    fn find_or_make(&mut self, key: &K) -> (usize, bool) {
        let Self { index, slots, seed, counts, clock, .. } = self;
        *clock = clock.wrapping_add(1);
        let entry = index.entry(
            seed.hash_one(key),
            |slot| slots[*slot as usize].key == *key,
            |slot| seed.hash_one(&slots[*slot as usize].key),
        );
        match entry {
            Entry::Occupied(found) => {
                let slot = *found.get() as usize;
                slots[slot].touched = *clock;
                (slot, false)
            }
            Entry::Vacant(place) => {
                place.insert(number(slots.len()));
                slots.push(Slot { key: key.clone(), value: V::default(), rank: Rank::Low, touched: *clock });
                counts[Rank::Low as usize] += 1;
                (slots.len() - 1, true)
            }
        }
    }

    fn set_rank(&mut self, slot: usize, rank: Rank) {
        let before = std::mem::replace(&mut self.slots[slot].rank, rank);
        self.counts[before as usize] -= 1;
        self.counts[rank as usize] += 1;
    }

    /// The least of some of the first `count` entries, and of this one. There must be one.
    fn least(&mut self, count: usize, newest: Option<usize>) -> usize {
        let crowded = self.counts[Rank::High as usize] > self.capacity / 2;
        let order = |rank| match rank {
            Rank::Low => 0,
            Rank::Middle if crowded => 2,
            Rank::Middle => 1,
            Rank::High if crowded => 1,
            Rank::High => 2,
        };
        let from = if self.hand >= count { 0 } else { self.hand };
        let to = (from + VIEW).min(count);
        self.hand = to;
        let age = |slot: usize| self.clock.wrapping_sub(self.slots[slot].touched);
        let least = (from..to)
            .chain(newest)
            .min_by_key(|slot| (order(self.slots[*slot].rank), std::cmp::Reverse(age(*slot))));
        least.unwrap_or(from)
    }

    fn evict(&mut self, slot: usize) -> V {
        self.evicted = self.evicted.saturating_add(1);
        self.take(slot)
    }

    /// Takes an entry out; the last one comes to lie in its place.
    fn take(&mut self, slot: usize) -> V {
        let last = self.slots.len() - 1;
        self.unlist(slot, |_| None);
        if slot != last {
            self.unlist(last, |_| Some(number(slot)));
        }
        let taken = self.slots.swap_remove(slot);
        self.counts[taken.rank as usize] -= 1;
        taken.value
    }

    /// Takes a slot out of the index, or has its key lead to another one.
    fn unlist(&mut self, slot: usize, other: impl FnOnce(u32) -> Option<u32>) {
        let hash = self.seed.hash_one(&self.slots[slot].key);
        let Ok(mut entry) = self.index.find_entry(hash, |listed| *listed as usize == slot) else { return };
        match other(*entry.get()) {
            Some(other) => *entry.get_mut() = other,
            None => drop(entry.remove()),
        }
    }
}

/// The most entries.
const MOST: usize = 1 << 31;

#[expect(clippy::cast_possible_truncation, reason = "there are at most `MOST` entries and one more")]
fn number(slot: usize) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests;
