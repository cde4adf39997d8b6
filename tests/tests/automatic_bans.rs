//! What the rules ban beside single sources, what keeps them from it, and which of their bans end later or sooner: with
//! real packets, and failures that an application posts.

use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// Each source is banned for its first failure, and three of a network ban that.
const QUICK: &str = "policy = { bait = ['trap'], networks = { sources = 3 } }";
/// Less than it takes to send a SYN again.
const SHORT: Duration = Duration::from_millis(300);

fn start<'lab>(lab: &'lab Lab, config: &str) -> Daemon<'lab> {
    Daemon::start_at(Site::with_log(config), lab.server(), &[])
}

/// Has each of these fail on an account that nobody has a reason to try.
fn spring<T: std::fmt::Display>(daemon: &Daemon<'_>, sources: impl IntoIterator<Item = T>) {
    let event = |source| format!("{{\"source\":\"{source}\",\"event\":\"failure\",\"user\":\"trap\"}}\n");
    let body: String = sources.into_iter().map(event).collect();
    let answer = daemon.post_events("application/x-ndjson", &body);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn ban_of(daemon: &Daemon<'_>, source: &str) -> Option<Value> {
    let bans = daemon.json(&["bans"]);
    bans["bans"]
        .as_array()
        .unwrap_or_else(|| panic!("no bans: {bans}"))
        .iter()
        .find(|ban| ban["source"] == source)
        .cloned()
}

fn is_banned(daemon: &Daemon<'_>, source: &str) -> bool {
    ban_of(daemon, source).is_some()
}

fn counts(daemon: &Daemon<'_>, series: &str) -> bool {
    daemon.metrics().lines().any(|line| line == format!("ssh_guard_{series}"))
}

fn times(text: &str, of: &str) -> usize {
    text.matches(of).count()
}

#[test]
fn a_network_is_banned_with_the_third_of_its_sources_and_another_one_is_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let daemon = start(&lab, QUICK);
    for (sources, network, inside, outside) in [
        (["203.0.113.1", "203.0.113.2", "203.0.113.3"], "203.0.113.0/24", "203.0.113.200", "198.51.100.1"),
        (
            ["2001:db8:7:1::1", "2001:db8:7:102::1", "2001:db8:7:203::1"],
            "2001:db8:7::/48",
            "2001:db8:7:ffff::1",
            "2001:db8:8::1",
        ),
    ] {
        spring(&daemon, &sources[..2]);
        eventually(PATIENCE, "two are banned", || {
            daemon.banned().iter().any(|banned| banned.starts_with(&network[..9]))
        });
        assert!(!is_banned(&daemon, network));
        assert_eq!(lab.client(inside).connect(22, PATIENCE), Connect::Open);
        spring(&daemon, &sources[2..]);
        eventually(PATIENCE, "the network is banned", || is_banned(&daemon, network));
        assert_eq!(lab.client(inside).connect(22, SHORT), Connect::TimedOut);
        assert_eq!(lab.client(outside).connect(22, PATIENCE), Connect::Open);
        let ban = ban_of(&daemon, network).expect("it is banned");
        assert_eq!(
            (&ban["reason"], &ban["rung"], &ban["offences"]),
            (&"network".into(), &0.into(), &1.into())
        );
        assert!(
            ban["rule"].as_str().is_some_and(|rule| rule.starts_with("3 sources of the network")),
            "{ban}"
        );
    }
    assert!(counts(&daemon, "bans_total{reason=\"network\"} 2"), "{}", daemon.metrics());
    assert!(counts(&daemon, "bans_total{reason=\"bait\"} 6"), "{}", daemon.metrics());
    assert_eq!(daemon.json(&["status"])["bans"]["networks"], 2);
}

#[test]
fn a_network_that_holds_somebody_who_must_get_in_is_not_banned() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let daemon = start(&lab, &format!("{QUICK}\nallow.sources = ['203.0.113.99']"));
    // The lab's gateway is 10.77.0.2, and the server itself 10.77.0.1.
    for (sources, inside, why) in [
        (["203.0.113.1", "203.0.113.2", "203.0.113.3"], "203.0.113.200", "in the allowlist"),
        (["10.77.0.11", "10.77.0.12", "10.77.0.13"], "10.77.0.2", "never banned"),
    ] {
        spring(&daemon, sources);
        eventually(PATIENCE, "the three are banned", || {
            sources.iter().all(|source| is_banned(&daemon, source))
        });
        assert!(!daemon.banned().iter().any(|banned| banned.contains('/')), "{:?}", daemon.banned());
        assert_eq!(lab.client(inside).connect(22, PATIENCE), Connect::Open);
        if why == "in the allowlist" {
            assert!(daemon.output().contains(why), "{}", daemon.output());
        }
    }
    spring(&daemon, (20..90).map(|number| format!("203.0.113.{number}")));
    eventually(PATIENCE, "the last is banned", || is_banned(&daemon, "203.0.113.89"));
    assert_eq!(times(&daemon.output(), "not banned, whatever comes from there"), 1, "{}", daemon.output());
    assert!(counts(&daemon, "bans_total{reason=\"network\"} 0"));
}

#[test]
fn a_network_from_which_nothing_comes_is_free_again_and_its_sources_are_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let daemon = start(&lab, "policy = { bait = ['trap'], networks = { sources = 2, quiet = '4s' } }");
    spring(&daemon, ["203.0.113.1", "203.0.113.2"]);
    let network = "203.0.113.0/24";
    eventually(PATIENCE, "the network is banned", || is_banned(&daemon, network));
    let knock = || lab.client("203.0.113.200").connect(22, SHORT);
    let uptime = || daemon.json(&["status"])["uptime"].as_u64().expect("the daemon tells its age");
    let began = uptime();
    eventually(PATIENCE, "it knocks for longer than that", || {
        assert_eq!(knock(), Connect::TimedOut);
        uptime() > began + 8
    });
    assert!(is_banned(&daemon, network));
    eventually(PATIENCE, "the network's ban ends early", || !is_banned(&daemon, network));
    assert_eq!(knock(), Connect::Open);
    assert_eq!(daemon.banned(), ["203.0.113.1", "203.0.113.2"]);
    assert!(counts(&daemon, "unbans_total{cause=\"quiet\"} 1"), "{}", daemon.metrics());
}

#[test]
fn who_still_knocks_when_a_ban_ends_stays_out_once_as_long_again() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let ladder = "policy = { bait = ['trap'], ladder = ['16s', '1h'] }";
    let daemon = start(&lab, ladder);
    let (knocking, quiet) = ("203.0.113.1", "198.51.100.1");
    spring(&daemon, [knocking, quiet]);
    eventually(PATIENCE, "both are banned", || is_banned(&daemon, knocking) && is_banned(&daemon, quiet));
    let until = |source: &str| ban_of(&daemon, source).map(|ban| ban["until"].clone());
    let first = until(knocking);
    let knock = || lab.client(knocking).connect(22, SHORT);
    eventually(2 * PATIENCE, "the quiet one is free", || {
        assert_eq!(knock(), Connect::TimedOut, "no gap opens");
        !is_banned(&daemon, quiet)
    });
    let ban = ban_of(&daemon, knocking).expect("it is banned still");
    assert_eq!((&ban["extended"], &ban["offences"]), (&true.into(), &1.into()), "{ban}");
    assert_ne!(until(knocking), first);
    assert!(daemon.cli(&["bans"]).stdout.contains("; extended"));
    eventually(2 * PATIENCE, "it is free although it knocks", || knock() == Connect::Open);
    eventually(PATIENCE, "nobody is banned", || daemon.banned().is_empty());
    assert!(counts(&daemon, "bans_extended_total 1"), "{}", daemon.metrics());
}

#[test]
fn what_goes_beyond_the_blast_radius_waits_and_an_operator_does_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let _listening = lab.listen();
    let daemon = start(&lab, "policy = { bait = ['trap'], blast = { bans-per-minute = 3 } }");
    spring(&daemon, (1..=9).map(|number| format!("203.0.113.{number}")));
    eventually(PATIENCE, "it is told", || daemon.output().contains("policy.blast.bans-per-minute"));
    eventually(PATIENCE, "six wait", || counts(&daemon, "bans_withheld_total{limit=\"rate\"} 6"));
    assert_eq!(daemon.banned(), ["203.0.113.1", "203.0.113.2", "203.0.113.3"]);
    assert_eq!(lab.client("203.0.113.4").connect(22, PATIENCE), Connect::Open);
    assert_eq!(times(&daemon.output(), "it waits"), 1, "{}", daemon.output());
    let answer = daemon.cli(&["ban", "203.0.113.4"]);
    assert_eq!(answer.code, 0, "{answer:?}");

    let daemon = {
        drop(daemon);
        start(&lab, "policy = { bait = ['trap'], blast = { ipv4-share = 0.0 } }")
    };
    spring(&daemon, ["203.0.113.1"]);
    eventually(PATIENCE, "it waits", || counts(&daemon, "bans_withheld_total{limit=\"ipv4\"} 1"));
    assert!(daemon.output().contains("policy.blast.ipv4-share"), "{}", daemon.output());
    assert!(daemon.banned().is_empty());
}
