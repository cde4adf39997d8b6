use std::net::IpAddr;

use proptest::prelude::*;

use super::successes::{Found, Settled, Success, Successes};
use super::*;

const RULES: Rules =
    Rules { mask: SourceMask::new(32, 64), most_open: 3, closing: 60, kept: 130, silent: 60 };

fn source(text: &str) -> Source {
    text.parse::<IpAddr>().unwrap().into()
}

fn key(client: &str, client_port: u16) -> SessionKey {
    SessionKey { client: source(client), server: source("10.77.0.1"), client_port, port: 22 }
}

fn record(first_seen: Ticks) -> SessionRecord {
    let last = first_seen;
    SessionRecord {
        packets: 3,
        bytes: 300,
        first_seen,
        last_seen: last,
        answered: last,
        ..SessionRecord::default()
    }
}

#[derive(Default, Debug)]
struct Scene {
    records: Vec<(SessionKey, SessionRecord)>,
    marks: HashMap<SessionKey, Authenticated>,
    without_socket: HashSet<SessionKey>,
    gone: HashSet<SessionKey>,
}

impl Scene {
    fn of(records: &[(SessionKey, SessionRecord)]) -> Self {
        Self { records: records.to_vec(), ..Self::default() }
    }

    fn census(&self, now: Ticks) -> Census {
        self.census_knowing(now, |_| false)
    }

    fn census_knowing(&self, now: Ticks, is_known_good: impl FnMut(Source) -> bool) -> Census {
        let Self { records, marks, without_socket, gone } = self;
        Census::take(Evidence { records, marks, without_socket, gone, now }, &RULES, is_known_good)
    }
}

fn held(census: &Census, client: &str) -> Held {
    census.sources.get(&source(client)).copied().unwrap_or_default()
}

#[test]
fn a_session_is_open_then_authenticated_then_closed() {
    let session = key("203.0.113.7", 4000);
    let mut scene = Scene::of(&[(session, record(100))]);
    assert_eq!(scene.census(101).sessions[0].stage, Stage::Open);
    scene.marks.insert(session, Authenticated { account: 7, session: 100 });
    let census = scene.census(101);
    assert_eq!((census.sessions[0].stage, census.sessions[0].account), (Stage::Authenticated, Some(7)));
    let expected = Held { open: 1, authenticated: 1, counted: 1, unauthenticated: 0, last_seen: 100 };
    assert_eq!(held(&census, "203.0.113.7"), expected);
    scene.records[0].1.ended = 102;
    let census = scene.census(103);
    assert_eq!((census.sessions[0].stage, census.sessions[0].account), (Stage::Closed, Some(7)));
    assert_eq!(held(&census, "203.0.113.7"), Held::default(), "its record counts what was sent");
    assert_eq!(census.totals, Totals { open: 0, authenticated: 0, closed: 1 });
}

#[test]
fn another_session_between_the_same_ends_is_not_authenticated() {
    let session = key("203.0.113.7", 4000);
    let mut scene = Scene::of(&[(session, record(100))]);
    scene.marks.insert(session, Authenticated { account: 7, session: 90 });
    let census = scene.census(101);
    assert_eq!(census.sessions[0].stage, Stage::Open);
    assert_eq!(census.stale_marks, [session]);
}

#[test]
fn an_ended_session_is_over_when_the_server_has_sent_nothing_again_for_long() {
    let mut ended = record(100);
    ended.ended = 110;
    ended.answered = 200;
    let scene = Scene::of(&[(key("203.0.113.7", 4000), ended), (key("203.0.113.7", 4001), record(1))]);
    assert!(scene.census(329).over.is_empty());
    let over = scene.census(330).over;
    assert_eq!(over.iter().map(|session| session.key.client_port).collect::<Vec<_>>(), [4000]);
}

#[test]
fn a_client_that_hangs_up_has_its_session_until_the_server_is_silent_for_long() {
    let mut closing = record(100);
    closing.closing = 110;
    closing.answered = 130;
    let scene = Scene::of(&[(key("203.0.113.7", 4000), closing)]);
    let census = scene.census(189);
    assert!(census.sessions[0].is_closing());
    assert_eq!(held(&census, "203.0.113.7").counted, 1);
    let census = scene.census(190);
    assert_eq!(held(&census, "203.0.113.7").counted, 0);
    assert!(census.over.is_empty(), "the server may speak yet");
}

#[test]
fn what_has_no_socket_is_closed_and_over_once_that_is_seen_twice() {
    let session = key("203.0.113.7", 4000);
    let mut scene = Scene::of(&[(session, record(100))]);
    scene.without_socket.insert(session);
    let census = scene.census(101);
    assert_eq!((census.sessions[0].stage, census.over.len()), (Stage::Closed, 0));
    assert_eq!(held(&census, "203.0.113.7").open, 0);
    scene.gone.insert(session);
    assert_eq!(scene.census(102).over.len(), 1);
}

#[test]
fn what_is_unproven_is_shown_and_limits_nobody() {
    let unproven = SessionRecord { answered: 0, ..record(100) };
    let scene = Scene::of(&[1, 2, 3, 4].map(|port| (key("203.0.113.7", port), unproven)));
    let census = scene.census(101);
    assert!(census.sessions[0].is_unproven());
    assert_eq!((held(&census, "203.0.113.7").open, census.unauthenticated), (4, 0));
    assert!(census.crowded(&RULES, true, |_| false).is_empty());
}

#[test]
fn who_holds_as_many_as_allowed_is_crowded_and_in_flood_mode_who_holds_two_without_a_login() {
    let of = |client: &str, ports: u16| {
        (0..ports).map(|port| (key(client, port), record(100))).collect::<Vec<_>>()
    };
    let records =
        [of("203.0.113.1", 1), of("203.0.113.2", 2), of("203.0.113.3", 3), of("203.0.113.4", 2)].concat();
    let scene = Scene::of(&records);
    let good = |known: Source| known == source("203.0.113.4");
    let census = scene.census_knowing(101, good);
    assert_eq!(census.unauthenticated, 6);
    let bits = |flooded, client| census.crowded(&RULES, flooded, good).get(&source(client)).copied();
    assert_eq!(
        ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"].map(|client| bits(false, client)),
        [None, None, Some(crowd::OPEN), None]
    );
    assert_eq!(
        ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"].map(|client| bits(true, client)),
        [None, Some(crowd::UNAUTHENTICATED), Some(crowd::OPEN | crowd::UNAUTHENTICATED), None]
    );
    let unlimited = Rules { most_open: 0, ..RULES };
    assert!(census.crowded(&unlimited, false, good).is_empty());
}

#[test]
fn sessions_from_one_prefix_are_of_one_source() {
    let scene = Scene::of(&[
        (key("2001:db8:7::1", 1), record(100)),
        (key("2001:db8:7::2", 1), record(100)),
        (key("2001:db8:8::1", 1), record(100)),
    ]);
    let census = scene.census(101);
    assert_eq!((held(&census, "2001:db8:7::").open, held(&census, "2001:db8:8::").open), (2, 1));
}

fn success(port: u16, at: Ticks) -> Success {
    let (client, account) = (source("203.0.113.7"), Some("alice".into()));
    Success { client, port: Some(port), account, at, login: None, late: false }
}

/// What is found of these successes at a tick, as the times of the sessions.
fn found(records: &[SessionRecord], at: Ticks, now: Ticks) -> Vec<Ticks> {
    let server = |number: usize| source(&format!("10.77.0.{}", number + 1));
    let records: Vec<_> = (0..)
        .zip(records)
        .map(|(number, record)| (SessionKey { server: server(number), ..key("203.0.113.7", 9) }, *record))
        .collect();
    let mut successes = Successes::new(8, 10);
    successes.add(success(9, at));
    let found = successes.settle(&records, &HashMap::new(), now).found;
    found.iter().map(|found| found.first_seen).collect()
}

#[test]
fn a_line_is_of_the_session_that_was_there_when_it_was_written() {
    let ended = |first_seen, ended| SessionRecord { ended, ..record(first_seen) };
    assert_eq!(found(&[record(100)], 105, 106), [100]);
    assert_eq!(found(&[record(100)], 90, 100), [100], "ten ticks early");
    assert!(found(&[record(100)], 89, 100).is_empty());
    assert_eq!(found(&[ended(100, 101)], 111, 111), [100], "it has ended meanwhile");
    assert!(found(&[ended(100, 101)], 112, 112).is_empty());
    assert_eq!(found(&[ended(100, 101), record(120)], 111, 121), [100], "the other began later");
    assert_eq!(found(&[ended(100, 110), record(105)], 107, 121), [105], "of two the later one");
    assert_eq!(found(&[record(100), ended(105, 106)], 108, 121), [100], "of two the one that is there");
}

#[test]
fn a_line_waits_for_its_session_for_ten_ticks_and_no_longer() {
    let mut successes = Successes::new(8, 10);
    successes.add(success(9, 100));
    assert!(successes.settle(&[], &HashMap::new(), 110) == Settled::default());
    let late = [(key("203.0.113.7", 9), record(105))];
    let expected = Found { key: late[0].0, first_seen: 105, account: Some("alice".into()) };
    assert_eq!(successes.settle(&late, &HashMap::new(), 111).found, [expected]);
    successes.add(success(9, 112));
    let marks = HashMap::from([(late[0].0, Authenticated { account: 1, session: 105 })]);
    assert!(successes.settle(&late, &marks, 113).found.is_empty(), "it is marked already");
    successes.add(success(10, 113));
    assert_eq!(successes.settle(&[], &marks, 124).unseen, [success(10, 113)]);
    assert!(
        successes.settle(&[(key("203.0.113.7", 10), record(113))], &marks, 124) == Settled::default(),
        "it was given up"
    );
}

#[test]
fn where_there_is_no_room_the_oldest_line_is_lost_and_counted() {
    let mut successes = Successes::new(1, 10);
    successes.add(success(1, 100));
    successes.add(success(2, 100));
    assert_eq!(successes.lost(), 1);
    let both = [(key("203.0.113.7", 1), record(100)), (key("203.0.113.7", 2), record(100))];
    let found = successes.settle(&both, &HashMap::new(), 100).found;
    assert_eq!(found.iter().map(|found| found.key.client_port).collect::<Vec<_>>(), [2]);
}

#[test]
fn only_a_session_that_the_witness_has_seen_vouches_for_a_login() {
    let unproven = SessionRecord { answered: 0, ..record(100) };
    let at = |port| key("203.0.113.7", port);
    let records =
        [(at(1), record(100)), (at(2), unproven), (at(3), SessionRecord { ended: 105, ..record(90) })];
    let settle = |success: Success, now| {
        let mut successes = Successes::new(8, 10);
        successes.add(success);
        let Settled { found, seen, unseen } = successes.settle(&records, &HashMap::new(), now);
        (found.len(), seen.len(), unseen.len())
    };
    assert_eq!(settle(success(1, 101), 102), (1, 1, 0));
    assert_eq!(settle(success(2, 101), 102), (1, 0, 1), "nobody saw the server answer");
    assert_eq!(settle(success(4, 101), 102), (0, 0, 0), "it waits");
    assert_eq!(settle(success(4, 101), 112), (0, 0, 1));
    assert_eq!(settle(success(3, 104), 900), (1, 1, 0), "it was there then");
    assert_eq!(settle(success(3, 150), 900), (0, 0, 1), "it had ended before");
    let portless = |client| Success { client: source(client), port: None, ..success(1, 101) };
    assert_eq!(
        settle(portless("203.0.113.7"), 102),
        (0, 1, 0),
        "any session of the client's, which is not named"
    );
    assert_eq!(settle(portless("203.0.113.8"), 112), (0, 0, 1));
}

/// A record as the programs write them, at or before tick 1000.
fn any_record() -> impl Strategy<Value = SessionRecord> {
    let tick = || prop_oneof![Just(0_u32), 700..1000_u32];
    (700..1000_u32, tick(), tick(), tick(), tick(), 0..9_u64).prop_map(
        |(first_seen, last_seen, closing, answered, ended, packets)| SessionRecord {
            packets,
            bytes: packets * 100,
            first_seen,
            last_seen: last_seen.max(first_seen),
            closing,
            answered,
            ended,
            end_sequence: 0,
        },
    )
}

fn any_scene() -> impl Strategy<Value = Scene> {
    let client =
        prop_oneof![Just("203.0.113.1"), Just("203.0.113.2"), Just("2001:db8::1"), Just("2001:db8::2")];
    let session = (client, 0..6_u16, any_record(), any::<[bool; 4]>());
    proptest::collection::hash_map(0..24_u16, session, 0..24).prop_map(|sessions| {
        let mut scene = Scene::default();
        let mut seen = HashSet::new();
        for (client, port, record, [marked, right, without_socket, gone]) in sessions.into_values() {
            let key = key(client, port);
            if !seen.insert(key) {
                continue;
            }
            scene.records.push((key, record));
            if marked {
                let session = if right { record.first_seen } else { record.first_seen - 1 };
                scene.marks.insert(key, Authenticated { account: 1, session });
            }
            if without_socket && record.ended == 0 {
                scene.without_socket.insert(key);
                if gone {
                    scene.gone.insert(key);
                }
            }
        }
        scene
    })
}

proptest! {
    #[test]
    fn every_session_is_counted_once_and_no_sum_disagrees(scene in any_scene(), flooded in any::<bool>()) {
        let good = |known: Source| known == source("203.0.113.2");
        let census = scene.census_knowing(1000, good);
        let Totals { open, authenticated, closed } = census.totals;
        prop_assert_eq!(open + authenticated + closed, scene.records.len());
        let sum = |of: fn(&Held) -> u32| census.sources.values().map(of).sum::<u32>() as usize;
        prop_assert!(sum(|held| held.open) <= open + authenticated);
        prop_assert!(sum(|held| held.authenticated) <= authenticated);
        for held in census.sources.values() {
            prop_assert!(held.counted <= held.open && held.unauthenticated <= held.counted);
        }
        let unknown = census.sources.iter().filter(|(source, _)| !good(**source));
        prop_assert_eq!(census.unauthenticated, unknown.map(|(_, held)| held.unauthenticated).sum::<u32>());
        for (source, bits) in census.crowded(&RULES, flooded, good) {
            let held = census.sources[&source];
            prop_assert_eq!(bits & crowd::OPEN != 0, held.counted >= RULES.most_open);
            prop_assert_eq!(bits & crowd::UNAUTHENTICATED != 0, flooded && !good(source) && held.unauthenticated >= 2);
        }
    }

    #[test]
    fn nothing_is_forgotten_that_may_still_be_heard_of(scene in any_scene()) {
        let census = scene.census(1000);
        for session in &census.over {
            let record = &session.record;
            let silent = 1000 - last_word(record) >= RULES.kept;
            let hung_up = record.ended != 0 || (record.closing != 0 && record.answered == 0);
            prop_assert!(scene.gone.contains(&session.key) || (hung_up && silent), "{session:?}");
        }
        for session in &census.sessions {
            let mark = scene.marks.get(&session.key);
            let is_marked = mark.is_some_and(|mark| mark.session == session.record.first_seen);
            prop_assert_eq!(session.account.is_some(), is_marked);
            prop_assert_eq!(census.stale_marks.contains(&session.key), mark.is_some() && !is_marked);
        }
    }

    #[test]
    fn a_success_marks_one_session_of_its_client_at_most(
        scene in any_scene(),
        lines in proptest::collection::vec((0..6_u16, 690..1000_u32), 0..12),
    ) {
        let mut successes = Successes::new(8, 10);
        for (port, at) in &lines {
            let (client, port) = (source("203.0.113.1"), Some(*port));
            successes.add(Success { client, port, account: None, at: *at, login: None, late: false });
        }
        prop_assert_eq!(successes.lost(), lines.len().saturating_sub(8) as u64);
        let Settled { found, seen, unseen } = successes.settle(&scene.records, &scene.marks, 1000);
        for success in &seen {
            let is_its = |(key, record): &(SessionKey, SessionRecord)| {
                (key.client, Some(key.client_port)) == (success.client, success.port) && record.is_proven()
            };
            prop_assert!(scene.records.iter().any(is_its));
        }
        prop_assert!(seen.len() + unseen.len() <= lines.len().min(8));
        let keys: HashSet<_> = found.iter().map(|found| found.key).collect();
        prop_assert_eq!(keys.len(), found.len());
        for Found { key, first_seen, .. } in &found {
            prop_assert!(scene.records.iter().any(|(there, record)| there == key && record.first_seen == *first_seen));
            prop_assert!(lines.iter().any(|(port, _)| *port == key.client_port));
            prop_assert!(scene.marks.get(key).is_none_or(|mark| mark.session != *first_seen));
        }
    }
}
