//! A daemon goes on reading where the one before has stopped: nothing is missed, nothing counts twice.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ssh_guard::clock;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
const MALLORY: &str = "203.0.113.7";

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Failed logins by a source, each of an attempt of its own, so long ago.
fn failures(source: &str, numbers: Range<u32>, ago: Duration) -> String {
    let time = clock::wall(clock::now().minus(ago));
    let line = |number| {
        let (pid, port) = (1000 + number, 20_000 + number);
        format!("{time} lab sshd[{pid}]: Failed password for root from {source} port {port} ssh2\n")
    };
    numbers.map(line).collect()
}

fn log_of(daemon: &Daemon<'_>) -> PathBuf {
    daemon.site().folder().join("auth.log")
}

fn banned(daemon: &Daemon<'_>) -> Vec<String> {
    let bans = daemon.json(&["bans"]);
    bans["bans"].as_array().unwrap().iter().map(|ban| ban["source"].as_str().unwrap().to_owned()).collect()
}

fn metric(daemon: &Daemon<'_>, series: &str) -> u64 {
    let metrics = daemon.metrics();
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no '{series}' in {metrics}")).parse().unwrap()
}

fn failures_heard(daemon: &Daemon<'_>) -> u64 {
    metric(daemon, "ssh_guard_auth_events_total{event=\"failure\",kind=\"password\"}")
}

fn bans_begun(daemon: &Daemon<'_>) -> u64 {
    metric(daemon, "ssh_guard_bans_total{reason=\"threshold\"}")
}

fn wait_for_failures(daemon: &Daemon<'_>, count: u64) {
    let mut heard = 0;
    eventually(PATIENCE, "all failures are heard of", || {
        heard = failures_heard(daemon);
        heard >= count
    });
    assert_eq!(heard, count, "{}", daemon.output());
}

#[test]
fn failures_that_were_logged_while_no_daemon_ran_ban_though_the_log_was_rotated() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("gzip"));
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let log = log_of(&daemon);
    append(&log, &failures("198.51.100.1", 0..3, Duration::ZERO));
    wait_for_failures(&daemon, 3);
    assert_eq!(daemon.terminate(), 0);

    append(&log, &failures(MALLORY, 10..12, Duration::from_secs(90)));
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    append(&log, &failures(MALLORY, 12..14, Duration::from_mins(1)));
    fs::rename(log.with_extension("log.1"), log.with_extension("log.2")).unwrap();
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    let packed = Command::new("gzip").arg(log.with_extension("log.2")).status().unwrap();
    assert!(packed.success());
    append(&log, &failures(MALLORY, 14..16, Duration::from_secs(30)));
    daemon.start_again();
    wait_for_failures(&daemon, 6);
    eventually(PATIENCE, "the source is banned", || banned(&daemon) == [MALLORY]);
    assert_eq!(metric(&daemon, "ssh_guard_lines_lost_total{input=\"auth.log\"}"), 0);

    // The next one has nothing to catch up with, and neither counts nor bans again.
    assert_eq!(daemon.terminate(), 0);
    daemon.start_again();
    append(&log, &failures("198.51.100.2", 20..21, Duration::ZERO));
    wait_for_failures(&daemon, 1);
    assert_eq!((banned(&daemon), bans_begun(&daemon)), (vec![MALLORY.to_owned()], 0));
}

#[test]
fn what_was_counted_by_a_daemon_that_ended_is_not_counted_again() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let log = log_of(&daemon);
    append(&log, &failures(MALLORY, 0..5, Duration::ZERO));
    wait_for_failures(&daemon, 5);
    assert_eq!(daemon.terminate(), 0);
    daemon.start_again();
    append(&log, &failures(MALLORY, 5..10, Duration::ZERO));
    wait_for_failures(&daemon, 5);
    assert_eq!(banned(&daemon), [""; 0]);
    append(&log, &failures(MALLORY, 10..11, Duration::ZERO));
    eventually(PATIENCE, "the source is banned", || banned(&daemon) == [MALLORY]);
}

#[test]
fn a_daemon_that_is_killed_misses_nothing_and_bans_nobody_twice() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let log = log_of(&daemon);
    // Now there is a place, and it may or may not be another one when the daemon is killed.
    assert_eq!(daemon.terminate(), 0);
    daemon.start_again();
    append(&log, &failures(MALLORY, 0..6, Duration::ZERO));
    eventually(PATIENCE, "the source is banned", || banned(&daemon) == [MALLORY]);
    daemon.kill9();
    append(&log, &failures("198.51.100.1", 20..26, Duration::ZERO));
    daemon.start_again();
    eventually(PATIENCE, "the other one is banned", || banned(&daemon) == ["198.51.100.1", MALLORY]);
    // Whether the first six were read again or not: they banned once.
    assert_eq!(bans_begun(&daemon), 1, "{}", daemon.output());
    let heard = failures_heard(&daemon);
    assert!(heard == 6 || heard == 12, "{heard}");
}

#[test]
fn failures_of_long_ago_do_not_ban_and_later_ones_ban_until_they_would_have() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let log = log_of(&daemon);
    assert_eq!(daemon.terminate(), 0);
    // A daemon that stopped long ago: what was written since the last look is not older than that look.
    append(&log, "begun anew\n");
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    append(&log, &failures("198.51.100.1", 0..12, Duration::from_mins(11)));
    append(&log, &failures(MALLORY, 20..26, Duration::from_mins(8)));
    daemon.start_again();
    eventually(PATIENCE, "the later one is banned", || banned(&daemon) == [MALLORY]);
    let bans = daemon.json(&["bans"]);
    let until: String = bans["bans"][0]["until"].as_str().unwrap().to_owned();
    let (soon, late) =
        (clock::now().plus(Duration::from_mins(1)), clock::now().plus(Duration::from_secs(125)));
    assert!(until > clock::wall(soon).to_string() && until < clock::wall(late).to_string(), "{until}");
    assert_eq!(metric(&daemon, "ssh_guard_lines_lost_total{input=\"auth.log\"}"), 12);
    append(&log, "now\n");
    eventually(PATIENCE, "it is told", || daemon.output().contains("was passed over"));
}

#[test]
fn a_log_that_a_directory_takes_the_place_of_is_told_and_the_other_input_goes_on() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::new("");
    let [one, other] = ["one.log", "other.log"].map(|name| site.folder().join(name));
    let input = |path: &Path| format!("[[input]]\nkind = 'file'\npath = '{}'\n", path.display());
    site.configure(&format!("{}{}", input(&one), input(&other)));
    append(&one, "");
    append(&other, "");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let error = || daemon.json(&["status"])["inputs"][0]["error"].clone();
    fs::remove_file(&one).unwrap();
    fs::create_dir(&one).unwrap();
    eventually(PATIENCE, "it is told", || {
        error().as_str().is_some_and(|why| why.contains("not a regular file"))
    });
    append(&other, &failures(MALLORY, 0..6, Duration::ZERO));
    eventually(PATIENCE, "the other input bans", || banned(&daemon) == [MALLORY]);
    assert!(daemon.output().contains("hint="), "{}", daemon.output());

    fs::remove_dir(&one).unwrap();
    append(&one, &failures("198.51.100.1", 0..6, Duration::ZERO));
    eventually(PATIENCE, "it is read again", || banned(&daemon) == ["198.51.100.1", MALLORY]);
    eventually(PATIENCE, "nothing is wrong any more", || error().is_null());
}

#[test]
fn a_store_that_is_broken_is_moved_aside_and_one_that_cannot_be_made_is_told() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let (log, store) = (log_of(&daemon), daemon.site().folder().join("state.db"));
    assert_eq!(daemon.terminate(), 0);
    for entry in ["state.db", "state.db-wal"] {
        drop(fs::write(store.with_file_name(entry), [0xa5; 9000]));
    }
    daemon.start_again();
    assert!(daemon.output().contains("was broken"), "{}", daemon.output());
    assert!(store.with_extension("db.broken-1").exists());
    append(&log, &failures(MALLORY, 0..6, Duration::ZERO));
    eventually(PATIENCE, "the source is banned", || banned(&daemon) == [MALLORY]);
    assert_eq!(daemon.terminate(), 0);

    let config = format!(
        "[store]\npath = '{}/state.db'\n[[input]]\nkind = 'file'\npath = '{}'\n",
        log.display(),
        log.display()
    );
    daemon.configure(&config);
    daemon.start_again();
    let output = daemon.output();
    assert!(output.contains("without the store") && output.contains("store.path"), "{output}");
    append(&log, &failures("198.51.100.1", 10..16, Duration::ZERO));
    eventually(PATIENCE, "the other one is banned", || banned(&daemon) == ["198.51.100.1", MALLORY]);
}
