//! Which sources are known-good: those that have logged in to an account lately, for that account.

use std::time::Duration;

use ssh_guard_common::source::Source;

use super::account::Account;
use crate::moment::Moment;
use crate::recent::Recent;

/// The logins that succeeded, by source and account: at most `Rules::capacity`, at about 60 bytes each; one that is long
/// past makes room.
#[derive(Debug)]
pub struct KnownGood {
    logins: Recent<(Source, Account), Moment>,
}

impl KnownGood {
    /// Makes room for `capacity` logins.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { logins: Recent::new(capacity) }
    }

    /// Takes note of a login.
    pub fn note(&mut self, source: Source, account: Account, now: Moment) {
        let last = self.logins.touch(&(source, account));
        *last = (*last).max(now);
    }

    /// Whether the source has logged in to the account within `life`.
    #[must_use]
    pub fn is(&self, source: Source, account: Account, life: Duration, now: Moment) -> bool {
        self.logins.get(&(source, account)).is_some_and(|last| now.since(*last) < life)
    }

    /// Looks at the next `limit` logins, and drops those that are longer ago than `life`.
    pub fn sweep(&mut self, limit: usize, life: Duration, now: Moment) {
        self.logins.sweep(limit, |last| now.since(*last) >= life);
    }

    /// Changes for how many logins there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.logins.resize(capacity);
    }
}
