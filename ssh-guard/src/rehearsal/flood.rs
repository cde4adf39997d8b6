//! How long failures came in a surge.

use std::time::Duration;

use crate::moment::Moment;
use crate::policy::flood::Surge;
use crate::policy::rules;

/// Follows a surge through times in which nobody asks.
#[derive(Debug, Default)]
pub(super) struct Flood {
    surge: Surge,
    on: bool,
    /// Until when it was followed while it was on.
    seen: Moment,
    lasted: Duration,
}

const MINUTE: Duration = Duration::from_mins(1);

impl Flood {
    /// Takes note of failures.
    pub(super) fn note(&mut self, failures: u64, rules: &rules::Flood, now: Moment) {
        self.pass(rules, now);
        self.on = self.surge.observe(failures, rules, now);
        self.seen = now;
    }

    /// Lets time pass, minute by minute: a surge ends by itself after a few quiet ones.
    pub(super) fn pass(&mut self, rules: &rules::Flood, now: Moment) {
        while self.on && self.seen < now {
            let until = self.seen.plus(MINUTE).min(now);
            self.lasted += until.since(self.seen);
            self.seen = until;
            self.on = self.surge.observe(0, rules, until);
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn lasted(&self) -> Duration {
        self.lasted
    }
}
