//! Reads real log lines and compares what they are understood as with what stands beneath them.
//!
//! A corpus file holds log lines as a file holds them, each followed by its meaning, indented by two spaces:
//! `OUTCOME KIND [ADDRESS] [port N] [user "NAME"] [count N]`, or `nothing`. A line that begins with `#` is a comment.

use std::fs;
use std::path::Path;

use ssh_guard::event::AuthEvent;
use ssh_guard::parse::{Interpreter, Parser, Record};

#[test]
fn openssh_lines_are_understood() {
    check("openssh.txt", "openssh", Parser::Auto, Header::Transport);
}

#[test]
fn openssh_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("openssh-hostile.txt", "openssh", Parser::Auto, Header::Transport));
}

#[test]
fn openssh_lines_without_a_header_are_understood_if_asked_for() {
    let text = check("openssh-bare.txt", "openssh", Parser::Auto, Header::None);
    nothing_with_a_header(&text, &Parser::Auto);
}

#[test]
fn dropbear_lines_are_understood() {
    check("dropbear.txt", "dropbear", Parser::Auto, Header::Transport);
    check("dropbear.txt", "dropbear", Parser::Dropbear, Header::Transport);
}

#[test]
fn dropbear_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("dropbear-hostile.txt", "dropbear", Parser::Auto, Header::Transport));
}

#[test]
fn proftpd_lines_are_understood() {
    check("proftpd.txt", "proftpd", Parser::Auto, Header::Transport);
    check("proftpd.txt", "proftpd", Parser::Proftpd, Header::Transport);
}

#[test]
fn proftpd_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("proftpd-hostile.txt", "proftpd", Parser::Auto, Header::Transport));
}

#[test]
fn proftpd_lines_of_a_system_log_are_understood_if_asked_for() {
    let text = check("proftpd-bare.txt", "proftpd", Parser::Proftpd, Header::None);
    nothing_with_a_header(&text, &Parser::Proftpd);
}

#[test]
fn vsftpd_lines_are_understood() {
    check("vsftpd.txt", "vsftpd", Parser::Vsftpd, Header::Transport);
}

#[test]
fn vsftpd_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("vsftpd-hostile.txt", "vsftpd", Parser::Vsftpd, Header::Transport));
}

#[test]
fn pure_ftpd_lines_are_understood() {
    check("pure-ftpd.txt", "pure-ftpd", Parser::Auto, Header::Transport);
    check("pure-ftpd.txt", "pure-ftpd", Parser::PureFtpd, Header::Transport);
}

#[test]
fn pure_ftpd_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("pure-ftpd-hostile.txt", "pure-ftpd", Parser::Auto, Header::Transport));
}

#[test]
fn sftpgo_lines_are_understood() {
    check("sftpgo.txt", "sftpgo", Parser::Sftpgo, Header::Transport);
}

#[test]
fn sftpgo_lines_of_hostile_clients_credit_no_one_else() {
    credits_no_one_else(&check("sftpgo-hostile.txt", "sftpgo", Parser::Sftpgo, Header::Transport));
}

#[test]
fn lines_of_one_server_are_nothing_to_the_others() {
    let servers = [
        ("openssh.txt", Parser::Openssh),
        ("dropbear.txt", Parser::Dropbear),
        ("proftpd.txt", Parser::Proftpd),
        ("vsftpd.txt", Parser::Vsftpd),
        ("pure-ftpd.txt", Parser::PureFtpd),
        ("sftpgo.txt", Parser::Sftpgo),
    ];
    for (name, own) in &servers {
        let text = read(name);
        for (_, other) in servers.iter().filter(|(_, other)| other != own) {
            let mut interpreter = Interpreter::new(other.clone());
            for (number, line) in lines(&text) {
                let event = interpreter.record(line, false).and_then(|record| interpreter.event(&record));
                assert_eq!(event, None, "corpus/{name}:{number} by {}", other.as_str());
            }
        }
    }
}

/// Whether a transport wrote a header before each message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Transport,
    None,
}

/// 192.0.2.0/24 is what the clients wrote, never where they were.
#[track_caller]
fn credits_no_one_else(text: &[u8]) {
    let forged = meanings(text).filter(|(_, meaning)| before_user(meaning).contains("192.0.2."));
    assert_eq!(forged.map(|(number, _)| number).collect::<Vec<_>>(), Vec::<usize>::new());
}

#[track_caller]
fn nothing_with_a_header(text: &[u8], parser: &Parser) {
    for (_, line) in lines(text) {
        assert_eq!(parser.record(line, false), None);
    }
}

#[test]
fn openssh_messages_mean_what_the_documentation_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openssh-messages.md");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read '{}': {error}", path.display()));
    let rows: Vec<Row<'_>> = text.lines().filter_map(Row::of).collect();
    assert!(rows.len() > 100, "'{}' has {} messages", path.display(), rows.len());
    let wrong: Vec<String> = rows.iter().filter_map(Row::mismatch).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A message of the documentation, with words in capitals for what varies, and its meaning.
struct Row<'a> {
    message: &'a str,
    meaning: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (message, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some(Self { message, meaning: rest.strip_suffix(" |")?.rsplit(" | ").next()? })
    }

    /// What is wrong with it, if anything is.
    fn mismatch(&self) -> Option<String> {
        let message = [
            ("SERVER", "198.51.100.1"),
            ("ADDR", CLIENT),
            ("USER", "ghost"),
            ("HOST", "192.0.2.66.evil.example"),
            ("TEXT", "abc"),
            (" N", " 41022"),
            ("]:N", "]:41022"),
            ("#N", "#9"),
        ]
        .iter()
        .fold(self.message.to_owned(), |message, (word, value)| message.replace(word, value));
        let record = Record { process: b"sshd", message: message.as_bytes(), ..Record::default() };
        let event = Interpreter::new(Parser::Auto).event(&record);
        let meaning = event.as_ref().map_or_else(
            || "nothing".to_owned(),
            |event| format!("{} {}", event.outcome.as_str(), event.kind.as_str()),
        );
        let address = event.as_ref().and_then(|event| event.address);
        let names =
            event.is_some() && self.message.contains("ADDR") && !self.meaning.contains("names nobody");
        let expected = self.meaning.split([',', ';']).next().unwrap_or_default();
        let right = meaning == expected && address == names.then(|| CLIENT.parse().ok()).flatten();
        (!right).then(|| format!("{message}\n  is   {meaning} {address:?}\n  not  {}", self.meaning))
    }
}

const CLIENT: &str = "203.0.113.7";

/// The words of a meaning that no client chose.
fn before_user(meaning: &str) -> &str {
    meaning.split_once(" user ").map_or(meaning, |(before, _)| before)
}

/// Compares every line of a corpus file with the meaning beneath it; returns the file's bytes.
fn check(name: &str, service: &str, parser: Parser, header: Header) -> Vec<u8> {
    let bytes = read(name);
    let expected: Vec<(usize, String)> = meanings(&bytes).collect();
    let lines: Vec<(usize, &[u8])> = lines(&bytes).collect();
    assert!(!lines.is_empty(), "'{name}' holds no line");
    let mut mismatches = Vec::new();
    let mut interpreter = Interpreter::new(parser);
    for (number, line) in &lines {
        let record = interpreter.record(line, header == Header::None);
        let event = record.and_then(|record| interpreter.event(&record));
        let understood = event.as_ref().map_or_else(|| "nothing".to_owned(), meaning);
        assert!(event.is_none_or(|event| event.service.as_str() == service), "corpus/{name}:{number}");
        let expected = expected.iter().find(|(at, _)| *at == number + 1).map(|(_, meaning)| &**meaning);
        if expected != Some(&understood) {
            let line = line.escape_ascii();
            let expected = expected.unwrap_or("no meaning beneath it");
            mismatches
                .push(format!("corpus/{name}:{number}: {line}\n  is   {understood}\n  not  {expected}"));
        }
    }
    assert!(mismatches.is_empty(), "\n{}", mismatches.join("\n"));
    assert_eq!(expected.len(), lines.len(), "'{name}' holds a meaning without a line");
    bytes
}

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("cannot read '{}': {error}", path.display()))
}

fn numbered(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    numbered(bytes).filter(|(_, line)| !line.starts_with(b"  "))
}

fn meanings(bytes: &[u8]) -> impl Iterator<Item = (usize, String)> {
    let indented = numbered(bytes).filter_map(|(number, line)| Some((number, line.strip_prefix(b"  ")?)));
    indented.map(|(number, meaning)| (number, String::from_utf8_lossy(meaning).into_owned()))
}

fn meaning(event: &AuthEvent) -> String {
    let words = [
        Some(event.outcome.as_str().to_owned()),
        Some(event.kind.as_str().to_owned()),
        event.address.map(|address| address.to_string()),
        event.port.map(|port| format!("port {port}")),
        // JSON brings names of several lines here.
        event.user.as_ref().map(|user| format!("user \"{}\"", user.replace('\n', "\\n"))),
        (event.count.get() != 1).then(|| format!("count {}", event.count)),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
