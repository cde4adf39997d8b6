//! Whom the kernel drops, as the programs judge it: what follows from bans, lists and the allowlist for one address.

use std::net::IpAddr;

use super::Guard;
use crate::ban::{Ban, Scope};
use crate::clock;
use crate::lists::{Entry, List};
use crate::moment::Moment;
use crate::network::Network;

/// What a block is looked at for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Packets, which are dropped.
    Packets,
    /// Sockets, which are closed, but not for a trial.
    Sockets,
}

impl Guard {
    /// Those of these addresses whose packets are dropped now because they are banned or listed, or lie in a network
    /// that is.
    pub(super) fn tell_dropped(&self, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
        let now = clock::now();
        addresses.into_iter().filter(|address| self.drops(*address, now)).collect()
    }

    /// The answer of `judge` (ssh-guard-ebpf) to a packet of the address, from the same facts, but for changes on trial: no
    /// session is closed for those.
    pub(super) fn drops(&self, address: IpAddr, now: Moment) -> bool {
        let itself = Network::from(address);
        // It is in the kernel's allowlist, or no block stands where it is.
        if self.is_exempt(itself) || self.passed_before_trial(itself) {
            return false;
        }
        let source = self.source_of(address);
        if self.is_source_blocked(source, Purpose::Sockets, now) {
            return true;
        }
        self.is_in_blocked_network(itself, Purpose::Sockets, now) && !self.is_known_good(source, now)
    }

    pub(super) fn is_source_blocked(&self, source: Network, purpose: Purpose, now: Moment) -> bool {
        let banned = self.ledger.get(source).filter(|ban| ban.scope == Scope::Source);
        banned.is_some_and(|ban| self.is_in_force(ban, purpose, now))
            || self.is_listed((source, Scope::Source), purpose, now)
    }

    pub(super) fn is_in_blocked_network(&self, itself: Network, purpose: Purpose, now: Moment) -> bool {
        let bans = self.ledger.get(itself).into_iter().chain(self.ledger.around(itself));
        let mut bans = bans.filter(|ban| ban.scope == Scope::Network);
        bans.any(|ban| self.is_in_force(ban, purpose, now))
            || self.is_listed((itself, Scope::Network), purpose, now)
            || self
                .lists
                .around(itself)
                .any(|(_, entry)| entry.1 == Scope::Network && self.is_listed(entry, purpose, now))
    }

    /// Whether exactly this is listed, and blocked for that.
    pub(super) fn is_listed(&self, entry: Entry, purpose: Purpose, now: Moment) -> bool {
        let counts = |list: &&List| purpose == Purpose::Packets || !self.is_list_on_trial(list);
        !self.is_exempt(entry.0) && self.lists.naming(entry).filter(counts).any(|list| list.until > now)
    }

    fn is_in_force(&self, ban: &Ban, purpose: Purpose, now: Moment) -> bool {
        !ban.is_over(now) && (purpose == Purpose::Packets || !self.is_ban_on_trial(ban, now))
    }

    /// Whether a banned network lets the source pass. Where the kernel does not tell, nobody's session is ended for it.
    pub(super) fn is_known_good(&self, source: Network, now: Moment) -> bool {
        let now = self.maps.clock.ticks_of(now);
        match self.maps.known_good.until_of(source.first()) {
            Ok(until) => until.is_some_and(|until| !ssh_guard_common::time::is_over(until, now)),
            Err(_) => true,
        }
    }
}
