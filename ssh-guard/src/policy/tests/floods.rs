use std::net::Ipv4Addr;

use super::*;
use Kind::{Closed, Password};

const CAPACITY: usize = 1000;

fn small() -> Stage {
    Stage::with(Rules { capacity: CAPACITY, ..Rules::default() })
}

impl Stage {
    fn flood(&mut self, sources: std::ops::Range<u32>, event: &AuthEvent) -> usize {
        let bans = sources.filter(|number| {
            let source = Source::from(Ipv4Addr::from(0x0a00_0000 + number));
            let event = AuthEvent { address: Some(source.address()), ..event.clone() };
            self.policy.observe(&event, source, self.now, || Standing::Judged).ban.is_some()
        });
        bans.count()
    }

    fn score(&self, address: &str) -> f64 {
        self.policy.score(source(address), self.now)
    }
}

#[test]
fn a_hundred_thousand_sources_stay_bounded() {
    let mut stage = small();
    assert_eq!(stage.flood(0..100_000, &by(Password, "x", 1)), 0);
    assert_eq!(stage.policy.sources_tracked(), CAPACITY);
    assert_eq!(stage.policy.attempts.len(), CAPACITY);
    assert_eq!(stage.policy.evicted().sources, 99_000);
    assert_eq!(stage.policy.evicted().sessions, 99_000);
}

#[test]
fn a_source_that_only_looked_in_is_evicted_before_one_that_failed() {
    let mut stage = small();
    stage.hear(MALLORY, by(Password, "root", 1));
    stage.flood(0..100_000, &event(Closed, None, Some(1)));
    assert_score(stage.score(MALLORY), 1.0);
    assert_eq!(stage.policy.sources_tracked(), CAPACITY);
}

#[test]
fn a_full_table_of_failures_keeps_out_those_that_only_looked_in() {
    let mut stage = small();
    stage.flood(0..1000, &by(Password, "root", 1));
    stage.flood(5000..6000, &event(Closed, None, Some(1)));
    assert_score(stage.score("10.0.0.0"), 1.0);
    assert_score(stage.score("10.0.19.136"), 0.0);
}

#[test]
fn a_million_single_failures_do_not_hide_a_source_that_is_nearly_banned() {
    let mut stage = small();
    for port in 1..=5 {
        stage.hear(MALLORY, by(Password, "root", port));
    }
    stage.flood(0..100_000, &by(Password, "root", 1));
    assert!(stage.hear(MALLORY, by(Password, "root", 6)).ban.is_some());
}

#[test]
fn sources_that_are_nearly_banned_cannot_keep_newcomers_out() {
    let mut stage = small();
    for number in 0..2000 {
        for port in 1..=3 {
            stage.flood(number..number + 1, &by(Password, "root", port));
        }
    }
    assert_eq!(stage.policy.sources_tracked(), CAPACITY);
    let banned = (1..=6).find(|port| stage.hear(MALLORY, by(Password, "root", *port)).ban.is_some());
    assert_eq!(banned, Some(6));
}

#[test]
fn sources_are_dropped_when_their_window_is_empty() {
    let mut stage = small();
    stage.flood(0..900, &by(Password, "root", 1));
    stage.wait(600);
    stage.flood(5000..5100, &by(Password, "root", 1));
    assert!(stage.policy.sources_tracked() < 900, "each event drops some that are over");
    for _look in 0..2 {
        stage.policy.expire(stage.now);
    }
    assert_eq!(stage.policy.sources_tracked(), 100);
    assert_eq!(stage.policy.evicted().sources, 0);
}

#[test]
fn an_endless_attack_by_one_source_stays_bounded() {
    let rules = Rules { threshold: 1e6, ..Rules::default() };
    let mut stage = Stage::with(rules);
    for number in 0..100_000_u32 {
        let port = u16::try_from(number % 60_000).unwrap();
        stage.hear(MALLORY, by(Password, &number.to_string(), port));
    }
    assert_score(stage.score(MALLORY), 100_000.0);
    let entries = stage.policy.sources.entries(source(MALLORY), stage.now).count();
    assert!(entries <= crate::policy::window::Window::CAPACITY);
}
