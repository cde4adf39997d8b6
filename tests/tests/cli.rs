//! The command line, as somebody uses it who has never seen it: what it answers, what it refuses and why, and its
//! exit codes.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Answer, Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

fn bans(daemon: &Daemon<'_>) -> Vec<Value> {
    daemon.json(&["bans"])["bans"].as_array().unwrap().clone()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn somebody_without_privileges_is_told_which_ones_it_takes() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("");
    // Everybody may read the configuration and make a socket: it is the privileges that lack.
    std::fs::set_permissions(site.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let answer = site.run_as_nobody(lab.server(), &["run"]);
    assert_eq!(answer.code, 77, "{answer:?}");
    assert!(answer.stderr.contains("hint: run as root, or "), "{answer:?}");
    assert!(!site.pin_path().exists() && !site.socket().exists());

    let answer = site.run_as_nobody(lab.server(), &["check"]);
    assert_eq!(answer.code, 77, "{answer:?}");
    assert!(answer.stdout.contains("error    kernel: cannot load BPF programs: not permitted"), "{answer:?}");

    let daemon = Daemon::start_at(site, lab.server(), &[]);
    for args in [&["status"][..], &["ban", "203.0.113.7"], &["unban", "--all"]] {
        let answer = daemon.site().run_as_nobody(lab.server(), args);
        answer.assert_refused(
            77,
            &["cannot use '", "Permission denied", "hint: run as root, or join the group"],
        );
    }
    std::fs::set_permissions(daemon.config(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let answer = daemon.site().run_as_nobody(lab.server(), &["status"]);
    answer.assert_refused(77, &["cannot read '", "hint: run the command as root"]);
}

#[test]
fn what_must_never_be_banned_is_refused_with_the_reason() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log("allow.sources = ['198.51.100.0/24']"), lab.server(), &[]);
    for (address, why) in [
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("10.77.0.1", "an address of this host"),
        ("fd00:77::1", "an address of this host"),
        ("10.77.0.2", "the default gateway"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
        ("0.0.0.0", "an unspecified address"),
        ("::", "a"),
        ("224.0.0.1", "a multicast address"),
        ("255.255.255.255", "the broadcast address"),
    ] {
        daemon.cli(&["ban", address]).assert_refused(2, &["is never banned: it ", why]);
    }
    let hint = "hint: take it out first: ssh-guard allow --remove 198.51.100.0/24";
    daemon.cli(&["ban", "198.51.100.9"]).assert_refused(2, &["is in the allowlist", hint]);
    // One that may not be banned keeps the others from it: nothing is done by halves.
    daemon.cli(&["ban", "203.0.113.7", "127.0.0.1"]).assert_refused(2, &["is never banned"]);
    assert!(bans(&daemon).is_empty());
}

#[test]
fn a_ban_by_hand_is_listed_whole_and_ends_on_time() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let answer = daemon.cli(&[
        "ban",
        "203.0.113.7",
        "2001:db8:7::7",
        "--for",
        "10s",
        "--reason",
        "too\nnosy\u{1b}[31m",
    ]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    assert!(answer.stdout.contains("banned 2001:db8:7::/64 until "), "{answer:?}");
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut);
    let listed = bans(&daemon);
    let ban = listed.iter().find(|ban| ban["source"] == "203.0.113.7").unwrap();
    let mut expected = vec![
        "source",
        "family",
        "reason",
        "rule",
        "since",
        "until",
        "rung",
        "offences",
        "extended",
        "hits",
        "last_hit",
        "in_kernel",
    ];
    expected.sort_unstable();
    let mut found = keys(ban);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(
        (&ban["family"], &ban["reason"], &ban["rung"]),
        (&"ipv4".into(), &"manual".into(), &Value::Null)
    );
    assert_eq!(ban["in_kernel"], true);
    assert!(ban["until"].as_str().unwrap().ends_with('Z'), "{ban}");
    assert!(ban["hits"].as_u64().unwrap() >= 1 && ban["last_hit"].is_string(), "{ban}");
    let shown = daemon.cli(&["bans"]).stdout;
    assert_eq!(shown.lines().count(), 3, "a reason of two lines takes one: {shown}");
    assert!(!shown.contains('\u{1b}'), "no terminal is commanded: {shown:?}");
    eventually(PATIENCE, "the ban ends", || bans(&daemon).is_empty());
    assert_eq!(lab.client("203.0.113.7").connect(22, PATIENCE), Connect::Open);
    assert_eq!(daemon.cli(&["bans"]).stdout, "nobody is banned\n");
    drop(listener);
}

#[test]
fn bans_are_lifted_one_by_one_and_all_at_once() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let answer = daemon.cli(&["unban", "203.0.113.7"]);
    assert_eq!(answer.stdout, "203.0.113.7/32 was not banned; its score is cleared\n");
    assert_eq!(answer.code, 0);
    let many: Vec<String> = (0..250).map(|last| format!("198.18.0.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(daemon.cli(&[&["ban"], many.as_slice()].concat()).code, 0);
    assert_eq!(bans(&daemon).len(), 250);
    assert_eq!(daemon.cli(&["unban", "198.18.0.9"]).stdout, "unbanned 198.18.0.9/32\n");
    assert_eq!(bans(&daemon).len(), 249);
    assert_eq!(daemon.cli(&["unban", "--all"]).stdout.lines().count(), 249);
    assert!(bans(&daemon).is_empty());
    let answer = daemon.cli(&["unban", "--all"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "nobody was banned\n"));
}

#[test]
fn an_allowed_address_lifts_its_ban_and_passes_inside_a_banned_prefix() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    listener.set_nonblocking(true).unwrap();
    let connect = |address: &str| {
        // Sessions that nobody accepts would fill the queue, and the next one time out for that.
        while listener.accept().is_ok() {}
        lab.client(address).connect(22, SHORT)
    };
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "2001:db8:7::7"]).code, 0);
    let answer = daemon.cli(&["allow", "203.0.113.7"]);
    assert_eq!(answer.code, 0);
    assert!(answer.stdout.contains("unbanned 203.0.113.7/32\n"), "{answer:?}");
    assert_eq!(connect("203.0.113.7"), Connect::Open);

    assert_eq!(connect("2001:db8:7::8"), Connect::TimedOut);
    assert_eq!(daemon.cli(&["allow", "2001:db8:7::8"]).code, 0);
    assert_eq!(connect("2001:db8:7::8"), Connect::Open, "the allowed one gets through");
    assert_eq!(connect("2001:db8:7::9"), Connect::TimedOut, "its neighbour does not");
    assert_eq!(bans(&daemon).len(), 1, "the ban of the prefix stays");

    let answer = daemon.cli(&["allow", "--remove", "2001:db8:7::8"]);
    assert_eq!(answer.stdout, "2001:db8:7::8/128 is no longer allowed\n");
    assert_eq!(connect("2001:db8:7::8"), Connect::TimedOut, "it is like its neighbours again");
    let answer = daemon.cli(&["allow", "--remove", "2001:db8:7::8"]);
    assert_eq!(answer.stdout, "2001:db8:7::8/128 was not in the allowlist\n");
    assert_eq!(daemon.cli(&["allow", "198.18.0.0/24"]).code, 0);
    let answer = daemon.cli(&["allow", "--remove", "198.18.0.7"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("it lies in 198.18.0.0/24"), "{answer:?}");

    assert_eq!(daemon.cli(&["allow", "2001:db8:7::a"]).code, 0);
    let answer = daemon.cli(&["allow", "2001:db8:7::a", "--for", "1s"]);
    assert!(answer.stdout.contains("is already allowed for as long"), "{answer:?}");
    assert_eq!(daemon.cli(&["allow", "2001:db8:7::8", "--for", "5s"]).code, 0);
    assert_eq!(connect("2001:db8:7::8"), Connect::Open);
    eventually(PATIENCE, "its time is over", || connect("2001:db8:7::8") == Connect::TimedOut);
    assert_eq!(connect("2001:db8:7::a"), Connect::Open, "what is allowed for good stays so");
    drop(listener);
}

#[test]
fn sources_and_status_tell_what_was_counted() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    for _ in 0..5 {
        let silent = lab.client("203.0.113.9").open(22, PATIENCE).unwrap();
        drop((silent, listener.accept().unwrap()));
    }
    let speak = |address: &str| {
        let mut client = lab.client(address).open(22, PATIENCE).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"SSH-2.0-y\r\n").unwrap();
        client.read_exact(&mut [0; 11]).unwrap();
        client.write_all(b"SSH-2.0-x\r\n").unwrap();
        server.read_exact(&mut [0; 11]).unwrap();
    };
    for _ in 0..5 {
        speak("203.0.113.7");
    }
    speak("2001:db8:7::7");
    let sources = || daemon.json(&["sources"])["sources"].as_array().unwrap().clone();
    eventually(PATIENCE, "each that was spoken to is counted", || sources().len() >= 2);
    let sources = sources();
    assert_eq!(sources.len(), 2, "{sources:?}");
    assert_eq!((&sources[0]["source"], &sources[0]["sessions_opened"]), (&"203.0.113.7".into(), &5.into()));
    assert!(sources[0]["packets"].as_u64().unwrap() >= 5, "{sources:?}");
    assert!(sources[0]["bytes"].as_u64().unwrap() >= 5 * 54, "{sources:?}");
    assert_eq!((&sources[0]["banned"], &sources[0]["allowed"]), (&false.into(), &false.into()));
    assert_eq!(sources[1]["source"], "2001:db8:7::/64");
    assert_eq!(daemon.json(&["sources", "--top", "1"])["sources"].as_array().unwrap().len(), 1);

    let status = daemon.json(&["status"]);
    for key in ["version", "uptime", "interfaces", "dry_run", "bans", "blocklist", "verdicts", "inputs"] {
        assert!(!status[key].is_null(), "no '{key}' in {status}");
    }
    for key in ["name", "kind", "lines", "understood", "lag_seconds", "error"] {
        assert!(status["inputs"][0].get(key).is_some(), "no '{key}' in {status}");
    }
    for key in ["name", "mode", "attached", "degraded"] {
        assert!(status["interfaces"][0].get(key).is_some(), "no '{key}' in {status}");
    }
    eventually(PATIENCE, "the verdicts are read", || {
        daemon.json(&["status"])["verdicts"]["passed"]["packets"].as_u64() >= Some(12)
    });
    drop(listener);
}

#[test]
fn check_tells_what_works_what_does_not_and_what_to_do() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("allow.sources = ['198.51.100.0/24']");
    let answer = site.run(lab.server(), &["check"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for about in ["configuration", "kernel", "pins", "interface", "input", "allowlist"] {
        assert!(answer.stdout.contains(&format!("ok       {about}: ")), "{answer:?}");
    }
    assert!(answer.stdout.contains("warning  daemon: no daemon answers"), "{answer:?}");
    let left = std::fs::read_dir(site.folder()).unwrap().count();
    assert_eq!((left, site.pin_path().exists()), (2, false), "it only looks");

    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    let answer = daemon.site().run(lab.server(), &["check", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let levels = |answer: &Answer| -> Vec<String> {
        let checks = answer.json()["checks"].as_array().unwrap().clone();
        checks.iter().map(|check| check["level"].as_str().unwrap().to_owned()).collect()
    };
    assert!(levels(&answer).iter().all(|level| level == "ok"), "{answer:?}");
    assert_eq!(daemon.terminate(), 0);
    let answer = daemon.site().run(lab.server(), &["check"]);
    assert!(
        answer.stdout.contains("ok       interface: 'eth0' has the program of an earlier daemon"),
        "{answer:?}"
    );

    daemon.configure("guard.interfaces = ['eht0']\n[[input]]\nkind = 'file'\npath = '/nowhere/auth.log'");
    let answer = daemon.site().run(lab.server(), &["check"]);
    assert_eq!(answer.code, 78, "{answer:?}");
    assert!(answer.stdout.contains("error    interface: no interface 'eht0'\n         hint: did you mean"));
    assert!(answer.stdout.contains("warning  input: '"), "{answer:?}");
    assert!(answer.stdout.contains("warning  allowlist: it is empty\n         hint: "), "{answer:?}");
    assert_eq!(answer.stderr, "ssh-guard: 1 check failed\n");
    let answer = daemon.site().run(lab.server(), &["check", "--json"]);
    assert!(levels(&answer).contains(&"error".to_owned()) && answer.code == 78, "{answer:?}");
}
