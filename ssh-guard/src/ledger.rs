//! The bans in force.

mod ends;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::ban::{Ban, By, Scope};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::blast::Held;
use ends::Ends;
pub use plan::{Plan, Refused};

/// The bans in force, of sources and of networks, both bounded. Where there is no room, a new ban takes the place of the
/// automatic ban of its scope that ends first; bans by hand are never displaced. About 250 bytes a ban.
#[derive(Debug)]
pub struct Ledger {
    bans: BTreeMap<Network, Ban>,
    sources: Room,
    networks: Room,
    ipv4: usize,
    /// What the bans hold that the rules called for.
    held: Held,
    displaced: u64,
}

/// How many may be blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Sources.
    pub sources: usize,
    /// Networks.
    pub networks: usize,
}

/// The room for bans of one scope, and who would have to leave it.
#[derive(Debug)]
struct Room {
    automatic: Ends,
    by_hand: Ends,
    bans: usize,
    /// What lists take.
    listed: usize,
    capacity: usize,
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
    /// Of networks.
    pub networks: usize,
}

impl Ledger {
    /// The most bans that [`Ledger::expire`] ends in one call.
    pub const EXPIRE_AT_ONCE: usize = 1024;

    /// Makes an empty ledger.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        let (sources, networks) = (Room::new(capacity.sources), Room::new(capacity.networks));
        Self { bans: BTreeMap::new(), sources, networks, ipv4: 0, held: Held::default(), displaced: 0 }
    }

    /// Leaves this much of the room to lists.
    pub fn leave_to_lists(&mut self, sources: usize, networks: usize) {
        self.sources.listed = sources;
        self.networks.listed = networks;
    }

    /// How many more of a scope may be listed: what neither bans nor lists take.
    #[must_use]
    pub fn free(&self, scope: Scope) -> usize {
        let room = self.room(scope);
        room.capacity.saturating_sub(room.bans + room.listed)
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
        let displaced = displaces.and_then(|banned| self.remove(banned));
        if displaced.as_ref().is_some_and(|displaced| !displaced.is_over(ban.since)) {
            self.displaced = self.displaced.saturating_add(1);
        }
        self.remove(ban.network());
        self.enter(ban);
        displaced
    }

    /// Puts off the end of a ban, as is done once; the kernel blocks until then already.
    pub fn extend(&mut self, banned: Network, until: Moment) {
        if let Some(ban) = self.remove(banned) {
            self.enter(Ban { until, extended: true, ..ban });
        }
    }

    fn enter(&mut self, ban: Ban) {
        let banned = ban.network();
        let room = self.room_mut(ban.scope);
        room.ends(ban.by).insert(ban.until, banned);
        room.bans += 1;
        self.ipv4 += usize::from(is_ipv4_source(&ban));
        self.held = self.held.plus(held_by(&ban));
        self.bans.insert(banned, ban);
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

    /// Enters bans that are in force already into a ledger that has none, many times as fast as one by one.
    ///
    /// # Panics
    /// If there is a ban.
    pub fn adopt(&mut self, bans: Vec<Ban>) {
        assert!(self.is_empty(), "a ledger adopts before it has bans of its own");
        for (room, scope) in [(&mut self.sources, Scope::Source), (&mut self.networks, Scope::Network)] {
            let of_scope = || bans.iter().filter(|ban| ban.scope == scope);
            room.bans = of_scope().count();
            for by in [By::Automatic, By::Hand] {
                let ends = of_scope().filter(|ban| ban.by == by).map(|ban| (ban.until, ban.network()));
                *room.ends(by) = ends.collect();
            }
        }
        self.ipv4 = bans.iter().filter(|ban| is_ipv4_source(ban)).count();
        self.held = bans.iter().fold(Held::default(), |held, ban| held.plus(held_by(ban)));
        self.bans = bans.into_iter().map(|ban| (ban.network(), ban)).collect();
    }

    /// Takes a ban out.
    pub fn remove(&mut self, banned: Network) -> Option<Ban> {
        let ban = self.bans.remove(&banned)?;
        let room = self.room_mut(ban.scope);
        room.ends(ban.by).remove(ban.until, banned);
        room.bans -= 1;
        self.ipv4 -= usize::from(is_ipv4_source(&ban));
        self.held = self.held.minus(held_by(&ban));
        Some(ban)
    }

    /// Takes out the bans whose end has come, those that ended first before the others, at most
    /// [`Ledger::EXPIRE_AT_ONCE`].
    pub fn expire(&mut self, now: Moment) -> Expired {
        let mut bans = Vec::new();
        while bans.len() < Self::EXPIRE_AT_ONCE
            && let Some((_, banned)) = self.first_end().filter(|(until, _)| *until <= now)
        {
            bans.extend(self.remove(banned));
        }
        Expired { bans, next: self.next_end() }
    }

    /// When the next ban ends.
    #[must_use]
    pub fn next_end(&self) -> Option<Moment> {
        self.first_end().map(|(until, _)| until)
    }

    /// The ban of exactly this source or network; it may be over and not expired yet.
    #[must_use]
    pub fn get(&self, banned: Network) -> Option<&Ban> {
        self.bans.get(&banned)
    }

    /// Whether exactly this source or network is banned.
    #[must_use]
    pub fn is_banned(&self, banned: Network, now: Moment) -> bool {
        self.get(banned).is_some_and(|ban| !ban.is_over(now))
    }

    /// The bans of what comes after `after`, in the order of the addresses: a listing in pages misses no ban that is
    /// there throughout and shows none twice, whatever is changed between two pages.
    pub fn after(&self, after: Option<Network>) -> impl Iterator<Item = &Ban> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.bans.range((start, Bound::Unbounded)).map(|(_, ban)| ban)
    }

    /// The bans that have an address in common with `network`: those around it, the widest first, and those in it.
    pub fn touching(&self, network: Network) -> impl Iterator<Item = &Ban> {
        let inside = self.bans.range(network..=Network::new(network.last(), u8::MAX));
        let inside = inside.map(|(_, ban)| ban).filter(move |ban| network.contains(&ban.network()));
        self.around(network).chain(inside)
    }

    /// The bans that hold all of `network` and more, the widest first.
    pub fn around(&self, network: Network) -> impl Iterator<Item = &Ban> {
        (0..network.prefix()).filter_map(move |prefix| self.get(network.widened(prefix)))
    }

    /// The bans of a scope that nobody decided on by hand, in the order of their ends, after this end.
    pub fn ending(&self, scope: Scope, after: Option<(Moment, Network)>) -> impl Iterator<Item = &Ban> {
        self.room(scope).automatic.after(after).filter_map(|banned| self.get(banned))
    }

    /// What the bans in force hold that the rules called for.
    #[must_use]
    pub fn held(&self) -> Held {
        self.held
    }

    /// How many of a scope may be blocked.
    #[must_use]
    pub fn capacity(&self, scope: Scope) -> usize {
        self.room(scope).capacity
    }

    /// How many bans are in force, by family.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (sources, networks) = (self.sources.bans, self.networks.bans);
        Counts { ipv4: self.ipv4, ipv6: sources - self.ipv4, networks }
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

    /// How many bans had to make room for others so far, before their end.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    fn room(&self, scope: Scope) -> &Room {
        match scope {
            Scope::Source => &self.sources,
            Scope::Network => &self.networks,
        }
    }

    fn room_mut(&mut self, scope: Scope) -> &mut Room {
        match scope {
            Scope::Source => &mut self.sources,
            Scope::Network => &mut self.networks,
        }
    }

    fn first_end(&self) -> Option<(Moment, Network)> {
        [&self.sources, &self.networks].into_iter().filter_map(Room::first_end).min()
    }
}

impl Room {
    fn new(capacity: usize) -> Self {
        Self { automatic: Ends::default(), by_hand: Ends::default(), bans: 0, listed: 0, capacity }
    }

    fn is_left(&self) -> bool {
        self.bans + self.listed < self.capacity
    }

    fn ends(&mut self, by: By) -> &mut Ends {
        match by {
            By::Automatic => &mut self.automatic,
            By::Hand => &mut self.by_hand,
        }
    }

    fn first_end(&self) -> Option<(Moment, Network)> {
        [self.automatic.first(), self.by_hand.first()].into_iter().flatten().min()
    }
}

fn held_by(ban: &Ban) -> Held {
    if ban.is_automatic() { Held::of(ban) } else { Held::default() }
}

fn is_ipv4_source(ban: &Ban) -> bool {
    ban.scope == Scope::Source && ban.source.is_v4()
}
