//! Account names, told apart without keeping them.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;

use crate::event::{PRINTED, printed};

/// An account that was tried: a seeded hash of the name, so that names chosen by clients take no memory and cannot
/// be made to collide. Of two names one in four billion pairs is taken for the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Account(NonZeroU32);

/// What turns names into accounts.
#[derive(Default, Debug)]
pub struct Accounts {
    seed: RandomState,
}

impl Accounts {
    /// The account of that name.
    #[must_use]
    pub fn of(&self, name: &str) -> Account {
        // As most names are.
        if name.len() <= PRINTED && !name.contains('\\') {
            return self.hashed(name.as_bytes());
        }
        let mut seen = [0; PRINTED];
        let mut length = 0;
        for (byte, place) in printed(name).zip(&mut seen) {
            *place = byte;
            length += 1;
        }
        self.hashed(&seen[..length])
    }

    fn hashed(&self, name: &[u8]) -> Account {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let half = self.seed.hash_one(name) as u32;
        Account(NonZeroU32::new(half).unwrap_or(NonZeroU32::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_server_escapes_twice_is_the_same_account() {
        let accounts = Accounts::default();
        assert_eq!(accounts.of(r"DOM\\bob"), accounts.of(r"DOM\\\\bob"));
        assert_eq!(accounts.of(r"\303\274ser"), accounts.of(r"\\303\\274ser"));
        assert_ne!(accounts.of(r"DOM\\bob"), accounts.of("DOMbob"));
    }

    #[test]
    fn a_name_cut_short_by_the_server_is_the_same_account() {
        let accounts = Accounts::default();
        assert_eq!(accounts.of(&"a".repeat(100)), accounts.of(&"a".repeat(200)));
        assert_ne!(accounts.of(&"a".repeat(99)), accounts.of(&"a".repeat(200)));
        assert_eq!(accounts.of(&"ä".repeat(60)), accounts.of(&"ä".repeat(51)));
        assert_ne!(accounts.of(""), accounts.of("root"));
    }
}
