use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::in_order::read_in_order;
use super::super::logs::Logs;
use super::super::{Decided, Summary};
use super::*;
use crate::allowlist::Allowlist;
use crate::ledger::Capacity;
use crate::lists::parse::Listed;
use crate::lists::{Entries, List, ListName, Lists};
use crate::parse::Parser;
use crate::policy::Rules;
use crate::policy::bannable::Protected;

/// Mallory fails six times within a minute, each told by two lines, and logs in after five.
const LOG: &str = "\
2026-11-23T03:00:00+00:00 host sshd[1]: Invalid user mallory from 203.0.113.7 port 1
2026-11-23T03:00:00+00:00 host sshd[1]: Failed password for invalid user mallory from 203.0.113.7 port 1 ssh2
2026-11-23T03:00:10+00:00 host sshd[2]: Invalid user mallory from 203.0.113.7 port 2
2026-11-23T03:00:10+00:00 host sshd[2]: Failed password for invalid user mallory from 203.0.113.7 port 2 ssh2
2026-11-23T03:00:20+00:00 host sshd[3]: message repeated 4 times: [ Failed password for root from 203.0.113.7 port 3 ssh2]
2026-11-23T03:00:30+00:00 host sshd[4]: Failed password for root from 203.0.113.7 port 4 ssh2
2026-11-23T03:05:00+00:00 host sshd[5]: Accepted password for alice from 203.0.113.7 port 5 ssh2
2026-11-23T03:06:00+00:00 host sshd[6]: Accepted publickey for alice from 203.0.113.7 port 6 ssh2: ED25519 SHA256:x
2026-11-23T03:06:00+00:00 host sshd[7]: Accepted password for bob from 203.0.113.8 port 7 ssh2
2026-11-23T03:10:20+00:00 host sshd[8]: Failed password for root from 203.0.113.7 port 8 ssh2
";

fn rehearsal(rules: Rules, allowed: &[&str], listed: &[&str]) -> Rehearsal {
    let mut allowlist = Allowlist::new();
    for network in allowed {
        allowlist.add(network.parse::<IpNet>().unwrap().into(), None);
    }
    let mask = rules.mask;
    let mut lists = Lists::new(mask);
    let mut found = Listed::default();
    for network in listed {
        found.networks.push(network.parse::<IpNet>().unwrap().into());
    }
    lists.add(List {
        name: ListName::Configured("block.networks".into()),
        entries: Arc::new(Entries::new(found, mask)),
        since: Moment::EARLIEST,
        until: Moment::NEVER,
        note: None,
    });
    let capacity = Capacity { sources: 1024, networks: 1024 };
    Rehearsal::new(rules, capacity, allowlist, Protected::default()).with_lists(lists)
}

fn decided_by(configs: Vec<(String, Rehearsal)>, logs: &[&str]) -> Decided {
    decided_of(configs, logs, false)
}

fn decided_of(configs: Vec<(String, Rehearsal)>, logs: &[&str], bare: bool) -> Decided {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<PathBuf> =
        (0..logs.len()).map(|log| folder.path().join(format!("log-of-{log}"))).collect();
    for (file, log) in files.iter().zip(logs) {
        std::fs::write(file, log).unwrap();
    }
    let logs = Logs {
        files,
        parser: Parser::Auto,
        bare,
        zone: TimeZone::UTC,
        now: || "2026-11-23T12:00:00Z".parse().unwrap(),
        line_bytes: 400,
        verb: "replay",
    };
    let mut summary = Summary::new(Rules::default().mask);
    let mut rehearsals = Rehearsals::new(configs);
    read_in_order(&logs, &mut summary, &mut rehearsals).unwrap();
    let report = summary.report();
    assert_eq!(report.files.iter().map(|file| file.lines).sum::<u64>(), report.lines);
    assert_eq!(report.files.iter().map(|file| file.bytes).sum::<u64>(), report.bytes);
    rehearsals.decided()
}

fn decided(logs: &[&str]) -> ByConfig {
    let configs = vec![("config.toml".to_owned(), rehearsal(Rules::default(), &[], &[]))];
    decided_by(configs, logs).configs.pop().unwrap()
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[test]
fn a_login_while_its_source_is_banned_is_refused_and_told_with_the_ban() {
    let refused = decided(&[LOG]).refused_logins;
    assert_eq!((refused.logins, refused.refused, refused.unlisted, refused.listed.len()), (3, 2, 0, 1));
    let login = &refused.listed[0];
    assert_eq!(
        (login.source.to_string().as_str(), login.user.as_str(), login.count),
        ("203.0.113.7", "alice", 2)
    );
    assert_eq!((login.since, login.until), (time("2026-11-23T03:05:00Z"), time("2026-11-23T03:06:00Z")));
    assert_eq!((login.banned.as_str(), login.reason), ("203.0.113.7/32", Reason::Threshold));
    assert_eq!(login.banned_since, time("2026-11-23T03:00:20Z"));
    assert_eq!(login.banned_until, time("2026-11-23T03:10:20Z"));
}

#[test]
fn an_attempt_counts_once_and_is_stopped_while_its_source_is_banned() {
    let by = decided(&[LOG]);
    let expected = AttemptCounts { total: 8, let_through: 7, stopped: 1, stopped_by_lists: 0 };
    assert_eq!(by.attempts, expected);
    assert_eq!((by.bans.total, by.sources_banned.distinct, by.networks_banned.distinct), (1, 1, 0));
    let time = by.time_to_first_ban.unwrap();
    assert_eq!((time.seconds.median, time.attempts.max), (20, 6));
    assert_eq!(by.sources_banned.top[0].stopped, 1);
}

#[test]
fn several_logs_are_judged_in_the_order_of_time() {
    let line = |time: &str, said: &str| format!("2026-11-23T{time}+00:00 host sshd[1]: {said}\n");
    let failed =
        |time, port| line(time, &format!("Failed password for root from 203.0.113.7 port {port} ssh2"));
    let accepted = line("03:05:00", "Accepted password for alice from 203.0.113.7 port 99 ssh2");
    let first = [failed("03:00:00", 1), failed("03:00:02", 2), failed("03:00:04", 3), accepted].concat();
    let second = [failed("03:00:01", 4), failed("03:00:03", 5), failed("03:00:05", 6)].concat();
    let by = decided(&[&first, &second]);
    assert_eq!((by.refused_logins.refused, by.bans.total), (1, 1));
    assert_eq!(by, decided(&[&second, &first]));
    assert_eq!(decided(&[&first]).bans.total, 0);
}

#[test]
fn whoever_is_allowed_is_not_refused_and_whoever_is_listed_is() {
    let by = |allowed: &[&str], listed: &[&str]| {
        let rehearsal = rehearsal(Rules::default(), allowed, listed);
        decided_by(vec![(String::new(), rehearsal)], &[LOG]).configs.pop().unwrap()
    };
    let allowed = by(&["203.0.113.0/29"], &[]);
    assert_eq!((allowed.refused_logins.refused, allowed.attempts.stopped, allowed.bans.total), (0, 0, 0));
    let listed = by(&[], &["203.0.113.0/24"]);
    assert_eq!((listed.refused_logins.refused, listed.attempts.stopped_by_lists), (3, 8));
    let login = &listed.refused_logins.listed[0];
    assert_eq!(
        (login.banned.as_str(), login.reason, login.banned_until),
        ("203.0.113.0/24", Reason::List, None)
    );
    assert_eq!(by(&["203.0.113.7/32"], &["203.0.113.7/32"]).refused_logins.refused, 0);
}

#[test]
fn events_without_a_time_happen_at_one_moment_before_all_others() {
    let messages: Vec<_> = LOG.lines().map(|line| line.split_once("]: ").unwrap().1).collect();
    let messages = messages.join("\n");
    let configs = vec![(String::new(), rehearsal(Rules::default(), &[], &[]))];
    let decided = decided_of(configs, &[&messages], true);
    assert_eq!(decided.events_without_time, 10);
    assert!(
        decided.text().contains("\nno time         10 events: no line tells when; "),
        "{}",
        decided.text()
    );
    let by = &decided.configs[0];
    assert_eq!((by.attempts.total, by.attempts.stopped, by.refused_logins.refused), (8, 2, 2));
    let login = &by.refused_logins.listed[0];
    assert_eq!((login.since, login.banned_since, login.banned_until), (None, None, None));
}

#[test]
fn what_one_source_is_refused_is_told_up_to_a_bound_and_counted_beyond() {
    let mut log: String = LOG.split_inclusive('\n').take(6).collect();
    for number in 0..refused::MOST + 5 {
        writeln!(
            log,
            "2026-11-23T03:01:00+00:00 host sshd[9]: Accepted password for user{number} from 203.0.113.7 port 9 ssh2"
        )
        .unwrap();
    }
    let refused = decided(&[&log]).refused_logins;
    assert_eq!((refused.refused, refused.listed.len(), refused.unlisted), (1029, 1024, 5));
}

#[test]
fn a_spray_is_told_by_its_account_and_a_shared_source_by_its_closings() {
    let mut log = String::new();
    for (day, user) in [(20, "alice"), (21, "bob"), (22, "carol")] {
        writeln!(
            log,
            "2026-11-{day}T08:00:00+00:00 host sshd[1]: Accepted password for {user} from 192.0.2.1 port {day} ssh2"
        )
        .unwrap();
    }
    for net in 0..25 {
        writeln!(
            log,
            "2026-11-23T03:00:{net:02}+00:00 host sshd[2]: Invalid user oracle from 198.18.{net}.1 port 1{net}"
        )
        .unwrap();
    }
    for number in 0..8 {
        writeln!(
            log,
            "2026-11-23T04:00:0{number}+00:00 host sshd[3]: Failed password for dave from 192.0.2.1 port 2{number} ssh2"
        )
        .unwrap();
    }
    let by = decided(&[&log]);
    assert_eq!((by.accounts_sprayed.distinct, by.accounts_sprayed.top[0].bans), (1, 6));
    assert_eq!(by.bans.by, [BanCount { reason: Reason::Spray, rung: Some(2), bans: 6 }]);
    assert_eq!((by.sources_shared.distinct, by.sources_shared.top[0].closings), (1, 3));
    assert_eq!(by.refused_logins.refused, 0);
}

#[test]
fn two_configurations_are_told_side_by_side_and_refused_logins_first() {
    let lenient = Rules { threshold: 6.0, ..Rules::default() };
    let configs = vec![
        ("/etc/ssh-guard/config.toml".to_owned(), rehearsal(Rules::default(), &[], &[])),
        ("new.toml".to_owned(), rehearsal(lenient, &["203.0.113.7/32"], &[])),
    ];
    let text = decided_by(configs, &[LOG]).text();
    let expected = "\
refused logins  2 of 3 by /etc/ssh-guard/config.toml
  203.0.113.7 of \"alice\", 2 times from 2026-11-23T03:05:00Z to 2026-11-23T03:06:00Z
    203.0.113.7/32 is banned from 2026-11-23T03:00:20Z to 2026-11-23T03:10:20Z: score above 5 within 10m (threshold)
refused logins  0 of 3 by new.toml
by                   /etc/ssh-guard/config.toml     new.toml
attempts             8                              8
  let through        7                              8
  stopped            1 (12.5 %)                     0 (0.0 %)
refused logins       2 of 3                         0 of 3
sources banned       1                              0
networks banned      0                              0
bans                 1                              0
  threshold, rung 0  1                              0
first ban after      median 20s, 90 % 20s, max 20s  -
  attempts           median 6, 90 % 6, max 6        -
accounts sprayed     0                              0
sources shared       0                              0
flood mode           0s                             0s
";
    assert_eq!(text, expected);
}
