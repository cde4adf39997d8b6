//! `ssh-guard unban` while no daemon runs: bans are lifted in the kernel.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::time::Duration;

use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::site::Answer;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::PATIENCE;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);
const ALONE: &str = "no daemon answers: this was done in the kernel, and the next daemon begins with it\n";

fn unban(daemon: &Daemon<'_>, lab: &Lab, what: &[&str]) -> Answer {
    daemon.site().run(lab.server(), &[&["unban"], what].concat())
}

fn connect(lab: &Lab, source: &str) -> Connect {
    let connected = lab.client(source).connect(22, SHORT);
    if connected == Connect::Open { connected } else { lab.client(source).connect(22, SHORT) }
}

fn banned(daemon: &Daemon<'_>) -> Vec<String> {
    let bans = daemon.json(&["bans"])["bans"].clone();
    bans.as_array().unwrap().iter().map(|ban| ban["source"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_source_is_unbanned_and_stays_so_when_a_daemon_starts() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "203.0.113.8", "2001:db8::7"]).code, 0);
    daemon.kill9();
    let answer = unban(&daemon, &lab, &["203.0.113.7", "2001:db8::7", "192.0.2.9"]);
    let told = "unbanned 203.0.113.7/32\nunbanned 2001:db8::/64\n192.0.2.9/32 was not banned\n";
    assert_eq!((answer.code, answer.stdout), (0, format!("{told}{ALONE}")));
    assert_eq!(connect(&lab, "203.0.113.7"), Connect::Open);
    assert_eq!(connect(&lab, "2001:db8::7"), Connect::Open);
    assert_eq!(connect(&lab, "203.0.113.8"), Connect::TimedOut);
    daemon.start_again();
    assert_eq!(banned(&daemon), ["203.0.113.8"]);
    drop(listener);
}

#[test]
fn networks_are_unbanned_and_one_around_them_holds_and_is_named() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let ban = ["ban", "203.0.113.7", "203.0.113.0/24", "203.0.0.0/16", "198.51.100.0/25", "2001:db8::/32"];
    assert_eq!(daemon.cli(&ban).code, 0);
    daemon.kill9();
    let held = unban(&daemon, &lab, &["203.0.113.7"]);
    held.assert_refused(1, &[
        "unbanned 203.0.113.7/32; 203.0.113.7/32 stays blocked: it lies in 203.0.113.0/24 and in 203.0.0.0/16",
        "hint: lift that: ssh-guard unban 203.0.113.0/24 203.0.0.0/16",
    ]);
    let held = unban(&daemon, &lab, &["203.0.113.0/24"]);
    held.assert_refused(
        1,
        &["unbanned 203.0.113.0/24; 203.0.113.0/24 stays blocked: it lies in 203.0.0.0/16"],
    );
    assert_eq!(connect(&lab, "203.0.113.7"), Connect::TimedOut, "the network around it holds");
    for network in ["203.0.0.0/16", "198.51.100.0/25", "2001:db8::/32"] {
        assert_eq!(unban(&daemon, &lab, &[network]).stdout, format!("unbanned {network}\n{ALONE}"));
    }
    for source in ["203.0.113.7", "198.51.100.7", "2001:db8::7"] {
        assert_eq!(connect(&lab, source), Connect::Open, "{source}");
    }
    daemon.start_again();
    assert_eq!(banned(&daemon), [""; 0]);
    drop(listener);
}

#[test]
fn all_are_unbanned_but_what_the_configuration_lists() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let config = "block.networks = ['198.18.0.0/24', '198.51.100.9/32']";
    let mut daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "192.0.2.0/24", "2001:db8::/48", "10.100.0.0/17"]).code, 0);
    daemon.kill9();
    unban(&daemon, &lab, &["198.51.100.9"])
        .assert_refused(1, &["198.51.100.9/32 stays blocked: the configuration lists it"]);
    let answer = unban(&daemon, &lab, &["--all"]);
    let told = "unbanned 4 sources and networks\n2 that the configuration lists stay blocked\n";
    assert_eq!((answer.code, answer.stdout), (0, format!("{told}{ALONE}")));
    for source in ["203.0.113.7", "192.0.2.7", "2001:db8::7", "10.100.3.4"] {
        assert_eq!(connect(&lab, source), Connect::Open, "{source}");
    }
    for source in ["198.18.0.7", "198.51.100.9"] {
        assert_eq!(connect(&lab, source), Connect::TimedOut, "{source}");
    }
    drop(listener);
}

#[test]
fn a_thousand_bans_are_lifted_also_those_beside_their_tables() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log("limits.blocklist = 1024"), lab.server(), &[]);
    let list = daemon.site().folder().join("list");
    // Full as it is, a table of so few buckets sends some of them to the hash beside it.
    let text: Vec<String> =
        (0..1000).map(|number| format!("198.18.{}.{}\n", number / 250, number % 250)).collect();
    std::fs::write(&list, text.concat()).unwrap();
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    daemon.kill9();
    let answer = unban(&daemon, &lab, &["--all"]);
    assert_eq!(answer.stdout, format!("unbanned 1000 sources and networks\n{ALONE}"));
    daemon.start_again();
    assert_eq!(banned(&daemon), [""; 0]);
}

#[test]
fn a_daemon_that_does_not_answer_is_not_written_past() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    let socket = daemon.site().folder().join("nobody.sock");
    let answer =
        daemon.site().run(lab.server(), &["--socket", socket.to_str().unwrap(), "unban", "203.0.113.7"]);
    answer.assert_refused(
        1,
        &["a daemon that does not answer keeps its pins in '", "hint: end that daemon first"],
    );
    assert_eq!(banned(&daemon), ["203.0.113.7"]);
}

#[test]
fn without_pins_and_for_what_only_a_daemon_knows_there_is_no_daemon() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("");
    for what in [&["unban", "203.0.113.7"][..], &["unban", "--all"], &["ban", "203.0.113.7"]] {
        site.run(lab.server(), what).assert_refused(69, &["no daemon answers on '"]);
    }
    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    daemon.kill9();
    unban(&daemon, &lab, &["--file", "/etc/list"]).assert_refused(69, &["no daemon answers on '"]);
    assert_eq!(lab.client("203.0.113.8").connect(23, PATIENCE), Connect::Refused);
}
