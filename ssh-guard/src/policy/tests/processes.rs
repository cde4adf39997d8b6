use std::num::NonZeroU64;

use super::*;
use crate::event::Process;
use Kind::{Closed, InvalidUser, KeyboardInteractive, NotAllowed, Pam, Password, Publickey, TooManyAttempts};

/// An event of a session that this process serves.
fn of(process: u64, event: AuthEvent) -> AuthEvent {
    AuthEvent { process: NonZeroU64::new(process).map(Process), ..event }
}

fn portless(process: u64, kind: Kind, user: &str) -> AuthEvent {
    of(process, event(kind, Some(user), None))
}

fn unnamed(process: u64) -> AuthEvent {
    of(process, event(Closed, None, None))
}

#[test]
fn lines_without_a_port_are_of_the_session_of_their_process() {
    let failed = portless(1, KeyboardInteractive, "root");
    let three = [failed.clone(), failed.clone(), failed, of(1, by(Closed, "root", 40_000))];
    assert_score(Stage::new().score_after(three), 3.0);
    let denied = [portless(1, NotAllowed, "x"), of(1, by(Password, "x", 40_000)), unnamed(1)];
    assert_score(Stage::new().score_after(denied), 1.0);
    let old =
        [portless(1, InvalidUser, "x"), portless(1, Password, "x"), portless(1, Password, "x"), unnamed(1)];
    assert_score(Stage::new().score_after(old), 2.0);
}

#[test]
fn two_sessions_of_one_account_without_ports_are_told_apart() {
    let both = [
        portless(1, InvalidUser, "x"),
        portless(2, InvalidUser, "x"),
        portless(1, Password, "x"),
        unnamed(1),
        unnamed(2),
        // Somebody who only looked in.
        unnamed(3),
    ];
    assert_score(Stage::new().score_after(both), 2.1);
}

#[test]
fn an_attempt_that_is_told_again_adds_nothing() {
    let attempts = [
        portless(1, InvalidUser, "x"),
        portless(1, KeyboardInteractive, "x"),
        of(1, by(Pam, "x", 40_000)),
        of(1, by(KeyboardInteractive, "x", 40_000)),
        of(1, by(Pam, "x", 40_000)),
        of(1, by(TooManyAttempts, "x", 40_000)),
        of(1, by(Closed, "x", 40_000)),
    ];
    assert_score(Stage::new().score_after(attempts), 2.0);
}

#[test]
fn a_process_number_that_is_used_again_is_another_session() {
    let mut stage = Stage::with(Rules { threshold: 100.0, ..Rules::default() });
    let attempt = |port| [of(1, by(InvalidUser, "x", port)), of(1, by(Password, "x", port))];
    // Without a line about the end of each.
    let score = stage.score_after((1..8).flat_map(attempt));
    assert_score(score, 7.0);
    let keys = (1..5).flat_map(|port| [of(2, by(Publickey, "x", port)), of(2, by(Closed, "x", port))]);
    assert_score(stage.score_after(keys), 11.0);
}

#[test]
fn one_process_number_at_two_addresses_is_two_sessions() {
    let mut stage = Stage::new();
    assert_score(stage.hear("203.0.113.7", portless(1, InvalidUser, "x")).score, 1.0);
    assert_score(stage.hear("203.0.113.8", portless(1, InvalidUser, "x")).score, 1.0);
    assert_score(stage.hear("203.0.113.8", portless(1, Password, "x")).score, 1.0);
}
