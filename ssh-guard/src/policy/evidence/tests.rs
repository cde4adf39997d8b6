use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use proptest::prelude::*;

use super::trail::FIXED;
use super::*;
use crate::event::{AuthEvent, Kind, Outcome, Service};
use crate::policy::account::Accounts;
use crate::policy::weight::Weight;

const WINDOW: Duration = Duration::from_mins(10);

fn source(number: u32) -> Source {
    Ipv4Addr::from(number).into()
}

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn added(rank: Rank) -> Added {
    Added { account: None, own: false, bait: false, rank }
}

fn trace(user: &str, line: usize, seconds: u64) -> Trace {
    let event = AuthEvent {
        outcome: Outcome::Failure,
        kind: Kind::Password,
        address: None,
        port: None,
        user: Some(user.into()),
        service: Service::Openssh,
        count: NonZeroU32::MIN,
        process: None,
    };
    Trace::new(&event, None, Some(&vec![b'x'; line]), at(seconds))
}

fn fail(trails: &mut Trails, number: u32, rank: Rank, seconds: u64) {
    let failure = trace("root", 100, seconds).added(added(rank), Weight::new(1.0));
    trails.note(source(number), failure, Some(added(rank)));
}

/// What they take, counted anew.
fn bytes(trails: &Trails, sources: u32) -> usize {
    (0..sources).filter_map(|number| trails.get(source(number))).map(Trail::bytes).sum()
}

#[test]
fn the_last_sixteen_events_of_a_source_are_kept_as_far_as_they_are_shown() {
    let mut trails = Trails::new(9);
    for second in 0..20 {
        fail(&mut trails, 1, Rank::Middle, second);
    }
    let long = trace(&"ä".repeat(99), 9000, 20).added(added(Rank::Middle), Weight::new(1.0));
    trails.note(source(1), long, Some(added(Rank::Middle)));
    let kept = trails.get(source(1)).unwrap().traces();
    assert_eq!((kept.len(), kept[0].at, kept[15].at), (EVENTS, at(5), at(20)));
    assert_eq!(kept[15].line.as_ref().unwrap().len(), Trace::LINE_BYTES);
    assert_eq!(kept[15].user.as_ref().unwrap().as_str(), "ä".repeat(32));
}

#[test]
fn logins_are_joined_by_account_and_push_out_no_failure() {
    let (mut trails, accounts) = (Trails::new(9), Accounts::default());
    (0..12).for_each(|second| fail(&mut trails, 1, Rank::Middle, second));
    for second in 12..60 {
        let name = format!("user{}", second % 6);
        let login = Trace { account: Some(accounts.of(&name)), ..trace(&name, 10, second) };
        trails.note(source(1), login, None);
    }
    let kept = trails.get(source(1)).unwrap().traces();
    let logins = kept.iter().filter(|trace| trace.part == Part::Login);
    assert_eq!((kept.len(), logins.count()), (12 + LOGINS, LOGINS));
    let mut trails = Trails::new(9);
    for second in 0..3 {
        let login = Trace { account: Some(accounts.of("alice")), ..trace("alice", 10, second) };
        trails.note(source(1), login, None);
    }
    let kept = trails.get(source(1)).unwrap().traces();
    assert_eq!((kept.len(), kept[0].count, kept[0].at), (1, 3, at(2)));
}

#[test]
fn the_lowest_scores_make_room_and_bans_in_force_stay() {
    let mut trails = Trails::new(64);
    for number in 0..20 {
        fail(&mut trails, number, Rank::Low, 0);
        trails.ban(source(number), (at(0), at(600)), true);
    }
    (1000..3000).for_each(|number| fail(&mut trails, number, Rank::Middle, 1));
    assert_eq!(trails.len(), 64);
    assert!((0..20).all(|number| trails.get(source(number)).is_some()), "who is banned stays");
    // Once it is over it is an old score like others.
    trails.sweep(64, WINDOW, at(601));
    (3000..9000).for_each(|number| fail(&mut trails, number, Rank::Middle, 601));
    assert!((0..20).all(|number| trails.get(source(number)).is_none()));
}

#[test]
fn what_is_kept_is_kept_for_a_day_after_the_last_event_and_the_ban() {
    let mut trails = Trails::new(9);
    let day = LIFE.as_secs();
    (1..=2).for_each(|number| fail(&mut trails, number, Rank::Middle, 0));
    trails.ban(source(2), (at(0), at(600)), true);
    trails.sweep(9, WINDOW, at(day - 1));
    assert_eq!(trails.len(), 2);
    trails.sweep(9, WINDOW, at(day));
    assert!(trails.get(source(1)).is_none() && trails.get(source(2)).is_some());
    trails.sweep(9, WINDOW, at(day + 600));
    assert_eq!((trails.len(), trails.bytes()), (0, 0));
}

#[test]
fn nothing_is_kept_where_there_is_room_for_nothing() {
    let mut trails = Trails::new(0);
    fail(&mut trails, 1, Rank::High, 0);
    assert!(trails.is_empty() && trails.bytes() == 0);
    let mut trails = Trails::new(9);
    (0..9).for_each(|number| fail(&mut trails, number, Rank::High, 0));
    trails.resize(4);
    assert_eq!((trails.len(), trails.bytes()), (4, bytes(&trails, 9)));
    trails.resize(0);
    assert!(trails.is_empty() && trails.bytes() == 0);
}

#[test]
fn all_of_them_take_512_bytes_each_on_average_at_most() {
    const SOURCES: u32 = 2000;
    let mut trails = Trails::new(SOURCES as usize);
    for round in 0..20 {
        (0..SOURCES).for_each(|number| fail(&mut trails, number, Rank::High, round));
        assert!(trails.bytes() <= SOURCES as usize * EACH, "{} bytes", trails.bytes());
    }
    assert_eq!(trails.bytes(), bytes(&trails, SOURCES));
    assert!(trails.len() > 300, "there is room for {}", trails.len());
    assert!(size_of::<Trace>() <= 80 && FIXED <= 160, "{} and {}", size_of::<Trace>(), FIXED);
}

proptest! {
    #[test]
    fn whatever_happens_the_bytes_are_those_that_are_there(
        steps in prop::collection::vec((0..6_u8, 0..40_u32, 0..300_usize, 0..90_000_u64), 0..400)
    ) {
        let (mut trails, accounts) = (Trails::new(24), Accounts::default());
        for (step, number, length, seconds) in steps {
            let name = "n".repeat(length / 3);
            match step {
                0 | 1 => {
                    let rank = [Rank::Low, Rank::Middle, Rank::High][length % 3];
                    let failure = trace(&name, length, seconds).added(added(rank), Weight::new(0.1));
                    trails.note(source(number), failure, Some(added(rank)));
                }
                2 => {
                    let account = Some(accounts.of(&name));
                    trails.note(source(number), Trace { account, ..trace(&name, length, seconds) }, None);
                }
                3 => trails.ban(source(number), (at(seconds), at(seconds + 600)), length % 2 == 0),
                4 => trails.pardon(source(number)),
                _ => trails.sweep(length, WINDOW, at(seconds)),
            }
            prop_assert_eq!(trails.bytes(), bytes(&trails, 40));
            prop_assert!(trails.len() <= 24 && trails.bytes() <= LEAST);
            for trail in (0..40).filter_map(|number| trails.get(source(number))) {
                prop_assert!((1..=EVENTS).contains(&trail.traces().len()));
            }
        }
    }
}
