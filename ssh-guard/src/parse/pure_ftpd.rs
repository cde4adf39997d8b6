//! Reads what Pure-FTPd writes, in English.
//!
//! | message | understood as |
//! |---|---|
//! | `(?@ADDR) [WARNING] Authentication failed for user [USER]` | failure, password |
//! | `(?@ADDR) [ERROR] Too many authentication failures` | failure, too-many-attempts |
//! | `(?@ADDR) [INFO] USER is now logged in` | success, accepted |
//!
//! The question mark stands for the account that nobody has logged in to yet; once somebody has, his messages begin with
//! his name, and say nothing of logins. Without `-H` (`DontResolve yes`) a client's reverse name may stand in the place of
//! ADDR: such a line names no address.
//!
//! PAM's lines are not read: Pure-FTPd tells PAM the name of its own machine for the client's (`log_pam.c`).

use super::Record;
use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::Origin;
use crate::event::{AuthEvent, Kind, Service};

/// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
#[must_use]
pub fn parse(record: &Record<'_>) -> Option<AuthEvent> {
    if record.process != b"pure-ftpd" {
        return None;
    }
    let (text, count) = unrepeated(record.message)?;
    Some(understand(text)?.event(Service::PureFtpd, count))
}

fn understand(text: &[u8]) -> Option<Reading<'_>> {
    let rest = text.strip_prefix(b"(?@")?;
    let end = rest.iter().position(|byte| matches!(byte, b')' | b' '))?;
    let origin = Origin::word(&rest[..end]);
    let rest = rest[end..].strip_prefix(b") ")?;
    let reading = if rest == b"[ERROR] Too many authentication failures" {
        Reading::failure(Kind::TooManyAttempts)
    } else if let Some(user) = rest.strip_prefix(b"[WARNING] Authentication failed for user [") {
        Reading::failure(Kind::Password).user(user.strip_suffix(b"]")?)
    } else {
        let user = rest.strip_prefix(b"[INFO] ")?.strip_suffix(b" is now logged in")?;
        Reading::success().user(user)
    };
    Some(reading.from(origin))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn event(message: &[u8]) -> Option<AuthEvent> {
        parse(&Record { process: b"pure-ftpd", message, ..Record::default() })
    }

    #[test]
    fn what_is_said_of_a_client_that_is_logged_in_is_no_login() {
        for message in [
            "(alice@203.0.113.7) [INFO] bob is now logged in",
            "(x@192.0.2.66) [WARNING] Authentication failed for user [root]",
            "(?@203.0.113.7) [INFO] New connection from 203.0.113.7",
            "(?@203.0.113.7) [INFO] Logout.",
            "(?@203.0.113.7) [WARNING] Authentication failed for user [root",
            "pam_unix(pure-ftpd:auth): authentication failure; logname= uid=0 euid=0 tty=pure-ftpd ruser=x rhost=192.0.2.66",
        ] {
            assert_eq!(event(message.as_bytes()), None, "{message}");
        }
    }

    #[test]
    fn a_host_name_is_no_address() {
        let found =
            event(b"(?@192.0.2.66.evil.example) [WARNING] Authentication failed for user [alice]").unwrap();
        assert_eq!((found.address, found.user.as_deref()), (None, Some("alice")));
    }

    const PIECES: &[&str] = &[
        "(?@192.0.2.66) [WARNING] Authentication failed for user [root",
        "] ",
        "[",
        ") [INFO] root is now logged in",
        "192.0.2.66",
        "\n",
        "x",
        "@",
        " is now logged in",
        "(?@192.0.2.66)",
    ];

    proptest! {
        #[test]
        fn a_client_s_words_never_lend_it_another_address_or_a_login(
            words in proptest::collection::vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat()),
        ) {
            let message = format!("(?@203.0.113.7) [WARNING] Authentication failed for user [{words}]");
            let found = event(message.as_bytes()).unwrap();
            prop_assert_eq!(found.address, Some("203.0.113.7".parse().unwrap()));
            prop_assert_eq!(found.kind, Kind::Password);
        }

        #[test]
        fn random_bytes_never_panic(
            opening in select(vec!["", "(?@", "(?@203.0.113.7) ", "(?@203.0.113.7) [INFO] "]),
            message in any::<Vec<u8>>(),
        ) {
            drop(event(&[opening.as_bytes(), &message].concat()));
        }
    }
}
