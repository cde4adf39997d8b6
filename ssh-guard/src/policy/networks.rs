//! Networks: where many sources of one network are banned, or fail together, the network is banned.
//!
//! Two tables. One holds the networks that sources were banned in, with the sources of the last day, as many as it takes.
//! The other one sums up the failures of a network in two halves of the window and guesses from 64 bits how many sources
//! they are of: it finds a network whose sources each stay below the threshold, as where every attempt comes from another
//! IPv6 /64. Both are bounded; the first takes about 350 bytes a network, the second about 60.

use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::quality::FixedState;
use ssh_guard_common::source::Source;

use super::rules;
use super::weight::Weight;
use crate::moment::Moment;
use crate::network::Network;
use crate::recent::{Rank, Recent};

/// The networks that sources were banned in, or fail from.
#[derive(Debug)]
pub struct Networks {
    banned: Recent<Network, Banned>,
    failing: Recent<Network, Failing>,
    seed: FixedState,
}

/// The sources of a network that were banned lately, the last one behind.
type Banned = Vec<(Source, Moment)>;

/// What a network fails at.
#[derive(Clone, Copy, Debug, Default)]
struct Failing {
    /// When the younger half began.
    began: Moment,
    halves: [Half; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Half {
    weight: Weight,
    /// A bit for each source, by a hash.
    sources: u64,
}

/// How many networks are remembered that sources were banned in.
const BANNED: usize = 16_384;

/// By what part of the sources' number the networks that fail are bounded: most attackers have a network to themselves.
const FAILING: usize = 4;

impl Networks {
    /// Makes room for the networks of `capacity` sources. `seed` keeps who chooses addresses from choosing their bits.
    #[must_use]
    pub fn new(capacity: usize, seed: u64) -> Self {
        Self {
            banned: Recent::new(BANNED),
            failing: Recent::new(capacity / FAILING),
            seed: FixedState::with_seed(seed),
        }
    }

    /// Takes note of an automatic ban, and names the network around it that is to be banned for that: the
    /// narrowest. The next ban outside that names a wider one.
    pub fn note_ban(&mut self, banned: Network, rules: &rules::Networks, now: Moment) -> Option<Network> {
        let mut called = None;
        for around in around(banned) {
            let count = self.banned.update(&around, |sources| {
                sources.retain(|(source, at)| *source != banned.first() && now.since(*at) < rules.window);
                if sources.len() >= rules.sources {
                    sources.remove(0);
                }
                sources.push((banned.first(), now));
                let rank = if sources.len() > 1 { Rank::Middle } else { Rank::Low };
                (Some(rank), sources.len())
            });
            if count >= rules.sources {
                called = called.or(Some(around));
            }
        }
        called
    }

    /// Takes note of a failure of a source that is not known-good, and names the network around it that fails at more than
    /// `most` together, from enough sources.
    pub fn note_failure(
        &mut self,
        source: Network,
        weight: Weight,
        rules: &rules::Networks,
        (most, window): (Weight, Duration),
        now: Moment,
    ) -> Option<Network> {
        let bit = 1 << (self.seed.hash_one(source) % 64);
        let mut called = None;
        for around in around(source) {
            let (sum, sources) = self.failing.update(&around, |failing| {
                failing.turn(window, now);
                failing.halves[0].weight = failing.halves[0].weight.plus(weight);
                failing.halves[0].sources |= bit;
                let [young, old] = failing.halves;
                let sources = (young.sources | old.sources).count_ones();
                let rank = if sources > 1 { Rank::Middle } else { Rank::Low };
                (Some(rank), (young.weight.plus(old.weight), sources))
            });
            if sum > most && sources as usize >= rules.sources {
                called = called.or(Some(around));
            }
        }
        called
    }

    /// This network, if sources of it were banned, and those around it that may be banned for it, the narrowest first, each with how
    /// many sources of it were banned lately, as far as that is counted.
    pub fn banned_around(
        &self,
        banned: Network,
        rules: &rules::Networks,
        now: Moment,
    ) -> impl Iterator<Item = (Network, usize)> {
        let window = rules.window;
        std::iter::once(banned).chain(around(banned)).map(move |around| {
            let lately = |sources: &Banned| sources.iter().filter(|(_, at)| now.since(*at) < window).count();
            (around, self.banned.get(&around).map_or(0, lately))
        })
    }

    /// Forgets what a network has failed at: it is banned for that.
    pub fn answer(&mut self, network: Network) {
        self.failing.remove(&network);
    }

    /// Looks at the next `limit` networks of each table, and drops those whose time is over.
    pub fn sweep(&mut self, limit: usize, rules: &rules::Networks, window: Duration, now: Moment) {
        let is_past = |sources: &Banned| sources.last().is_none_or(|(_, at)| now.since(*at) >= rules.window);
        self.banned.sweep(limit, is_past);
        self.failing.sweep(limit, |failing| now.since(failing.began) >= window);
    }

    /// Changes for how many sources there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.failing.resize(capacity / FAILING);
    }
}

impl Failing {
    /// Begins another half where this one is over.
    fn turn(&mut self, window: Duration, now: Moment) {
        let half = window / 2;
        let passed = now.since(self.began);
        if passed < half {
            return;
        }
        let [young, _] = self.halves;
        self.halves = [Half::default(), if passed < window { young } else { Half::default() }];
        self.began = now;
    }
}

/// The networks that may be banned around a source, the narrowest first: an IPv4 /24; an IPv6 /56 and /48, which is what
/// one site gets (RFC 6177).
pub fn around(network: Network) -> impl Iterator<Item = Network> {
    let prefixes: &[u8] = if network.is_v4() { &[24] } else { &[56, 48] };
    prefixes
        .iter()
        .filter(move |prefix| **prefix < network.prefix())
        .map(move |prefix| network.widened(*prefix))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const WINDOW: Duration = Duration::from_mins(10);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn v4(number: u32) -> Network {
        Network::new(Ipv4Addr::from(0xcb00_7100 + number).into(), 32)
    }

    fn v6(number: u128) -> Network {
        Network::new(Ipv6Addr::from((0x2001_0db8_0001_u128 << 80) + (number << 64)).into(), 64)
    }

    fn text(network: Option<Network>) -> Option<String> {
        network.map(|network| network.to_string())
    }

    #[test]
    fn eight_banned_sources_of_a_network_ban_it() {
        let (mut networks, rules) = (Networks::new(100, 7), rules::Networks::default());
        for number in 0..7 {
            assert_eq!(networks.note_ban(v4(number), &rules, at(0)), None);
            assert_eq!(networks.note_ban(v4(number), &rules, at(1)), None, "again the same source");
        }
        assert_eq!(text(networks.note_ban(v4(7), &rules, at(2))).as_deref(), Some("203.0.113.0/24"));
    }

    #[test]
    fn bans_of_more_than_a_day_ago_do_not_count() {
        let (mut networks, rules) = (Networks::new(100, 7), rules::Networks::default());
        (0..7).for_each(|number| assert_eq!(networks.note_ban(v4(number), &rules, at(0)), None));
        assert_eq!(networks.note_ban(v4(7), &rules, at(86_400)), None);
    }

    #[test]
    fn rotation_inside_a_56_bans_that_and_across_them_the_48() {
        let (mut networks, rules) = (Networks::new(100, 7), rules::Networks::default());
        let called: Vec<_> =
            (0..8).map(|number| text(networks.note_ban(v6(number), &rules, at(0)))).collect();
        assert_eq!(called[6], None);
        assert_eq!(called[7].as_deref(), Some("2001:db8:1::/56"), "its neighbours have done nothing");
        assert_eq!(text(networks.note_ban(v6(0x100), &rules, at(0))).as_deref(), Some("2001:db8:1::/48"));
        let mut networks = Networks::new(100, 7);
        let rules = rules::Networks { sources: 3, ..rules };
        let spread: Vec<_> =
            [1, 2, 0x100].map(|number| text(networks.note_ban(v6(number), &rules, at(0)))).into();
        assert_eq!(spread[2].as_deref(), Some("2001:db8:1::/48"));
    }

    #[test]
    fn a_network_whose_sources_fail_once_each_is_found_by_their_sum() {
        let (mut networks, rules) = (Networks::new(1000, 7), rules::Networks::default());
        let most = (Weight::new(40.0), WINDOW);
        let one = Weight::new(1.0);
        let first =
            (0..100).find(|number| networks.note_failure(v6(*number), one, &rules, most, at(0)).is_some());
        assert_eq!(first, Some(40), "the forty-first");
    }

    #[test]
    fn failures_of_few_sources_or_spread_over_time_are_not_a_networks() {
        let (mut networks, rules) = (Networks::new(1000, 7), rules::Networks::default());
        let most = (Weight::new(40.0), WINDOW);
        for number in 0..500 {
            let called = networks.note_failure(v4(number % 7), Weight::new(1.0), &rules, most, at(0));
            assert_eq!(called, None, "seven sources, each of which is judged by itself");
        }
        for number in 0..500 {
            let called = networks.note_failure(
                v4(1024 + number % 200),
                Weight::new(1.0),
                &rules,
                most,
                at(u64::from(number) * 30),
            );
            assert_eq!(called, None, "twenty in ten minutes");
        }
    }

    #[test]
    fn a_source_that_is_as_wide_as_a_network_has_none_around_it() {
        assert_eq!(around(Network::new(Ipv4Addr::LOCALHOST.into(), 24)).count(), 0);
        assert_eq!(around(Network::new(Ipv6Addr::LOCALHOST.into(), 56)).count(), 1);
    }
}
