//! Reads what `ProFTPD` writes of logins over SSH (`mod_sftp`) and FTP.
//!
//! Every message of a session begins with `SERVER (NAME[ADDR])`, then ` - ` in syslog and `: ` in a `SystemLog`, and goes
//! on with:
//!
//! | text | understood as |
//! |---|---|
//! | `USER name (Login failed): Incorrect password`, `Refusing empty password from user 'name'` | failure, password |
//! | … `No such user found`; `USER name: no such user found from …` | failure, invalid-user |
//! | … `Invalid shell: '…'`, `User in …`, `Limit …`, `Account disabled`, `Password expired`, `User not authorized for login`, `keyboard-interactive authentication disabled`; `USER name: user is not a UserAlias from …`; `SECURITY VIOLATION: Root login attempted` | failure, not-allowed |
//! | … `authentication via …`, `signature …`, `requested public key is blacklisted`, `unsupported public key algorithm …`, `public key …` | failure, publickey |
//! | … anything else | failure, other |
//! | `mod_sftp_pam/…: PAM authentication error (N) for user 'name': …` | failure, keyboard-interactive |
//! | `Maximum login attempts (N) exceeded, connection refused` | failure, too-many-attempts |
//! | `Login timeout exceeded, disconnected` | pre-auth, timeout |
//! | `USER name: Login successful.` | success, accepted; nothing without the full stop, which is of the same login, and for `ANON` |
//!
//! PAM's own lines are failures of the kind pam.
//!
//! The address is read at the start, where the client has chosen nothing but its reverse name, which stands outside the
//! brackets. Its user name is read from what is left and decides nothing else.
//!
//! Line ends in a name go into a `SystemLog`, and into `mod_sftp`'s `SFTPLog`, as they are: a client can write whole lines
//! there, and they are read as a bare stream only. syslog makes one line of them.

use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::{Origin, number};
use super::{Record, pam};
use crate::event::{AuthEvent, Kind, Service};

/// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
#[must_use]
pub fn parse(record: &Record<'_>) -> Option<AuthEvent> {
    if record.process != b"proftpd" {
        return None;
    }
    let (message, count) = unrepeated(record.message)?;
    let of_session = || {
        let (origin, text) = session(message)?;
        Some(understand(text, text.len() < SURE)?.from(origin))
    };
    Some(pam::module(message).or_else(of_session)?.event(Service::Proftpd, count))
}

/// Reads a line of a `SystemLog`, `2026-11-23 12:55:01,105 HOST proftpd[PID] SERVER (NAME[ADDR]): TEXT`; the message that is
/// made of it begins with SERVER.
#[must_use]
pub fn system_log(line: &[u8]) -> Option<Record<'_>> {
    let stamp = b"0000-00-00 00:00:00,000";
    let (head, rest) = line.split_at_checked(stamp.len())?;
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if !head.iter().zip(stamp).all(fits) {
        return None;
    }
    let rest = rest.strip_prefix(b" ")?;
    let host = word(rest);
    let rest = rest[host.len()..].strip_prefix(b" proftpd[")?;
    let pid = rest.iter().take(11).position(|&byte| byte == b']')?;
    let message = rest[pid + 1..].strip_prefix(b" ")?;
    let pid = Some(number(&rest[..pid])?);
    Some(Record { stamp: head, host, process: b"proftpd", pid, message, ..Record::default() })
}

/// Splits `SERVER (NAME[ADDR]) - TEXT` or `SERVER (NAME[ADDR]): TEXT` (src/log.c, `log_write`). NAME may be what the client's
/// own name server says, so only the letters of a name or an address may stand there.
fn session(message: &[u8]) -> Option<(Origin, &[u8])> {
    let rest = message[word(message).len()..].strip_prefix(b" (")?;
    let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(byte)).count();
    let rest = rest[name..].strip_prefix(b"[")?;
    let end = rest.iter().position(|&byte| byte == b']')?;
    let origin = Origin::word(&rest[..end]);
    origin.address?;
    let rest = rest[end + 1..].strip_prefix(b")")?;
    Some((origin, rest.strip_prefix(b" - ").or_else(|| rest.strip_prefix(b": "))?))
}

/// `sure`: nothing has been cut off the end.
fn understand(text: &[u8], sure: bool) -> Option<Reading<'_>> {
    match text {
        b"SECURITY VIOLATION: Root login attempted" => {
            return Some(Reading::failure(Kind::NotAllowed).user(b"root"));
        }
        b"Login timeout exceeded, disconnected" => return Some(Reading::pre_auth(Kind::Timeout)),
        _ => {}
    }
    if let Some(rest) = text.strip_prefix(b"Maximum login attempts (") {
        number(rest.strip_suffix(b") exceeded, connection refused")?)?;
        return Some(Reading::failure(Kind::TooManyAttempts));
    }
    if let Some(rest) = text.strip_prefix(b"Refusing empty password from user '") {
        return Some(Reading::failure(Kind::Password).user(rest.strip_suffix(b"'")?));
    }
    if let Some(rest) = text.strip_prefix(b"mod_sftp_pam/") {
        // mod_sftp_pam/0.3: PAM authentication error (7) for user 'alice': Authentication failure
        let rest = rest[word(rest).len()..].strip_prefix(b" PAM authentication error (")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let rest = rest[digits..].strip_prefix(b") for user '")?;
        let (user, _said) = split_last(rest, b"': ")?;
        return Some(Reading::failure(Kind::KeyboardInteractive).user(user));
    }
    let rest = text.strip_prefix(b"USER ")?;
    if !sure {
        // A name of such a length is nobody's, and may have cost the message its end.
        return Some(Reading::failure(Kind::InvalidUser));
    }
    // USER alice: Login successful.
    if let Some(user) = rest.strip_suffix(b": Login successful.") {
        return Some(Reading::success().user(user));
    }
    // USER ghost: no such user found from 203.0.113.7 [203.0.113.7] to ::ffff:198.51.100.1:22
    for (what, kind) in
        [(NO_SUCH_USER, Kind::InvalidUser), (&b": user is not a UserAlias from "[..], Kind::NotAllowed)]
    {
        if let Some((user, origin)) = split_last(rest, what)
            && is_origin(origin)
        {
            return Some(Reading::failure(kind).user(user));
        }
    }
    // USER alice (Login failed): Incorrect password
    let (user, reason) = split_last(rest, b" (Login failed): ")?;
    Some(Reading::failure(reason_kind(reason)).user(user))
}

/// Why a login failed (`mod_auth.c`; auth.c and auth-*.c of `mod_sftp`).
fn reason_kind(reason: &[u8]) -> Kind {
    match reason {
        b"Incorrect password" => return Kind::Password,
        b"No such user found" => return Kind::InvalidUser,
        b"Account disabled"
        | b"Password expired"
        | b"User not authorized for login"
        | b"keyboard-interactive authentication disabled" => return Kind::NotAllowed,
        _ => {}
    }
    let begins = |openings: &[&[u8]]| openings.iter().any(|opening| reason.starts_with(opening));
    if begins(&[b"Invalid shell: '", b"User in ", b"Limit access denies", b"Limit configuration denies"]) {
        Kind::NotAllowed
    } else if begins(&[
        b"authentication via '",
        b"signature verification of '",
        b"signature validation of '",
        b"requested public key is ",
        b"unsupported public key algorithm '",
        b"public key ",
    ]) {
        Kind::Publickey
    } else {
        Kind::Other
    }
}

/// Whether the text is `NAME [ADDR] to ADDR:N`.
fn is_origin(text: &[u8]) -> bool {
    let read = || {
        let rest = text[word(text).len()..].strip_prefix(b" [")?;
        let end = rest.iter().position(|&byte| byte == b']')?;
        Origin::word(&rest[..end]).address?;
        Origin::with_port_behind_colon(rest[end + 1..].strip_prefix(b" to ")?)?.address
    };
    read().is_some()
}

/// The text up to the first space.
fn word(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(|&byte| byte == b' ').unwrap_or(text.len())]
}

/// Splits at the last place where `between` stands.
fn split_last<'a>(text: &'a [u8], between: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(between.len()).rposition(|window| window == between)?;
    Some((&text[..at], &text[at + between.len()..]))
}

const NO_SUCH_USER: &[u8] = b": no such user found from ";

/// A text that is shorter has its end: syslog gets 1024 bytes with the header (lib/pr-syslog.c, `pr_vsyslog`), and what
/// stands before the text takes less than 512 of them.
const SURE: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn event(message: &str) -> Option<AuthEvent> {
        parse(&Record { process: b"proftpd", message: message.as_bytes(), ..Record::default() })
    }

    #[test]
    fn other_programs_say_nothing_about_proftpd() {
        let message = b"gate (203.0.113.7[203.0.113.7]) - USER alice (Login failed): Incorrect password";
        assert!(parse(&Record { process: b"proftpd", message, ..Record::default() }).is_some());
        for process in ["", "proftpd2", "ftpd", "sshd"] {
            let record = Record { process: process.as_bytes(), message, ..Record::default() };
            assert_eq!(parse(&record), None, "{process}");
        }
    }

    #[test]
    fn the_address_stands_in_brackets_at_the_start_or_nowhere() {
        let text = "USER alice (Login failed): Incorrect password";
        let found =
            |start: &str| event(&format!("{start}{text}")).map(|event| event.address.unwrap().to_string());
        assert_eq!(found("gate (192.0.2.66.evil.example[203.0.113.9]) - "), Some("203.0.113.9".to_owned()));
        assert_eq!(found("gate (2001:db8::7[2001:db8::7]): "), Some("2001:db8::7".to_owned()));
        assert_eq!(found("gate (x[::ffff:203.0.113.7]): "), Some("203.0.113.7".to_owned()));
        for start in [
            "",
            "gate - ",
            "(203.0.113.7[203.0.113.7]) - ",
            "gate (203.0.113.7) - ",
            "gate (x[192.0.2.66.evil.example]) - ",
            "gate (a b[203.0.113.7]) - ",
            "gate (x[192.0.2.66]) (203.0.113.7[203.0.113.7]) - ",
        ] {
            assert_eq!(found(start), None, "{start}");
        }
    }

    #[test]
    fn a_line_of_a_system_log_has_its_own_header() {
        let line = b"2026-11-23 12:55:01,105 vm proftpd[18813] 198.51.100.1 (203.0.113.7[203.0.113.7]): USER alice: Login successful.";
        let record = system_log(line).unwrap();
        assert_eq!((record.host, record.pid), (&b"vm"[..], Some(18813)));
        assert_eq!(parse(&record).unwrap().kind, Kind::Accepted);
        for end in 0..line.len() {
            if let Some(record) = system_log(&line[..end]) {
                assert_eq!(parse(&record), None);
            }
        }
        assert_eq!(system_log(b"Nov 23 12:55:01 vm proftpd[18813]: 198.51.100.1 (x[203.0.113.7]) - x"), None);
    }

    #[test]
    fn a_name_that_ends_like_a_login_is_none() {
        let start = "gate (203.0.113.7[203.0.113.7]) - USER ";
        for (text, kind) in [
            (
                "x: Login successful.: no such user found from 203.0.113.7 [203.0.113.7] to 198.51.100.1:22",
                Kind::InvalidUser,
            ),
            ("x: Login successful. (Login failed): Incorrect password", Kind::Password),
        ] {
            let found = event(&format!("{start}{text}")).unwrap();
            assert_eq!(
                (found.kind, found.user.as_deref()),
                (kind, Some(text.split_inclusive('.').next().unwrap()))
            );
        }
        let long = format!("{start}{}: Login successful.", "x".repeat(SURE));
        assert_eq!(event(&long).unwrap().kind, Kind::InvalidUser);
        assert_eq!(event(&format!("{start}alice: Login successful")), None);
    }

    const PIECES: &[&str] = &[
        "gate (192.0.2.66[192.0.2.66]) - ",
        "(192.0.2.66[192.0.2.66]): ",
        " rhost=192.0.2.66",
        "x",
        " ",
        ": ",
        "\n",
        ": no such user found from 192.0.2.66 [192.0.2.66] to 198.51.100.1:22",
        " (Login failed): Incorrect password",
        ": Login successful.",
        "'",
        "[192.0.2.66]",
    ];

    proptest! {
        #[test]
        fn a_client_s_words_never_lend_it_another_address(
            (before, after) in select(vec![
                ("gate (203.0.113.7[203.0.113.7]) - USER ", " (Login failed): Incorrect password"),
                ("gate (203.0.113.7[203.0.113.7]) - USER ", ": no such user found from 203.0.113.7 [203.0.113.7] to 198.51.100.1:22"),
                ("gate (203.0.113.7[203.0.113.7]): USER alice (Login failed): unsupported public key algorithm '", "' requested"),
                ("pam_unix(proftpd:auth): authentication failure; logname= uid=0 euid=0 tty=/dev/ftpd1 ruser=", " rhost=203.0.113.7  user=x"),
            ]),
            words in proptest::collection::vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat()),
        ) {
            let message = format!("{before}{words}{after}");
            if let Some(event) = event(&message) {
                let own: std::net::IpAddr = "203.0.113.7".parse().unwrap();
                prop_assert!(event.address.is_none_or(|found| found == own), "{message}");
                prop_assert!(event.kind != Kind::Accepted, "{message}");
            }
        }

        #[test]
        fn random_bytes_never_panic(
            opening in select(vec!["", "gate (203.0.113.7[203.0.113.7]) - ", "gate (", "gate (203.0.113.7[203.0.113.7]) - USER "]),
            message in any::<Vec<u8>>(),
        ) {
            let message = [opening.as_bytes(), &message].concat();
            drop(parse(&Record { process: b"proftpd", message: &message, ..Record::default() }));
            drop(system_log(&message).and_then(|record| parse(&record)));
        }
    }
}
