//! Reads what OpenSSH's sshd writes (versions 6 to 10: `sshd`, from 9.8 `sshd-session`, from 10.0 `sshd-auth`).
//!
//! | message | understood as |
//! |---|---|
//! | `Failed METHOD for …` | failure, the method's kind; nothing for `none` (how a client asks what it may try) |
//! | `Accepted METHOD for …` | success, accepted |
//! | `Invalid user …` | failure, invalid-user |
//! | `public key … signature for … rejected: …` | failure, publickey |
//! | `PAM: … for …` | failure, keyboard-interactive; a `Failed keyboard-interactive/pam` that follows is the same attempt, then pam |
//! | `pam_*(sshd:auth): authentication failure; …`, `PAM N more authentication failures; …` | failure, pam (the last counts N) |
//! | `User … not allowed because …`, `ROOT LOGIN REFUSED …`, `administratively prohibited …`, `Access denied for user …` | failure, not-allowed |
//! | `maximum authentication attempts exceeded …`, `Disconnecting …: Too many authentication failures` | failure, too-many-attempts |
//! | `Connection closed by …`, `Disconnected from …`, `Received disconnect from …`, any other `Disconnecting …`, `Could not write ident string …` | pre-auth, closed; with the user if the line names one |
//! | `Connection reset by …`, `Read from socket failed: Connection reset by peer` | pre-auth, reset; with the user if the line names one |
//! | `Timeout before authentication …`, `Connection from … timed out` | pre-auth, timeout |
//! | `Did not receive identification string …` | pre-auth, no-identification |
//! | `banner exchange: …`, `Bad protocol version …`, `Protocol major versions differ …`, `probed from …`, `scanned from …` | pre-auth, bad-banner |
//! | `kex_exchange_identification: …` | pre-auth, closed, reset or bad-banner, no address |
//! | `Unable to negotiate …`, `no matching … found`, `… uses unsafe key agreement …` | pre-auth, negotiation |
//! | any other `fatal: … [preauth]`, `… Connection from …: ERROR`, `session process … killed …` | pre-auth, other; with the user if the line names one |
//! | `drop connection …`, `refused connect from …` | pre-auth, penalty for `PerSourcePenalties`, else refused |
//! | `Connection from …`, `Postponed …`, `Partial …` | whose session it is, for [`super::join`]; no event |
//!
//! Every message of every version, and what is not read, stands in `docs/openssh-messages.md`.
//!
//! The end of a session whose user was authenticated is nothing. sshd does not always say so: `Connection closed by
//! ADDR port N` without `[preauth]` is written both for a client that left during the banner exchange and for a
//! logged-in user whose connection broke. Such a line is an event only where the same session has said before that it is
//! not logged in.
//!
//! What a client chose cannot lend the line another address. The address is read from the text that sshd's own
//! format puts at the end, or at the start. Where client text may stand on both sides, it is read only if there is but
//! one place in the line that could hold it. A message of 500 bytes may have lost its end, and a client can see
//! to it that the cut falls behind an address in its own user name; such a message never names an address by its end.

mod arrival;
mod attempt;
mod ending;
mod pam;

use std::num::NonZeroU32;

use super::Record;
use super::join::{Bearing, Told};
use super::text::{Origin, number};
use crate::event::{AuthEvent, Kind, Outcome, Service};

/// The processes of sshd.
pub(super) const PROCESSES: [&[u8]; 3] = [b"sshd", b"sshd-session", b"sshd-auth"];

/// The most bytes of a message that sshd hands to syslog (log.c, `do_log`: `%.500s`).
const CUT: usize = 500;

/// Reads one message by itself; nothing if another program wrote it, or if it says nothing about a login.
#[must_use]
pub fn read(record: &Record<'_>) -> Option<Told> {
    if !PROCESSES.contains(&record.process) {
        return None;
    }
    let (text, repeated) = unrepeated(record.message)?;
    let understood = understand(Message::new(text)?)?;
    let event = AuthEvent {
        outcome: understood.outcome,
        kind: understood.kind,
        address: understood.origin.address,
        port: understood.origin.port,
        user: understood.user.map(|user| String::from_utf8_lossy(user).into()),
        service: Service::Openssh,
        count: repeated.saturating_mul(understood.count),
        process: None,
    };
    Some(Told { event, bearing: understood.bearing, process: understood.process })
}

/// One message without the marks that sshd's own logging adds.
#[derive(Clone, Copy)]
struct Message<'a> {
    text: &'a [u8],
    /// Whether it ends with ` [preauth]`: the process that has not authenticated anybody wrote it.
    preauth: bool,
    /// Whether it is short enough to be sure of its end.
    whole: bool,
    /// Whether the process that wrote it ends with it.
    fatal: bool,
}

impl<'a> Message<'a> {
    /// Nothing for a message of a session that is authenticated.
    fn new(text: &'a [u8]) -> Option<Self> {
        let whole = text.len() < CUT;
        // monitor.c, monitor_read_log: `%s [%s]`.
        let (text, preauth) = match text.strip_suffix(b" [preauth]") {
            Some(text) => (text, true),
            None if text.ends_with(b" [postauth]") => return None,
            None => (text, false),
        };
        // log.c, do_log: the level stands before the message in syslog, and not in `sshd -E`.
        let (text, fatal) = match text {
            [b'e', b'r', b'r', b'o', b'r', b':', b' ', rest @ ..] => (rest, false),
            [b'f', b'a', b't', b'a', b'l', b':', b' ', rest @ ..] => (rest, true),
            _ => (text, false),
        };
        Some(Self { text, preauth, whole, fatal })
    }

    /// The same marks around other text.
    fn with(self, text: &'a [u8]) -> Self {
        Self { text, ..self }
    }
}

/// What a message was understood as.
#[derive(Clone, Copy)]
struct Understood<'a> {
    outcome: Outcome,
    kind: Kind,
    origin: Origin,
    user: Option<&'a [u8]>,
    count: NonZeroU32,
    bearing: Bearing,
    /// The process that it is about, where another one wrote it.
    process: Option<u32>,
}

impl<'a> Understood<'a> {
    fn new(outcome: Outcome, kind: Kind) -> Self {
        Self {
            outcome,
            kind,
            origin: Origin::UNKNOWN,
            user: None,
            count: NonZeroU32::MIN,
            bearing: Bearing::Event,
            process: None,
        }
    }

    /// What says of a session that nobody is logged in, and who it is; no event by itself.
    fn whose(origin: Origin) -> Self {
        Self::new(Outcome::PreAuth, Kind::Other).from(origin).bearing(Bearing::Whose)
    }

    fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    fn user(self, user: &'a [u8]) -> Self {
        Self { user: Some(user), ..self }
    }

    fn bearing(self, bearing: Bearing) -> Self {
        Self { bearing, ..self }
    }
}

/// Takes rsyslog's summary of a repeated message apart; any other message counts once.
pub(super) fn unrepeated(text: &[u8]) -> Option<(&[u8], NonZeroU32)> {
    // message repeated 2 times: [ Failed password for root from 203.0.113.7 port 41022 ssh2]
    let Some(rest) = text.strip_prefix(b"message repeated ") else { return Some((text, NonZeroU32::MIN)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let times = NonZeroU32::new(number(&rest[..digits])?)?;
    let text = rest[digits..].strip_prefix(b" times: [ ")?.strip_suffix(b"]")?;
    Some((text, times))
}

/// Looks the message up by how it begins.
fn understand(message: Message<'_>) -> Option<Understood<'_>> {
    let table = match message.text.first()? {
        b'C' => ending::CONNECTIONS,
        b'D' => ending::DISCONNECTS,
        b'R' => ending::RECEIVED,
        b'T' => ending::TIMEOUTS,
        b'S' | b's' => ending::PROCESSES,
        b'F' => attempt::FAILED,
        b'A' => attempt::ACCEPTED,
        b'I' => attempt::INVALID,
        b'U' => attempt::NOT_ALLOWED,
        b'm' => attempt::TOO_MANY,
        b'a' => attempt::PROHIBITED,
        b'P' => pam::WORDS,
        b'p' => pam::MODULES,
        b'B' | b'b' => arrival::BANNERS,
        b'k' => arrival::IDENTIFICATION,
        b'n' => arrival::NEGOTIATION,
        b'd' => arrival::DROPS,
        b'r' => arrival::REFUSED,
        _ => &[],
    };
    let known = table.iter().find_map(|entry| {
        let rest = message.text.strip_prefix(entry.opening)?;
        Some((entry.read)(message.with(rest)))
    });
    match known {
        Some(read) => read,
        None if message.fatal => ending::fatal(message),
        None => None,
    }
}

/// One kind of message: how it begins, and what reads the rest.
struct Entry {
    opening: &'static [u8],
    read: Reader,
}

type Reader = for<'a> fn(Message<'a>) -> Option<Understood<'a>>;

#[cfg(test)]
mod tests;
