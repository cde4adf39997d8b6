//! Limits of new sessions: what the programs do with single frames, and what clients see of it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and watches the time"
)]

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::{Lab, server_address};
use ssh_guard_tests::needs;
use ssh_guard_tests::packet::{self, Packet};
use ssh_guard_tests::programs::{Action, Programs, Which, source_of};
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

use Action::{Drop, Pass};
use Verdict::{Allowed, Blocked, FloodLimited, Passed, RateLimited};

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";
const OTHER_V4: &str = "203.0.113.8";
const OTHER_V6: &str = "2001:db8:8::7";

fn from(source: &str) -> Packet {
    packet::from(source.parse().expect("it is an address")).tcp(22)
}

fn syn(source: &str) -> Packet {
    from(source).syn()
}

/// What belongs to a session that is there.
fn going(source: &str) -> [Packet; 4] {
    [from(source).ack(), from(source).ack().payload(b"hello"), from(source).fin().ack(), from(source).rst()]
}

/// Runs a program on a packet: what it did, and the one verdict that it counted.
#[track_caller]
fn judge(programs: &mut Programs, which: Which, packet: &Packet) -> (Action, Verdict) {
    let (action, counted) = programs.judge(which, &packet.to_bytes());
    let [(verdict, 1, _)] = counted[..] else { panic!("one verdict is counted, not {counted:?}") };
    (action, verdict)
}

#[track_caller]
fn check(programs: &mut Programs, packet: &Packet, expected: (Action, Verdict)) {
    for which in Which::ALL {
        assert_eq!(judge(programs, which, packet), expected, "{which:?}, {packet:?}");
    }
}

/// How many of so many SYNs at once pass.
#[track_caller]
fn passing(programs: &mut Programs, source: &str, syns: usize) -> usize {
    let mut passed = 0;
    for which in Which::ALL.into_iter().cycle().take(syns) {
        match judge(programs, which, &syn(source)) {
            (Pass, Passed) => passed += 1,
            judged => assert_eq!(judged, (Drop, RateLimited), "{source}"),
        }
    }
    passed
}

#[test]
fn a_source_may_ask_for_a_minutes_sessions_at_once_and_for_no_more() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(5, false);
    for source in [V4, V6] {
        assert_eq!(passing(&mut programs, source, 20), 5, "{source}");
        check(&mut programs, &syn(source).flags(0xc2), (Drop, RateLimited));
        for packet in going(source) {
            check(&mut programs, &packet, (Pass, Passed));
        }
    }
    check(&mut programs, &syn("2001:db8:7::ffff"), (Drop, RateLimited));
    for other in [OTHER_V4, OTHER_V6] {
        assert_eq!(passing(&mut programs, other, 20), 5, "{other} has a budget of its own");
    }
}

#[test]
fn a_budget_fills_again_with_time() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(60, false);
    let frame = syn(V4).to_bytes();
    let begun = Instant::now();
    let passed = passing(&mut programs, V4, 200);
    let most = 60 + usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    assert!((60..=most).contains(&passed), "{passed}, at most {most}");
    eventually(PATIENCE, "a second passes", || programs.run(Which::Frags, &frame) == Pass);
}

#[test]
fn no_limit_is_no_limit() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(0, false);
    assert_eq!(programs.flood(Which::Frags, &syn(V4).to_bytes(), 100_000), Pass);
    assert_eq!(judge(&mut programs, Which::Plain, &syn(V4)), (Pass, Passed));
}

#[test]
fn what_may_be_a_syn_counts_as_one_and_a_later_fragment_does_not() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(6, false);
    for _ in 0..10 {
        check(&mut programs, &syn(V4).fragment(1480, false), (Pass, Passed));
        check(&mut programs, &syn(V6).fragment(1480, false), (Pass, Passed));
    }
    // Each as often as there are programs. The flags cannot be read, of one for its length, of the other for what
    // stands before them.
    let cut = syn(V4).fragment(0, true).truncated(14 + 20 + 8);
    let long = (0..7).fold(syn(V6), |packet, _| packet.destination_options());
    for packet in [cut, long] {
        check(&mut programs, &packet, (Pass, Passed));
        check(&mut programs, &packet, (Pass, Passed));
        check(&mut programs, &packet, (Drop, RateLimited));
    }
    for source in [V4, V6] {
        check(&mut programs, &syn(source), (Drop, RateLimited));
        check(&mut programs, &syn(source).fragment(1480, false), (Pass, Passed));
    }
}

#[test]
fn a_known_good_source_is_not_limited_unless_many_stand_behind_it() {
    needs!(Need::Root, Need::Bpf);
    for source in [V4, V6] {
        let known = if source == V6 { "2001:db8:7::" } else { V4 };
        let mut programs = Programs::limiting(2, false);
        assert_eq!(passing(&mut programs, source, 4), 2);
        programs.know_until(known, NEVER, false);
        check(&mut programs, &syn(source), (Pass, Passed));
        programs.know_until(known, NEVER, true);
        check(&mut programs, &syn(source), (Drop, RateLimited));
        // A test may well begin in the first tick, which is over at once.
        programs.know_until(known, 0, false);
        check(&mut programs, &syn(source), (Drop, RateLimited));
        programs.know_until(known, 1_000_000, false);
        check(&mut programs, &syn(source), (Pass, Passed));
        assert_eq!(programs.loaded.known_good.until_of(source_of(known)).unwrap(), Some(1_000_000));
        programs.loaded.known_good.forget(source_of(known)).unwrap();
        check(&mut programs, &syn(source), (Drop, RateLimited));
        assert_eq!(programs.loaded.known_good.until_of(source_of(known)).unwrap(), None);
    }
}

#[test]
fn each_known_good_source_is_found_however_full_the_tables_are() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(1, false);
    // More than the tables have slots for: some stand beside them.
    let known: Vec<String> = (0..250)
        .flat_map(|number| [format!("198.51.100.{number}"), format!("2001:db8:{number:x}::")])
        .collect();
    for (until, source) in (1_000_000..).zip(&known) {
        programs.know_until(source, until, false);
    }
    for (until, source) in (1_000_000..).zip(&known) {
        assert_eq!(programs.loaded.known_good.until_of(source_of(source)).unwrap(), Some(until));
        check(&mut programs, &syn(source), (Pass, Passed));
    }
    for source in &known {
        programs.loaded.known_good.forget(source_of(source)).unwrap();
        check(&mut programs, &syn(source), (Drop, RateLimited));
    }
}

#[test]
fn blocks_and_the_allowlist_come_before_limits() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(2, false);
    programs.loaded.settings.limit_flood(Some(0), 1).unwrap();
    programs.allow_until(V4, NEVER);
    for _ in 0..20 {
        check(&mut programs, &syn(V4), (Pass, Allowed));
    }
    programs.block(OTHER_V4);
    programs.know_until(OTHER_V4, NEVER, false);
    for _ in 0..20 {
        check(&mut programs, &syn(OTHER_V4), (Drop, Blocked));
    }
    programs.loaded.blocklist.unblock(source_of(OTHER_V4)).unwrap();
    programs.loaded.known_good.forget(source_of(OTHER_V4)).unwrap();
    programs.loaded.settings.limit_flood(None, 0).unwrap();
    assert_eq!(passing(&mut programs, OTHER_V4, 4), 2, "a blocked source has drawn on no budget");
}

#[test]
fn nothing_is_limited_once_the_lease_has_ended() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(1, false);
    assert_eq!(passing(&mut programs, V4, 4), 1);
    let now = programs.loaded.clock.ticks_of(ssh_guard::clock::now());
    programs.loaded.settings.renew(now + 2).unwrap();
    check(&mut programs, &syn(V4), (Drop, RateLimited));
    let frame = syn(V4).to_bytes();
    eventually(PATIENCE, "the lease ends", || programs.run(Which::Frags, &frame) == Pass);
    programs.loaded.settings.limit_flood(Some(0), 1).unwrap();
    for _ in 0..20 {
        check(&mut programs, &syn(V4), (Pass, Passed));
    }
    programs.loaded.settings.renew(NEVER).unwrap();
    check(&mut programs, &syn(V4), (Drop, RateLimited));
}

#[test]
fn a_flood_from_many_sources_limits_nobody_else_and_frees_nobody() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(3, false);
    assert_eq!(passing(&mut programs, V4, 5), 3);
    // Ten times as many as there are entries.
    for number in 0..20_000_u32 {
        let source = std::net::Ipv4Addr::from((198 << 24 | 18 << 16) + number).to_string();
        let frame = syn(&source).to_bytes();
        assert_eq!(programs.run(Which::Frags, &frame), Pass, "{source}");
    }
    check(&mut programs, &syn(V4), (Drop, RateLimited));
    let sources = programs.loaded.sampler.sources().unwrap();
    let asked: Vec<_> = sources.iter().map(|(source, record)| (*source, record.half_open)).collect();
    assert_eq!(
        asked,
        [(source_of(V4), 6)],
        "of eight SYNs those on more than half of a budget, and nobody else's"
    );
    check(&mut programs, &syn(OTHER_V4), (Pass, Passed));
}

/// Judges a SYN of each of so many sources that have never been seen: how many are limited.
fn flood_limited(programs: &mut Programs, sources: u32) -> u32 {
    let limited = (0..sources).filter(|number| {
        let source = std::net::Ipv4Addr::from((198 << 24 | 18 << 16) + number).to_string();
        match judge(programs, Which::ALL[*number as usize % Which::ALL.len()], &syn(&source)) {
            (Pass, Passed) => false,
            judged => {
                assert_eq!(judged, (Drop, FloodLimited));
                true
            }
        }
    });
    u32::try_from(limited.count()).unwrap()
}

#[test]
fn in_flood_mode_one_in_four_passes_once_the_budget_is_used_up() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(0, false);
    assert_eq!(flood_limited(&mut programs, 200), 0);
    programs.loaded.settings.limit_flood(Some(10), 9).unwrap();
    assert_eq!(flood_limited(&mut programs, 200), 0, "one more may come");
    programs.loaded.settings.limit_flood(Some(10), 10).unwrap();
    // A standard deviation is 27.
    let limited = flood_limited(&mut programs, 4000);
    assert!((3000 - 160..3000 + 160).contains(&limited), "{limited} of 4000");
    programs.loaded.settings.limit_flood(Some(10), 9).unwrap();
    assert_eq!(flood_limited(&mut programs, 200), 0, "one has gone");
    programs.loaded.settings.limit_flood(Some(0), 0).unwrap();
    assert!(flood_limited(&mut programs, 200) > 0, "no budget is used up from the start");
    programs.loaded.settings.limit_flood(Some(u32::MAX), u32::MAX).unwrap();
    assert!(flood_limited(&mut programs, 200) > 0, "the highest budget is one, too");
    programs.loaded.settings.limit_flood(None, u32::MAX).unwrap();
    assert_eq!(flood_limited(&mut programs, 200), 0, "flood mode is over");
}

#[test]
fn flood_mode_is_for_new_sessions_of_sources_that_are_not_known_good() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(0, false);
    programs.loaded.settings.limit_flood(Some(0), 1).unwrap();
    programs.know_until(V4, NEVER, false);
    programs.know_until(OTHER_V4, NEVER, true);
    programs.allow_until("198.51.100.1", NEVER);
    let mut limited = 0;
    for _ in 0..50 {
        check(&mut programs, &syn(V4), (Pass, Passed));
        check(&mut programs, &syn("198.51.100.1"), (Pass, Allowed));
        check(&mut programs, &syn(V6).fragment(1480, false), (Pass, Passed));
        for packet in going(V6) {
            check(&mut programs, &packet, (Pass, Passed));
        }
        limited += u32::from(judge(&mut programs, Which::Frags, &syn(OTHER_V4)) == (Drop, FloodLimited));
    }
    // One in four of fifty passes, give or take three.
    assert!((20..50).contains(&limited), "{limited} of 50 of a shared source");
}

#[test]
fn a_dry_run_counts_what_would_be_limited_and_lets_it_pass() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::limiting(3, true);
    check(&mut programs, &syn(V4), (Pass, Passed));
    check(&mut programs, &syn(V4), (Pass, RateLimited));
    programs.loaded.settings.limit_flood(Some(0), 1).unwrap();
    let judged: Vec<_> = (0..50)
        .map(|number| judge(&mut programs, Which::Plain, &syn(&format!("198.51.100.{number}"))))
        .collect();
    assert!(judged.iter().all(|(action, _)| *action == Pass));
    assert!(judged.iter().any(|(_, verdict)| *verdict == FloodLimited), "{judged:?}");
}

/// How many packets got this verdict, as the daemon tells.
fn told(daemon: &Daemon, verdict: &str) -> u64 {
    daemon.json(&["status"])["verdicts"][verdict]["packets"].as_u64().expect("every verdict is told")
}

#[test]
fn a_burst_of_sessions_is_limited_and_those_that_are_there_go_on() {
    needs!(Need::Root, Need::Bpf, Need::Netns);
    let lab = Lab::new();
    let listener = lab.server().within(listening);
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let mut held = lab.client(V4).open(22, PATIENCE).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    for _ in 0..12 {
        assert_eq!(lab.client(OTHER_V4).connect(22, PATIENCE), Connect::Open, "twelve at once are nothing");
    }

    let begun = Instant::now();
    let burst: Vec<Socket> = lab.client_namespace(0).within(|| (0..200).map(|_| connecting(V4)).collect());
    let open = || burst.iter().filter(|socket| socket.peer_addr().is_ok()).count();
    eventually(PATIENCE, "the budget is used up", || open() >= 119);
    let open = open();
    // One was drawn before, and two come back in a second.
    let most = 119 + 2 * usize::try_from(begun.elapsed().as_secs() + 1).unwrap();
    assert!(open <= most, "{open} are open of 200, and at most {most} should be");

    served.write_all(b"still there").unwrap();
    let mut heard = [0; 11];
    held.read_exact(&mut heard).unwrap();
    held.write_all(b"yes").unwrap();
    served.read_exact(&mut heard[..3]).unwrap();
    assert_eq!(&heard, b"yesll there");
    assert_eq!(lab.client(OTHER_V4).connect(22, PATIENCE), Connect::Open, "another source does not notice");
    eventually(PATIENCE, "it is told", || told(&daemon, "rate_limited") >= 50);
    assert_eq!(told(&daemon, "flood_limited"), 0);
    let metrics = daemon.metrics();
    for verdict in ["rate_limited", "flood_limited"] {
        assert!(metrics.contains(&format!("ssh_guard_packets_total{{verdict=\"{verdict}\"}} ")), "{metrics}");
    }
}

/// A listener with room for all who come and are not yet served; the standard library's has less than a burst that passes.
fn listening() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"0.0.0.0:22".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1024).unwrap();
    socket
}

/// A connection that is being opened.
fn connecting(address: &str) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
    socket.bind(&SocketAddr::new(address.parse().unwrap(), 0).into()).unwrap();
    let begun = socket.connect(&SocketAddr::new(server_address(0, true), 22).into());
    assert!(begun.is_err(), "it takes a moment");
    socket
}

#[test]
fn limits_end_with_the_daemon() {
    needs!(Need::Root, Need::Bpf, Need::Netns);
    let lab = Lab::new();
    let listener = lab.listen();
    let config = "limits.new-sessions-per-minute = 1";
    let mut daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    let connect = || lab.client(V6).connect(22, Duration::from_millis(300));
    eventually(PATIENCE, "the limit is in force", || connect() == Connect::TimedOut);
    daemon.kill9();
    let killed = Instant::now();
    eventually(PATIENCE, "the lease ends", || connect() == Connect::Open);
    assert!(killed.elapsed() < Duration::from_secs(20), "a minute would fill the budget again");
    drop(listener);
}
