//! What follows from a login: its source passes a banned network, no limit holds for it unless many stand behind it, and the
//! score of its account is cleared. A line that nobody saw a session of brings nothing of that about.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use ssh_guard_tests::client::{Connect, Login};
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::PASSWORD;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];

/// Less than it takes to send a SYN again.
const SHORT: Duration = Duration::from_millis(300);

fn log_in(guarded: &Guarded<'_>, address: &str) {
    let login = guarded.lab.client(address).login_with_key("alice", &guarded.sshd.key(), "echo in");
    assert_eq!(login, Login::Accepted("in\n".to_owned()));
}

fn count(daemon: &Daemon<'_>, series: &str) -> u64 {
    let metrics = daemon.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("ssh_guard_{series} ")));
    line.unwrap_or_else(|| panic!("no '{series}': {metrics}")).parse().unwrap()
}

#[test]
fn who_has_logged_in_passes_a_banned_network_also_under_the_next_daemon() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let mut guarded = Guarded::start(&lab, "");
    let connect = |address: &str| lab.client(address).connect(22, SHORT);
    for (known, stranger, network) in [
        ("203.0.113.7", "203.0.113.8", "203.0.113.0/24"),
        ("2001:db8:7:1::7", "2001:db8:7:2::7", "2001:db8:7::/48"),
    ] {
        log_in(&guarded, known);
        assert_eq!(guarded.daemon.cli(&["ban", network]).code, 0);
        eventually(PATIENCE, "it passes", || connect(known) == Connect::Open);
        assert_eq!(connect(stranger), Connect::TimedOut);
        // A ban of the source itself is another matter, and no login changes who was banned by hand.
        assert_eq!(guarded.daemon.cli(&["ban", known]).code, 0);
        assert_eq!(connect(known), Connect::TimedOut);
        let _still_covered = guarded.daemon.cli(&["unban", known]);
        assert_eq!(connect(known), Connect::Open);
    }
    guarded.daemon.kill9();
    guarded.daemon.start_again();
    for (address, expected) in [
        ("203.0.113.7", Connect::Open),
        ("2001:db8:7:1::7", Connect::Open),
        ("203.0.113.8", Connect::TimedOut),
        ("2001:db8:7:2::7", Connect::TimedOut),
    ] {
        assert_eq!(connect(address), expected, "{address}");
    }
    assert_eq!(count(&guarded.daemon, "logins_unseen_total"), 0, "{}", guarded.daemon.output());
}

#[test]
fn in_flood_mode_who_has_logged_in_gets_in_and_is_no_part_of_the_flood() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "limits.unauthenticated-sessions = 4");
    let flooded = || guarded.daemon.json(&["status"])["flood_mode"] == true;
    let known = "203.0.113.7";
    log_in(&guarded, known);
    // Once it is known-good, its own sessions are no flood.
    assert_eq!(guarded.daemon.cli(&["ban", "203.0.113.0/24"]).code, 0);
    eventually(PATIENCE, "it is known-good", || lab.client(known).connect(22, SHORT) == Connect::Open);
    let own: Vec<_> = (0..8).map(|_| guarded.greeted(known)).collect();
    guarded.wait_for(known, "sessions_open", 8);
    assert!(!flooded());
    let flood: Vec<_> = (1..=4).map(|number| guarded.greeted(&format!("198.51.100.{number}"))).collect();
    eventually(PATIENCE, "flood mode begins", flooded);
    for _ in 0..20 {
        assert_eq!(lab.client(known).connect(22, SHORT), Connect::Open);
    }
    let strangers = (0..20).filter(|number| {
        lab.client(&format!("198.18.0.{number}")).connect(22, Duration::from_millis(50)) == Connect::Open
    });
    assert!(strangers.count() < 20, "three of four are limited");
    drop((own, flood));
}

/// A line as rsyslog sends it on, written so many hours ago.
fn accepted(user: &str, source: &str, hours: u32) -> String {
    let date =
        Command::new("date").args(["-u", "-d", &format!("-{hours} hours"), "+%FT%TZ"]).output().unwrap();
    let date = String::from_utf8(date.stdout).unwrap();
    format!("<38>1 {} lab sshd 7 - - Accepted password for {user} from {source} port 4242 ssh2", date.trim())
}

#[test]
fn limits_hold_for_a_source_that_many_have_logged_in_from() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let shared =
        "limits.new-sessions-per-minute = 5\npolicy = { window = '2d', shared = { accounts = 2, days = 1 } }";
    let site = Site::new("");
    let socket = site.folder().join("log");
    site.configure(&format!(
        "{shared}\n[[input]]\nkind = 'syslog'\nlisten = 'unix://{}'\n",
        socket.display()
    ));
    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    // Where nothing is attached there is no witness either, and what lines say is taken for true.
    assert_eq!(daemon.cli(&["detach"]).code, 0);
    eventually(PATIENCE, "the witness is off", || {
        daemon.json(&["status"])["interfaces"][0]["witness"] == false
    });
    let sender = UnixDatagram::unbound().unwrap();
    let (office, home) = ("203.0.113.7", "203.0.113.8");
    for (user, source, hours) in [
        ("alice", office, 25),
        ("bob", office, 25),
        ("alice", home, 25),
        ("alice", office, 0),
        ("alice", home, 0),
    ] {
        sender.send_to(accepted(user, source, hours).as_bytes(), &socket).unwrap();
    }
    eventually(PATIENCE, "all are heard", || {
        count(&daemon, "auth_events_total{event=\"success\",kind=\"accepted\"}") == 5
    });
    assert_eq!(daemon.cli(&["ban", "203.0.113.0/24"]).code, 0);
    // Each round of the registrar tells how many sessions there are, and what it took for true before it: two are enough.
    let uptime = || daemon.json(&["status"])["uptime"].as_u64().unwrap();
    let heard = uptime();
    eventually(PATIENCE, "two rounds are over", || uptime() > heard + 3);
    // What is known is in the tables that the next daemon takes over.
    assert_eq!(daemon.terminate(), 0);
    daemon.start_again();
    assert_eq!(lab.client(office).connect(22, SHORT), Connect::Open, "{}", daemon.output());
    let opened = |source: &str| {
        (0..12).filter(|_| lab.client(source).connect(22, Duration::from_millis(50)) == Connect::Open).count()
    };
    assert!(opened(office) < 12, "it is limited as anybody");
    assert_eq!(opened(home), 12);
}

#[test]
fn a_forged_line_brings_nothing_about_and_a_login_does() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let mut guarded = Guarded::start(&lab, "policy.threshold = 20");
    let source = "203.0.113.7";
    let client = lab.client(source);
    for _ in 0..3 {
        assert_eq!(client.fail_password("alice"), Login::Denied);
    }
    let score = |guarded: &Guarded<'_>| guarded.source(source).and_then(|source| source["score"].as_f64());
    eventually(PATIENCE, "three failures count", || score(&guarded) == Some(3.0));
    let failure = guarded.sshd.wait_for_log("Failed password for alice from 203.0.113.7");
    let (head, _) = failure.split_once("Failed").unwrap();
    let mut log = std::fs::OpenOptions::new().append(true).open(guarded.sshd.log_file()).unwrap();
    for port in [1, 2] {
        writeln!(log, "{head}Accepted password for alice from {source} port {port} ssh2").unwrap();
    }
    eventually(PATIENCE, "nobody saw those sessions", || count(&guarded.daemon, "logins_unseen_total") == 2);
    assert_eq!(score(&guarded), Some(3.0));
    let told = guarded.daemon.output().matches("no session of it was seen").count();
    assert_eq!(told, 1, "{}", guarded.daemon.output());
    assert_eq!(guarded.daemon.cli(&["ban", "203.0.113.0/24"]).code, 0);
    assert_eq!(client.connect(22, SHORT), Connect::TimedOut, "it is not known-good");
    assert_eq!(guarded.daemon.cli(&["unban", "203.0.113.0/24"]).code, 0);

    assert_eq!(client.login_with_password("alice", PASSWORD), Login::Accepted("welcome\n".to_owned()));
    eventually(PATIENCE, "the score is cleared", || score(&guarded) == Some(0.0));
    assert_eq!(guarded.daemon.cli(&["ban", "203.0.113.0/24"]).code, 0);
    eventually(PATIENCE, "it is known-good", || client.connect(22, SHORT) == Connect::Open);
    assert_eq!(count(&guarded.daemon, "logins_unseen_total"), 2);
}
