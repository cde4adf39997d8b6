//! The bans in force.

mod ends;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use ssh_guard_common::source::Source;

use crate::ban::{Ban, By};
use crate::moment::Moment;
use crate::network::Network;
use ends::Ends;
pub use plan::{Plan, Refused};

/// The bans in force, bounded. A full ledger gives a new ban the place of the automatic ban that ends first; bans by
/// hand are never displaced. About 250 bytes a ban.
#[derive(Debug)]
pub struct Ledger {
    bans: BTreeMap<Source, Ban>,
    automatic: Ends,
    by_hand: Ends,
    ipv4: usize,
    capacity: usize,
    displaced: u64,
}

/// The bans whose end has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expired {
    /// They are no longer in the ledger.
    pub bans: Vec<Ban>,
    /// When the next one ends; not after `now` if there was more than fits in one call.
    pub next: Option<Moment>,
}

/// How many bans are in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Of IPv4 sources.
    pub ipv4: usize,
    /// Of IPv6 sources.
    pub ipv6: usize,
}

impl Ledger {
    /// The most bans that [`Ledger::expire`] ends in one call.
    pub const EXPIRE_AT_ONCE: usize = 1024;

    /// Makes an empty ledger for `capacity` bans.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (automatic, by_hand) = (Ends::default(), Ends::default());
        Self { bans: BTreeMap::new(), automatic, by_hand, ipv4: 0, capacity, displaced: 0 }
    }

    /// Finds out what a ban would take, and changes nothing: the kernel is written between this and
    /// [`Ledger::commit`].
    ///
    /// # Errors
    ///
    /// Refuses a ban that is over already, that a ban in force outlasts or outranks, or that there is no room for.
    pub fn plan(&self, ban: &Ban, now: Moment) -> Result<Plan, Refused> {
        plan::plan(self, ban, now)
    }

    /// Enters the ban of a plan and returns the one that it displaced. Nothing else may change the ledger between
    /// the two.
    pub fn commit(&mut self, plan: Plan) -> Option<Ban> {
        let Plan { ban, displaces } = plan;
        let displaced = displaces.and_then(|source| self.remove(source));
        if displaced.as_ref().is_some_and(|displaced| !displaced.is_over(ban.since)) {
            self.displaced = self.displaced.saturating_add(1);
        }
        self.remove(ban.source);
        self.ends(ban.by).insert(ban.until, ban.source);
        self.ipv4 += usize::from(ban.source.is_v4());
        self.bans.insert(ban.source, ban);
        displaced
    }

    /// Plans and commits a ban that the kernel knows already, and returns the one that it displaced.
    ///
    /// # Errors
    ///
    /// As [`Ledger::plan`].
    pub fn insert(&mut self, ban: &Ban, now: Moment) -> Result<Option<Ban>, Refused> {
        let plan = self.plan(ban, now)?;
        Ok(self.commit(plan))
    }

    /// Takes a ban out.
    pub fn remove(&mut self, source: Source) -> Option<Ban> {
        let ban = self.bans.remove(&source)?;
        self.ends(ban.by).remove(ban.until, source);
        self.ipv4 -= usize::from(source.is_v4());
        Some(ban)
    }

    /// Takes out the bans whose end has come, those that ended first before the others, at most
    /// [`Ledger::EXPIRE_AT_ONCE`].
    pub fn expire(&mut self, now: Moment) -> Expired {
        let mut bans = Vec::new();
        while bans.len() < Self::EXPIRE_AT_ONCE
            && let Some((_, source)) = self.first_end().filter(|(until, _)| *until <= now)
        {
            bans.extend(self.remove(source));
        }
        Expired { bans, next: self.first_end().map(|(until, _)| until) }
    }

    /// The ban of a source; it may be over and not expired yet.
    #[must_use]
    pub fn get(&self, source: Source) -> Option<&Ban> {
        self.bans.get(&source)
    }

    /// Whether a source is banned.
    #[must_use]
    pub fn is_banned(&self, source: Source, now: Moment) -> bool {
        self.get(source).is_some_and(|ban| !ban.is_over(now))
    }

    /// At most `limit` bans in the order of their sources, from the first after `after`: a listing in pages misses
    /// no ban that is there throughout and shows none twice, whatever is changed between two pages.
    #[must_use]
    pub fn page(&self, after: Option<Source>, limit: usize) -> Vec<Ban> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.bans.range((start, Bound::Unbounded)).take(limit).map(|(_, ban)| ban.clone()).collect()
    }

    /// The bans that have an address in common with `network`: those in it and those around it.
    pub fn touching(&self, network: Network) -> impl Iterator<Item = &Ban> {
        let around = (0..network.prefix())
            .filter_map(move |prefix| self.get(network.widened(prefix).first()))
            .filter(move |ban| ban.source < network.first() && ban.network().contains(&network));
        let inside = self.bans.range(network.first()..=network.last()).map(|(_, ban)| ban);
        let mut last = None;
        around
            .filter(move |ban| last.replace(ban.source) != Some(ban.source))
            .chain(inside.filter(move |ban| ban.network().overlaps(&network)))
    }

    /// How many bans are in force, by family.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { ipv4: self.ipv4, ipv6: self.bans.len() - self.ipv4 }
    }

    /// How many bans are in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether nobody is banned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    /// How many bans it may hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many bans had to make room for others so far, before their end.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    fn ends(&mut self, by: By) -> &mut Ends {
        match by {
            By::Automatic => &mut self.automatic,
            By::Hand => &mut self.by_hand,
        }
    }

    fn first_end(&self) -> Option<(Moment, Source)> {
        [self.automatic.first(), self.by_hand.first()].into_iter().flatten().min()
    }
}
