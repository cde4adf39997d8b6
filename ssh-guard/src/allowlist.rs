//! The networks that are never touched.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;

use ssh_guard_common::source::Source;

use crate::moment::Moment;
use crate::network::Network;

/// The allowlist. Questions take O(log n) steps for each length of prefix in it.
#[derive(Debug)]
pub struct Allowlist {
    networks: BTreeMap<Network, Option<Moment>>,
    ipv4: Lengths,
    ipv6: Lengths,
}

/// How much of a source is in the allowlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Covered {
    /// All of it.
    Whole,
    /// A network inside it: a block of the source must be flagged as overlapping the allowlist.
    Part,
    /// Nothing.
    No,
}

/// How many networks there are of each length.
type Lengths = [u32; 129];

impl Default for Allowlist {
    fn default() -> Self {
        Self { networks: BTreeMap::new(), ipv4: [0; 129], ipv6: [0; 129] }
    }
}

impl Allowlist {
    /// Makes an empty allowlist.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a network until a moment, or for good, and says whether that changes anything. What is allowed for
    /// longer already stays so: to shorten it, remove it first.
    pub fn add(&mut self, network: Network, until: Option<Moment>) -> bool {
        let Some(standing) = self.networks.get_mut(&network) else {
            self.networks.insert(network, until);
            self.lengths(network)[usize::from(network.prefix())] += 1;
            return true;
        };
        let longer = standing.is_some_and(|standing| until.is_none_or(|until| until > standing));
        if longer {
            *standing = until;
        }
        longer
    }

    /// Removes a network, exactly as it was added, and says whether it was there. What lies in it, or around it,
    /// stays.
    pub fn remove(&mut self, network: Network) -> bool {
        let removed = self.networks.remove(&network).is_some();
        if removed {
            self.lengths(network)[usize::from(network.prefix())] -= 1;
        }
        removed
    }

    /// Says how much of a source with `prefix` bits is in the allowlist. Networks whose end has come count until
    /// [`Allowlist::expire`] takes them out.
    #[must_use]
    pub fn covers(&self, source: Source, prefix: u8) -> Covered {
        // As most are: a daemon that takes over asks this of a million bans.
        if self.is_empty() {
            return Covered::No;
        }
        let asked = Network::new(source, prefix);
        if self.network_of(asked).is_some() {
            return Covered::Whole;
        }
        match self.inside(asked).next() {
            Some(_) => Covered::Part,
            None => Covered::No,
        }
    }

    /// The narrowest network of the allowlist that holds all of `asked`.
    #[must_use]
    pub fn network_of(&self, asked: Network) -> Option<Network> {
        let lengths = if asked.is_v4() { &self.ipv4 } else { &self.ipv6 };
        (0..=asked.prefix())
            .rev()
            .filter(|prefix| lengths[usize::from(*prefix)] > 0)
            .map(|prefix| asked.widened(prefix))
            .find(|network| self.networks.contains_key(network))
    }

    /// The networks of the allowlist that lie in `asked` and are narrower.
    pub fn inside(&self, asked: Network) -> impl Iterator<Item = Network> {
        self.networks
            .range(asked..=Network::new(asked.last(), 128))
            .map(|(network, _)| *network)
            .filter(move |network| *network != asked && asked.contains(network))
    }

    /// Takes out the networks whose end has come and returns them; O(n).
    pub fn expire(&mut self, now: Moment) -> Vec<Network> {
        let over = |until: &Option<Moment>| until.is_some_and(|until| until <= now);
        let expired: Vec<_> =
            self.networks.iter().filter(|(_, until)| over(until)).map(|(network, _)| *network).collect();
        for network in &expired {
            self.remove(*network);
        }
        expired
    }

    /// When the next network's end comes; O(n).
    #[must_use]
    pub fn next_end(&self) -> Option<Moment> {
        self.networks.values().flatten().min().copied()
    }

    /// The networks and their ends, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (Network, Option<Moment>)> {
        self.networks.iter().map(|(network, until)| (*network, *until))
    }

    /// The networks after another one, and their ends.
    pub fn after(&self, after: Option<Network>) -> impl Iterator<Item = (Network, Option<Moment>)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.networks.range((start, Bound::Unbounded)).map(|(network, until)| (*network, *until))
    }

    /// Until when exactly this network is allowed, if it is: for good, or until a moment.
    #[must_use]
    pub fn until_of(&self, network: Network) -> Option<Option<Moment>> {
        self.networks.get(&network).copied()
    }

    /// How many networks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    fn lengths(&mut self, network: Network) -> &mut Lengths {
        if network.is_v4() { &mut self.ipv4 } else { &mut self.ipv6 }
    }
}
