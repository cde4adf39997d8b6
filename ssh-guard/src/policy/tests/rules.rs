use super::*;
use crate::ban::{By, Reason};
use Kind::{Accepted, BadBanner, Closed, InvalidUser, NoIdentification, Password, Publickey};

/// Fails once from each port and says at which one that led to a ban.
fn fail_until_banned(stage: &mut Stage, ports: impl IntoIterator<Item = u16>) -> Option<u16> {
    ports.into_iter().find(|port| stage.hear(MALLORY, by(Password, "root", *port)).ban.is_some())
}

#[test]
fn the_sixth_failure_bans_for_ten_minutes() {
    let mut stage = Stage::new();
    assert_eq!(fail_until_banned(&mut stage, 1..=5), None);
    let decision = stage.hear(MALLORY, by(Password, "admin", 6)).ban.unwrap();
    assert_eq!(
        (decision.banned.first(), decision.reason, decision.rung),
        (source(MALLORY), Reason::Threshold, 0)
    );
    assert_eq!((decision.duration, decision.offences), (Duration::from_mins(10), 1));
    assert_score(decision.score, 6.0);
    assert_eq!((decision.evidence.failures, decision.evidence.accounts), (6, 2));
    assert_eq!(&*decision.rule, "score above 5 within 10m");
    let ban = decision.into_ban(stage.now);
    assert_eq!((ban.until, ban.by), (stage.now.plus(Duration::from_mins(10)), By::Automatic));
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let mut stage = Stage::new();
    fail_until_banned(&mut stage, 1..=5);
    stage.wait(600);
    assert_eq!(fail_until_banned(&mut stage, 6..=10), None);
    stage.wait(599);
    assert_eq!(fail_until_banned(&mut stage, 11..=12), Some(11));
}

#[test]
fn the_ladder_is_climbed_with_each_ban_and_forgotten_after_thirty_days() {
    let mut stage = Stage::new();
    let mut climbed = Vec::new();
    for _ in 0..5 {
        let ban = (1..=6).find_map(|port| stage.hear(MALLORY, by(Password, "root", port)).ban).unwrap();
        climbed.push((ban.rung, ban.duration.as_secs() / 60, ban.offences));
        stage.now = stage.now.plus(ban.duration);
    }
    assert_eq!(climbed, [(0, 10, 1), (1, 60, 2), (2, 1440, 3), (3, 10_080, 4), (3, 10_080, 5)]);
    stage.now = stage.now.plus(stage.policy.rules().forget);
    let ban = (1..=6).find_map(|port| stage.hear(MALLORY, by(Password, "root", port)).ban).unwrap();
    assert_eq!(ban.rung, 0);
}

#[test]
fn a_success_clears_the_score_of_its_own_account_only() {
    let mut stage = Stage::new();
    stage.score_after([by(Password, "alice", 1), by(Password, "alice", 2), by(Password, "bob", 3)]);
    assert_score(stage.hear(MALLORY, by(Accepted, "alice", 4)).score, 1.0);
    stage.score_after([by(InvalidUser, "ghost", 5)]);
    assert_score(stage.hear(MALLORY, by(Accepted, "alice", 6)).score, 2.0);
    assert_score(stage.hear("203.0.113.8", by(Accepted, "bob", 7)).score, 0.0);
    assert_score(stage.policy.score(source(MALLORY), stage.now), 2.0);
}

#[test]
fn a_thief_with_an_account_of_his_own_cannot_wash_his_score() {
    let mut stage = Stage::new();
    let banned = (0..6).any(|round| {
        stage.hear(MALLORY, by(Accepted, "mallory", 100 + round));
        stage.hear(MALLORY, by(Password, "root", round)).ban.is_some()
    });
    assert!(banned);
}

#[test]
fn a_source_that_rotates_user_names_is_banned_all_the_same() {
    let mut stage = Stage::new();
    let banned = (1..=6)
        .find(|port| stage.hear(MALLORY, by(InvalidUser, &format!("user{port}"), *port)).ban.is_some());
    assert_eq!(banned, Some(6));
}

#[test]
fn pre_auth_events_alone_ban_nobody() {
    let mut stage = Stage::new();
    for port in 1..=1000 {
        for kind in [Closed, NoIdentification, BadBanner] {
            let judgement = stage.hear(MALLORY, event(kind, None, Some(port)));
            assert!(judgement.ban.is_none() && judgement.score <= 2.5);
        }
    }
}

#[test]
fn a_probe_that_mistypes_is_not_banned_and_one_that_attacks_is() {
    let mut stage = Stage::new();
    for port in 1000..1500 {
        stage.hear(MALLORY, event(NoIdentification, None, Some(port)));
    }
    assert_eq!(fail_until_banned(&mut stage, 1..=2), None);
    assert_eq!(fail_until_banned(&mut stage, 3..=6), Some(3));
}

#[test]
fn a_failure_that_weighs_nothing_bans_nobody_even_above_the_threshold() {
    let mut stage = Stage::new();
    for port in 1..=9 {
        stage.hear_of(MALLORY, by(Password, "root", port), Standing::Exempt);
    }
    assert!(stage.hear(MALLORY, by(Publickey, "root", 10)).ban.is_none());
    assert!(stage.hear(MALLORY, event(Closed, None, Some(11))).ban.is_none());
    assert!(stage.hear(MALLORY, by(Password, "root", 12)).ban.is_some());
}

#[test]
fn an_exempt_source_has_a_score_and_no_ban() {
    let mut stage = Stage::new();
    for port in 1..=100 {
        assert!(stage.hear_of(MALLORY, by(Password, "root", port), Standing::Exempt).ban.is_none());
    }
    assert_score(stage.policy.score(source(MALLORY), stage.now), 100.0);
}

#[test]
fn lines_in_flight_neither_ban_twice_nor_count_after_the_ban() {
    let mut stage = Stage::new();
    assert_eq!(fail_until_banned(&mut stage, 1..=6), Some(6));
    for port in 7..=20 {
        let judgement = stage.hear_of(MALLORY, by(Password, "root", port), Standing::Banned);
        assert!(judgement.ban.is_none());
        assert_score(judgement.weight, 1.0);
        assert_score(judgement.score, 0.0);
    }
    assert_eq!(stage.policy.offences(network(MALLORY), stage.now), 1);
    assert_eq!(fail_until_banned(&mut stage, 21..=25), None);
}

#[test]
fn a_decision_that_the_kernel_refused_is_made_again_and_is_no_offence() {
    let mut policy = Policy::new(Rules::default());
    let decisions: Vec<_> = (1..=8)
        .filter_map(|port| {
            policy
                .observe(&by(Password, "root", port), source(MALLORY), Moment::default(), || Standing::Judged)
                .ban
        })
        .collect();
    assert_eq!(decisions.iter().map(|decision| decision.rung).collect::<Vec<_>>(), [0, 0, 0]);
    assert_eq!(policy.offences(network(MALLORY), Moment::default()), 0);
}

#[test]
fn an_unban_clears_the_score_and_takes_the_offence_back() {
    let mut stage = Stage::new();
    let ban = (1..=6).find_map(|port| stage.hear(MALLORY, by(Password, "root", port)).ban).unwrap();
    stage.policy.pardon(network(MALLORY), Some(&ban.into_ban(stage.now)), stage.now);
    assert_eq!(stage.policy.offences(network(MALLORY), stage.now), 0);
    assert_eq!(fail_until_banned(&mut stage, 7..=11), None);
    stage.policy.pardon(network(MALLORY), None, stage.now);
    assert_score(stage.policy.score(source(MALLORY), stage.now), 0.0);
    assert_eq!(fail_until_banned(&mut stage, 12..=17), Some(17));
    stage.policy.pardon(network(MALLORY), None, stage.now);
    assert_eq!(stage.policy.offences(network(MALLORY), stage.now), 1);
}

#[test]
fn other_rules_apply_to_what_is_remembered() {
    let mut stage = Stage::new();
    fail_until_banned(&mut stage, 1..=4);
    stage.policy.set_rules(Rules { threshold: 3.0, ..Rules::default() });
    assert_eq!(fail_until_banned(&mut stage, 5..=6), Some(5));
}

#[test]
fn rules_at_their_ends_do_no_harm() {
    let first_bans = Rules { threshold: 0.0, ladder: Vec::new(), capacity: 0, ..Rules::default() };
    assert_eq!(fail_until_banned(&mut Stage::with(first_bans), 1..=2), Some(1));
    let never = Rules { threshold: f64::INFINITY, ..Rules::default() };
    assert_eq!(fail_until_banned(&mut Stage::with(never), 1..=2000), None);
    let no_window = Rules { window: Duration::ZERO, ..Rules::default() };
    assert_eq!(fail_until_banned(&mut Stage::with(no_window), 1..=2000), None);
    let mut at_the_end = Stage::with(Rules { ladder: vec![Duration::MAX], ..Rules::default() });
    at_the_end.now = Moment::default().plus(Duration::MAX);
    assert_eq!(fail_until_banned(&mut at_the_end, 1..=6), Some(6));
}

#[test]
fn a_line_from_the_past_is_counted_in_its_window_and_breaks_nothing() {
    let mut stage = Stage::new();
    stage.wait(10_000);
    fail_until_banned(&mut stage, 1..=3);
    stage.now = Moment::EARLIEST;
    assert_eq!(fail_until_banned(&mut stage, 4..=6), None);
    stage.wait(9_500);
    assert_eq!(fail_until_banned(&mut stage, 7..=9), Some(9));
}

#[test]
fn a_failure_on_an_account_that_its_source_logged_in_to_counts_a_quarter_and_on_others_the_whole() {
    let mut stage = Stage::new();
    stage.hear(MALLORY, event(Accepted, Some("alice"), Some(1)));
    assert_score(stage.hear(MALLORY, by(Password, "alice", 2)).weight, 0.25);
    assert_score(stage.hear(MALLORY, by(Password, "bob", 3)).weight, 1.0);
    // The end of a session in which a key was refused, as a login that was not finished.
    stage.hear(MALLORY, by(Publickey, "alice", 4));
    assert_score(stage.hear(MALLORY, event(Closed, Some("alice"), Some(4))).weight, 0.25);
    stage.wait(30 * 24 * 3600);
    assert_score(stage.hear(MALLORY, by(Password, "alice", 5)).weight, 1.0);
}
