//! The main job, from end to end: a real sshd logs failed logins, the sixth bans their source, and the program drops
//! every further packet of it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and watches the time"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use ssh_guard_tests::client::{Client, Connect, Login};
use ssh_guard_tests::daemon::Daemon;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{Logging, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ATTACKER_V4: &str = "203.0.113.7";
const OTHER_V4: &str = "203.0.113.8";
const ATTACKER_V6: &str = "2001:db8:7::7";
const NEIGHBOUR_V6: &str = "2001:db8:7::8";
const OTHER_V6: &str = "2001:db8:8::7";
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];

fn reading(log: &Path) -> String {
    format!("[[input]]\nkind = \"file\"\npath = \"{}\"\n", log.display())
}

fn fail_six_times(client: &Client<'_>) {
    for _ in 0..5 {
        assert_eq!(client.fail_password("root"), Login::Denied);
    }
    // The sixth may be cut off before its refusal arrives.
    let sixth = client.fail_password("root");
    assert!(!matches!(sixth, Login::Accepted(_)), "{sixth:?}");
}

fn bans(daemon: &Daemon<'_>) -> Vec<Value> {
    daemon.json(&["bans"])["bans"].as_array().unwrap().clone()
}

fn ban_of(daemon: &Daemon<'_>, source: &str) -> Value {
    eventually(PATIENCE, &format!("{source} is banned"), || {
        bans(daemon).iter().any(|ban| ban["source"] == source)
    });
    bans(daemon).into_iter().find(|ban| ban["source"] == source).unwrap()
}

fn dropped(daemon: &Daemon<'_>) -> u64 {
    daemon.json(&["status"])["verdicts"]["blocked"]["packets"].as_u64().unwrap()
}

#[test]
fn the_sixth_failure_bans_its_source_and_nobody_else() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    for (attacker, banned, other) in
        [(ATTACKER_V4, ATTACKER_V4, OTHER_V4), (ATTACKER_V6, "2001:db8:7::/64", OTHER_V6)]
    {
        let lab = Lab::new();
        let sshd = Sshd::start(lab.server(), Logging::File);
        let daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
        let client = lab.client(attacker);
        let mut held = client.hold_session("alice", &sshd.key());
        assert!(held.echoes("before", PATIENCE));
        assert_eq!(dropped(&daemon), 0);

        fail_six_times(&client);
        let ban = ban_of(&daemon, banned);
        assert_eq!(ban["reason"], "threshold", "{ban}");
        assert_eq!(ban["in_kernel"], true, "{ban}");
        assert_eq!((&ban["rung"], &ban["offences"]), (&0.into(), &1.into()), "{ban}");

        assert_eq!(client.connect(22, SHORT), Connect::TimedOut, "a new session is dropped");
        eventually(PATIENCE, "an open session ends", || held.has_ended());
        // A SYN and its first repetition.
        eventually(PATIENCE, "the drops are counted", || dropped(&daemon) >= 2);
        assert!(ban_of(&daemon, banned)["hits"].as_u64().unwrap() >= 2);

        let login = lab.client(other).login_with_key("alice", &sshd.key(), "echo in");
        assert_eq!(login, Login::Accepted("in\n".to_owned()), "another source logs in");
        assert_eq!(client.connect(23, PATIENCE), Connect::Refused, "another port is not guarded");

        let answer = daemon.cli(&["unban", attacker]);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (0, format!("unbanned {}\n", with_prefix(banned)).as_str())
        );
        let login = client.login_with_key("alice", &sshd.key(), "echo in");
        assert_eq!(login, Login::Accepted("in\n".to_owned()));
        assert!(bans(&daemon).is_empty());
    }
}

fn with_prefix(source: &str) -> String {
    if source.contains('/') { source.to_owned() } else { format!("{source}/32") }
}

#[test]
fn an_ipv6_ban_holds_for_the_neighbours_in_its_prefix() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
    for _ in 0..3 {
        assert_eq!(lab.client(ATTACKER_V6).fail_password("root"), Login::Denied);
        let _cut_off_at_last = lab.client(NEIGHBOUR_V6).fail_password("root");
    }
    ban_of(&daemon, "2001:db8:7::/64");
    assert_eq!(lab.client(NEIGHBOUR_V6).connect(22, SHORT), Connect::TimedOut);
    assert_eq!(lab.client(ATTACKER_V6).connect(22, SHORT), Connect::TimedOut);
    assert_eq!(lab.client(OTHER_V6).connect(22, PATIENCE), Connect::Open);
}

#[test]
fn a_neighbour_in_the_hosts_own_prefix_is_banned_like_anybody() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::with_clients(2);
    let sshd = Sshd::start(lab.server(), Logging::File);
    let config = format!("[guard]\ninterfaces = ['eth0', 'eth1']\n{}", reading(sshd.log_file()));
    let daemon = Daemon::start(lab.server(), &config);
    let neighbour = lab.client("fd00:77:1::2");
    fail_six_times(&neighbour);
    ban_of(&daemon, "fd00:77:1::/64");
    assert_eq!(neighbour.connect(22, SHORT), Connect::TimedOut);
    // The host itself is in that prefix too, and may go on talking to itself.
    daemon
        .cli(&["ban", "fd00:77:1::1"])
        .assert_refused(2, &["is never banned: it is an address of this host"]);
}

#[test]
fn failures_are_read_from_a_journal() {
    needs!(
        ALL[0],
        ALL[1],
        ALL[2],
        ALL[3],
        ALL[4],
        Need::Program("systemd-journald"),
        Need::Program("journalctl")
    );
    let lab = Lab::new();
    let mut sshd = Sshd::start(lab.server(), Logging::Journal);
    assert_eq!(lab.client(OTHER_V4).fail_password("root"), Login::Denied);
    sshd.wait_for_log("Failed password for root from 203.0.113.8 ");
    let directory = sshd.journal().directory().display().to_string();
    let daemon =
        Daemon::start(lab.server(), &format!("[[input]]\nkind = \"journal\"\npath = \"{directory}\"\n"));
    fail_six_times(&lab.client(ATTACKER_V4));
    ban_of(&daemon, ATTACKER_V4);
    assert_eq!(lab.client(ATTACKER_V4).connect(22, SHORT), Connect::TimedOut);
    assert_eq!(lab.client(OTHER_V4).connect(22, PATIENCE), Connect::Open);
}

#[test]
fn a_ban_holds_and_ends_on_time_although_the_daemon_was_killed() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let config = format!("{}\n[policy]\nladder = [\"6s\"]\n", reading(sshd.log_file()));
    let mut daemon = Daemon::start(lab.server(), &config);
    let client = lab.client(ATTACKER_V4);
    for _ in 0..5 {
        assert_eq!(client.fail_password("root"), Login::Denied);
    }
    let before = Instant::now();
    let _cut_off = client.fail_password("root");
    ban_of(&daemon, ATTACKER_V4);
    let banned = Instant::now();
    daemon.kill9();
    assert_eq!(client.connect(22, SHORT), Connect::TimedOut, "the block outlives the daemon");
    eventually(PATIENCE, "the ban ends by itself", || {
        client.connect(22, Duration::from_millis(300)) == Connect::Open
    });
    assert!(before.elapsed() >= Duration::from_secs(6), "not before its end: {:?}", before.elapsed());
    // A tick is 2.56 s at 100 Hz; an end is late by less than two.
    assert!(banned.elapsed() < Duration::from_secs(6 + 6), "nor long after: {:?}", banned.elapsed());
}

#[test]
fn in_a_dry_run_everything_is_counted_and_nothing_dropped() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon =
        Daemon::start(lab.server(), &format!("[guard]\ndry-run = true\n{}", reading(sshd.log_file())));
    let client = lab.client(ATTACKER_V4);
    fail_six_times(&client);
    ban_of(&daemon, ATTACKER_V4);
    assert_eq!(client.connect(22, PATIENCE), Connect::Open);
    eventually(PATIENCE, "what would be dropped is counted", || dropped(&daemon) > 0);
    assert_eq!(daemon.json(&["status"])["dry_run"], true);
}

#[test]
fn what_is_heard_and_how_long_a_block_takes_is_counted() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
    fail_six_times(&lab.client(ATTACKER_V4));
    ban_of(&daemon, ATTACKER_V4);
    let metrics = daemon.metrics();
    let count = metrics.lines().find_map(|line| line.strip_prefix("ssh_guard_event_to_block_seconds_count "));
    assert_eq!(count, Some("1"), "{metrics}");
    // What it takes on an idle machine is measured by the benchmarks of the input; a busy one takes longer, not seconds.
    assert!(metrics.contains("ssh_guard_event_to_block_seconds_bucket{le=\"1\"} 1\n"), "{metrics}");
    assert!(metrics.contains("ssh_guard_bans_total{reason=\"threshold\"} 1\n"), "{metrics}");
    assert!(
        metrics.contains("ssh_guard_auth_events_total{event=\"failure\",kind=\"password\"} 6\n"),
        "{metrics}"
    );
}
