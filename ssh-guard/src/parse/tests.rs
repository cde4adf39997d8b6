use proptest::prelude::*;

use super::pattern::{Description, Fields, Shape};
use super::*;
use crate::event::Kind;

fn pattern(process: &str, shape: Shape) -> Parser {
    let description = Description {
        name: "acme".to_owned(),
        process: process.to_owned(),
        unit: String::new(),
        kind: Kind::Password,
        shape,
    };
    Parser::Pattern(Arc::new(Pattern::new(description).unwrap()))
}

fn text(process: &str) -> Parser {
    pattern(
        process,
        Shape::Text { failure: vec![r"^(?<source>\S+) failed$".to_owned()], success: Vec::new() },
    )
}

fn json(process: &str) -> Parser {
    let fields = Fields {
        event: "msg".to_owned(),
        failure: vec!["bad".to_owned()],
        success: Vec::new(),
        source: "ip".to_owned(),
        user: String::new(),
        port: String::new(),
    };
    pattern(process, Shape::Json(fields))
}

/// The address that a line of a file is understood to name.
fn address(parser: &Parser, line: &str, bare: bool) -> Option<String> {
    let mut interpreter = Interpreter::new(parser.clone());
    let record = interpreter.record(line.as_bytes(), bare)?;
    interpreter.event(&record)?.address.map(|address| address.to_string())
}

const SSHD: &str = "Failed password for root from 203.0.113.7 port 41022 ssh2";
const VSFTPD: &str = r#"Mon Nov 23 12:58:29 2026 [pid 1] [alice] FAIL LOGIN: Client "203.0.113.7""#;
const SFTPGO: &str =
    r#"{"sender":"connection_failed","client_ip":"203.0.113.7","login_type":"password","protocol":"SSH"}"#;
const PROFTPD: &str =
    "2026-11-23 12:55:01,105 vm proftpd[1] gate (x[203.0.113.7]): USER a (Login failed): Incorrect password";

#[test]
fn a_log_of_a_server_s_own_is_read_by_its_parser_alone() {
    for (line, own) in [(VSFTPD, Parser::Vsftpd), (SFTPGO, Parser::Sftpgo)] {
        assert_eq!(address(&own, line, false).as_deref(), Some("203.0.113.7"), "{line}");
        assert_eq!(address(&own, &format!("{line}\r\n"), false).as_deref(), Some("203.0.113.7"), "{line}");
        for other in Parser::KNOWN.iter().filter(|other| **other != own) {
            assert_eq!(address(other, line, false), None, "{line} by {}", other.as_str());
        }
    }
}

#[test]
fn a_line_that_a_client_can_forge_is_read_only_if_asked_for() {
    for (line, parsers) in [
        (SSHD, &[Parser::Auto, Parser::Openssh][..]),
        (PROFTPD, &[Parser::Proftpd]),
        ("203.0.113.7 failed", &[text("")]),
    ] {
        for parser in parsers {
            assert!(parser.may_be_bare());
            assert_eq!(address(parser, line, true).as_deref(), Some("203.0.113.7"), "{line}");
            assert_eq!(address(parser, line, false), None, "{line}");
        }
    }
}

#[test]
fn a_described_server_s_lines_are_told_by_their_process_or_are_whole_objects() {
    let line = "Nov 23 03:12:01 gate acmed[7]: 203.0.113.7 failed";
    assert_eq!(address(&text("acmed"), line, false).as_deref(), Some("203.0.113.7"));
    assert_eq!(address(&text("other"), line, false), None);
    // Anybody's line would do.
    assert_eq!(address(&text(""), line, false), None);
    let object = r#"{"msg":"bad","ip":"203.0.113.7"}"#;
    let with_header = format!("Nov 23 03:12:01 gate acmed[7]: {object}");
    assert_eq!(address(&json(""), object, false).as_deref(), Some("203.0.113.7"));
    assert_eq!(address(&json("acmed"), object, false).as_deref(), Some("203.0.113.7"));
    assert_eq!(address(&json("acmed"), &with_header, false).as_deref(), Some("203.0.113.7"));
    assert_eq!(address(&json("other"), &with_header, false), None);
    assert_eq!(address(&json(""), &with_header, false), None);
}

proptest! {
    #[test]
    fn no_line_panics(line in any::<Vec<u8>>(), head in 0..6_usize, bare in any::<bool>()) {
        let heads = ["", SFTPGO, VSFTPD, PROFTPD, "{", "Nov 23 03:12:01 gate dropbear[7]: Exit before auth from <"];
        let line = [heads[head].as_bytes(), &line].concat();
        for parser in Parser::KNOWN.into_iter().chain([text("acmed"), json("")]) {
            let mut interpreter = Interpreter::new(parser);
            drop(interpreter.record(&line, bare).and_then(|record| interpreter.event(&record)));
        }
    }
}
