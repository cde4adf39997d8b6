//! What would have been decided on old logs, by the program as an operator runs it.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use ssh_guard_tests::daemon::Site;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::skip::Need;

const ALL: [Need; 2] = [Need::Root, Need::Netns];

/// A line of sshd's, so many seconds after three o'clock.
fn line(seconds: u32, said: &str) -> String {
    let (minute, second) = (seconds / 60, seconds % 60);
    format!("2026-11-23T03:{minute:02}:{second:02}+00:00 gate sshd[{}]: {said}\n", 1000 + seconds)
}

fn failed(seconds: u32, from: &str) -> String {
    line(seconds, &format!("Failed password for root from {from} port {} ssh2", 1000 + seconds))
}

fn accepted(seconds: u32, user: &str, from: &str) -> String {
    line(seconds, &format!("Accepted password for {user} from {from} port {} ssh2", 1000 + seconds))
}

fn write(site: &Site, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let file = site.folder().join(name);
    fs::write(&file, content).unwrap();
    file
}

/// What the site's configuration leads to; it is compared with the one in effect, whatever that is here.
fn replayed(site: &Site, logs: &[&Path]) -> Value {
    let logs = logs.iter().map(|log| log.to_str().unwrap());
    let args: Vec<&str> = ["replay", "--json"].into_iter().chain(logs).collect();
    let whole = site.run(&Namespace::new(), &args).json();
    let configs = whole["decisions"]["configs"].as_array().unwrap();
    assert_eq!(configs.len(), 2, "{whole}");
    assert_eq!(configs[0]["config"], "/etc/ssh-guard/config.toml");
    assert_eq!(configs[1]["config"], site.config().to_str().unwrap());
    assert_eq!(configs[0]["attempts"]["total"], configs[1]["attempts"]["total"]);
    configs[1].clone()
}

#[test]
fn logins_that_a_configuration_would_refuse_are_told_before_all_else() {
    needs!(ALL[0], ALL[1]);
    let site = Site::with_log("policy.threshold = 2");
    let mut first = String::new();
    (0..3).for_each(|second| first += &failed(second, "203.0.113.7"));
    first += &accepted(60, "alice", "203.0.113.7");
    first += &accepted(61, "alice", "203.0.113.7");
    first += &accepted(62, "bob", "203.0.113.8");
    let second = failed(120, "203.0.113.7") + &accepted(2 + 600, "alice", "203.0.113.7");
    let older = write(&site, "auth.log.1", first);
    assert!(Command::new("gzip").arg(&older).status().unwrap().success());
    let older = site.folder().join("auth.log.1.gz");
    let current = write(&site, "auth.log", second);

    let by = replayed(&site, &[&current, &older]);
    let refused = json!({
        "logins": 4, "refused": 2, "unlisted": 0,
        "listed": [{
            "source": "203.0.113.7", "user": "alice", "count": 2,
            "since": "2026-11-23T03:01:00Z", "until": "2026-11-23T03:01:01Z",
            "banned": "203.0.113.7/32",
            "banned_since": "2026-11-23T03:00:02Z", "banned_until": "2026-11-23T03:10:02Z",
            "reason": "threshold", "rule": "score above 2 within 10m",
        }],
    });
    assert_eq!(by["refused_logins"], refused);
    let attempts = json!({"total": 4, "let_through": 3, "stopped": 1, "stopped_by_lists": 0});
    assert_eq!(by["attempts"], attempts);
    assert_eq!(by["bans"]["by"], json!([{"reason": "threshold", "rung": 0, "bans": 1}]));
    let seconds = json!({"median": 2, "p90": 2, "max": 2});
    assert_eq!(by["time_to_first_ban"]["seconds"], seconds);

    let files = [current.to_str().unwrap(), older.to_str().unwrap()];
    let text = site.run(&Namespace::new(), &[&["replay"], &files[..]].concat()).stdout;
    let ours =
        format!("refused logins  2 of 4 by {}\n  203.0.113.7 of \"alice\", 2 times", site.config().display());
    assert!(text.starts_with("refused logins  ") && text.contains(&ours), "{text}");
}

#[test]
fn what_is_allowed_or_listed_counts_as_in_the_daemon() {
    needs!(ALL[0], ALL[1]);
    let site = Site::with_log("allow.sources = ['203.0.113.7']\nblock.networks = ['203.0.113.0/24']");
    let mut log = String::new();
    (0..9).for_each(|second| log += &failed(second, "203.0.113.7"));
    log += &accepted(10, "alice", "203.0.113.7");
    log += &accepted(11, "bob", "203.0.113.8");
    let log = write(&site, "auth.log", log);
    let by = replayed(&site, &[&log]);
    assert_eq!((&by["attempts"]["stopped"], &by["bans"]["total"]), (&json!(0), &json!(0)), "{by}");
    assert_eq!(by["refused_logins"]["refused"], 1);
    assert_eq!(by["refused_logins"]["listed"][0]["user"], "bob");
    assert_eq!(by["refused_logins"]["listed"][0]["reason"], "list");
}

#[test]
fn an_hour_that_comes_twice_is_no_burst_and_ends_no_ban() {
    needs!(ALL[0], ALL[1]);
    let site = Site::with_log("");
    let mut log = String::new();
    // A failure every ten minutes; the clock is set back by an hour in between.
    for minute in (0..60).step_by(10) {
        log += &failed(minute * 60, "203.0.113.7");
    }
    for minute in (0..60).step_by(10) {
        log += &failed(minute * 60 + 1, "203.0.113.7");
    }
    // A ban that begins before the clock is set back.
    let mut banned = String::new();
    (0..6).for_each(|second| banned += &failed(3500 + second, "203.0.113.9"));
    banned += &accepted(30, "carol", "203.0.113.9");
    let by = replayed(&site, &[&write(&site, "auth.log", log + &banned)]);
    assert_eq!(by["sources_banned"]["distinct"], 1, "{by}");
    assert_eq!(by["refused_logins"]["listed"][0]["user"], "carol");
}

#[test]
fn logs_of_real_servers_are_judged_and_nobody_is_banned_for_what_a_client_wrote() {
    needs!(ALL[0], ALL[1]);
    let site = Site::with_log("");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut log = Vec::new();
    for name in ["openssh.txt", "openssh-hostile.txt", "dropbear.txt", "proftpd-hostile.txt", "pure-ftpd.txt"]
    {
        let text = fs::read(corpus.join(name)).unwrap();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if !line.starts_with(b"#") && !line.starts_with(b"  ") {
                log.extend_from_slice(line);
            }
        }
    }
    let by = replayed(&site, &[&write(&site, "auth.log", log)]);
    let count = |key: &str| by["attempts"][key].as_u64().unwrap();
    assert_eq!(count("total"), count("let_through") + count("stopped"));
    assert!(count("stopped") > 0, "{by}");
    let banned: Vec<&str> = by["sources_banned"]["top"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["source"].as_str().unwrap())
        .collect();
    assert!(banned.contains(&"203.0.113.7/32"), "{by}");
    assert!(banned.iter().all(|source| !source.starts_with("192.0.2.")), "{by}");
}

#[test]
fn more_sources_than_there_is_room_for_are_judged_all_the_same() {
    needs!(ALL[0], ALL[1]);
    let site =
        Site::with_log("limits.sources = 1024\nlimits.blocklist = 1024\npolicy.networks.enabled = false");
    let mut log = String::new();
    for number in 0..10_000_u32 {
        let (b, c) = (number >> 8, number & 255);
        let time = format!("2026-11-23T03:{:02}:{:02}+00:00", number / 200, number % 200 * 3 / 10);
        writeln!(
            log,
            "{time} gate sshd[{number}]: message repeated 6 times: [ Failed password for u{number} from 10.0.{b}.{c} port 1 ssh2]"
        )
        .unwrap();
    }
    let log = write(&site, "auth.log", log);
    let by = replayed(&site, &[&log]);
    let attempts = json!({"total": 60_000, "let_through": 60_000, "stopped": 0, "stopped_by_lists": 0});
    assert_eq!(by["attempts"], attempts);
    assert_eq!(by["bans"]["by"], json!([{"reason": "threshold", "rung": 0, "bans": 10_000}]));
    // The bans of the last ten minutes are in force, as many as there is room for.
    assert!(by["bans"]["displaced"].as_u64().unwrap() > 8_000, "{by}");
}
