//! What holds whatever the events.

use std::num::{NonZeroU32, NonZeroU64};

use proptest::prelude::*;

use super::*;
use crate::ban::Reason;
use crate::event::{Kind, Outcome, Process, Service};
use crate::policy::rules;

/// So few that the tables are full all the time.
const CAPACITY: usize = 12;

const ALLOWED: [&str; 3] = ["203.0.113.5", "2001:db8:1:2::/64", "198.51.100.0/28"];
const OWN: &str = "192.0.2.9";

/// A step: how long after the one before (or before it), who, which account, and what happens.
type Step = (i64, usize, usize, usize, u16);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![4 => 0..40_i64, 2 => 0..4_000_i64, 1 => 0..400_000_i64, 1 => -5_000..0_i64];
    prop::collection::vec((wait, 0..60_usize, 0..6_usize, 0..2 * Kind::ALL.len(), 0..4_u16), 0..400)
}

/// Whoever there is: two crowded networks, a crowded IPv6 site, allowed ones and this host among them, and some strangers.
fn address(number: usize) -> IpAddr {
    let host = number % 12;
    let text = match number / 12 {
        0 => format!("203.0.113.{host}"),
        1 => format!("198.51.100.{}", host * 3),
        2 => format!("2001:db8:1:{host}::7"),
        3 => format!("192.0.2.{host}"),
        _ => format!("10.{host}.0.1"),
    };
    text.parse().unwrap()
}

fn event(step: Step) -> AuthEvent {
    let (_, number, user, kind, port) = step;
    // Half of all are plain failures: they lead somewhere.
    let kind = Kind::ALL.get(kind).copied().unwrap_or(Kind::Password);
    let user = ["root", "oracle", "alice", "bob", "x\u{1b}[2J"].get(user).map(|name| (*name).into());
    let outcome = match (kind, &user) {
        (Kind::Accepted, _) => Outcome::Success,
        (_, Some(_)) => Outcome::Failure,
        (_, None) => Outcome::PreAuth,
    };
    let process = NonZeroU64::new(u64::from(port)).map(Process);
    let (address, port) = (Some(address(number)), Some(port + 1000));
    AuthEvent {
        outcome,
        kind,
        address,
        port,
        user,
        service: Service::Openssh,
        count: NonZeroU32::MIN,
        process,
    }
}

/// Small numbers, so that every rule is broken often.
fn rules() -> Rules {
    let defaults = Rules::default();
    Rules {
        threshold: 2.0,
        bait: vec!["oracle".into()],
        spray: rules::Spray { sources: 3, threshold: 1.0, ..defaults.spray },
        networks: rules::Networks { sources: 3, failures: 2.0, ..defaults.networks },
        shared: rules::Shared { accounts: 2, days: 1, ..defaults.shared },
        blast: rules::Blast { bans_per_minute: 6, ..defaults.blast },
        capacity: CAPACITY,
        ..defaults
    }
}

fn begun() -> Rehearsal {
    let mut allowlist = Allowlist::new();
    for network in ALLOWED {
        let network = network.parse::<ipnet::IpNet>().or_else(|_| network.parse::<IpAddr>().map(Into::into));
        allowlist.add(network.unwrap().into(), None);
    }
    let protected = Protected { own: vec![OWN.parse().unwrap()], gateways: Vec::new() };
    Rehearsal::new(rules(), Capacity { sources: 20, networks: 5 }, allowlist, protected)
}

fn is_spared(network: Network) -> bool {
    let allowed = ALLOWED.iter().chain(&[OWN]).map(|text| {
        let network = text.parse::<ipnet::IpNet>().or_else(|_| text.parse::<IpAddr>().map(Into::into));
        Network::from(network.unwrap())
    });
    allowed.into_iter().any(|allowed| allowed.overlaps(&network))
}

/// The moments of steps: the clock stands still where they go back.
fn moments(steps: &[Step]) -> Vec<Moment> {
    let mut now = 40 * 24 * 60 * 60_i64;
    let told = steps.iter().map(|(wait, ..)| {
        now += wait;
        Moment::from_start(Duration::from_secs(now.unsigned_abs()))
    });
    told.collect()
}

/// What came of all steps.
fn decisions(steps: &[Step]) -> Vec<Heard> {
    let mut rehearsal = begun();
    let judged = steps.iter().zip(moments(steps)).filter_map(|(step, at)| {
        let dropped = rehearsal.drops(address(step.1), at).is_some();
        (!dropped).then(|| rehearsal.hear(&event(*step), at))
    });
    judged.collect()
}

proptest! {
    #[test]
    fn nobody_who_is_allowed_is_banned_and_no_ban_outlives_its_end(steps in steps()) {
        let mut rehearsal = begun();
        let longest = rules().ladder.into_iter().max().unwrap();
        for (step, at) in steps.iter().zip(moments(&steps)) {
            let from = address(step.1);
            if rehearsal.drops(from, at).is_some() {
                prop_assert!(!is_spared(Network::from(from)), "{} is dropped", from);
                continue;
            }
            let heard = rehearsal.hear(&event(*step), at);
            for ban in &heard.bans {
                prop_assert!(!is_spared(ban.network()), "{} is banned", ban.network());
                prop_assert!(ban.until > ban.since && ban.until.since(ban.since) <= longest, "{:?}", ban);
            }
            // Those in force are not over, and none lasts longer than its length and once more.
            let now = rehearsal.now;
            for ban in rehearsal.ledger().after(None) {
                prop_assert!(ban.until > now && ban.until <= ban.since.plus(longest * 2), "{:?}", ban);
            }
        }
        rehearsal.pass(rehearsal.now.plus(longest * 3));
        prop_assert!(rehearsal.ledger().is_empty());
    }

    #[test]
    fn every_decision_says_which_rule_was_broken_and_by_what(steps in steps()) {
        for heard in decisions(&steps) {
            for ban in &heard.bans {
                prop_assert!(!ban.rule.is_empty() && ban.rung.is_some() && ban.offences > 0, "{:?}", ban);
                match ban.reason {
                    Reason::Threshold => prop_assert!(heard.score > rules().threshold, "{:?}", heard),
                    Reason::Network => prop_assert_eq!(ban.scope, Scope::Network),
                    Reason::Spray | Reason::Bait => prop_assert!(heard.weight > 0.0, "{:?}", heard),
                    other => prop_assert!(false, "no rule has the reason {:?}", other),
                }
            }
            if let Some(close) = heard.close {
                prop_assert!(!close.rule.is_empty() && heard.bans.is_empty());
            }
        }
    }

    #[test]
    fn what_is_remembered_stays_in_its_bounds(steps in steps()) {
        let mut rehearsal = begun();
        for (step, at) in steps.iter().zip(moments(&steps)) {
            rehearsal.hear(&event(*step), at);
            prop_assert!(rehearsal.policy().sources_tracked() <= CAPACITY);
            prop_assert!(rehearsal.ledger().len() <= 25);
        }
    }

    #[test]
    fn the_same_events_lead_to_the_same_decisions(steps in steps()) {
        prop_assert_eq!(decisions(&steps), decisions(&steps));
    }
}
