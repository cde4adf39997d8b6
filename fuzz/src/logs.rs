//! Lines of logs: headers, messages, and the addresses that are read from them.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use crate::event::Outcome;
use crate::parse::{Interpreter, Parser, Record, header, shape};

/// Splits a line; what is said about it must stand in it, in its order.
pub fn split(line: &[u8]) {
    for record in [header::split(line), header::bare(line)].into_iter().flatten() {
        let message = record.message;
        assert!(message.is_empty() || line.ends_with(message) || without_end(line).ends_with(message));
    }
    let Some(record) = header::split(line) else { return };
    assert!(!record.process.contains(&b' '));
    // RFC 5424 lets a name have what ends one in a tag, and lets it be missing.
    if record.stamp.first().is_some_and(u8::is_ascii_alphabetic) {
        assert!(!record.process.is_empty());
        assert!(!record.process.iter().any(|byte| b":[".contains(byte)));
    }
    let mut rest = line;
    for part in [record.stamp, record.host, record.process, record.message] {
        rest = behind(rest, part).unwrap_or_else(|| panic!("'{}' does not follow", part.escape_ascii()));
    }
    if !line.starts_with(b"<") {
        let with_priority = [b"<38>", line].concat();
        assert_eq!(header::split(&with_priority), Some(record), "a priority changes nothing");
    }
    assert_eq!(header::split(&[without_end(line), b"\n"].concat()), Some(record), "nor does the line's end");
}

/// Understands lines one after the other, those without a header too where an operator may ask for it; an address must stand
/// in one of them as a word.
pub fn understand(lines: &[u8], parser: Parser) {
    let may_be_bare = parser.may_be_bare();
    let mut interpreter = Interpreter::new(parser);
    let mut addresses = HashSet::new();
    let mut form = String::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let with_header = interpreter.record(line, false);
        let record =
            if may_be_bare { with_header.or_else(|| interpreter.record(line, true)) } else { with_header };
        let Some(record) = record else { continue };
        shape::of(record.message, &mut form);
        assert!(form.len() <= shape::LONGEST && form.chars().all(|c| c == '…' || (' '..='~').contains(&c)));
        addresses.extend(written(line));
        addresses.extend(written(&without_escapes(line)));
        let Some(event) = interpreter.event(&record) else { continue };
        assert!(interpreter.knows(record.process), "what is understood is a server's");
        if let Some(address) = event.address {
            assert!(addresses.contains(&address), "{address} stands nowhere in '{}'", lines.escape_ascii());
        }
        assert!(event.port.is_none() || event.address.is_some(), "a port is known only with its address");
    }
}

/// Writes what sshd would of a client that chose these texts; whatever they are, nobody else is named.
pub fn forge(texts: &[u8]) {
    let mut interpreter = Interpreter::new(Parser::Auto);
    for texts in texts.split(|byte| *byte == 0xff).take(8) {
        let Some((&format, text)) = texts.split_first() else { continue };
        let format = FORMATS[usize::from(format) % FORMATS.len()];
        let (first, second) = match text.iter().position(|byte| *byte == 0) {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, text),
        };
        let message = written_by_sshd(format, first, second);
        let record = Record {
            stamp: b"Nov 23 03:12:01",
            host: b"gate",
            process: b"sshd",
            pid: Some(7),
            message: &message,
            ..Record::default()
        };
        let Some(event) = interpreter.event(&record) else { continue };
        let told = message.escape_ascii();
        assert!(event.address.is_none_or(|address| address == CLIENT), "{:?} from '{told}'", event.address);
        assert!(event.port.is_none_or(|port| port == CLIENT_PORT), "port {:?} from '{told}'", event.port);
        assert_ne!(event.outcome, Outcome::Success, "'{told}' is no success");
        assert_eq!(event.count.get(), 1, "'{told}' happened once");
    }
}

/// Where the client is that chose the texts.
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
const CLIENT_PORT: u16 = 41022;

/// What sshd writes of clients that do not get in: `{u}` is a name (up to 100 bytes), `{t}` another text of the client's, `{a}`
/// where it is.
const FORMATS: [&str; 27] = [
    "Failed password for {u} from {a} port 41022 ssh2",
    "Failed password for invalid user {u} from {a} port 41022 ssh2",
    "Failed none for invalid user {u} from {a} port 41022 ssh2",
    "Failed keyboard-interactive/pam for invalid user {u} from {a} port 41022 ssh2",
    "Failed publickey for {u} from {a} port 41022 ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2",
    "Failed publickey for invalid user {u} from {a} port 41022 ssh2: ED25519-CERT SHA256:l5OjM ID {t} (serial 0) CA ED25519 SHA256:1uH8Q",
    "Invalid user {u} from {a} port 41022",
    "Connection closed by invalid user {u} {a} port 41022 [preauth]",
    "Connection closed by authenticating user {u} {a} port 41022 [preauth]",
    "Connection reset by invalid user {u} {a} port 41022 [preauth]",
    "Disconnected from invalid user {u} {a} port 41022 [preauth]",
    "Received disconnect from {a} port 41022:11: {t} [preauth]",
    "error: Received disconnect from {a} port 41022:14: {t} [preauth]",
    "Disconnecting invalid user {u} {a} port 41022: Too many authentication failures [preauth]",
    "Disconnecting invalid user {u} {a} port 41022: Change of username or service not allowed: ({u},ssh-connection) -> ({t},ssh-connection) [preauth]",
    "error: maximum authentication attempts exceeded for invalid user {u} from {a} port 41022 ssh2 [preauth]",
    "ssh_dispatch_run_fatal: Connection from invalid user {u} {a} port 41022: message authentication code incorrect [preauth]",
    "error: kex_exchange_identification: client sent invalid protocol identifier \"{t}\"",
    "Bad protocol version identification '{t}' from {a} port 41022",
    "Protocol major versions differ for {a} port 41022: SSH-2.0-OpenSSH_9.2 vs. {t}",
    "Unable to negotiate with {a} port 41022: no matching cipher found. Their offer: {t} [preauth]",
    "fatal: no matching cipher found: client {t} server aes128-ctr [preauth]",
    "input_userauth_request: invalid user {u} [preauth]",
    "error: PAM: User not known to the underlying authentication module for illegal user {u} from {a}",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={a}  user={u}",
    "Postponed keyboard-interactive for invalid user {u} from {a} port 41022 ssh2 [preauth]",
    "Accepted certificate ID \"{t}\" (serial 0) signed by ED25519 CA SHA256:1uH8Q via /etc/ssh/users-ca.pub",
];

/// A message as it reaches the log: what is not printable as octal escapes, no more than 500 bytes (log.c, `do_log`).
fn written_by_sshd(format: &str, first: &[u8], second: &[u8]) -> Vec<u8> {
    let name = &first[..first.len().min(100)];
    let text = &second[..second.len().min(400)];
    let mut message = Vec::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        message.extend_from_slice(before.as_bytes());
        let Some((what, after)) = after.split_once('}') else { break };
        match what {
            "u" => escape(name, &mut message),
            "t" => escape(text, &mut message),
            _ => message.extend_from_slice(CLIENT.to_string().as_bytes()),
        }
        rest = after;
    }
    message.extend_from_slice(rest.as_bytes());
    message.truncate(500);
    message
}

fn escape(text: &[u8], message: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\\' => message.extend_from_slice(b"\\\\"),
            b' '..=b'~' => message.push(*byte),
            _ => message.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
        }
    }
}

/// Every address that stands in the text as a word, alone, before a port or before punctuation.
pub(crate) fn written(text: &[u8]) -> Vec<IpAddr> {
    let is_of_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    let words = text.split(|byte| !is_of_address(byte)).filter_map(|word| str::from_utf8(word).ok());
    let mut found = Vec::new();
    for word in words {
        let trimmed = word.trim_end_matches(['.', ':']);
        let before_port = trimmed.rsplit_once(':').map_or("", |(address, _)| address);
        let behind_key = word.split_once(':').map_or("", |(_, address)| address);
        for candidate in [word, trimmed, word.strip_suffix(':').unwrap_or(""), before_port, behind_key] {
            if let Ok(address) = candidate.parse::<IpAddr>() {
                found.push(address.to_canonical());
            } else if let Ok(address) = candidate.parse::<Ipv6Addr>() {
                found.push(IpAddr::V6(address).to_canonical());
            }
        }
    }
    found
}

/// The text with the characters that JSON may write as `\\u002e` as they are.
pub(crate) fn without_escapes(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        let code = behind.strip_prefix(b"u00").filter(|_| *byte == b'\\').and_then(|code| code.get(..2));
        let code = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 16).ok());
        plain.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &behind[5..] } else { behind };
    }
    plain
}

fn behind<'a>(text: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    if part.is_empty() {
        return Some(text);
    }
    let at = text.windows(part.len()).position(|window| window == part)?;
    Some(&text[at + part.len()..])
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
