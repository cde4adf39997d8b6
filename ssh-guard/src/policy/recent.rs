//! A table of bounded size that gives up what was touched longest ago.

use std::hash::{Hash, RandomState};

use lru::LruCache;

/// A bounded table; its hash is seeded, since its keys are chosen by clients.
#[derive(Debug)]
pub struct Recent<K: Hash + Eq, V> {
    entries: LruCache<K, V, RandomState>,
    capacity: usize,
    evicted: u64,
}

impl<K: Hash + Eq + Clone, V: Default> Recent<K, V> {
    /// Makes an empty table for `capacity` entries, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let entries = LruCache::unbounded_with_hasher(RandomState::new());
        Self { entries, capacity: capacity.max(1), evicted: 0 }
    }

    /// Finds an entry without touching it.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.peek(key)
    }

    /// Finds an entry to change it, without touching it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.peek_mut(key)
    }

    /// Finds or makes an entry and touches it; a full table evicts another one for it.
    pub fn touch(&mut self, key: &K) -> &mut V {
        if self.entries.len() >= self.capacity && !self.entries.contains(key) {
            self.entries.pop_lru();
            self.evicted = self.evicted.saturating_add(1);
        }
        self.entries.get_or_insert_mut_ref(key, V::default)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.pop(key)
    }

    /// Drops the entries touched longest ago for as long as they are `stale`, at most `limit`, and says how many.
    pub fn sweep(&mut self, limit: usize, stale: impl Fn(&V) -> bool) -> usize {
        let mut dropped = 0;
        while dropped < limit && self.entries.peek_lru().is_some_and(|(_, value)| stale(value)) {
            self.entries.pop_lru();
            dropped += 1;
        }
        dropped
    }

    /// Changes how many entries it may hold, at least one; those that no longer fit are evicted.
    pub fn resize(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
        while self.entries.len() > self.capacity {
            self.entries.pop_lru();
            self.evicted = self.evicted.saturating_add(1);
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries had to make room for others so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_gives_up_what_was_touched_longest_ago() {
        let mut table = Recent::<u8, u8>::new(2);
        *table.touch(&1) = 1;
        *table.touch(&2) = 2;
        table.touch(&1);
        table.touch(&3);
        assert_eq!((table.get(&1), table.get(&2), table.len(), table.evicted()), (Some(&1), None, 2, 1));
        table.resize(0);
        assert_eq!((table.len(), table.evicted()), (1, 2));
    }

    #[test]
    fn a_sweep_stops_at_the_first_entry_that_is_not_stale() {
        let mut table = Recent::<u8, u8>::new(9);
        for key in [1, 2, 9, 3] {
            *table.touch(&key) = key;
        }
        assert_eq!(table.sweep(1, |value| *value < 5), 1);
        assert_eq!(table.sweep(9, |value| *value < 5), 1);
        assert_eq!(table.len(), 2);
    }
}
