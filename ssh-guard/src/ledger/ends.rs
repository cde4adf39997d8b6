//! Bans in the order of their ends.

use std::collections::BTreeSet;

use ssh_guard_common::source::Source;

use crate::moment::Moment;

/// Sources by the ends of their bans.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeSet<(Moment, Source)>);

impl Ends {
    pub(super) fn insert(&mut self, until: Moment, source: Source) {
        self.0.insert((until, source));
    }

    pub(super) fn remove(&mut self, until: Moment, source: Source) {
        self.0.remove(&(until, source));
    }

    pub(super) fn first(&self) -> Option<(Moment, Source)> {
        self.0.first().copied()
    }
}
