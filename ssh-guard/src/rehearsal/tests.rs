use std::num::NonZeroU32;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::ban::Reason;
use crate::event::{Kind, Outcome, Service};
use crate::policy::rules;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A rehearsal, and what has been said in it.
struct Stage {
    rehearsal: Rehearsal,
    port: u16,
}

impl Stage {
    fn new() -> Self {
        Self::with(Rules::default(), &[])
    }

    /// One in which networks are banned for their banned sources alone.
    fn with_networks(rules: Rules, allowed: &[&str]) -> Self {
        let networks = rules::Networks { failures: 0.0, ..rules.networks };
        Self::with(Rules { networks, ..rules }, allowed)
    }

    fn with(rules: Rules, allowed: &[&str]) -> Self {
        let mut allowlist = Allowlist::new();
        for network in allowed {
            allowlist.add(network.parse::<IpNet>().unwrap().into(), None);
        }
        let protected = Protected { own: vec![address("198.51.100.9")], gateways: Vec::new() };
        let capacity = Capacity { sources: 1000, networks: 1000 };
        Self { rehearsal: Rehearsal::new(rules, capacity, allowlist, protected), port: 1000 }
    }

    /// One attempt at a login, unless its packets are dropped.
    fn attempt(&mut self, from: &str, user: &str, accepted: bool, at: u64) -> Option<Heard> {
        self.port += 1;
        let (outcome, kind) =
            if accepted { (Outcome::Success, Kind::Accepted) } else { (Outcome::Failure, Kind::Password) };
        let event = AuthEvent {
            outcome,
            kind,
            address: Some(address(from)),
            port: Some(self.port),
            user: Some(user.into()),
            service: Service::Openssh,
            count: NonZeroU32::MIN,
            process: None,
        };
        let dropped = self.rehearsal.drops(address(from), moment(at)).is_some();
        (!dropped).then(|| self.rehearsal.hear(&event, moment(at)))
    }

    /// Fails until its packets are dropped, and says how many failures got through.
    fn fail(&mut self, from: &str, at: u64) -> usize {
        (0..50).take_while(|_| self.attempt(from, from, false, at).is_some()).count()
    }

    fn drops(&mut self, from: &str, at: u64) -> Option<String> {
        self.rehearsal.drops(address(from), moment(at)).map(|(network, _)| network.to_string())
    }

    /// Bans eight sources of 203.0.113.0/24.
    fn ban_a_network(&mut self, at: u64) -> Vec<Ban> {
        let mut bans = Vec::new();
        for host in 1..=8 {
            for _ in 0..6 {
                bans.extend(self.attempt(&format!("203.0.113.{host}"), "root", false, at).unwrap().bans);
            }
        }
        bans
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn moment(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

#[test]
fn the_sixth_failure_bans_for_ten_minutes_and_then_for_an_hour() {
    let mut stage = Stage::new();
    assert_eq!(stage.fail("203.0.113.7", 0), 6);
    assert_eq!(stage.drops("203.0.113.7", 449).as_deref(), Some("203.0.113.7/32"));
    assert_eq!(stage.drops("203.0.113.8", 449), None);
    assert_eq!(stage.fail("203.0.113.7", 10 * MINUTE), 6);
    assert_eq!(stage.rehearsal.ledger().len(), 1);
    let ban = stage.rehearsal.ledger().after(None).next().unwrap().clone();
    assert_eq!((ban.until.since(ban.since).as_secs(), ban.rung, ban.offences), (HOUR, Some(1), 2));
}

#[test]
fn a_ban_that_is_hit_in_its_last_quarter_is_extended_once() {
    let mut stage = Stage::new();
    stage.fail("203.0.113.7", 0);
    assert!(stage.drops("203.0.113.7", 450).is_some());
    assert!(stage.drops("203.0.113.7", 19 * MINUTE).is_some());
    assert_eq!(stage.drops("203.0.113.7", 20 * MINUTE), None);
    assert_eq!(stage.rehearsal.tally(), Tally { extended: 1, ..Tally::default() });
    let mut stage = Stage::with(Rules { extend: false, ..Rules::default() }, &[]);
    stage.fail("203.0.113.7", 0);
    assert!(stage.drops("203.0.113.7", 9 * MINUTE).is_some());
    assert_eq!(stage.drops("203.0.113.7", 10 * MINUTE), None);
}

#[test]
fn whoever_is_allowed_or_never_banned_is_not_dropped() {
    let mut stage = Stage::with(Rules::default(), &["203.0.113.7/32"]);
    for from in ["203.0.113.7", "198.51.100.9", "127.0.0.1"] {
        assert_eq!(stage.fail(from, 0), 50, "{from}");
    }
    assert!(stage.rehearsal.ledger().is_empty());
}

#[test]
fn an_allowed_address_is_excepted_from_the_ban_of_its_64() {
    let mut stage = Stage::with(Rules::default(), &["2001:db8:1:2::7/128"]);
    assert_eq!(stage.fail("2001:db8:1:2::8", 0), 6);
    assert!(stage.drops("2001:db8:1:2::9", 1).is_some());
    assert_eq!(stage.drops("2001:db8:1:2::7", 1), None);
}

#[test]
fn eight_banned_sources_ban_their_network_but_not_whoever_has_logged_in_there() {
    let mut stage = Stage::with_networks(Rules::default(), &[]);
    stage.attempt("203.0.113.200", "alice", true, 0);
    let bans = stage.ban_a_network(MINUTE);
    assert_eq!(bans.len(), 9);
    assert_eq!((bans[8].network().to_string(), bans[8].reason), ("203.0.113.0/24".into(), Reason::Network));
    assert_eq!(stage.drops("203.0.113.100", 2 * MINUTE).as_deref(), Some("203.0.113.0/24"));
    assert_eq!(stage.drops("203.0.113.200", 2 * MINUTE), None);
    assert_eq!(stage.drops("203.0.114.1", 2 * MINUTE), None);
}

#[test]
fn a_network_with_somebody_allowed_or_this_host_in_it_is_not_banned() {
    let mut stage = Stage::with_networks(Rules::default(), &["203.0.113.200/32"]);
    assert_eq!(stage.ban_a_network(0).len(), 8);
    assert_eq!(stage.drops("203.0.113.100", 1), None);
    assert_eq!(stage.rehearsal.tally().spared, 1);
    for host in 20..28 {
        assert_eq!(stage.fail(&format!("198.51.100.{host}"), 0), 6);
    }
    assert_eq!(stage.drops("198.51.100.100", 1), None);
}

#[test]
fn the_ban_of_a_network_ends_early_an_hour_after_it_fell_quiet() {
    let rules = Rules { ladder: vec![Duration::from_secs(DAY)], ..Rules::default() };
    let mut stage = Stage::with_networks(rules, &[]);
    stage.ban_a_network(0);
    assert!(stage.drops("203.0.113.100", 30 * MINUTE).is_some());
    assert!(stage.drops("203.0.113.100", 90 * MINUTE - 1).is_some());
    stage.rehearsal.pass(moment(149 * MINUTE));
    assert_eq!(stage.rehearsal.ledger().counts().networks, 1);
    stage.rehearsal.pass(moment(150 * MINUTE));
    assert_eq!(stage.rehearsal.ledger().counts().networks, 0);
    assert_eq!(stage.rehearsal.tally().quiet, 1);
    assert!(stage.drops("203.0.113.1", 150 * MINUTE).is_some(), "the bans of its sources go on");
}

#[test]
fn more_bans_than_there_may_be_in_a_minute_wait() {
    let blast = rules::Blast { bans_per_minute: 2, ..rules::Blast::default() };
    let mut stage = Stage::with(Rules { blast, ..Rules::default() }, &[]);
    assert_eq!(stage.fail("192.0.2.1", 0), 6);
    assert_eq!(stage.fail("192.0.2.2", 0), 6);
    assert_eq!(stage.fail("192.0.2.3", 0), 50);
    assert_eq!(stage.rehearsal.tally().waited, 45);
    assert_eq!(stage.fail("192.0.2.3", MINUTE), 1);
}

#[test]
fn what_the_bans_in_force_hold_is_given_back_at_their_end() {
    let blast = rules::Blast { ipv4_share: 1.0 / f64::from(1_u32 << 31), ..rules::Blast::default() };
    let mut stage = Stage::with(Rules { blast, ..Rules::default() }, &[]);
    assert_eq!(stage.fail("192.0.2.1", 0), 6);
    assert_eq!(stage.fail("192.0.2.2", MINUTE), 6);
    assert_eq!(stage.fail("192.0.2.3", 2 * MINUTE), 50);
    assert_eq!(stage.fail("192.0.2.4", 10 * MINUTE), 6);
}

#[test]
fn the_sessions_of_a_shared_source_are_closed_and_it_is_not_banned() {
    let mut stage = Stage::new();
    for (day, user) in [(0, "alice"), (1, "bob"), (2, "carol")] {
        stage.attempt("192.0.2.1", user, true, day * DAY);
    }
    let heard: Vec<_> = (0..8).map(|_| stage.attempt("192.0.2.1", "dave", false, 3 * DAY).unwrap()).collect();
    assert!(heard.iter().all(|heard| heard.bans.is_empty()));
    assert!(heard[4].close.is_none());
    assert!(heard[5].close.is_some() && heard[7].close.is_some());
}

#[test]
fn a_surge_lasts_until_five_minutes_were_quiet() {
    let mut stage = Stage::new();
    // Nothing is said before it is known what is usual.
    stage.attempt("10.0.0.1", "alice", false, 0);
    for number in 0..200 {
        let at = HOUR + number / 10;
        stage.attempt(&format!("10.{}.{}.1", number / 100, number % 100), "root", false, at);
    }
    assert!(stage.rehearsal.is_flooded());
    stage.rehearsal.pass(moment(DAY));
    assert!(!stage.rehearsal.is_flooded());
    let lasted = stage.rehearsal.flooded_for().as_secs();
    assert!((5 * MINUTE..8 * MINUTE).contains(&lasted), "{lasted} s");
}

#[test]
fn the_clock_never_steps_back() {
    let mut stage = Stage::new();
    stage.fail("203.0.113.7", HOUR);
    assert!(stage.drops("203.0.113.7", 0).is_some());
    assert_eq!(stage.fail("203.0.113.8", 0), 6);
    assert!(stage.drops("203.0.113.8", HOUR + 9 * MINUTE).is_some());
}

#[test]
fn a_full_ledger_lets_go_of_the_ban_that_ends_first() {
    let mut stage = Stage::new();
    for number in 0..1001 {
        let at = number / 100;
        assert_eq!(stage.fail(&format!("10.{}.{}.1", number / 200, number % 200), at), 6);
    }
    assert_eq!(stage.rehearsal.ledger().len(), 1000);
    assert_eq!(stage.rehearsal.ledger().displaced(), 1);
    assert_eq!(stage.drops("10.0.0.1", 11), None);
    assert!(stage.drops("10.0.1.1", 11).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nobody_allowed_is_banned_and_no_ban_outlives_its_end(
        attempts in prop::collection::vec((0u8..24, 0u8..4, prop::bool::weighted(0.05), 0u64..1200), 1..400),
    ) {
        let allowed = ["203.0.113.3/32", "203.0.114.0/24"];
        let mut stage = Stage::with(Rules::default(), &allowed);
        let allowed = allowed.map(|network| Network::from(network.parse::<IpNet>().unwrap()));
        let mut now = 0;
        for (host, user, accepted, later) in attempts {
            now += later * later / 4000;
            let from = format!("203.0.{}.{}", 113 + host % 3, host / 3);
            let passes = stage.attempt(&from, &format!("user{user}"), accepted, now);
            let is_allowed = allowed.iter().any(|network| network.contains(&Network::from(address(&from))));
            prop_assert!(passes.is_some() || !is_allowed, "{from} is dropped");
            for ban in stage.rehearsal.ledger().after(None) {
                prop_assert!(!ban.is_over(moment(now)));
                prop_assert!(!allowed.iter().any(|network| network.overlaps(&ban.network())), "{ban:?}");
                let length = Rules::default().ladder[ban.rung.unwrap()];
                let most = if ban.extended { length * 2 } else { length };
                prop_assert_eq!(ban.until.since(ban.since), most);
                prop_assert!(stage.rehearsal.blocks.hold(ban.network()));
            }
        }
        stage.rehearsal.pass(moment(now + 31 * DAY));
        prop_assert!(stage.rehearsal.ledger().is_empty());
        prop_assert_eq!(stage.rehearsal.held, Held::default());
    }
}
