use super::*;
use crate::moment::Moment;
use crate::parse::{Interpreter, Parser, header};

/// Reads messages of sshd, each `PID: MESSAGE`, and says what the last one is.
fn last(interpreter: &mut Interpreter, lines: &[&str]) -> Option<AuthEvent> {
    last_at(interpreter, Duration::ZERO, lines)
}

fn last_at(interpreter: &mut Interpreter, after: Duration, lines: &[&str]) -> Option<AuthEvent> {
    let read = |line: &&str| {
        let (pid, message) = line.split_once(": ").unwrap();
        let record = Record {
            process: b"sshd",
            pid: pid.parse().ok(),
            message: message.as_bytes(),
            read_at: Moment::from_start(after),
            ..Record::default()
        };
        interpreter.event(&record)
    };
    lines.iter().map(read).last().flatten()
}

fn joined(lines: &[&str]) -> Option<AuthEvent> {
    last(&mut Interpreter::new(Parser::Openssh), lines)
}

fn source(event: Option<AuthEvent>) -> Option<(String, Option<u16>, Option<String>)> {
    let event = event?;
    Some((event.address?.to_string(), event.port, event.user.map(String::from)))
}

fn at(address: &str, port: u16, user: &str) -> (String, Option<u16>, Option<String>) {
    (address.to_owned(), Some(port), Some(user.to_owned()))
}

const CONNECTION: &str = "7: Connection from 203.0.113.7 port 57527 on 198.51.100.1 port 22 rdomain \"\"";
const FAILED: &str = "7: Failed password for bob from 203.0.113.7 port 57527 ssh2";
const LOCKED: &str = "7: User bob not allowed because account is locked";
const DENIED: &str = "7: fatal: Access denied for user bob by PAM account configuration [preauth]";
const TOLD: &str = "7: error: PAM: Authentication failure for bob from 203.0.113.7";
const AGAIN: &str = "7: Failed keyboard-interactive/pam for bob from 203.0.113.7 port 57527 ssh2";
const CLOSED: &str = "7: Connection closed by 203.0.113.7 port 57527";

#[test]
fn a_line_that_names_no_address_takes_it_from_its_session() {
    let bob = Some(at("203.0.113.7", 57527, "bob"));
    assert_eq!(source(joined(&[CONNECTION, LOCKED])), bob);
    assert_eq!(source(joined(&[FAILED, DENIED])), bob);
    let cut = format!("7: Connection closed by invalid user {} 192.0.2.66 port 22", "x".repeat(500));
    assert_eq!(source(joined(&[FAILED, &cut])), bob);
    let often = "7: Failed publickey for bob from 192.0.2.66 port 22 ssh2: RSA SHA256:abc from 203.0.113.7 port 57527 ssh2: \
                 RSA SHA256:N6de";
    assert_eq!(source(joined(&[FAILED, often])), bob);
    assert_eq!(
        source(joined(&[FAILED, "7: fatal: userauth_pubkey: parse packet: incomplete message [preauth]"])),
        bob
    );
    assert_eq!(
        source(joined(&[
            "7: Postponed publickey for bob from 203.0.113.7 port 57527 ssh2 [preauth]",
            DENIED
        ])),
        bob
    );
}

#[test]
fn lines_of_one_session_are_of_one_process_and_others_are_not() {
    let mut interpreter = Interpreter::new(Parser::Openssh);
    let mut process = |line: &str| last(&mut interpreter, &[line]).unwrap().process;
    let (failed, told) = (process(FAILED), process(TOLD));
    assert!(failed.is_some() && failed == told);
    assert_ne!(failed, process("8: Failed password for bob from 203.0.113.7 port 57528 ssh2"));
    let elsewhere = Record {
        host: b"other",
        process: b"sshd",
        pid: Some(7),
        message: b"Failed password for bob from 203.0.113.7 port 57527 ssh2",
        ..Record::default()
    };
    assert_ne!(failed, interpreter.event(&elsewhere).unwrap().process);
}

#[test]
fn a_line_without_a_process_takes_nothing() {
    let mut interpreter = Interpreter::new(Parser::Openssh);
    last(&mut interpreter, &[FAILED]);
    for message in [
        &b"fatal: Access denied for user bob by PAM account configuration [preauth]"[..],
        b"fatal: x [preauth]",
    ] {
        let record = Record { process: b"sshd", message, ..Record::default() };
        let event = interpreter.event(&record).unwrap();
        assert_eq!((event.address, event.process), (None, None));
    }
}

#[test]
fn a_process_number_that_is_used_again_lends_nothing_of_its_past() {
    let next = "7: Failed password for eve from 203.0.113.8 port 40000 ssh2";
    assert_eq!(
        source(joined(&[FAILED, next, "7: fatal: x [preauth]"])),
        Some(at("203.0.113.8", 40000, "eve"))
    );
    let other_port = "7: Failed password for bob from 203.0.113.7 port 40000 ssh2";
    assert_eq!(source(joined(&[FAILED, other_port, DENIED])), Some(at("203.0.113.7", 40000, "bob")));
    // Another account than that of the session, after its end, or long after: whose it is cannot be told.
    assert_eq!(source(joined(&[FAILED, "7: User eve not allowed because account is locked"])), None);
    assert_eq!(
        source(joined(&[FAILED, "7: Connection closed by 203.0.113.7 port 57527 [preauth]", LOCKED])),
        None
    );
    let mut interpreter = Interpreter::new(Parser::Openssh);
    last(&mut interpreter, &[FAILED]);
    assert_eq!(source(last_at(&mut interpreter, LIFE + Duration::from_nanos(1), &[DENIED])), None);
}

#[test]
fn an_accounts_first_line_takes_no_address_of_a_session_that_pam_alone_told_of() {
    let pam = "7: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7 ";
    assert_eq!(source(joined(&[pam, LOCKED])), None);
    assert_eq!(source(joined(&[pam, "7: fatal: x [preauth]"])), None);
}

#[test]
fn the_process_that_listens_is_no_session() {
    let drop = "7: drop connection #10 from [203.0.113.7]:58801 on [198.51.100.1]:22 past MaxStartups";
    let event = joined(&[drop]).unwrap();
    assert_eq!((event.process, event.port), (None, Some(58801)));
    assert_eq!(source(joined(&[drop, "7: fatal: x [preauth]"])), None);
    let timeout = "1: Timeout before authentication for connection from 203.0.113.7 to 198.51.100.1, pid = 7";
    assert_eq!(source(joined(&[FAILED, timeout])), Some(at("203.0.113.7", 57527, "bob")));
    let crash = "1: Session process 7 unpriv child crash for connection from 203.0.113.7 to 198.51.100.1";
    assert_eq!(source(joined(&[FAILED, crash])), Some(at("203.0.113.7", 57527, "bob")));
}

#[test]
fn an_end_without_a_mark_is_one_before_the_login_only_if_the_session_said_so() {
    assert!(joined(&[CLOSED]).is_none());
    assert!(joined(&[CONNECTION, CLOSED]).is_some());
    let looked = "7: error: kex_exchange_identification: Connection closed by remote host";
    assert_eq!(joined(&[looked, CLOSED]).unwrap().kind, Kind::Closed);
    let accepted = "7: Accepted password for bob from 203.0.113.7 port 57527 ssh2";
    assert!(joined(&[CONNECTION, accepted, CLOSED]).is_none());
    assert!(joined(&[CONNECTION, "7: Connection closed by 203.0.113.7 port 57528"]).is_none());
    assert!(joined(&[CONNECTION, "8: Connection closed by 203.0.113.7 port 57527"]).is_none());
}

#[test]
fn what_pam_and_the_server_say_of_one_attempt_counts_once() {
    let kinds = |lines: &[&str]| {
        let mut interpreter = Interpreter::new(Parser::Openssh);
        let events = lines.iter().filter_map(|line| last(&mut interpreter, &[line]));
        events.map(|event| (event.kind, event.count.get())).collect::<Vec<_>>()
    };
    let (tried, known) = ((Kind::KeyboardInteractive, 1), (Kind::Pam, 1));
    assert_eq!(kinds(&[TOLD, AGAIN, TOLD, AGAIN]), [tried, known, tried, known]);
    // Half of MaxAuthTries is reached at the third.
    assert_eq!(kinds(&[TOLD, TOLD, TOLD, AGAIN]), [tried, tried, tried, known]);
    assert_eq!(kinds(&[AGAIN, AGAIN]), [tried, tried]);
    // Of an input that names no process, by account and address.
    let bare: Vec<String> =
        [TOLD, AGAIN, TOLD, TOLD, AGAIN, AGAIN].map(|line| line.replace("7: ", "-: ")).to_vec();
    let bare: Vec<&str> = bare.iter().map(String::as_str).collect();
    assert_eq!(kinds(&bare), [tried, known, tried, tried, known, known]);
}

#[test]
fn a_session_that_only_pam_told_of_counts_nothing_more_at_its_end_where_no_process_is_named() {
    let close = "-: Connection closed by authenticating user bob 203.0.113.7 port 57527 [preauth]";
    let told = TOLD.replace("7: ", "-: ");
    let event = joined(&[&told, &told, close]).unwrap();
    assert_eq!((event.outcome, event.kind, event.port), (Outcome::Failure, Kind::Pam, Some(57527)));
    assert_eq!(joined(&[close]).unwrap().kind, Kind::Closed);
    let other = close.replace("bob", "eve");
    assert_eq!(joined(&[&told, &other]).unwrap().kind, Kind::Closed);
}

#[test]
fn lines_that_were_written_long_apart_are_of_two_sessions() {
    let address = |first: &str, then: &str| {
        let mut interpreter = Interpreter::new(Parser::Openssh);
        let mut read = |line: String| interpreter.event(&header::split(line.as_bytes()).unwrap());
        read(format!("{first} gate sshd[7]: Failed password for bob from 203.0.113.7 port 57527 ssh2"));
        read(format!(
            "{then} gate sshd[7]: fatal: Access denied for user bob by PAM account configuration [preauth]"
        ))
        .and_then(|event| event.address)
    };
    for (first, then) in [
        ("Nov 23 03:12:01", "Nov 23 03:14:01"),
        ("Nov  3 23:59:59", "Nov  4 00:00:01"),
        ("Nov 23 2026 03:12:01", "Nov 23 2026 03:12:01"),
        ("2026-11-23T03:12:01.5Z", "2026-11-23T03:14:01Z"),
        // Lines may be written a little out of order.
        ("Nov 23 03:12:02", "Nov 23 03:12:01"),
    ] {
        assert!(address(first, then).is_some(), "{first}, {then}");
    }
    for (first, then) in [
        ("Nov 23 03:12:01", "Nov 23 03:14:02"),
        ("Nov 23 03:12:01", "Nov 24 03:12:01"),
        ("Nov 23 2026 03:12:01", "Nov 23 2026 03:15:01"),
        ("2026-11-23T03:12:01Z", "2026-11-23T04:12:01Z"),
        ("Nov 30 23:59:59", "Dec  1 00:00:00"),
    ] {
        assert!(address(first, then).is_none(), "{first}, {then}");
    }
}

#[test]
fn attempts_told_before_the_address_is_known_count_when_it_is() {
    let named = TOLD.replace("203.0.113.7", "203.0.113.66.evil.example");
    let three = [&*named, &*named, &*named];
    let close = "7: Connection closed by authenticating user bob 203.0.113.7 port 57527 [preauth]";
    for end in [close, AGAIN] {
        let event = joined(&[&three[..], &[end]].concat()).unwrap();
        assert_eq!((event.outcome, event.kind), (Outcome::Failure, Kind::KeyboardInteractive));
        assert_eq!((event.count.get(), event.address), (3, "203.0.113.7".parse().ok()));
    }
    let event = joined(&[&three[..], &[AGAIN, close]].concat()).unwrap();
    assert_eq!((event.outcome, event.kind), (Outcome::PreAuth, Kind::Closed));
}

#[test]
fn a_million_sessions_stay_bounded() {
    let mut join = Join::new(LIFE);
    let event = joined(&[FAILED]).unwrap();
    for pid in 0..1_000_000 {
        let told = Told { event: event.clone(), bearing: Bearing::Event, process: None };
        join.settle(&Record { pid: Some(pid), ..Record::default() }, told);
    }
    assert_eq!(join.len(), CAPACITY);
    assert!(!join.is_empty());
}
