//! A server that serves, and a log that says nothing of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use ssh_guard_tests::daemon::Daemon;
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{Logging, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 4] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd")];

fn append(log: &Path, line: &str) {
    let log = OpenOptions::new().append(true).open(log);
    let written = log.and_then(|mut log| writeln!(log, "Nov 23 03:12:01 gate {line}"));
    written.expect("the log can be written");
}

#[test]
fn sessions_that_no_line_tells_of_are_told_with_the_likely_cause_until_a_line_comes() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    // Not the file that the server's lines go to.
    let log = tempfile::NamedTempFile::new().unwrap();
    let log = log.path();
    let config =
        format!("observe.blind-after = '2s'\n[[input]]\nkind = 'file'\npath = '{}'\n", log.display());
    let daemon = Daemon::start(lab.server(), &config);
    let guarded = Guarded { daemon, sshd, lab: &lab };
    let is_blind = || guarded.daemon.json(&["status"])["sensor_blind"] == true;

    eventually(PATIENCE, "the log is read", || {
        append(log, "cron[77]: (root) CMD (true)");
        guarded.daemon.json(&["status"])["inputs"][0]["lines"].as_u64() > Some(0)
    });
    let held: Vec<_> = (0..4).map(|_| guarded.greeted("203.0.113.7")).collect();
    eventually(PATIENCE, "the sensor is blind", is_blind);
    let said = guarded.daemon.output();
    assert!(said.contains("lines were read since, none by a server that is known"), "{said}");
    assert!(guarded.daemon.metrics().contains("ssh_guard_sensor_blind 1\n"));
    assert!(guarded.daemon.cli(&["status"]).stdout.contains("BLIND: sessions are served"));

    append(log, "sshd[78]: Failed password for root from 198.51.100.9 port 5 ssh2");
    eventually(PATIENCE, "the sensor sees", || !is_blind());
    assert!(guarded.daemon.output().contains("log lines tell of sessions again"));
    drop(held);
}

#[test]
fn a_server_whose_lines_are_understood_does_not_look_blind() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "observe.blind-after = '2s'");
    for number in 0..12 {
        drop(guarded.greeted("203.0.113.7"));
        eventually(PATIENCE, "the line came", || {
            guarded.daemon.json(&["status"])["inputs"][0]["understood"].as_u64() > Some(number)
        });
    }
    assert!(guarded.daemon.metrics().contains("ssh_guard_sensor_blind 0\n"));
    assert!(!guarded.daemon.output().contains("no log line tells"), "{}", guarded.daemon.output());
}
