//! The numbers that accounts have in the kernel, which keeps no names.

use std::hash::RandomState;
use std::sync::Arc;

use lru::LruCache;

/// A bounded table of names: the one that was used longest ago makes room. No number is ever used for a second name.
#[derive(Debug)]
pub struct Accounts {
    numbers: LruCache<Arc<str>, u32, RandomState>,
    names: std::collections::HashMap<u32, Arc<str>>,
    capacity: usize,
    last: u32,
}

impl Accounts {
    /// Makes an empty table for `capacity` names, at least one, which get numbers above `last`: up to there an earlier
    /// daemon may have used them.
    #[must_use]
    pub fn new(capacity: usize, last: u32) -> Self {
        Self {
            numbers: LruCache::unbounded_with_hasher(RandomState::new()),
            names: std::collections::HashMap::new(),
            capacity: capacity.max(1),
            last,
        }
    }

    /// The number of an account, a new one if it has none; 0 when there are no more.
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let Some(number) = self.last.checked_add(1) else { return 0 };
        if self.numbers.len() >= self.capacity
            && let Some((_, oldest)) = self.numbers.pop_lru()
        {
            self.names.remove(&oldest);
        }
        self.last = number;
        let name: Arc<str> = name.into();
        self.names.insert(number, Arc::clone(&name));
        self.numbers.put(name, number);
        number
    }

    /// The account that has a number, as far as that is still known.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(&number).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_until_it_makes_room_and_nobody_gets_that_number_again() {
        let mut accounts = Accounts::new(2, 7);
        assert_eq!(["alice", "bob", "alice"].map(|name| accounts.number(name)), [8, 9, 8]);
        assert_eq!(accounts.number("carol"), 10, "bob made room");
        assert_eq!([8, 9, 10].map(|number| accounts.name(number)), [Some("alice"), None, Some("carol")]);
        assert_eq!(accounts.number("bob"), 11);
        assert_eq!(accounts.name(7), None, "an earlier daemon's");
    }

    #[test]
    fn when_there_are_no_more_numbers_nobody_has_one() {
        let mut accounts = Accounts::new(2, u32::MAX - 1);
        assert_eq!(["alice", "bob"].map(|name| accounts.number(name)), [u32::MAX, 0]);
        assert_eq!(accounts.name(0), None);
    }
}
