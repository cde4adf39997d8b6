//! Bans in the order of their ends.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::moment::Moment;
use crate::network::Network;

/// What is banned by the ends of their bans.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeSet<(Moment, Network)>);

impl FromIterator<(Moment, Network)> for Ends {
    fn from_iter<I: IntoIterator<Item = (Moment, Network)>>(ends: I) -> Self {
        Self(ends.into_iter().collect())
    }
}

impl Ends {
    pub(super) fn insert(&mut self, until: Moment, banned: Network) {
        self.0.insert((until, banned));
    }

    pub(super) fn remove(&mut self, until: Moment, banned: Network) {
        self.0.remove(&(until, banned));
    }

    pub(super) fn after(&self, after: Option<(Moment, Network)>) -> impl Iterator<Item = Network> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range((start, Bound::Unbounded)).map(|(_, banned)| *banned)
    }

    pub(super) fn first(&self) -> Option<(Moment, Network)> {
        self.0.first().copied()
    }
}
