//! Which networks are banned, and how they lie in each other.

use std::collections::BTreeMap;
use std::ops::Bound;

use ssh_guard_common::flat::{OVERLAPS, fitting};
use ssh_guard_common::time::Ticks;

use crate::network::Network;

/// A network's own ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ban {
    pub(super) until: Ticks,
    /// Whether addresses of the network are excepted.
    pub(super) overlaps: bool,
}

/// What stands in the kernel for a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Written {
    /// The end, and the flag.
    pub(super) end: u32,
    pub(super) place: Place,
}

/// Where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In the flat table of /24s.
    Table,
    /// In its family's trie.
    Trie,
}

/// A banned network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) ban: Ban,
    pub(super) written: Option<Written>,
}

/// What has to stand in the kernel for a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub(super) network: Network,
    /// The end, and the flag. A lookup sees the narrowest network only, so its end is the latest of those that hold it.
    pub(super) end: u32,
    /// Whether the flat table will do: it's an IPv4 /24, and nothing in it is banned by itself.
    pub(super) is_plain_24: bool,
}

/// The banned networks of both families. In the order of the map a network stands behind those around it, and right before
/// those in it.
#[derive(Debug, Default)]
pub(super) struct Nest {
    v4: BTreeMap<Network, Entry>,
    v6: BTreeMap<Network, Entry>,
}

impl Nest {
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are networks of IPv4, and of IPv6.
    pub(super) fn families(&self) -> (bool, bool) {
        (!self.v4.is_empty(), !self.v6.is_empty())
    }

    pub(super) fn get(&self, network: Network) -> Option<&Entry> {
        self.of(network).get(&network)
    }

    pub(super) fn get_mut(&mut self, network: Network) -> Option<&mut Entry> {
        self.of_mut(network).get_mut(&network)
    }

    pub(super) fn insert(&mut self, network: Network, entry: Entry) -> Option<Entry> {
        self.of_mut(network).insert(network, entry)
    }

    pub(super) fn remove(&mut self, network: Network) -> Option<Entry> {
        self.of_mut(network).remove(&network)
    }

    /// The narrowest banned network around this one, itself left out.
    pub(super) fn around(&self, network: Network) -> Option<(Network, &Entry)> {
        let bans = self.of(network);
        let (mut nearest, mut entry) = bans.range(..network).next_back()?;
        // Whatever holds `network` stands before `nearest`, or is it, and so holds all from its own beginning up to
        // `network`: `nearest` too.
        while !nearest.contains(&network) {
            (nearest, entry) = bans.range(..=nearest.joined(&network)).next_back()?;
        }
        Some((*nearest, entry))
    }

    /// The banned networks in `root`, itself included, wider ones before those in them.
    pub(super) fn inside(&self, root: Network) -> impl Iterator<Item = (Network, &Entry)> {
        let from = self.of(root).range(root..).map(|(network, entry)| (*network, entry));
        from.take_while(move |(network, _)| root.contains(network))
    }

    /// The banned networks after another one, or all: those of IPv4 first.
    pub(super) fn after(&self, after: Option<Network>) -> impl Iterator<Item = (Network, &Entry)> {
        let from =
            |after: Option<Network>| (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let v4 = after.is_none_or(|after| after.is_v4()).then(|| self.v4.range(from(after)));
        let v6 = self.v6.range(from(after.filter(|after| !after.is_v4())));
        v4.into_iter().flatten().chain(v6).map(|(network, entry)| (*network, entry))
    }

    /// What has to stand in the kernel for the banned networks in `root`, itself included.
    pub(super) fn due(&self, root: Network) -> Vec<Due> {
        let beyond = self.last_end_around(root);
        // The networks around the one that is looked at, and the latest end up to each.
        let mut around: Vec<(Network, Ticks)> = Vec::new();
        let mut due: Vec<Due> = Vec::new();
        for (network, Entry { ban, .. }) in self.inside(root) {
            while around.last().is_some_and(|(outer, _)| !outer.contains(&network)) {
                around.pop();
            }
            let outer = around.last().map_or(beyond, |(_, end)| *end);
            let until = fitting(ban.until).max(outer);
            around.push((network, until));
            let is_24 = network.is_v4() && network.prefix() == 24;
            if let Some(last) = due.last_mut()
                && last.network.contains(&network)
            {
                last.is_plain_24 = false;
            }
            let flag = if ban.overlaps { OVERLAPS } else { 0 };
            due.push(Due { network, end: until | flag, is_plain_24: is_24 });
        }
        due
    }

    /// The latest end of the networks around this one, itself left out.
    fn last_end_around(&self, mut network: Network) -> Ticks {
        let mut last = 0;
        while let Some((outer, Entry { ban, .. })) = self.around(network) {
            last = last.max(fitting(ban.until));
            network = outer;
        }
        last
    }

    fn of(&self, network: Network) -> &BTreeMap<Network, Entry> {
        if network.is_v4() { &self.v4 } else { &self.v6 }
    }

    fn of_mut(&mut self, network: Network) -> &mut BTreeMap<Network, Entry> {
        if network.is_v4() { &mut self.v4 } else { &mut self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipnet::IpNet;

    use ssh_guard_common::flat::LAST_END;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpNet>().unwrap().into()
    }

    fn nest(bans: &[(&str, Ticks)]) -> Nest {
        let mut nest = Nest::default();
        for (text, until) in bans {
            let ban = Ban { until: *until, overlaps: false };
            nest.insert(network(text), Entry { ban, written: None });
        }
        nest
    }

    fn around(nest: &Nest, text: &str) -> Option<String> {
        nest.around(network(text)).map(|(network, _)| network.to_string())
    }

    #[test]
    fn the_narrowest_network_around_another_is_found_past_its_neighbours() {
        let nest = nest(&[
            ("0.0.0.0/0", 1),
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 1),
            ("10.1.1.0/24", 1),
            ("10.1.1.128/25", 1),
            ("::/0", 1),
        ]);
        assert_eq!(around(&nest, "10.1.1.129/32").unwrap(), "10.1.1.128/25");
        assert_eq!(around(&nest, "10.1.1.128/25").unwrap(), "10.1.1.0/24");
        assert_eq!(around(&nest, "10.1.2.0/24").unwrap(), "10.1.0.0/16");
        assert_eq!(around(&nest, "10.2.0.0/16").unwrap(), "10.0.0.0/8");
        assert_eq!(around(&nest, "11.0.0.0/8").unwrap(), "0.0.0.0/0");
        assert_eq!(around(&nest, "0.0.0.0/0"), None, "no IPv6 network holds IPv4");
        assert_eq!(around(&nest, "2001:db8::/32").unwrap(), "::/0");
    }

    #[test]
    fn a_network_ends_no_earlier_than_those_around_it() {
        let nest = nest(&[("10.0.0.0/8", 50), ("10.1.0.0/16", 90), ("10.1.1.0/24", 10), ("10.2.0.0/24", 10)]);
        let ends = |root: &str| -> Vec<(String, u32)> {
            nest.due(network(root)).iter().map(|due| (due.network.to_string(), due.end)).collect()
        };
        let all = [("10.0.0.0/8", 50), ("10.1.0.0/16", 90), ("10.1.1.0/24", 90), ("10.2.0.0/24", 50)]
            .map(|(network, end)| (network.to_owned(), end));
        assert_eq!(ends("0.0.0.0/0"), all);
        assert_eq!(ends("10.1.1.0/24"), all[2..3]);
        assert_eq!(ends("10.1.0.0/16"), all[1..3]);
        assert_eq!(ends("10.3.0.0/16"), []);
    }

    #[test]
    fn only_a_24_of_ipv4_with_nothing_in_it_is_plain() {
        let nest = nest(&[
            ("10.1.1.0/24", 1),
            ("10.1.1.7/32", 1),
            ("10.1.2.0/24", 1),
            ("10.1.3.0/25", 1),
            ("2001:db8::/24", 1),
        ]);
        let plain = |root: &str| -> Vec<String> {
            let due = nest.due(network(root)).into_iter();
            due.filter(|due| due.is_plain_24).map(|due| due.network.to_string()).collect()
        };
        assert_eq!(plain("0.0.0.0/0"), ["10.1.2.0/24"]);
        assert_eq!(plain("::/0"), [] as [&str; 0]);
    }

    #[test]
    fn an_end_too_late_for_a_block_is_the_last_there_is() {
        let mut nest = nest(&[("10.0.0.0/8", Ticks::MAX)]);
        assert_eq!(nest.due(network("10.0.0.0/8"))[0].end, LAST_END);
        let single = Network::from("10.0.0.1".parse::<IpAddr>().unwrap());
        let ban = Ban { until: 7, overlaps: true };
        nest.insert(single, Entry { ban, written: None });
        assert_eq!(nest.due(single)[0].end, LAST_END | OVERLAPS, "the flag is a network's own");
    }
}
