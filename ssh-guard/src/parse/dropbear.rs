//! Reads what Dropbear writes (versions 2012 to 2025).
//!
//! | message | understood as |
//! |---|---|
//! | `Bad password attempt for 'USER' from ADDR:N`, `Bad PAM password attempt …`, `Too-long password attempt …` | failure, password |
//! | `Login attempt for nonexistent user`, before 2020 and from 2025 on ` from ADDR:N` | failure, invalid-user |
//! | `Login attempt with wrong user USER`, likewise; `User 'USER' has invalid shell, rejected`, `root login rejected`, `User account 'USER' is locked`, `User 'USER' has blank password, rejected`, `Logins are restricted to the group …` | failure, not-allowed |
//! | `Pubkey auth bad signature for 'USER' with key … from ADDR:N` | failure, publickey |
//! | `pam_*(SERVICE:auth): authentication failure; …` | failure, pam |
//! | `Exit before auth from <ADDR:N>: …`, before 2020 without an address: `Max auth tries reached …` | failure, too-many-attempts |
//! | … `Timeout before auth` | pre-auth, timeout; with the user if the line names one |
//! | … `Incompatible remote version …` | pre-auth, bad-banner |
//! | … `No matching algo …` | pre-auth, negotiation |
//! | … anything else | pre-auth, closed; with the user if the line names one |
//! | `Password auth succeeded for 'USER' from ADDR:N`, `PAM password auth …`, `Pubkey auth …`, `Auth succeeded with blank password …` | success, accepted; nothing if `, extra auth required` follows |
//!
//! Dropbear writes the names of accounts that exist, and never what a client calls itself otherwise. A client chooses
//! the version in `Incompatible remote version '…'`, and with it the end of that line: its address stands before.
//!
//! A line that names no address belongs to the session that `Child connection from ADDR:N` of the same process
//! began ([`join`](super::join)).

use super::join::{Bearing, Told};
use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::{Origin, number};
use super::{Record, pam};
use crate::event::{Kind, Outcome, Service};

/// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
#[must_use]
pub fn read(record: &Record<'_>) -> Option<Told> {
    if record.process != b"dropbear" {
        return None;
    }
    let (text, count) = unrepeated(record.message)?;
    let (reading, bearing) = match text.strip_prefix(b"Child connection from ") {
        // Child connection from 2001:db8:1:2:3:4:5:6:59257
        Some(origin) => {
            let origin = Origin::with_port_behind_colon(origin)?;
            (Reading::pre_auth(Kind::Other).from(origin), Bearing::Begun)
        }
        None => (understand(text)?, Bearing::Event),
    };
    Some(Told { event: reading.event(Service::Dropbear, count), bearing, process: None })
}

/// Looks the message up by how it begins.
fn understand(text: &[u8]) -> Option<Reading<'_>> {
    if let Some(fields) = text.strip_prefix(b"Exit before auth") {
        return exit(fields);
    }
    if text.starts_with(b"pam_") {
        return pam::module(text);
    }
    ENTRIES.iter().find_map(|entry| (entry.read)(text.strip_prefix(entry.opening)?))
}

/// One kind of message: how it begins, and what reads the rest.
struct Entry {
    opening: &'static [u8],
    read: for<'a> fn(&'a [u8]) -> Option<Reading<'a>>,
}

const ENTRIES: &[Entry] = &[
    // Bad password attempt for 'alice' from 203.0.113.7:55415
    Entry {
        opening: b"Bad password attempt for '",
        read: |rest| named(rest, Reading::failure(Kind::Password)),
    },
    // Bad PAM password attempt for 'alice' from 203.0.113.7:55415
    Entry {
        opening: b"Bad PAM password attempt for '",
        read: |rest| named(rest, Reading::failure(Kind::Password)),
    },
    // Too-long password attempt for 'alice' from 203.0.113.7:55415
    Entry {
        opening: b"Too-long password attempt for '",
        read: |rest| named(rest, Reading::failure(Kind::Password)),
    },
    // Login attempt for nonexistent user                                               (2020.79 to 2025.87)
    // Login attempt for nonexistent user from 203.0.113.7:50527
    Entry { opening: b"Login attempt for nonexistent user", read: nonexistent },
    // Login attempt with wrong user alice                                              (2020.79 to 2025.87)
    // Login attempt with wrong user alice from 203.0.113.7:50527
    Entry { opening: b"Login attempt with wrong user ", read: |rest| Some(wrong_user(rest)) },
    // User 'bob' has invalid shell, rejected
    // User 'bob' has blank password, rejected
    Entry { opening: b"User '", read: rejected },
    // User account 'bob' is locked
    Entry {
        opening: b"User account '",
        read: |rest| Some(not_allowed().user(rest.strip_suffix(b"' is locked")?)),
    },
    // root login rejected
    Entry {
        opening: b"root login rejected",
        read: |rest| rest.is_empty().then(|| not_allowed().user(b"root")),
    },
    // Logins are restricted to the group sftp but user 'bob' is not a member
    Entry { opening: b"Logins are restricted to the group ", read: restricted },
    // Pubkey auth bad signature for 'alice' with key SHA256:QxthGQbSjRxbAA+CfHM3UTGDyxdUsB7K2jKzqc7+Jqc from 203.0.113.7:47597
    Entry {
        opening: b"Pubkey auth bad signature for '",
        read: |rest| with_key(rest, Reading::failure(Kind::Publickey)),
    },
    // Password auth succeeded for 'alice' from 203.0.113.7:50105
    Entry { opening: b"Password auth succeeded for '", read: |rest| named(rest, Reading::success()) },
    // PAM password auth succeeded for 'alice' from 203.0.113.7:50105
    Entry { opening: b"PAM password auth succeeded for '", read: |rest| named(rest, Reading::success()) },
    // Pubkey auth succeeded for 'alice' with ssh-rsa key SHA256:QxthGQbSjRxbAA+CfHM3UTGDyxdUsB7K2jKzqc7+Jqc from 203.0.113.7:47597
    // Pubkey auth succeeded for 'alice' with key md5 2d:0a:69:… from 203.0.113.7:47597             (before 2022)
    Entry { opening: b"Pubkey auth succeeded for '", read: |rest| with_key(rest, Reading::success()) },
    // Auth succeeded with blank password for 'alice' from 203.0.113.7:50105
    Entry {
        opening: b"Auth succeeded with blank password for '",
        read: |rest| named(rest, Reading::success()),
    },
];

/// Reads `USER' from ADDR:N`. What goes on behind that (`, extra auth required`) is no outcome yet.
fn named<'a>(rest: &'a [u8], reading: Reading<'a>) -> Option<Reading<'a>> {
    let (user, origin) = from_at_end(rest)?;
    Some(reading.from(origin).user(user.strip_suffix(b"'")?))
}

/// Reads `USER' with … from ADDR:N`.
fn with_key<'a>(rest: &'a [u8], reading: Reading<'a>) -> Option<Reading<'a>> {
    let (before, origin) = from_at_end(rest)?;
    let end = before.windows(WITH.len()).position(|window| window == WITH)?;
    Some(reading.from(origin).user(&before[..end]))
}

fn nonexistent(rest: &[u8]) -> Option<Reading<'_>> {
    let reading = Reading::failure(Kind::InvalidUser);
    match rest {
        b"" => Some(reading),
        _ => Some(reading.from(Origin::with_port_behind_colon(rest.strip_prefix(b" from ")?)?)),
    }
}

fn wrong_user(rest: &[u8]) -> Reading<'_> {
    match from_at_end(rest) {
        Some((user, origin)) => not_allowed().from(origin).user(user),
        None => not_allowed().user(rest),
    }
}

fn rejected(rest: &[u8]) -> Option<Reading<'_>> {
    let user = rest.strip_suffix(b", rejected")?;
    let user =
        user.strip_suffix(b"' has invalid shell").or_else(|| user.strip_suffix(b"' has blank password"))?;
    Some(not_allowed().user(user))
}

fn restricted(rest: &[u8]) -> Option<Reading<'_>> {
    let rest = rest.strip_suffix(b"' is not a member")?;
    let quote = rest.iter().rposition(|&byte| byte == b'\'')?;
    rest[..quote].ends_with(b" but user ").then(|| not_allowed().user(&rest[quote + 1..]))
}

/// Reads `[ from <ADDR:N>]: [(user 'USER', N fails): ]REASON`, or ` (user 'USER', N fails): REASON` as it was before
/// 2020 (svr-session.c, `svr_dropbear_exit`).
fn exit(rest: &[u8]) -> Option<Reading<'_>> {
    let (origin, rest) = match rest.strip_prefix(b" from <") {
        Some(rest) => {
            let end = rest.iter().position(|&byte| byte == b'>')?;
            (Origin::with_port_behind_colon(&rest[..end])?, rest[end + 1..].strip_prefix(b": ")?)
        }
        None => (Origin::UNKNOWN, rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b" "))?),
    };
    let (user, reason) = match rest.strip_prefix(b"(user '") {
        Some(rest) => {
            let end = rest.windows(FAILS.len()).position(|window| window == FAILS)?;
            let (user, fails) = quoted(&rest[..end])?;
            number(fails)?;
            (user, &rest[end + FAILS.len()..])
        }
        None => (&b""[..], rest),
    };
    let reading = match reason {
        _ if reason.starts_with(b"Max auth tries reached - user '") => {
            Reading::failure(Kind::TooManyAttempts)
        }
        b"Timeout before auth" => Reading::pre_auth(Kind::Timeout),
        _ if reason.starts_with(b"Incompatible remote version '") => Reading::pre_auth(Kind::BadBanner),
        _ if reason.starts_with(b"No matching algo ") => Reading::pre_auth(Kind::Negotiation),
        _ => Reading::pre_auth(Kind::Closed),
    };
    // Exit before auth (user 'alice', 10 fails): Max auth tries reached - user 'alice' from 203.0.113.7:57079  (before 2020)
    let at_end =
        || from_at_end(reason).filter(|_| reading.outcome == Outcome::Failure).map(|(_, origin)| origin);
    let origin = if origin == Origin::UNKNOWN { at_end().unwrap_or(origin) } else { origin };
    Some(reading.from(origin).user(user))
}

/// Reads `USER', N`.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    Some((text[..space].strip_suffix(b"',")?, &text[space + 1..]))
}

/// Reads ` from ADDR:N` at the end; returns what stands before it as well.
fn from_at_end(text: &[u8]) -> Option<(&[u8], Origin)> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    let origin = Origin::with_port_behind_colon(&text[space + 1..])?;
    Some((text[..space].strip_suffix(b" from")?, origin))
}

fn not_allowed() -> Reading<'static> {
    Reading::failure(Kind::NotAllowed)
}

const WITH: &[u8] = b"' with ";
const FAILS: &[u8] = b" fails): ";

#[cfg(test)]
mod tests;
