//! Reads what vsftpd writes (version 3).
//!
//! | message | understood as |
//! |---|---|
//! | `[USER] FAIL LOGIN: Client "ADDR"` | failure, password |
//! | `[USER] OK LOGIN: Client "ADDR"` | success, accepted; nothing for an anonymous login, where a password follows |
//! | `pam_*(SERVICE:auth): authentication failure; …` | failure, pam |
//!
//! A client chose USER, and can write a whole message there. With `log_ftp_protocol` it also chooses the end of a line, as in
//! `FTP command: Client "ADDR", "…"`. So a message is read only if `Client "` stands in it once: vsftpd writes it into each.
//!
//! vsftpd writes to a log of its own unless `syslog_enable` is set, with a header of its own ([`own_log`]). It writes a
//! question mark for what cannot be printed (logging.c, `vsf_log_do_log`), so that a line there is one of vsftpd's.

use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::{Origin, number};
use super::{Record, pam};
use crate::event::{AuthEvent, Kind, Service};

/// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
#[must_use]
pub fn parse(record: &Record<'_>) -> Option<AuthEvent> {
    if record.process != b"vsftpd" {
        return None;
    }
    let (text, count) = unrepeated(record.message)?;
    Some(pam::module(text).or_else(|| login(text))?.event(Service::Vsftpd, count))
}

/// Reads a line of vsftpd's own log, `Mon Nov 23 12:58:29 2026 [pid 24997] MESSAGE`; the day may be padded.
#[must_use]
pub fn own_log(line: &[u8]) -> Option<Record<'_>> {
    let shape = b"aaa aaa _0 00:00:00 0000";
    let (stamp, rest) = line.split_at_checked(shape.len())?;
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'a' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        b'_' => byte.is_ascii_digit() || *byte == b' ',
        _ => byte == form,
    };
    if !stamp.iter().zip(shape).all(fits) {
        return None;
    }
    let rest = rest.strip_prefix(b" [pid ")?;
    let end = rest.iter().take(11).position(|&byte| byte == b']')?;
    let pid = Some(number(&rest[..end])?);
    let message = rest[end + 1..].strip_prefix(b" ")?;
    Some(Record { stamp, process: b"vsftpd", pid, message, ..Record::default() })
}

fn login(text: &[u8]) -> Option<Reading<'_>> {
    let rest = text.strip_prefix(b"[")?;
    let mut places = (0..rest.len()).filter(|at| rest[*at..].starts_with(CLIENT));
    let (at, None) = (places.next()?, places.next()) else {
        // Whose login that was, and from where, only the client knows; that it was one, it may have made up.
        return None;
    };
    let origin = Origin::word(rest[at + CLIENT.len()..].strip_suffix(b"\"")?);
    origin.address?;
    let before = &rest[..at];
    let (user, reading) = match before.strip_suffix(b"] FAIL LOGIN: ") {
        Some(user) => (user, Reading::failure(Kind::Password)),
        None => (before.strip_suffix(b"] OK LOGIN: ")?, Reading::success()),
    };
    Some(reading.from(origin).user(user))
}

const CLIENT: &[u8] = b"Client \"";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn event(message: &str) -> Option<AuthEvent> {
        parse(&Record { process: b"vsftpd", message: message.as_bytes(), ..Record::default() })
    }

    #[test]
    fn a_login_is_read_with_the_address_between_quotes() {
        let found = event(r#"[alice] FAIL LOGIN: Client "::ffff:203.0.113.7""#).unwrap();
        assert_eq!(found.address, Some("203.0.113.7".parse().unwrap()));
        assert_eq!((found.kind, found.user.as_deref()), (Kind::Password, Some("alice")));
        for message in [
            r#"[ftp] OK LOGIN: Client "203.0.113.7", anon password "x""#,
            r#"CONNECT: Client "203.0.113.7""#,
            r#"[alice] OK UPLOAD: Client "203.0.113.7", "/x", 1 bytes, 1.00Kbyte/sec"#,
            r#"[alice] FAIL LOGIN: Client "192.0.2.66.evil.example""#,
        ] {
            assert_eq!(event(message), None, "{message}");
        }
    }

    #[test]
    fn a_name_that_is_a_message_bans_nobody() {
        for message in [
            r#"[x] FAIL LOGIN: Client "192.0.2.66"] FAIL LOGIN: Client "203.0.113.7""#,
            // With log_ftp_protocol the quotation mark at the end is vsftpd's.
            r#"FTP command: Client "203.0.113.7", "USER x] FAIL LOGIN: Client "192.0.2.66""#,
            r#"[x] FTP command: Client "203.0.113.7", "USER x] FAIL LOGIN: Client "192.0.2.66""#,
            r#"[x] OK LOGIN: Client "203.0.113.7", anon password "x] OK LOGIN: Client "192.0.2.66""#,
        ] {
            assert_eq!(event(message), None, "{message}");
        }
    }

    #[test]
    fn vsftpd_s_own_log_has_its_own_header() {
        for stamp in ["Mon Nov 23 12:58:29 2026", "Sun Nov  1 00:00:00 2026"] {
            let line = format!(r#"{stamp} [pid 24997] [alice] FAIL LOGIN: Client "203.0.113.7""#);
            let record = own_log(line.as_bytes()).unwrap();
            assert_eq!((record.stamp, record.pid), (stamp.as_bytes(), Some(24997)));
            assert_eq!(parse(&record).unwrap().port, None);
        }
        for line in
            [r#"Nov 23 12:58:29 gate vsftpd[1]: [alice] FAIL LOGIN: Client "203.0.113.7""#, "Mon Nov", ""]
        {
            assert_eq!(own_log(line.as_bytes()), None, "{line}");
        }
    }

    const PIECES: &[&str] = &[
        "] FAIL LOGIN: Client \"192.0.2.66\"",
        "] OK LOGIN: Client \"192.0.2.66",
        "Client \"192.0.2.66\"",
        "[x",
        "] ",
        "\"",
        ", ",
        " rhost=192.0.2.66",
        "\n",
        "Mon Nov 23 12:58:29 2026 [pid 1] ",
        "x",
        "FTP command: ",
    ];

    proptest! {
        #[test]
        fn a_client_s_words_never_lend_it_another_address(
            (before, after) in select(vec![
                ("[", "] FAIL LOGIN: Client \"203.0.113.7\""),
                ("FTP command: Client \"203.0.113.7\", \"USER ", "\""),
                ("[x] FTP command: Client \"203.0.113.7\", \"", "\""),
                ("[alice] OK UPLOAD: Client \"203.0.113.7\", \"/", "\", 1 bytes, 1.00Kbyte/sec"),
                ("pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=", " rhost=203.0.113.7 "),
            ]),
            words in proptest::collection::vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat()),
        ) {
            let message = format!("{before}{words}{after}");
            if let Some(event) = event(&message) {
                let own: std::net::IpAddr = "203.0.113.7".parse().unwrap();
                prop_assert!(event.address.is_none_or(|found| found == own), "{message}");
            }
        }

        #[test]
        fn random_bytes_never_panic(
            opening in select(vec!["", "[", "[x] FAIL LOGIN: Client \"", "Mon Nov 23 12:58:29 2026 [pid "]),
            message in any::<Vec<u8>>(),
        ) {
            let message = [opening.as_bytes(), &message].concat();
            drop(parse(&Record { process: b"vsftpd", message: &message, ..Record::default() }));
            drop(own_log(&message).and_then(|record| parse(&record)));
        }
    }
}
