//! What the rules see that no single source shows: sprays, bait, networks, and addresses that many stand behind.

use super::*;
use crate::ban::{Ban, Reason, Scope};
use crate::policy::rules;
use Kind::{Accepted, Closed, InvalidUser, Password, Publickey};

const DAY: u64 = 24 * 60 * 60;

/// An address of a network of its own.
fn bot(number: u32) -> String {
    std::net::Ipv4Addr::from(0x0a00_0005 + number * 256).to_string()
}

/// Has so many bots fail once on an account, and says which of them that banned, and why.
fn spray(stage: &mut Stage, user: &str, kind: Kind, bots: std::ops::Range<u32>) -> Vec<(u32, Ban)> {
    let mut banned = Vec::new();
    for number in bots {
        let decision = stage.hear(&bot(number), by(kind, user, 1000)).ban;
        banned.extend(decision.map(|decision| (number, decision.into_ban(stage.now))));
    }
    banned
}

/// Has so many accounts log in from an address on each of so many days.
fn log_in(stage: &mut Stage, address: &str, accounts: &[&str], days: u64) {
    for _ in 0..days {
        for (port, account) in (1..).zip(accounts) {
            stage.hear(address, by(Accepted, account, port));
        }
        stage.wait(DAY);
    }
}

#[test]
fn a_sprayed_account_that_does_not_exist_bans_at_the_first_failure_for_a_day() {
    let mut stage = Stage::new();
    let banned = spray(&mut stage, "oracle", InvalidUser, 0..25);
    assert_eq!(banned.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [19, 20, 21, 22, 23, 24]);
    for (_, ban) in &banned {
        assert_eq!(
            (ban.reason, ban.until.since(ban.since).as_secs(), ban.rung),
            (Reason::Spray, DAY, Some(2))
        );
        assert_eq!(&*ban.rule, "an account that 20 networks try within 1h and that does not exist");
    }
    // Another account is nobody's business.
    assert!(stage.hear(&bot(99), by(InvalidUser, "jonh", 1)).ban.is_none());
}

#[test]
fn the_second_ban_of_a_sprayer_is_the_next_step() {
    let mut stage = Stage::new();
    spray(&mut stage, "oracle", InvalidUser, 0..20);
    stage.wait(DAY);
    let again = spray(&mut stage, "oracle", InvalidUser, 0..20);
    assert_eq!(again.len(), 1, "the spray of yesterday is over, and another one begins");
    assert_eq!(again[0].1.until.since(again[0].1.since).as_secs(), 7 * DAY);
}

#[test]
fn a_sprayed_account_that_exists_bans_above_four_within_a_day() {
    let mut stage = Stage::new();
    assert!(spray(&mut stage, "root", Password, 0..100).is_empty());
    for hour in 0..3 {
        stage.wait(60 * 60);
        assert!(spray(&mut stage, "root", Password, 0..60).is_empty(), "hour {hour}");
    }
    stage.wait(60 * 60);
    let banned = spray(&mut stage, "root", Password, 0..60);
    // The first nineteen of each hour come before the account is sprayed again.
    assert!(banned.len() >= 40, "{}", banned.len());
    assert_eq!(banned[0].1.reason, Reason::Spray);
    assert_eq!(banned[0].1.until.since(banned[0].1.since).as_secs(), 60 * 60);
}

#[test]
fn who_has_logged_in_lately_is_not_judged_by_a_spray() {
    let mut stage = Stage::new();
    stage.hear(MALLORY, by(Accepted, "alice", 1));
    spray(&mut stage, "oracle", InvalidUser, 0..30);
    for port in 2..=6 {
        assert!(stage.hear(MALLORY, by(InvalidUser, "oracle", port)).ban.is_none());
    }
    assert_eq!(stage.hear(MALLORY, by(InvalidUser, "oracle", 7)).ban.unwrap().reason, Reason::Threshold);
}

#[test]
fn keys_that_are_offered_make_no_spray() {
    let mut stage = Stage::new();
    spray(&mut stage, "git", Publickey, 0..100);
    assert!(stage.policy.spray.is_empty());
}

#[test]
fn a_bait_account_bans_at_once_and_a_known_good_source_at_the_third_time() {
    let rules = Rules { bait: vec!["admin".into(), "oracle".into()], ..Rules::default() };
    let mut stage = Stage::with(rules);
    let decision = stage.hear(MALLORY, by(InvalidUser, "oracle", 1)).ban.unwrap();
    assert_eq!((decision.reason, decision.rung), (Reason::Bait, 0));
    let friend = "198.51.100.7";
    stage.hear(friend, by(Accepted, "alice", 1));
    assert_score(stage.hear(friend, by(InvalidUser, "admin", 2)).weight, 2.0);
    assert!(stage.hear(friend, by(InvalidUser, "admin", 3)).ban.is_none());
    assert_eq!(stage.hear(friend, by(InvalidUser, "admin", 4)).ban.unwrap().reason, Reason::Threshold);
}

#[test]
fn a_name_that_is_nearly_bait_is_not() {
    let mut stage = Stage::with(Rules { bait: vec!["admin".into()], ..Rules::default() });
    for (port, name) in (1..).zip(["Admin", "admin ", "admi", "admin\\n"]) {
        assert!(stage.hear(MALLORY, by(InvalidUser, name, port)).ban.is_none(), "{name}");
    }
}

#[test]
fn the_eighth_banned_source_of_a_network_bans_it() {
    let networks = rules::Networks { failures: 0.0, ..rules::Networks::default() };
    let mut stage = Stage::with(Rules { networks, ..Rules::default() });
    let mut widened = Vec::new();
    for host in 0..8 {
        let address = format!("203.0.113.{host}");
        for port in 1..=6 {
            let event = AuthEvent { address: Some(address.parse().unwrap()), ..by(Password, "root", port) };
            let judgement = stage.policy.observe(&event, source(&address), stage.now, || Standing::Judged);
            if let Some(decision) = judgement.ban {
                widened.extend(stage.policy.punish(&decision.into_ban(stage.now)));
            }
            widened.extend(judgement.network);
        }
    }
    assert_eq!(widened.len(), 1);
    let ban = widened.remove(0).into_ban(stage.now);
    assert_eq!((ban.network().to_string().as_str(), ban.scope), ("203.0.113.0/24", Scope::Network));
    assert_eq!((ban.reason, ban.rung, ban.offences), (Reason::Network, Some(0), 1));
    assert!(stage.policy.punish(&ban).is_none());
    assert_eq!(stage.policy.offences(ban.network(), stage.now), 1);
}

#[test]
fn an_attacker_who_takes_another_64_for_each_attempt_loses_the_48() {
    let mut stage = Stage::new();
    let called = (0..1000_u32).find_map(|number| {
        let address = format!("2001:db8:1:{:x}::1", number * 257 % 65_536);
        let event = AuthEvent { address: Some(address.parse().unwrap()), ..by(Password, "root", 1) };
        stage.policy.observe(&event, source(&address), stage.now, || Standing::Judged).network
    });
    assert_eq!(called.unwrap().banned.to_string(), "2001:db8:1::/48");
}

#[test]
fn an_office_is_not_banned_for_one_of_its_people() {
    let mut stage = Stage::new();
    let office = "192.0.2.1";
    log_in(&mut stage, office, &["alice", "bob", "carol"], 3);
    stage.wait(60);
    // Somebody there has a script with an old password of dave's.
    let closed: Vec<_> = (1..=40)
        .map(|port| stage.hear(office, by(Password, "dave", port)))
        .inspect(|judgement| assert!(judgement.ban.is_none() && judgement.network.is_none()))
        .map(|judgement| judgement.close.is_some())
        .collect();
    assert_eq!(
        (closed.iter().position(|closed| *closed), closed.last()),
        (Some(5), Some(&true)),
        "from the sixth on"
    );
    // Nobody else's session there is closed for it.
    assert!(stage.hear(office, by(Password, "erin", 99)).close.is_none());
}

#[test]
fn whoever_logs_in_to_three_accounts_while_he_attacks_is_not_an_office() {
    let mut stage = Stage::new();
    let banned = (1..=20_u16).any(|port| {
        for (number, account) in (0..).zip(["a", "b", "c"]) {
            stage.hear(MALLORY, by(Accepted, account, 1000 + number));
        }
        stage.hear(MALLORY, by(Password, "root", port)).ban.is_some()
    });
    assert!(banned);
}

#[test]
fn a_proxy_that_hides_everybody_is_not_banned_although_it_is_new() {
    let mut stage = Stage::new();
    let proxy = "10.0.0.1";
    for port in 1..=40 {
        stage.hear(proxy, by(Accepted, ["alice", "bob", "carol"][usize::from(port) % 3], port));
    }
    stage.wait(60);
    let judgements: Vec<_> =
        (100..=140).map(|port| stage.hear(proxy, by(InvalidUser, "root", port))).collect();
    assert!(judgements.iter().all(|judgement| judgement.ban.is_none()));
    assert!(judgements.last().unwrap().close.as_ref().is_some_and(|close| close.hidden));
}

#[test]
fn what_is_switched_off_does_nothing() {
    let mut rules = Rules::default();
    (rules.spray.enabled, rules.networks.enabled, rules.shared.enabled) = (false, false, false);
    let mut stage = Stage::with(rules);
    assert!(spray(&mut stage, "oracle", InvalidUser, 0..100).is_empty());
    log_in(&mut stage, "192.0.2.1", &["alice", "bob", "carol"], 3);
    let banned = (1..=6).find(|port| stage.hear("192.0.2.1", by(Password, "dave", *port)).ban.is_some());
    assert_eq!(banned, Some(6));
    let networks = (0..1000).filter_map(|number| {
        let address = format!("203.0.113.{}", number % 250);
        stage.hear(&address, event(Closed, Some("root"), Some(number))).network
    });
    assert_eq!(networks.count(), 0);
}

#[test]
fn the_owner_of_one_account_who_guesses_others_is_banned() {
    let mut stage = Stage::new();
    log_in(&mut stage, MALLORY, &["mallory"], 30);
    let mut attempts = 0;
    let banned = (0..100_u16).any(|round| {
        stage.hear(MALLORY, by(Accepted, "mallory", 5000 + round));
        attempts += 1;
        stage.hear(MALLORY, by(Password, "alice", round)).ban.is_some()
    });
    assert_eq!((banned, attempts), (true, 6));
}
