//! A daemon takes over what an earlier one has in force.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::fs;
use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet;
use ssh_guard_tests::programs::source_of;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};
use ssh_guard_tests::wire::{Tap, Wire};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
const SHORT: Duration = Duration::from_millis(1500);

/// Configures the daemon as [`Site::with_log`] does; keys with dots.
fn configure(daemon: &Daemon<'_>, keys: &str) {
    let log = daemon.site().folder().join("auth.log");
    daemon.configure(&format!("{keys}\n[[input]]\nkind = 'file'\npath = '{}'\n", log.display()));
}

/// Bans so many addresses by a list, and returns its path.
fn ban_listed(daemon: &Daemon<'_>, count: u32, args: &[&str]) -> String {
    let list = daemon.site().folder().join("list").display().to_string();
    let lines: Vec<String> = (0..count).map(|n| format!("10.9.{}.{}", n / 250, n % 250)).collect();
    fs::write(&list, lines.join("\n")).unwrap();
    assert_eq!(daemon.cli(&[&["ban", "--file", &list], args].concat()).code, 0);
    list
}

/// Kills the daemon, and starts another one with these keys.
fn kill_and_start(daemon: &mut Daemon<'_>, keys: &str) {
    daemon.kill9();
    configure(daemon, keys);
    daemon.start_again();
}

fn bans(daemon: &Daemon<'_>) -> Vec<Value> {
    daemon.json(&["bans"])["bans"].as_array().unwrap().clone()
}

fn banned(daemon: &Daemon<'_>) -> Vec<String> {
    bans(daemon).iter().map(|ban| ban["source"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_packet_of_the_banned_passes_while_a_daemon_is_killed_and_another_of_other_sizes_takes_over() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "198.51.100.0/24", "2001:db8:7::1"]).code, 0);
    let sources = ["203.0.113.7", "198.51.100.9"];
    let frames = sources.map(|source| packet::v4(source).tcp(22).syn().to_bytes());
    let (wire, tap) = (Wire::new(&lab), Tap::new(&lab));
    let sent = wire.send_during(&frames, || {
        for blocklist in [4096, 1_000_000] {
            kill_and_start(&mut daemon, &format!("limits = {{ blocklist = {blocklist}, networks = 1024 }}"));
        }
    });
    assert!(sent > 1000, "{sent} frames were sent");
    let all = sources.map(source_of);
    assert_eq!(tap.count(&all), 0, "packets of the banned came in");
    wire.send(&packet::v4("203.0.113.8").tcp(22).syn().to_bytes());
    eventually(PATIENCE, "what is not banned comes in", || tap.count(&[source_of("203.0.113.8")]) > 0);

    let status = daemon.json(&["status"]);
    assert_eq!(status["blocklist"]["capacity"], 1_000_000);
    let taken: Vec<Value> = bans(&daemon);
    assert_eq!(banned(&daemon), ["198.51.100.0/24", "203.0.113.7", "2001:db8:7::/64"]);
    for ban in &taken {
        assert_eq!(ban["in_kernel"], true, "{ban}");
        assert_eq!((&ban["reason"], &ban["since"]), (&Value::Null, &Value::Null), "{ban}");
    }
    assert!(taken[1]["hits"].as_u64().unwrap() > 100, "what was counted is kept: {}", taken[1]);
    assert_eq!(daemon.cli(&["unban", "203.0.113.7"]).code, 0);
    assert_eq!(lab.client("203.0.113.7").connect(22, PATIENCE), Connect::Open);
    drop(listener);
}

#[test]
fn a_ban_that_was_taken_over_ends_when_it_was_to_end() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "--for", "15s", "203.0.113.7", "198.51.100.0/24"]).code, 0);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(banned(&daemon).len(), 2);
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut);
    eventually(PATIENCE, "the bans end", || bans(&daemon).is_empty());
    for source in ["203.0.113.7", "198.51.100.9"] {
        assert_eq!(lab.client(source).connect(22, PATIENCE), Connect::Open, "{source}");
    }
    drop(listener);
}

#[test]
fn where_there_is_less_room_than_before_the_bans_that_end_first_are_lifted_and_it_is_said() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    ban_listed(&daemon, 1500, &["--for", "1h"]);
    assert_eq!(daemon.cli(&["ban", "--for", "2h", "203.0.113.7"]).code, 0);
    kill_and_start(&mut daemon, "limits.blocklist = 1024");
    let banned = banned(&daemon);
    assert_eq!(banned.len(), 1024);
    assert!(banned.contains(&"203.0.113.7".to_owned()), "it ends last");
    assert!(daemon.output().contains("477 of an earlier daemon's are lifted"), "{}", daemon.output());
}

#[test]
fn where_there_is_less_room_what_was_listed_without_an_end_makes_room_for_bans() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    ban_listed(&daemon, 1500, &[]);
    assert_eq!(daemon.cli(&["ban", "--for", "1h", "203.0.113.7"]).code, 0);
    kill_and_start(&mut daemon, "limits.blocklist = 1024");
    let banned = banned(&daemon);
    assert_eq!((banned.len(), banned.contains(&"203.0.113.7".to_owned())), (1024, true));
}

#[test]
fn what_was_configured_is_in_force_no_longer_than_it_is_configured_and_a_loaded_list_until_it_is_unbanned() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("block.networks = ['203.0.113.7', '198.51.100.0/24']");
    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    let list = daemon.site().folder().join("list");
    fs::write(&list, "203.0.113.9\n192.0.2.0/24\n").unwrap();
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    assert_eq!(bans(&daemon).len(), 4);
    kill_and_start(&mut daemon, "");
    assert_eq!(banned(&daemon), ["192.0.2.0/24", "203.0.113.9"]);
    assert!(bans(&daemon).iter().all(|ban| ban["until"].is_null()), "{:?}", bans(&daemon));
}

#[test]
fn a_list_that_is_loaded_again_takes_the_place_of_what_was_taken_over_of_it() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log("limits.blocklist = 1024"), lab.server(), &[]);
    let list = ban_listed(&daemon, 900, &[]);
    daemon.kill9();
    daemon.start_again();
    assert_eq!(banned(&daemon).len(), 900);
    // There is no room for twice as many.
    let answer = daemon.cli(&["ban", "--file", &list]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(bans(&daemon).iter().all(|ban| ban["reason"] == "list"), "{:?}", bans(&daemon)[0]);
    assert_eq!(banned(&daemon).len(), 900);
    assert_eq!(daemon.cli(&["unban", "--file", &list]).code, 0);
    assert!(bans(&daemon).is_empty());
}

#[test]
fn what_is_allowed_now_is_not_taken_over_and_another_prefix_widens_no_ban() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "203.0.113.8", "2001:db8:7::1"]).code, 0);
    kill_and_start(&mut daemon, "allow.sources = ['203.0.113.8']\nguard.ipv6-prefix = 56");
    assert_eq!(banned(&daemon), ["203.0.113.7", "2001:db8:7::/64"]);
    assert_eq!(daemon.json(&["status"])["bans"]["networks"], 1);
}

#[test]
fn pins_that_no_daemon_of_this_kind_wrote_are_left_as_they_are() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    daemon.kill9();
    let maps = daemon.pin_path().join("v1/maps");
    fs::rename(maps.join("VERDICTS"), maps.join("BLOCKED_V4")).unwrap();
    let answer = daemon.site().run(lab.server(), &["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told = format!("'{}' is not what an earlier daemon", maps.join("BLOCKED_V4").display());
    assert!(answer.stderr.contains(&told) && answer.stderr.contains("hint: what they drop"), "{answer:?}");
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut, "the block stays");
    drop(listener);
}
