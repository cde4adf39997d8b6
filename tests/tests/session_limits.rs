//! Limits of sessions, with real sockets: how many a source may hold, and how many all may hold before anybody has logged
//! in.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::time::Duration;

use ssh_guard_common::records::{Settings, crowd};
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet;
use ssh_guard_tests::programs::{Programs, Which, source_of};
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("ss")];

const V4: &str = "203.0.113.7";
const OTHER_V4: &str = "203.0.113.8";
const V6: &str = "2001:db8:7::7";
const SOURCE_V6: &str = "2001:db8:7::/64";
/// Less than it takes to send a SYN again.
const SHORT: Duration = Duration::from_millis(600);

fn limited(guarded: &Guarded<'_>, verdict: &str) -> u64 {
    guarded.daemon.json(&["status"])["verdicts"][verdict]["packets"].as_u64().unwrap()
}

#[test]
fn who_holds_as_many_sessions_as_allowed_gets_another_one_when_one_has_ended() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    // Whoever has logged in is not limited; here that is forgotten at once.
    let guarded = Guarded::start(
        &lab,
        "limits = { open-sessions = 3, new-sessions-per-minute = 0 }\npolicy = { known-good = '1s', flood = { enabled = false } }",
    );
    for (address, source, neighbour) in [(V4, V4, V4), (V6, SOURCE_V6, "2001:db8:7::8")] {
        let client = lab.client(address);
        let mut held: Vec<_> = (0..2).map(|_| guarded.greeted(address)).collect();
        // One that is authenticated counts as well.
        let mut operator = client.hold_session("alice", &guarded.sshd.key());
        guarded.wait_for(source, "sessions_open", 3);
        let refused = || lab.client(neighbour).connect(22, SHORT) == Connect::TimedOut;
        eventually(PATIENCE, "the fourth is refused", refused);
        let before = limited(&guarded, "session_limited");
        assert!(refused() && refused());
        eventually(PATIENCE, "it is counted", || limited(&guarded, "session_limited") >= before + 2);
        assert!(operator.echoes("still", PATIENCE), "what is open goes on");
        assert_eq!(
            lab.client(OTHER_V4).connect(22, PATIENCE),
            Connect::Open,
            "another source does not notice"
        );
        guarded.agrees_with_ss(address, source);

        drop(held.pop());
        // A SYN is sent again after one second, after three, and after seven.
        assert_eq!(client.connect(22, PATIENCE), Connect::Open);
        drop((held, operator));
        guarded.wait_for(source, "sessions_open", 0);
    }
}

#[test]
fn no_limit_of_open_sessions_is_none() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "limits = { open-sessions = 0, unauthenticated-sessions = 0 }");
    let held: Vec<_> = (0..80).map(|_| guarded.greeted(V4)).collect();
    guarded.wait_for(V4, "sessions_open", 80);
    assert_eq!(limited(&guarded, "session_limited"), 0);
    assert_eq!(limited(&guarded, "flood_limited"), 0);
    drop(held);
}

#[test]
fn many_sessions_without_a_login_begin_flood_mode_and_their_end_ends_it() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "limits.unauthenticated-sessions = 8");
    let flooded = || guarded.daemon.json(&["status"])["flood_mode"] == true;
    // Authenticated ones do not count.
    let mut operator = lab.client("198.51.100.1").hold_session("alice", &guarded.sshd.key());
    guarded.wait_for("198.51.100.1", "sessions_authenticated", 1);
    let mut held: Vec<_> = (0..7).map(|number| guarded.greeted(&format!("203.0.113.{number}"))).collect();
    guarded.wait_for("203.0.113.6", "sessions_open", 1);
    assert!(!flooded());
    held.push(guarded.greeted("203.0.113.7"));
    eventually(PATIENCE, "flood mode begins", flooded);
    let metrics = guarded.daemon.metrics();
    assert!(metrics.contains("ssh_guard_flood_mode 1\n"), "{metrics}");
    // Three of four are dropped: of twenty at once it is none only once in three hundred times.
    eventually(PATIENCE, "some are limited", || {
        (0..20).for_each(|number| {
            let _refused_or_not =
                lab.client(&format!("198.51.100.{}", 50 + number)).connect(22, Duration::from_millis(20));
        });
        limited(&guarded, "flood_limited") >= 10
    });
    assert!(operator.echoes("still", PATIENCE), "what is open goes on");
    eventually(PATIENCE, "one in four gets in", || {
        lab.client("198.51.100.99").connect(22, SHORT) == Connect::Open
    });
    drop(held);
    eventually(PATIENCE, "flood mode ends", || !flooded());
    let before = limited(&guarded, "flood_limited");
    for number in 0..20 {
        let client = format!("198.51.100.{}", 100 + number);
        assert_eq!(lab.client(&client).connect(22, PATIENCE), Connect::Open);
    }
    assert_eq!(limited(&guarded, "flood_limited"), before);
}

#[test]
fn who_is_crowded_gets_no_session_unless_it_is_known_good() {
    needs!(ALL[0], ALL[1]);
    let mut programs = Programs::limiting(0, false);
    let syn = |source: &str| packet::from(source.parse().unwrap()).tcp(22).syn().to_bytes();
    let judge = |programs: &mut Programs, source: &str| {
        let (_, counted) = programs.judge(Which::Frags, &syn(source));
        counted.iter().map(|(verdict, ..)| *verdict).collect::<Vec<_>>()
    };
    for (source, key) in [(V4, V4), (V6, "2001:db8:7::")] {
        programs.loaded.sessions.crowd(source_of(key), crowd::OPEN).unwrap();
        programs.loaded.settings.put_to_use(Settings::CROWDED, false).unwrap();
        assert_eq!(judge(&mut programs, source), [Verdict::Passed], "the map is not in use");
        programs.loaded.settings.put_to_use(Settings::CROWDED, true).unwrap();
        assert_eq!(judge(&mut programs, source), [Verdict::SessionLimited]);
        assert_eq!(judge(&mut programs, OTHER_V4), [Verdict::Passed]);
        programs.know_until(key, NEVER, false);
        assert_eq!(judge(&mut programs, source), [Verdict::Passed]);
        programs.know_until(key, NEVER, true);
        assert_eq!(judge(&mut programs, source), [Verdict::SessionLimited], "many stand behind it");
        programs.loaded.sessions.crowd(source_of(key), 0).unwrap();
        assert_eq!(judge(&mut programs, source), [Verdict::Passed]);
    }
}

#[test]
fn in_flood_mode_who_holds_two_is_limited_before_the_budget_is_used_up() {
    needs!(ALL[0], ALL[1]);
    let mut programs = Programs::limiting(0, false);
    programs.loaded.settings.put_to_use(Settings::CROWDED, true).unwrap();
    programs.loaded.settings.limit_flood(Some(10), 9).unwrap();
    programs.loaded.sessions.crowd(source_of(V4), crowd::UNAUTHENTICATED).unwrap();
    let mut limited = |source: &str| {
        let frame = packet::from(source.parse().unwrap()).tcp(22).syn().to_bytes();
        let judged = (0..60).map(|_| programs.judge(Which::Frags, &frame).1[0].0);
        judged.filter(|verdict| *verdict == Verdict::FloodLimited).count()
    };
    // One in four passes.
    assert!((25..60).contains(&limited(V4)));
    assert_eq!(limited(OTHER_V4), 0);
}

#[test]
fn a_surge_of_failures_limits_whoever_has_not_logged_in_and_nobody_else() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "policy.flood = { floor = 10, factor = 2, sessions = 2 }");
    let status = || guarded.daemon.json(&["status"]);
    let known = "198.51.100.1";
    let mut operator = lab.client(known).hold_session("alice", &guarded.sshd.key());
    guarded.wait_for(known, "sessions_authenticated", 1);
    let held = [guarded.greeted("203.0.113.1"), guarded.greeted("203.0.113.2")];
    guarded.wait_for("203.0.113.2", "sessions_open", 1);
    assert_eq!((&status()["flood_mode"], &status()["flood_why"]), (&false.into(), &serde_json::Value::Null));
    let fail = |number: u32| {
        format!("{{\"source\":\"192.0.2.{number}\",\"event\":\"failure\",\"user\":\"root\"}}\n")
    };
    let answer = guarded.daemon.post_events("application/x-ndjson", &(1..=30).map(fail).collect::<String>());
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually(PATIENCE, "flood mode begins", || status()["flood_mode"] == true);
    assert_eq!(status()["flood_why"], "failures");
    assert!(
        guarded
            .daemon
            .cli(&["status"])
            .stdout
            .contains("FLOOD MODE: failures come many times as fast as usual")
    );
    assert!(guarded.daemon.output().contains("'policy.flood' says what is too much"));
    // Three of four are dropped: of twenty at once it is none only once in three hundred times.
    eventually(PATIENCE, "some are limited", || {
        (0..20).for_each(|number| {
            let _refused_or_not =
                lab.client(&format!("198.18.0.{number}")).connect(22, Duration::from_millis(20));
        });
        limited(&guarded, "flood_limited") >= 10
    });
    for _ in 0..20 {
        assert_eq!(lab.client(known).connect(22, SHORT), Connect::Open, "it has logged in");
    }
    assert!(operator.echoes("still", PATIENCE));
    drop(held);
}
