//! Who is logged in now, and from where: what an operator must not be locked out of.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ssh_guard_common::source::{Source, SourceMask};

use super::{Census, Stage};
use crate::network::Network;

/// The addresses that live authenticated sessions come from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Presence {
    /// Each whole, with the operator among those who are logged in from there, if one is.
    addresses: BTreeMap<Source, Option<Arc<str>>>,
    /// The sources that an operator is logged in from.
    protected: HashSet<Source>,
}

impl Presence {
    /// Takes from a census who is there; `operator_of` names the operator that the account of a number belongs to.
    pub fn of(
        census: &Census,
        mask: SourceMask,
        mut operator_of: impl FnMut(u32) -> Option<Arc<str>>,
    ) -> Self {
        let mut presence = Self::default();
        for session in census.sessions.iter().filter(|session| session.stage == Stage::Authenticated) {
            let operator = session.account.and_then(&mut operator_of);
            if operator.is_some() {
                presence.protected.insert(mask.apply(session.key.client));
            }
            let there = presence.addresses.entry(session.key.client).or_default();
            *there = there.take().or(operator);
        }
        presence
    }

    /// Whether an operator is logged in from a source; O(1).
    #[must_use]
    pub fn protects(&self, source: Source) -> bool {
        self.protected.contains(&source)
    }

    /// The sources that an operator is logged in from.
    pub fn protected(&self) -> impl Iterator<Item = Source> {
        self.protected.iter().copied()
    }

    /// How many sources an operator is logged in from.
    #[must_use]
    pub fn count(&self) -> usize {
        self.protected.len()
    }

    /// The addresses that anybody is logged in from.
    pub fn addresses(&self) -> impl Iterator<Item = Network> {
        self.addresses.keys().copied().map(alone)
    }

    /// The addresses that operators are logged in from, with the name of one.
    pub fn operators(&self) -> impl Iterator<Item = (Network, &str)> {
        self.addresses.iter().filter_map(|(address, name)| Some((alone(*address), name.as_deref()?)))
    }

    /// An operator who is logged in from an address in a network, if one is, and the address: what a rule must not take
    /// from under them.
    #[must_use]
    pub fn operator_in(&self, network: Network) -> Option<(Network, &str)> {
        let there = self.addresses.range(network.first()..=network.last());
        there
            .filter_map(|(address, name)| Some((alone(*address), name.as_deref()?)))
            .find(|(address, _)| network.contains(address))
    }
}

/// An address as a network of its own.
fn alone(address: Source) -> Network {
    Network::new(address, 128)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipnet::IpNet;
    use ssh_guard_common::records::{SessionKey, SessionRecord};

    use super::*;
    use crate::session::Session;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn network(text: &str) -> Network {
        text.parse::<IpNet>().unwrap().into()
    }

    fn session(client: &str, stage: Stage, account: Option<u32>) -> Session {
        let key =
            SessionKey { client: source(client), server: source("10.77.0.1"), client_port: 4000, port: 22 };
        Session { key, record: SessionRecord::default(), stage, account }
    }

    /// Account 1 is alice, who is an operator, and 2 is bob, who is none.
    fn presence(sessions: Vec<Session>) -> Presence {
        let census = Census { sessions, ..Census::default() };
        Presence::of(&census, SourceMask::new(32, 64), |account| (account == 1).then(|| Arc::from("alice")))
    }

    #[test]
    fn a_live_authenticated_session_of_an_operator_protects_its_source_and_nothing_else_does() {
        let presence = presence(vec![
            session("203.0.113.7", Stage::Authenticated, Some(1)),
            session("203.0.113.8", Stage::Authenticated, Some(2)),
            session("203.0.113.9", Stage::Closed, Some(1)),
            session("203.0.113.10", Stage::Open, None),
            session("2001:db8::7", Stage::Authenticated, Some(1)),
        ]);
        assert!(presence.protects(source("203.0.113.7")) && presence.protects(source("2001:db8::")));
        for nobodys in ["203.0.113.8", "203.0.113.9", "203.0.113.10", "2001:db8:0:1::"] {
            assert!(!presence.protects(source(nobodys)), "{nobodys}");
        }
        assert_eq!(presence.count(), 2);
        let there: Vec<_> = presence.addresses().map(|address| address.to_string()).collect();
        assert_eq!(there, ["203.0.113.7/32", "203.0.113.8/32", "2001:db8::7/128"]);
    }

    #[test]
    fn where_one_of_several_is_an_operator_all_of_the_source_is_protected() {
        for sessions in [[1, 2], [2, 1]] {
            let presence = presence(
                sessions.map(|account| session("203.0.113.7", Stage::Authenticated, Some(account))).to_vec(),
            );
            assert!(presence.protects(source("203.0.113.7")));
            assert_eq!(presence.operators().collect::<Vec<_>>(), [(network("203.0.113.7/32"), "alice")]);
        }
    }

    #[test]
    fn an_operator_is_found_in_every_network_around_the_address_and_in_no_other() {
        let presence = presence(vec![
            session("203.0.113.7", Stage::Authenticated, Some(1)),
            session("203.0.112.7", Stage::Authenticated, Some(2)),
        ]);
        for around in ["203.0.113.7/32", "203.0.113.0/24", "0.0.0.0/0"] {
            assert_eq!(presence.operator_in(network(around)), Some((network("203.0.113.7/32"), "alice")));
        }
        for elsewhere in ["203.0.113.8/32", "203.0.112.0/24", "2001:db8::/32", "::/0"] {
            assert_eq!(presence.operator_in(network(elsewhere)), None, "{elsewhere}");
        }
    }
}
