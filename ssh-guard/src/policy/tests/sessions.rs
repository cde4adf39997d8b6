use super::*;
use Kind::{
    Accepted, Closed, InvalidUser, KeyboardInteractive, NotAllowed, Pam, Password, Publickey, Reset, Timeout,
    TooManyAttempts,
};

#[test]
fn an_invalid_user_and_his_password_are_one_attempt() {
    let score = Stage::new().score_after([by(InvalidUser, "x", 1), by(Password, "x", 1), by(Closed, "x", 1)]);
    assert_score(score, 1.0);
}

#[test]
fn each_password_of_an_invalid_user_counts() {
    let tries = (0..4).map(|_| by(Password, "x", 1));
    let score = Stage::new().score_after([by(InvalidUser, "x", 1)].into_iter().chain(tries));
    assert_score(score, 4.0);
}

#[test]
fn six_passwords_in_one_session_are_six_and_its_end_adds_nothing() {
    let mut stage = Stage::with(Rules { threshold: 100.0, ..Rules::default() });
    let mut events = vec![by(Password, "root", 1); 6];
    events.push(by(TooManyAttempts, "root", 1));
    events.push(by(Closed, "root", 1));
    assert_score(stage.score_after(events), 6.0);
}

#[test]
fn a_session_that_closes_with_a_named_account_counts_once() {
    for end in [Closed, Reset, Timeout] {
        assert_score(Stage::new().score_after([by(end, "x", 1)]), 1.0);
        assert_score(Stage::new().score_after([by(InvalidUser, "x", 1), by(end, "x", 1)]), 1.0);
        assert_score(Stage::new().score_after([by(end, "x", 1), by(end, "x", 1)]), 1.0);
    }
}

#[test]
fn two_lines_about_one_end_count_once_whichever_names_the_account() {
    let unnamed = || event(Closed, None, Some(1));
    assert_score(Stage::new().score_after([unnamed(), by(Closed, "root", 1)]), 1.0);
    assert_score(Stage::new().score_after([by(Closed, "root", 1), unnamed()]), 1.0);
    assert_score(Stage::new().score_after([unnamed(), unnamed()]), 0.1);
}

#[test]
fn keys_refused_to_a_good_login_weigh_nothing() {
    let mut stage = Stage::new();
    for port in [1, 2, 3] {
        for _ in 0..4 {
            let judgement = stage.hear(MALLORY, by(Publickey, "alice", port));
            assert_score(judgement.weight, 0.0);
        }
        assert_score(stage.hear(MALLORY, by(Accepted, "alice", port)).score, 0.0);
    }
    assert_eq!(stage.policy.sources_tracked(), 0);
}

#[test]
fn keys_refused_count_one_when_the_session_ends_without_success() {
    let keys = || (0..4).map(|_| by(Publickey, "root", 1));
    assert_score(Stage::new().score_after(keys().chain([by(Closed, "root", 1)])), 1.0);
    assert_score(Stage::new().score_after(keys().chain([event(Closed, None, Some(1))])), 1.0);
    assert_score(Stage::new().score_after(keys().chain([by(TooManyAttempts, "root", 1)])), 1.0);
    let both = [by(TooManyAttempts, "root", 1), by(Closed, "root", 1)];
    assert_score(Stage::new().score_after(keys().chain(both)), 1.0);
    assert_score(
        Stage::new().score_after(keys().chain([by(Password, "root", 1), by(Closed, "root", 1)])),
        1.0,
    );
}

#[test]
fn sessions_that_interleave_are_told_apart_by_their_ports() {
    let mut stage = Stage::with(Rules { threshold: 100.0, ..Rules::default() });
    let score = stage.score_after([
        by(InvalidUser, "x", 1),
        by(InvalidUser, "x", 2),
        by(Publickey, "root", 3),
        by(Password, "x", 2),
        by(Password, "x", 1),
        by(InvalidUser, "y", 4),
        by(Password, "x", 1),
        by(Closed, "x", 1),
        by(Closed, "x", 2),
        event(Closed, None, Some(5)),
        by(Closed, "root", 3),
        by(Closed, "y", 4),
    ]);
    assert_score(score, 5.1);
}

#[test]
fn two_clients_of_one_ipv6_source_may_use_the_same_port() {
    let mut stage = Stage::new();
    stage.hear("2001:db8::1", by(InvalidUser, "x", 1));
    assert_score(stage.hear("2001:db8::2", by(InvalidUser, "x", 1)).score, 2.0);
    assert_score(stage.hear("2001:db8::2", by(Password, "x", 1)).score, 2.0);
}

#[test]
fn a_port_that_is_used_again_is_another_session() {
    let mut stage = Stage::with(Rules { threshold: 100.0, ..Rules::default() });
    let attempt = || [by(InvalidUser, "x", 1), by(Password, "x", 1), by(Closed, "x", 1)];
    let events: Vec<_> = (0..7).flat_map(|_| attempt()).collect();
    assert_score(stage.score_after(events), 7.0);
}

#[test]
fn who_only_closes_from_one_port_is_not_overlooked() {
    let mut stage = Stage::new();
    let banned = (0..6).any(|_| {
        stage.wait(11);
        stage.hear(MALLORY, by(Closed, "root", 1)).ban.is_some()
    });
    assert!(banned);
}

#[test]
fn another_account_in_the_same_place_is_counted_by_itself() {
    let events = [by(InvalidUser, "x", 1), by(InvalidUser, "y", 1), by(Password, "y", 1), by(Closed, "y", 1)];
    assert_score(Stage::new().score_after(events), 2.0);
}

#[test]
fn lines_that_arrive_in_the_wrong_order_still_count_once() {
    assert_score(Stage::new().score_after([by(Password, "x", 1), by(InvalidUser, "x", 1)]), 1.0);
}

#[test]
fn pam_weighs_nothing_and_shows_that_an_account_was_tried() {
    assert_score(Stage::new().score_after([event(Pam, Some("root"), None)]), 0.0);
    let told = [by(Pam, "root", 1), event(Closed, None, Some(1))];
    assert_score(Stage::new().score_after(told), 1.0);
    let kinds = [by(Pam, "root", 1), by(Pam, "root", 1), by(KeyboardInteractive, "root", 1)];
    assert_score(Stage::new().score_after(kinds), 1.0);
}

#[test]
fn an_account_that_may_not_log_in_is_told_without_a_port_and_counts_once() {
    let refused = || event(NotAllowed, Some("root"), None);
    let password = [refused(), by(Password, "root", 1), by(Closed, "root", 1)];
    assert_score(Stage::new().score_after(password), 1.0);
    assert_score(Stage::new().score_after([refused(), by(Closed, "root", 1), by(Closed, "root", 1)]), 1.0);
    let keys = [refused(), by(Publickey, "root", 1), event(Closed, None, Some(1))];
    assert_score(Stage::new().score_after(keys), 1.0);
    let two = [refused(), refused(), by(Password, "root", 1), by(Password, "root", 2)];
    assert_score(Stage::new().score_after(two), 2.0);
}

#[test]
fn a_server_that_tells_no_ports_counts_each_attempt_once() {
    let invalid = || event(InvalidUser, Some("x"), None);
    let password = || event(Password, Some("x"), None);
    assert_score(Stage::new().score_after([invalid(), password()]), 1.0);
    assert_score(Stage::new().score_after([invalid(), password(), event(Closed, Some("x"), None)]), 1.0);
    assert_score(Stage::new().score_after([invalid(), password(), event(Closed, None, None)]), 1.0);
    assert_score(Stage::new().score_after([invalid(), by(Password, "x", 1), event(Closed, None, None)]), 1.0);
    assert_score(Stage::new().score_after([invalid(), password(), invalid(), password()]), 2.0);
    assert_score(Stage::new().score_after([invalid(), password(), password()]), 2.0);
    let other = event(Password, Some("y"), None);
    assert_score(Stage::new().score_after([invalid(), other]), 2.0);
}

#[test]
fn six_lines_without_a_port_and_nothing_else_ban() {
    let mut stage = Stage::new();
    let banned = (1..=6).find(|_| stage.hear(MALLORY, event(InvalidUser, Some("x"), None)).ban.is_some());
    assert_eq!(banned, Some(6));
}

#[test]
fn a_line_without_a_port_is_not_held_against_a_later_attempt() {
    let mut stage = Stage::new();
    stage.hear(MALLORY, event(InvalidUser, Some("x"), None));
    stage.wait(121);
    assert_score(stage.hear(MALLORY, by(Password, "x", 1)).score, 2.0);
}

#[test]
fn a_repeated_message_counts_as_often_as_it_says() {
    assert_score(Stage::new().score_after([times(3, by(Password, "root", 1))]), 3.0);
    assert_score(Stage::new().score_after([by(InvalidUser, "x", 1), times(3, by(Password, "x", 1))]), 3.0);
    let judgement = Stage::new().hear(MALLORY, times(u32::MAX, by(Password, "root", 1)));
    assert!(judgement.ban.is_some());
}

#[test]
fn a_session_is_forgotten_after_ten_minutes() {
    let mut stage = Stage::new();
    for port in 1..=5 {
        stage.hear(MALLORY, by(Publickey, "root", port));
    }
    stage.wait(601);
    assert_score(stage.hear(MALLORY, event(Closed, None, Some(1))).weight, 0.1);
    for port in 10..13 {
        stage.hear(MALLORY, event(Closed, None, Some(port)));
    }
    assert_eq!(stage.policy.attempts.len(), 4);
}
