//! Patterns: what they read of messages, and what operators may write into them.

use std::sync::{Arc, LazyLock};

use regex::bytes::RegexBuilder;

use crate::event::{Kind, Outcome};
use crate::logs;
use crate::parse::pattern::{Description, Fields, Pattern, Shape, forgery};
use crate::parse::{Parser, Record};

/// Has a pattern of those here read lines; an address must stand in one of them as a word.
pub fn read(data: &[u8]) {
    static PATTERNS: LazyLock<Vec<Arc<Pattern>>> = LazyLock::new(patterns);
    let Some((which, lines)) = data.split_first() else { return };
    let pattern = &PATTERNS[usize::from(*which) % PATTERNS.len()];
    logs::understand(lines, Parser::Pattern(Arc::clone(pattern)));
}

/// Compiles two expressions, and has them read a message and what could be forged of it: all of it ends, and what is read was
/// read from the first byte to the last.
pub fn compile(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let [Some(failure), Some(success), Some(message)] = [parts.next(), parts.next(), parts.next()] else {
        return;
    };
    let (Ok(failure), Ok(success)) = (str::from_utf8(failure), str::from_utf8(success)) else { return };
    // As long as those of people; the message, as a sample is.
    if failure.len().max(success.len()) > 64 || message.len() > 128 {
        return;
    }
    let texts = |text: &str| if text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
    let shape = Shape::Text { failure: texts(failure), success: texts(success) };
    let pattern = match Pattern::new(described("", shape)) {
        Ok(pattern) => pattern,
        Err(wrong) => {
            assert!(!wrong.is_empty() && wrong.iter().all(|(_, _, error)| !error.to_string().contains('\n')));
            return;
        }
    };
    let record = Record { message, ..Record::default() };
    let Some(read) = pattern.read(&record) else { return };
    if let Some(address) = read.event.address {
        assert!(
            logs::written(message).contains(&address),
            "{address} stands nowhere in '{}'",
            message.escape_ascii()
        );
    }
    let text = if read.event.outcome == Outcome::Failure { failure } else { success };
    let regex = RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .expect("it was built before");
    if let Some(found) = regex.find(message) {
        assert_eq!(found.range(), 0..message.len(), "'{text}' read a part of it");
    }
    if let Some(forgery) = forgery::find(&pattern, &[message]) {
        let record = Record { message: &forgery.message, ..Record::default() };
        assert!(pattern.read(&record).is_some(), "a forgery is read");
    }
}

fn patterns() -> Vec<Arc<Pattern>> {
    let text = |failure: &[&str], success: &[&str]| Shape::Text {
        failure: failure.iter().map(ToString::to_string).collect(),
        success: success.iter().map(ToString::to_string).collect(),
    };
    let fields = Fields {
        event: "event.name".to_owned(),
        failure: vec!["login-failed".to_owned()],
        success: vec!["login".to_owned()],
        source: "client.address".to_owned(),
        user: "client.user".to_owned(),
        port: "client.port".to_owned(),
    };
    let described = [
        described(
            "acmed",
            text(
                &[r"^login failed for (?<user>.*) from (?<source>\S+) port (?<port>[0-9]+)$"],
                &[r"^login of (?<user>\S+) from (?<source>\S+)$"],
            ),
        ),
        described("", text(&[r"^(?<source>\S+) (?:refused|denied) '(?<user>.*)'$"], &[])),
        described("acmed", Shape::Json(fields)),
    ];
    described.map(|described| Arc::new(Pattern::new(described).expect("it is a pattern"))).to_vec()
}

fn described(process: &str, shape: Shape) -> Description {
    let (name, process, unit) = ("acme".to_owned(), process.to_owned(), String::new());
    Description { name, process, unit, kind: Kind::Password, shape }
}
