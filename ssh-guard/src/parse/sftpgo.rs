//! Reads what `SFTPGo` writes: a JSON object a line.
//!
//! | `sender` | fields | understood as |
//! |---|---|---|
//! | `connection_failed` | `login_type` is `password`, `password-over-SSH` or ends with `+password` | failure, password |
//! | | … is or ends with `keyboard-interactive` | failure, keyboard-interactive |
//! | | … is `publickey` | failure, publickey |
//! | | … is `no_auth_tried` | pre-auth: negotiation if `error` says that there was no common algorithm, else closed |
//! | | … anything else | failure, other |
//! | `login` | `method` | success, accepted |
//!
//! The address is the field `client_ip`, or `ip` of a login: what a client chose stands in other fields, and cannot leave
//! them, as JSON has a way to write every character (zerolog does, line ends too). An object that has a field twice is
//! nobody's.
//!
//! Only logins by SSH and FTP are read. For those by HTTP and `WebDAV` the address may be what a header says, and they
//! come over another port than those that are guarded.

use std::borrow::Cow;

use serde::Deserialize;

use super::Record;
use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::Origin;
use crate::event::{AuthEvent, Kind, Service};

/// The fields that matter (internal/logger/logger.go, `ConnectionFailedLog` and `LoginLog`).
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    client_ip: Cow<'a, str>,
    #[serde(borrow, default)]
    ip: Cow<'a, str>,
    #[serde(borrow, default)]
    username: Cow<'a, str>,
    #[serde(borrow, default)]
    login_type: Cow<'a, str>,
    #[serde(borrow, default)]
    protocol: Cow<'a, str>,
    #[serde(borrow, default)]
    error: Cow<'a, str>,
}

/// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
#[must_use]
pub fn parse(record: &Record<'_>) -> Option<AuthEvent> {
    if record.process != b"sftpgo" {
        return None;
    }
    let (text, count) = unrepeated(record.message)?;
    // Nine lines of ten are about transfers: those need not be taken apart.
    if !text.starts_with(b"{") || !SENDERS.iter().any(|sender| memchr::memmem::find(text, sender).is_some()) {
        return None;
    }
    let entry: Entry<'_> = serde_json::from_slice(text).ok()?;
    let (address, reading) = match &*entry.sender {
        "connection_failed" => (&entry.client_ip, entry.failure()),
        "login" => (&entry.ip, Reading::success()),
        _ => return None,
    };
    if !matches!(&*entry.protocol, "SSH" | "SFTP" | "SCP" | "FTP") {
        return None;
    }
    let reading = reading.from(Origin::word(address.as_bytes())).user(entry.username.as_bytes());
    Some(reading.event(Service::Sftpgo, count))
}

impl Entry<'_> {
    fn failure(&self) -> Reading<'static> {
        match &*self.login_type {
            "password" | "password-over-SSH" => Reading::failure(Kind::Password),
            "publickey" => Reading::failure(Kind::Publickey),
            "no_auth_tried" if self.error.contains("no common algorithm") => {
                Reading::pre_auth(Kind::Negotiation)
            }
            "no_auth_tried" => Reading::pre_auth(Kind::Closed),
            both if both.ends_with("+password") => Reading::failure(Kind::Password),
            both if both.ends_with("keyboard-interactive") => Reading::failure(Kind::KeyboardInteractive),
            _ => Reading::failure(Kind::Other),
        }
    }
}

const SENDERS: [&[u8]; 2] = [b"\"connection_failed\"", b"\"login\""];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn event(message: &[u8]) -> Option<AuthEvent> {
        parse(&Record { process: b"sftpgo", message, ..Record::default() })
    }

    fn failed(user: &str) -> String {
        json!({
            "level": "debug", "time": "2026-11-23T03:12:01.123", "sender": "connection_failed", "client_ip": "203.0.113.7",
            "username": user, "login_type": "password-over-SSH", "protocol": "SSH", "error": format!("username {user:?} does not exist"),
        })
        .to_string()
    }

    #[test]
    fn a_field_that_stands_twice_is_nobody_s() {
        assert!(event(failed("x").as_bytes()).is_some());
        let twice = failed("x").replacen('{', r#"{"client_ip":"192.0.2.66","#, 1);
        assert_eq!(event(twice.as_bytes()), None);
    }

    #[test]
    fn logins_that_a_header_may_have_named_the_address_of_are_not_read() {
        for protocol in ["HTTP", "DAV", "OIDC", "HTTPShare", "", "ssh"] {
            let text = failed("x").replace("\"SSH\"", &format!("{protocol:?}"));
            assert_eq!(event(text.as_bytes()), None, "{protocol}");
        }
        assert!(event(failed("x").replace("\"SSH\"", "\"FTP\"").as_bytes()).is_some());
    }

    #[test]
    fn what_is_no_whole_object_says_nothing() {
        let text = failed("x");
        for end in 0..text.len() {
            assert_eq!(event(&text.as_bytes()[..end]), None);
        }
        assert_eq!(event(format!("{text} {text}").as_bytes()), None);
        assert_eq!(event(format!("[{text}]").as_bytes()), None);
        assert_eq!(event(text.replace("\"203.0.113.7\"", "[1]").as_bytes()), None);
        assert_eq!(event(text.replace("203.0.113.7", "203.0.113.7:22").as_bytes()).unwrap().address, None);
    }

    proptest! {
        #[test]
        fn no_name_changes_the_address(user in any::<String>()) {
            let found = event(failed(&user).as_bytes()).unwrap();
            prop_assert_eq!(found.address, Some("203.0.113.7".parse().unwrap()));
            prop_assert_eq!(found.user.unwrap_or_default(), user);
        }

        #[test]
        fn random_bytes_never_panic(message in any::<Vec<u8>>()) {
            drop(event(&message));
            drop(event(&[br#"{"sender":"login","ip":"#, &message[..]].concat()));
        }
    }
}
