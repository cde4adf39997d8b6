use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::parse::Parser;
use crate::replay::logs::{Logs, Unread};

/// Sums up files of this content; those without any are not made.
fn summed_up(logs: &[(&str, Option<&[u8]>)]) -> (Report, Result<(), Unread>, TempDir) {
    summed_up_by(Parser::Auto, logs)
}

fn summed_up_by(parser: Parser, logs: &[(&str, Option<&[u8]>)]) -> (Report, Result<(), Unread>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = Vec::new();
    for (name, content) in logs {
        files.push(folder.path().join(name));
        if let Some(content) = content {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
    }
    let mut summary = Summary::new(SourceMask::new(32, 64));
    let logs = Logs {
        files,
        parser,
        bare: false,
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        now: || "2026-11-23T12:00:00Z".parse().unwrap(),
        line_bytes: 400,
        verb: "replay",
    };
    let read = logs.read(&mut summary);
    (summary.report(), read, folder)
}

fn report(log: &str) -> Report {
    let (report, read, _) = summed_up(&[("log", Some(log.as_bytes()))]);
    read.unwrap();
    report
}

fn report_by(parser: Parser, log: &str) -> Report {
    let (report, read, _) = summed_up_by(parser, &[("log", Some(log.as_bytes()))]);
    read.unwrap();
    report
}

/// The addresses of failures, with how many there were of each.
fn failing(report: &Report) -> Vec<(&str, u64)> {
    report.sources.top.iter().map(|source| (source.source.as_str(), source.failures)).collect()
}

const LOG: &str = "\
2026-11-23T03:12:01.5+00:00 host sshd[1]: Invalid user admin from 203.0.113.7 port 41022
2026-11-23T03:12:01.5+00:00 host sshd[1]: Failed password for invalid user admin from 203.0.113.7 port 41022 ssh2
2026-11-23T05:12:02+01:00 host sshd[2]: message repeated 3 times: [ Failed password for root from 2001:db8::7 port 1 ssh2]
2026-11-23T03:12:03+00:00 host sshd[2]: Failed password for root from 2001:db8::8 port 2 ssh2
2026-11-23T03:12:04+00:00 host sshd[3]: Accepted password for alice from 203.0.113.9 port 3 ssh2
2026-11-23T03:12:05+00:00 host sshd[4]: User bob not allowed because account is locked
2026-11-23T03:12:05+00:00 host sshd[4]: Connection from 203.0.113.9 port 3 on 198.51.100.1 port 22
2026-11-23T03:12:05+00:00 host sshd[5]: Connection from 203.0.113.9 port 4 on 198.51.100.1 port 22
2026-11-23T03:12:06+00:00 host sshd[5]: Server listening on :: port 22.
2026-11-23T03:12:06+00:00 host CRON[6]: (root) CMD (run-parts /etc/cron.hourly)
2026-11-23T03:12:06+00:00 host CRON[7]: (root) CMD (run-parts /etc/cron.hourly)
2026-11-23T03:12:06+00:00 host CRON[8]: (root) CMD (run-parts /etc/cron.daily)
-- Boot 7 --
";

#[test]
fn what_was_understood_is_counted_by_what_it_says_and_whom_it_is_of() {
    let report = report(LOG);
    assert_eq!((report.lines, report.bytes, report.understood), (13, LOG.len() as u64, 6));
    let told: Vec<_> = report
        .events
        .iter()
        .map(|event| (event.event.as_str(), event.kind.as_str(), event.lines, event.count))
        .collect();
    assert_eq!(
        told,
        [
            ("failure", "password", 3, 5),
            ("failure", "invalid-user", 1, 1),
            ("failure", "not-allowed", 1, 1),
            ("success", "accepted", 1, 1),
        ]
    );
    assert_eq!(report.services, [ServiceCount { service: "openssh".to_owned(), lines: 6 }]);
    let sources: Vec<_> = report.sources.top.iter().map(|one| (one.source.as_str(), one.failures)).collect();
    let accounts: Vec<_> = report.accounts.top.iter().map(|one| (one.user.as_str(), one.failures)).collect();
    assert_eq!(sources, [("2001:db8::/64", 4), ("203.0.113.7", 2)]);
    assert_eq!((report.sources.distinct, report.sources.more, report.sources.lines_without), (3, false, 1));
    assert_eq!(accounts, [("root", 4), ("admin", 2), ("bob", 1)]);
}

#[test]
fn the_span_is_told_where_stamps_say_when_they_are_of() {
    let told = report(LOG);
    assert_eq!(told.since.unwrap().to_string(), "2026-11-23T03:12:01.5Z");
    assert_eq!(told.until.unwrap().to_string(), "2026-11-23T04:12:02Z");
    let without = report("no header\n{\"time\":\"2026-11-23T03:12:01Z\"}\n");
    assert_eq!((without.since, without.until), (None, None));
    let journal = "__CURSOR=s\n__REALTIME_TIMESTAMP=1795404836118820\n_UID=0\n_COMM=sshd\nMESSAGE=x\n\n";
    assert_eq!(report(journal).since.unwrap().to_string(), "2026-11-23T03:33:56.11882Z");
}

#[test]
fn what_was_not_understood_is_told_by_its_shapes_those_of_servers_first() {
    let report = report(LOG);
    let none = &report.not_understood;
    assert_eq!((none.servers, none.others, none.no_header), (3, 3, 1));
    let shapes: Vec<_> = none
        .shapes
        .iter()
        .map(|one| (one.process.as_str(), one.shape.as_str(), one.server, one.lines))
        .collect();
    assert_eq!(
        shapes,
        [
            ("sshd", "Connection from <addr> port <n> on <addr> port <n>", true, 2),
            ("sshd", "Server listening on <addr> port <n>.", true, 1),
            ("CRON", "(root) CMD (run-parts <path>)", false, 3),
        ]
    );
    assert_eq!(none.shapes[0].example, "Connection from 203.0.113.9 port 3 on 198.51.100.1 port 22");
}

#[test]
fn a_log_that_cannot_be_read_leaves_the_others_to_be_summed_up() {
    let (report, read, folder) = summed_up(&[
        ("missing", None),
        ("packed", Some(b"\xfd7zXZ\0")),
        ("cut.gz", Some(b"\x1f\x8b\x08\0")),
        ("log", Some(LOG.as_bytes())),
    ]);
    assert_eq!((report.lines, report.understood), (13, 6));
    let errors: Vec<_> = report.files.iter().map(|file| (file.lines, file.error.is_some())).collect();
    assert_eq!(errors, [(0, true), (0, true), (0, true), (13, false)]);
    let Unread::In(fault) = read.unwrap_err() else { panic!("the output is not broken") };
    let told = fault.report().replace(folder.path().to_str().unwrap(), "");
    assert!(told.starts_with("ssh-guard: cannot read '/missing': No such file"), "{told}");
    assert!(told.contains("ssh-guard: cannot read '/packed': it is packed by xz\n"), "{told}");
    assert!(told.contains("ssh-guard: '/cut.gz' is cut short"), "{told}");
}

#[test]
fn more_than_there_is_room_for_is_told_as_more() {
    let mut log = String::new();
    for number in 0..SHAPES * 3 {
        let letter = ('a'..='z').nth(number % 26).unwrap();
        let name = format!("{letter}{}", "x".repeat(number / 26));
        for message in [name.as_str(), "often"] {
            writeln!(log, "Nov 23 03:12:01 h sshd[1]: {message}").unwrap();
        }
    }
    let report = report(&log);
    let first = &report.not_understood.shapes[0];
    assert_eq!(
        (first.shape.as_str(), first.lines, first.at_least),
        ("often", 3 * SHAPES as u64, 3 * SHAPES as u64)
    );
    assert_eq!(first.example, "often");
    for shape in &report.not_understood.shapes {
        assert!(!shape.example.is_empty() && shape.at_least <= shape.lines, "{shape:?}");
    }
}

#[test]
fn nothing_that_a_client_chose_commands_a_terminal() {
    let report = report(
        "Nov 23 03:12:01 h sshd[1]: Failed password for a\u{1b}[31m\u{202e} from 203.0.113.7 port 1 ssh2\n\
         Nov 23 03:12:01 h s\u{1b}d[1]: \u{1b}[31m\u{202e}\n",
    );
    let text = report.text();
    assert!(text.chars().all(|c| c == '\n' || c == '…' || (' '..='~').contains(&c)), "{text:?}");
    assert!(text.contains(r#"1  failures of "a\u{1b}[31m\u{202e}""#), "{text}");
}

#[test]
fn a_person_reads_the_same() {
    let (report, _, folder) = summed_up(&[("log", Some(LOG.as_bytes()))]);
    let text = report.text().replace(folder.path().to_str().unwrap(), "");
    let expected = "\
file            /log: 13 lines, 1.0 KiB
span            2026-11-23T03:12:01.5Z to 2026-11-23T04:12:02Z
lines           13, 1.0 KiB
understood      6 (46.1 %) of openssh
             3  failure password, 5 times
             1  failure invalid-user
             1  failure not-allowed
             1  success accepted
sources         3
             4  failures of 2001:db8::/64
             2  failures of 203.0.113.7
accounts        3 failed
             4  failures of \"root\"
             2  failures of \"admin\"
             1  failures of \"bob\"
not understood  7 (53.8 %)
             3  of servers whose lines are read
             3  of other programs
             1  without a header that is known: see --parser and --bare
most often
             2  sshd: Connection from <addr> port <n> on <addr> port <n>
             1  sshd: Server listening on <addr> port <n>.
             3  CRON: (root) CMD (run-parts <path>)
";
    assert_eq!(text, expected);
}

#[test]
fn a_time_without_year_and_zone_is_the_machine_s_and_has_come() {
    let report = report(
        "Dec 31 23:30:00 h sshd[1]: Server listening on :: port 22.\n\
         no header\n\
         Nov 23 12:59:59 h sshd[1]: Server listening on :: port 22.\n\
         Nov 23 13:00:01 h sshd[1]: Server listening on :: port 22.\n",
    );
    // It is noon in Greenwich, and one o'clock in Berlin.
    assert_eq!(report.since.unwrap().to_string(), "2025-11-23T12:00:01Z");
    assert_eq!(report.until.unwrap().to_string(), "2026-11-23T11:59:59Z");
}

#[test]
fn a_process_number_that_was_used_again_hours_later_lends_its_new_session_nothing() {
    let syslog = |time: &str, message: &str| format!("{time} h sshd[7]: {message}\n");
    let journal = |time: &str, message: &str| {
        let at = time.parse::<Timestamp>().unwrap().as_microsecond();
        format!("__CURSOR=c\n__REALTIME_TIMESTAMP={at}\n_UID=0\n_COMM=sshd\n_PID=7\nMESSAGE={message}\n\n")
    };
    for write in [&syslog as &dyn Fn(&str, &str) -> String, &journal] {
        let log = |then: &str, now: &str| {
            write(then, "Connection from 203.0.113.7 port 41022 on 198.51.100.1 port 22")
                + &write(now, "User bob not allowed because account is locked")
        };
        let of_one_session = report(&log("2026-11-23T03:12:01Z", "2026-11-23T03:12:02Z"));
        assert_eq!(failing(&of_one_session), [("203.0.113.7", 1)]);
        for (then, now) in [
            ("2026-11-23T03:12:01Z", "2026-11-23T09:12:02Z"),
            // A month later, and read the other way round.
            ("2026-10-23T03:12:01Z", "2026-11-23T03:12:02Z"),
            ("2026-11-23T09:12:02Z", "2026-11-23T03:12:01Z"),
        ] {
            let of_two = report(&log(then, now));
            assert_eq!((failing(&of_two), of_two.sources.lines_without), (vec![], 1), "{then}, {now}");
        }
    }
}

#[test]
fn a_log_that_a_server_writes_itself_is_read_by_its_parser_alone() {
    let vsftpd = "Mon Nov 23 04:12:01 2026 [pid 7] [bob] FAIL LOGIN: Client \"::ffff:203.0.113.7\"\n";
    let told = report_by(Parser::Vsftpd, vsftpd);
    assert_eq!(failing(&told), [("203.0.113.7", 1)]);
    assert_eq!(told.since.unwrap().to_string(), "2026-11-23T03:12:01Z");
    let sftpgo = r#"{"level":"debug","time":"2026-11-23T03:12:01.123","sender":"connection_failed","client_ip":"203.0.113.7","username":"bob","login_type":"password-over-SSH","protocol":"SSH","error":"invalid credentials"}"#;
    assert_eq!(failing(&report_by(Parser::Sftpgo, sftpgo)), [("203.0.113.7", 1)]);
    for log in [vsftpd, sftpgo] {
        let told = report(log);
        assert_eq!((told.understood, told.not_understood.no_header), (0, 1), "{log}");
        assert!(told.text().contains("1  without a header that is known: see --parser and --bare\n"));
    }
}
