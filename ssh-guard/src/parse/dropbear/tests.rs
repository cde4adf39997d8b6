use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::event::AuthEvent;
use crate::moment::Moment;
use crate::parse::join::DROPBEAR_LIFE;
use crate::parse::{Interpreter, Parser};

fn record(pid: u32, message: &[u8]) -> Record<'_> {
    Record { process: b"dropbear", pid: Some(pid), message, ..Record::default() }
}

fn event(message: &[u8]) -> Option<AuthEvent> {
    Interpreter::new(Parser::Dropbear).event(&record(1, message))
}

#[test]
fn a_line_without_an_address_belongs_to_its_process_s_session() {
    let mut dropbear = Interpreter::new(Parser::Dropbear);
    assert_eq!(dropbear.event(&record(1, b"Child connection from 203.0.113.7:50527")), None);
    assert_eq!(dropbear.event(&record(2, b"Child connection from 203.0.113.8:50528")), None);
    let found = dropbear.event(&record(1, b"Login attempt for nonexistent user")).unwrap();
    assert_eq!((found.address, found.port), (Some("203.0.113.7".parse().unwrap()), Some(50527)));
    let ended = dropbear.event(&record(1, b"Exit before auth: Exited normally")).unwrap();
    assert_eq!((ended.kind, ended.port), (Kind::Closed, Some(50527)));
    let after = dropbear.event(&record(1, b"root login rejected")).unwrap();
    assert_eq!((after.address, after.port), (None, None));
}

#[test]
fn a_process_number_lends_its_next_session_nothing() {
    let unknown = b"Login attempt for nonexistent user";
    let mut dropbear = Interpreter::new(Parser::Dropbear);
    let mut source = |message: &[u8], after| {
        let read_at = Moment::from_start(after);
        let event = dropbear.event(&Record { read_at, ..record(1, message) })?;
        event.address.zip(event.port).map(|(address, port)| (address.to_string(), port))
    };
    let at = |address: &str, port| Some((address.to_owned(), port));
    let start = std::time::Duration::ZERO;
    assert_eq!(source(b"Child connection from 203.0.113.7:1", start), None);
    assert_eq!(source(unknown, start), at("203.0.113.7", 1));
    // It may try for five minutes, and says nothing until it does.
    assert_eq!(source(unknown, DROPBEAR_LIFE), at("203.0.113.7", 1));
    assert_eq!(source(unknown, DROPBEAR_LIFE * 3), None);
    assert_eq!(source(b"Child connection from 203.0.113.7:2", DROPBEAR_LIFE * 3), None);
    assert_eq!(source(b"Child connection from host.example:3", DROPBEAR_LIFE * 3), None);
    assert_eq!(source(unknown, DROPBEAR_LIFE * 3), None, "it is another session");
}

#[test]
fn other_programs_say_nothing_about_dropbear() {
    let message = b"Bad password attempt for 'alice' from 203.0.113.7:55415";
    for process in ["", "dropbear2", "DROPBEAR", "sshd"] {
        let record = Record { process: process.as_bytes(), message, ..Record::default() };
        assert_eq!(Interpreter::new(Parser::Dropbear).event(&record), None, "{process}");
    }
    assert!(event(message).is_some());
}

#[test]
fn the_first_of_two_factors_is_no_login() {
    assert_eq!(event(b"Password auth succeeded for 'alice' from 203.0.113.7:1, extra auth required"), None);
    assert!(event(b"Password auth succeeded for 'alice' from 203.0.113.7:1").is_some());
}

#[test]
fn a_version_with_an_address_in_it_bans_nobody() {
    for version in [
        "SSH-1.5-x' from 192.0.2.66:22",
        "x' from 192.0.2.66:22): Max auth tries reached - user 'x' from 192.0.2.66:22",
        "x>: Max auth tries reached - user 'x' from 192.0.2.66:22",
    ] {
        let told =
            format!("Exit before auth from <203.0.113.7:44977>: Incompatible remote version '{version}'");
        let found = event(told.as_bytes()).unwrap();
        assert_eq!((found.kind, found.address), (Kind::BadBanner, Some("203.0.113.7".parse().unwrap())));
        let older = format!("Exit before auth: Incompatible remote version '{version}'");
        assert_eq!(event(older.as_bytes()).unwrap().address, None, "{older}");
        let cut = format!("Exit before auth: Incompatible remote version '{version} from 192.0.2.66:22");
        assert_eq!(event(cut.as_bytes()).unwrap().address, None, "{cut}");
    }
}

const PIECES: &[&str] = &[
    "' from 192.0.2.66:22",
    " from ",
    "192.0.2.66:22",
    "2001:db8:66::66:22",
    "'",
    ">",
    "<192.0.2.66:22>: ",
    ": ",
    "(user 'x', 1 fails): ",
    "Max auth tries reached - user 'x'",
    ", extra auth required",
    " with key ",
    "\n",
    "x",
];

proptest! {
    #[test]
    fn a_client_s_words_never_lend_it_another_address(
        (before, after) in select(vec![
            ("Bad password attempt for '", "' from 203.0.113.7:41022"),
            ("Pubkey auth succeeded for '", "' with ssh-rsa key SHA256:abc from 203.0.113.7:41022"),
            ("Exit before auth from <203.0.113.7:41022>: (user '", "', 1 fails): Exited normally"),
            ("Exit before auth from <203.0.113.7:41022>: Incompatible remote version '", "'"),
            ("Exit before auth: Incompatible remote version '", "'"),
            ("Exit before auth (user '", "', 1 fails): Max auth tries reached - user 'x' from 203.0.113.7:41022"),
            ("User '", "' has invalid shell, rejected"),
            ("Login attempt with wrong user ", " from 203.0.113.7:41022"),
        ]),
        words in proptest::collection::vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat()),
    ) {
        let message = format!("{before}{words}{after}");
        if let Some(event) = event(message.as_bytes()) {
            let own: std::net::IpAddr = "203.0.113.7".parse().unwrap();
            prop_assert!(event.address.is_none_or(|found| found == own), "{message}");
        }
    }

    #[test]
    fn random_bytes_never_panic(
        opening in select(vec!["", "Exit before auth", "Exit before auth from <", "User '", "Bad password attempt for '"]),
        message in any::<Vec<u8>>(),
    ) {
        drop(event(&[opening.as_bytes(), &message].concat()));
    }
}
