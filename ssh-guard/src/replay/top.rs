//! What comes most often, in bounded memory.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Counts keys by space-saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data
/// streams", 2005): a key that there is no room for takes the place of the one counted least, and its count.
///
/// While there is room all counts are exact. Later one may be too high, by what the key before had; a key that has come more
/// often than all counts divided by the capacity is always there.
#[derive(Debug)]
pub struct Top<K> {
    capacity: usize,
    places: HashMap<K, usize>,
    slots: Vec<Slot<K>>,
    /// Counts and slots, the least count first.
    order: BTreeSet<(u64, usize)>,
    displaced: u64,
}

/// How often a key came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count<'a, K> {
    /// What was counted.
    pub key: &'a K,
    /// How often it came, at most.
    pub count: u64,
    /// How often it came, at least.
    pub at_least: u64,
}

#[derive(Debug)]
struct Slot<K> {
    key: K,
    count: u64,
    /// What of the count may be another key's.
    over: u64,
}

impl<K: Clone + Eq + Hash> Top<K> {
    /// Makes room for `capacity` keys, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            places: HashMap::new(),
            slots: Vec::new(),
            order: BTreeSet::new(),
            displaced: 0,
        }
    }

    /// Counts a key `times` more; whether it was not there. It is copied only then.
    pub fn count<Q>(&mut self, key: &Q, times: u64) -> bool
    where
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        if let Some(&place) = self.places.get(key) {
            self.add(place, times);
            return false;
        }
        let key = key.to_owned();
        if self.slots.len() < self.capacity {
            let place = self.slots.len();
            self.slots.push(Slot { key: key.clone(), count: times, over: 0 });
            self.order.insert((times, place));
            self.places.insert(key, place);
            return true;
        }
        let Some(&(least, place)) = self.order.first() else { return false };
        self.displaced += 1;
        let slot = &mut self.slots[place];
        let displaced = std::mem::replace(&mut slot.key, key.clone());
        self.places.remove::<K>(&displaced);
        slot.over = least;
        self.places.insert(key, place);
        self.add(place, times);
        true
    }

    /// The keys that came most often, at most `most`; those that came equally often in the order in which they came first.
    #[must_use]
    pub fn most(&self, most: usize) -> Vec<Count<'_, K>> {
        let mut counts: Vec<_> = self.slots.iter().filter(|slot| slot.count > 0).map(Slot::told).collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.count));
        counts.truncate(most);
        counts
    }

    /// The keys that are there.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.slots.iter().map(|slot| &slot.key)
    }

    /// How many different keys there are; more have come if [`Top::is_full`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether more keys have come than there is room for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.displaced > 0
    }

    fn add(&mut self, place: usize, times: u64) {
        let slot = &mut self.slots[place];
        self.order.remove(&(slot.count, place));
        slot.count += times;
        self.order.insert((slot.count, place));
    }
}

impl<K> Slot<K> {
    fn told(&self) -> Count<'_, K> {
        Count { key: &self.key, count: self.count, at_least: self.count - self.over }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn told(top: &Top<String>, most: usize) -> Vec<(&str, u64, u64)> {
        top.most(most).into_iter().map(|count| (count.key.as_str(), count.count, count.at_least)).collect()
    }

    #[test]
    fn while_there_is_room_all_counts_are_exact() {
        let mut top = Top::new(3);
        assert!(top.count("a", 1) && top.count("b", 4) && top.count("c", 0) && !top.count("a", 3));
        assert_eq!(told(&top, 9), [("a", 4, 4), ("b", 4, 4)]);
        assert_eq!(told(&top, 1), [("a", 4, 4)]);
        assert!(!top.is_full() && top.len() == 3);
    }

    #[test]
    fn a_key_without_room_takes_the_place_of_the_one_counted_least() {
        let mut top = Top::new(2);
        for key in ["a", "a", "a", "b", "c", "d"] {
            top.count(key, 1);
        }
        assert_eq!(told(&top, 9), [("a", 3, 3), ("d", 3, 1)]);
        assert!(top.is_full() && top.len() == 2);
    }

    proptest! {
        #[test]
        fn what_comes_often_is_there_and_its_count_is_between_the_bounds(
            keys in prop::collection::vec(0u32..40, 1..600),
            capacity in 1usize..20,
        ) {
            let mut top = Top::new(capacity);
            let mut exact: HashMap<String, u64> = HashMap::new();
            for key in &keys {
                let key = (key * key / 40).to_string();
                top.count(key.as_str(), 1);
                *exact.entry(key).or_default() += 1;
            }
            let counts = top.most(usize::MAX);
            prop_assert!(counts.len() <= capacity);
            prop_assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), keys.len() as u64);
            for count in &counts {
                prop_assert!((count.at_least..=count.count).contains(&exact[count.key]));
            }
            for (key, times) in &exact {
                let there = counts.iter().any(|count| count.key == key);
                prop_assert!(there || *times * capacity as u64 <= keys.len() as u64);
            }
            if exact.len() <= capacity {
                prop_assert!(!top.is_full() && counts.iter().all(|count| count.count == count.at_least));
            }
        }
    }
}
