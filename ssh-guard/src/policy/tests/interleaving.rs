//! Whole sessions, each with what it must count, said in any order that keeps the order within each.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use Kind::{
    Accepted, Closed, InvalidUser, KeyboardInteractive, NotAllowed, Pam, Password, Publickey, TooManyAttempts,
};

/// The lines of a session from that port, and what they count in all; a login with success counts nothing.
fn session(shape: usize, port: u16) -> (VecDeque<AuthEvent>, f64) {
    let user = format!("user{port}");
    let line = |kind| by(kind, &user, port);
    let unnamed = || event(Closed, None, Some(port));
    let portless = |kind| event(kind, Some(&user), None);
    let (lines, counts) = match shape {
        0 => (vec![line(InvalidUser), line(Password), line(Closed)], 1.0),
        1 => (vec![line(InvalidUser), line(Closed)], 1.0),
        2 => (vec![line(InvalidUser), line(Password), line(Password), unnamed(), line(Closed)], 2.0),
        3 => (vec![times(5, line(Password)), line(Password), line(TooManyAttempts), line(Closed)], 6.0),
        4 => (vec![line(Publickey), line(Publickey), line(Publickey), line(Accepted)], 0.0),
        5 => (vec![line(Password), line(Publickey), line(Accepted)], 0.0),
        6 => (vec![line(Publickey), line(Publickey), unnamed(), line(Closed)], 1.0),
        7 => (vec![line(Publickey), line(TooManyAttempts), line(Closed)], 1.0),
        8 => (vec![unnamed()], 0.1),
        9 => (vec![unnamed(), line(Closed)], 1.0),
        10 => (vec![portless(NotAllowed), line(Password), line(Password), line(Closed)], 2.0),
        11 => (vec![portless(NotAllowed), line(Closed)], 1.0),
        12 => (vec![portless(Pam), line(KeyboardInteractive), line(Closed)], 1.0),
        13 => (vec![portless(InvalidUser), portless(Pam), line(Password), line(Closed)], 1.0),
        _ => (vec![line(Pam), unnamed()], 1.0),
    };
    (lines.into(), counts)
}

proptest! {
    #[test]
    fn each_session_counts_what_it_counts_alone(
        shapes in prop::collection::vec(0..15_usize, 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let mut stage = Stage::with(Rules { threshold: 1e6, ..Rules::default() });
        let (mut sessions, counts): (Vec<_>, Vec<_>) =
            (1..).zip(&shapes).map(|(port, shape)| session(*shape, port)).unzip();
        for turn in order {
            let open: Vec<_> = sessions.iter_mut().filter(|lines| !lines.is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let turn = turn.index(open.len());
            if let Some(event) = open.into_iter().nth(turn).and_then(VecDeque::pop_front) {
                stage.hear(MALLORY, event);
            }
        }
        prop_assert!(sessions.iter().all(VecDeque::is_empty));
        let score = stage.policy.score(source(MALLORY), stage.now);
        prop_assert!((score - counts.iter().sum::<f64>()).abs() < 1e-9, "{score} for {shapes:?}");
    }
}

/// Failures by a source, each at a second of its own, and the order in which they are heard of.
fn heard_in(order: &[u64], rules: &Rules) -> (f64, bool) {
    let (mut policy, mut banned) = (Policy::new(rules.clone()), false);
    for second in order {
        let at = Moment::from_start(Duration::from_secs(*second));
        let failure = by(Password, "root", u16::try_from(*second).unwrap());
        let failure = AuthEvent { address: Some(MALLORY.parse().unwrap()), ..failure };
        banned |= policy.observe(&failure, source(MALLORY), at, || Standing::Judged).ban.is_some();
    }
    let last = order.iter().max().copied().unwrap_or_default();
    (policy.score(source(MALLORY), Moment::from_start(Duration::from_secs(last))), banned)
}

proptest! {
    #[test]
    fn failures_that_come_out_of_order_make_the_same_score(
        seconds in prop::collection::btree_set(1..2000_u64, 1..30),
        order: u64,
    ) {
        let rules = Rules { threshold: 1e6, window: Duration::from_mins(10), ..Rules::default() };
        let in_order: Vec<u64> = seconds.into_iter().collect();
        let mut shuffled = in_order.clone();
        let mut state = order | 1;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        let (score, other) = (heard_in(&in_order, &rules).0, heard_in(&shuffled, &rules).0);
        prop_assert!((score - other).abs() < 1e-9, "{score} in order, {other} as {shuffled:?}");
    }
}

#[test]
fn old_failures_that_are_heard_of_late_do_not_add_to_those_of_another_window() {
    let rules = Rules { window: Duration::from_mins(10), ..Rules::default() };
    let late: Vec<u64> = [1500, 1501, 1502, 100, 101, 102].into();
    assert_eq!(heard_in(&late, &rules), (3.0, false));
    let within: Vec<u64> = [1500, 1501, 1502, 1000, 1001, 1002].into();
    assert_eq!(heard_in(&within, &rules), (6.0, true));
}
