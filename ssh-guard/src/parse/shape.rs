//! The shape of a message: what a server's format prints, without what differs from one time to the next.
//!
//! Messages of one shape are most often of one line of a server's source. So the shapes that come most often among those that
//! were not understood are the next ones to read.

/// Writes the shape of a message into `shape`, in place of what is there.
///
/// | in the message | in the shape |
/// |---|---|
/// | an address, in brackets or not, with a zone, a prefix or a port or not | `<addr>` |
/// | a number, and each run of digits in a word, but for one digit behind a letter (`ssh2`) | `<n>` |
/// | eight hexadecimal digits or more, letters among them; a fingerprint (`SHA256:…`); 20 characters of base64 or more | `<hex>`, `<key>`, `<base64>` |
/// | what stands in quotes | `<text>` |
/// | an absolute path | `<path>` |
/// | the word behind `user`, `for` and the like, behind `user=`, and a host behind `rhost=` | `<name>` |
///
/// What is left is text of the format's, or of a client's: bytes that are not printable are written as escapes, and no
/// shape is longer than [`LONGEST`] bytes, `…` for what is missing included.
pub fn of(message: &[u8], shape: &mut String) {
    shape.clear();
    let mut rest = message;
    let mut named = false;
    let mut before = b' ';
    while let Some((&first, behind)) = rest.split_first() {
        if shape.len() > LONGEST - ELLIPSIS.len() {
            break;
        }
        // An apostrophe begins no quotation.
        let quote = matches!(first, b'"' | b'\'' | b'`') && !before.is_ascii_alphanumeric();
        before = first;
        if let (true, Some(end)) = (quote, end_of_quote(rest)) {
            shape.push_str("<text>");
            rest = &rest[end..];
            named = false;
        } else if is_of_word(first) {
            let length = rest.iter().take_while(|byte| is_of_word(**byte)).count();
            let (word, behind) = rest.split_at(length);
            named = push_word(word, named, shape);
            before = word[length - 1];
            rest = behind;
        } else {
            push_byte(first, shape);
            rest = behind;
        }
    }
    if !rest.is_empty() || shape.len() > LONGEST {
        shorten(shape);
    }
}

/// The longest shape, in bytes.
pub const LONGEST: usize = 160;

const ELLIPSIS: &str = "…";

/// Words that a name follows, in the messages of servers.
const BEFORE_A_NAME: [&[u8]; 6] = [b"user", b"for", b"account", b"User", b"username", b"login"];

/// Words that stand where a name might, and belong to the format.
const NO_NAMES: [&[u8]; 15] = [
    b"user",
    b"invalid",
    b"illegal",
    b"authenticating",
    b"a",
    b"an",
    b"by",
    b"from",
    b"is",
    b"not",
    b"on",
    b"the",
    b"this",
    b"unknown",
    b"with",
];

/// Keys of `key=value` whose value a client chooses, or that says where it is.
const KEYS_OF_NAMES: [&[u8]; 6] = [b"user", b"ruser", b"acct", b"rhost", b"hostname", b"logname"];

/// Adds a word; whether a name follows.
fn push_word(word: &[u8], named: bool, shape: &mut String) -> bool {
    if is_address(word) {
        shape.push_str("<addr>");
        return false;
    }
    // What ends a sentence or a clause belongs to no word.
    let end =
        word.iter().rposition(|byte| !matches!(byte, b'.' | b',' | b':' | b';')).map_or(0, |last| last + 1);
    let (word, marks) = word.split_at(end);
    let follows = marks.is_empty() && BEFORE_A_NAME.contains(&word);
    match key_and_value(word) {
        Some((key, value)) => {
            push_text(key, shape);
            shape.push('=');
            match kind(value) {
                _ if value.is_empty() => {}
                Some(kind) => shape.push_str(kind),
                None if KEYS_OF_NAMES.contains(&key) => shape.push_str("<name>"),
                None => push_text(value, shape),
            }
        }
        None => match kind(word) {
            Some(kind) => shape.push_str(kind),
            None if named && !NO_NAMES.contains(&word) && !word.is_empty() => shape.push_str("<name>"),
            None => push_text(word, shape),
        },
    }
    push_text(marks, shape);
    // `for invalid user NAME`: the word between hides no name.
    follows || (named && NO_NAMES.contains(&word) && !matches!(word, b"from" | b"by" | b"on" | b"with"))
}

fn key_and_value(word: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = word.iter().position(|byte| *byte == b'=')?;
    let key = &word[..at];
    (!key.is_empty() && key.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'_'))
        .then(|| (key, &word[at + 1..]))
}

/// What a word is, if it is nothing that a format would have in it.
fn kind(word: &[u8]) -> Option<&'static str> {
    if word.is_empty() {
        return None;
    }
    if word.iter().all(u8::is_ascii_digit) {
        return Some("<n>");
    }
    if is_address(word) {
        return Some("<addr>");
    }
    if word.starts_with(b"SHA256:") || word.starts_with(b"MD5:") {
        return Some("<key>");
    }
    if word.len() > 1 && word[0] == b'/' {
        return Some("<path>");
    }
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let hex = word.strip_prefix(b"0x").unwrap_or(word);
    if (hex.len() >= 8 || hex.len() < word.len()) && digits > 0 && hex.iter().all(u8::is_ascii_hexdigit) {
        return Some("<hex>");
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let has_both = word.iter().any(u8::is_ascii_uppercase) && word.iter().any(u8::is_ascii_lowercase);
    (word.len() >= 20 && digits > 0 && has_both && word.iter().all(is_base64)).then_some("<base64>")
}

/// Whether a word is an address, alone or with what is written around one.
fn is_address(word: &[u8]) -> bool {
    // Most words are none by their first byte.
    if !word.first().is_some_and(|first| first.is_ascii_hexdigit() || matches!(first, b'[' | b':')) {
        return false;
    }
    let Ok(text) = str::from_utf8(word) else { return false };
    let text = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((inside, behind)) if behind.is_empty() || is_port(behind) => inside,
            _ => return false,
        },
        None => text,
    };
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    let text = match text.split_once('/') {
        Some((address, length)) if length.bytes().all(|byte| byte.is_ascii_digit()) => address,
        Some(_) => return false,
        None => text,
    };
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().is_ok();
    let with_port = || text.split_once(':').is_some_and(|(address, port)| v4(address) && is_number(port));
    v4(text) || text.parse::<std::net::Ipv6Addr>().is_ok() || with_port()
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(is_number)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Adds text, each run of digits as one; a digit behind a letter may be part of a name in the format.
fn push_text(text: &[u8], shape: &mut String) {
    let mut rest = text;
    let mut before = b' ';
    while let Some((&first, behind)) = rest.split_first() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 1 || (digits == 1 && !before.is_ascii_alphabetic()) {
            shape.push_str("<n>");
            rest = &rest[digits..];
        } else {
            push_byte(first, shape);
            rest = behind;
        }
        before = first;
        if shape.len() > LONGEST {
            return;
        }
    }
}

fn push_byte(byte: u8, shape: &mut String) {
    match byte {
        b' '..=b'~' => shape.push(char::from(byte)),
        _ => shape.extend(byte.escape_ascii().map(char::from)),
    }
}

/// Cuts at the end of a character, and shows that something is missing.
fn shorten(shape: &mut String) {
    let end = (0..=LONGEST - ELLIPSIS.len()).rev().find(|at| shape.is_char_boundary(*at)).unwrap_or(0);
    shape.truncate(end);
    shape.push_str(ELLIPSIS);
}

/// Where a quoted text ends that begins here.
fn end_of_quote(text: &[u8]) -> Option<usize> {
    let (&open, rest) = text.split_first()?;
    // `like this'
    let close = if open == b'`' { b'\'' } else { open };
    rest.iter().position(|byte| *byte == close).map(|at| at + 2)
}

fn is_of_word(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'(' | b')' | b'<' | b'>' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(message: &str) -> String {
        let mut shape = "what stood there before".to_owned();
        of(message.as_bytes(), &mut shape);
        shape
    }

    #[test]
    fn what_differs_from_one_time_to_the_next_is_left_out() {
        for (message, expected) in [
            (
                "Connection from 203.0.113.7 port 57527 on 198.51.100.1 port 22 rdomain \"\"",
                "Connection from <addr> port <n> on <addr> port <n> rdomain <text>",
            ),
            ("Server listening on :: port 22.", "Server listening on <addr> port <n>."),
            (
                "drop connection #0 from [2001:db8::7]:5 on [fe80::1%eth0]:22",
                "drop connection #<n> from <addr> on <addr>",
            ),
            (
                "Postponed publickey for alice from 203.0.113.7 port 2 ssh2",
                "Postponed publickey for <name> from <addr> port <n> ssh2",
            ),
            (
                "Postponed keyboard-interactive for invalid user ghost from ::1",
                "Postponed keyboard-interactive for invalid user <name> from <addr>",
            ),
            ("Authentication refused for user 'x y': no", "Authentication refused for user <text>: no"),
            (
                "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
                "pam_unix(sshd:session): session opened for user <name>(uid=<n>) by (uid=<n>)",
            ),
            (
                "pam_x(sshd:auth): logname= uid=0 tty=ssh ruser= rhost=evil.example user=bob",
                "pam_x(sshd:auth): logname= uid=<n> tty=ssh ruser= rhost=<name> user=<name>",
            ),
            (
                "Accepted key ED25519 SHA256:QiSYl/d6XrT5WUMHG2GM found at /home/a/.ssh/x:1",
                "Accepted key ED<n> <key> found at <path>",
            ),
            ("Read error from 203.0.113.7:50022, code 104", "Read error from <addr>, code <n>"),
            ("session 0x7f3a2b handle deadbeef01 for root", "session <hex> handle <hex> for <name>"),
            ("key AAAAC3NzaC1lZDI1NTE5AAAAIJ0 is known", "key <base64> is known"),
            ("203.0.113.66.evil.example said it's late", "<n>.<n>.<n>.<n>.evil.example said it's late"),
            ("", ""),
        ] {
            assert_eq!(shape(message), expected, "{message}");
        }
    }

    #[test]
    fn messages_that_differ_in_what_a_client_chose_have_one_shape() {
        let told = |user: &str, port: u32| {
            shape(&format!("error: Could not get shadow information for {user} port {port}"))
        };
        assert_eq!(told("root", 5), told("admin", 50_222));
        assert_eq!(told("root", 5), told("123", 7).replace("<n> port", "<name> port"));
    }

    #[test]
    fn nothing_that_commands_a_terminal_gets_into_a_shape() {
        assert_eq!(shape("a\u{1b}[31m\r\nb\tü"), r"a\x1b[<n>m\r\nb\t\xc3\xbc");
    }

    #[test]
    fn a_long_message_has_a_short_shape() {
        let long = shape(&"very ".repeat(10_000));
        assert!(long.len() <= LONGEST && long.ends_with("very ve…"), "{long}");
        assert!(shape(&"\u{1b}".repeat(10_000)).len() <= LONGEST);
        assert!(shape(&"x".repeat(10_000)).len() <= LONGEST);
        assert_eq!(shape(&"1 ".repeat(10)).len(), 40);
    }

    proptest! {
        #[test]
        fn a_shape_is_short_and_printable(message in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut shape = String::new();
            of(&message, &mut shape);
            prop_assert!(shape.len() <= LONGEST);
            prop_assert!(shape.chars().all(|c| c == '…' || (' '..='~').contains(&c)), "{}", shape);
        }
    }
}
