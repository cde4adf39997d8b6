//! Messages about a session that ended before anybody was authenticated.

use super::super::text::{Found, Origin, find, first_word, number};
use super::{Entry, Message, Understood, arrival, attempt};
use crate::event::{Kind, Outcome};

pub(super) const CONNECTIONS: &[Entry] = &[
    // Connection closed by authenticating user root 203.0.113.7 port 57527 [preauth]
    // Connection closed by 203.0.113.7 port 57527 [preauth]
    // Connection closed by 203.0.113.7 [preauth]               (before 7.0)
    Entry { opening: b"Connection closed by ", read: |message| ended(message, Kind::Closed) },
    // Connection reset by invalid user ghost 203.0.113.7 port 44673 [preauth]
    Entry { opening: b"Connection reset by ", read: |message| ended(message, Kind::Reset) },
    // Connection from authenticating user root 203.0.113.7 port 57527 timed out [preauth]
    Entry { opening: b"Connection from ", read: timed_out },
    // error: Connection timed out during banner exchange
    Entry { opening: b"Connection timed out during banner exchange", read: banner_timed_out },
];

pub(super) const DISCONNECTS: &[Entry] = &[
    // Disconnected from authenticating user root 203.0.113.7 port 51187 [preauth]
    Entry { opening: b"Disconnected from ", read: |message| ended(message, Kind::Closed) },
    // Disconnecting: Too many authentication failures for root [preauth]                                 (before 7.5)
    Entry { opening: b"Disconnecting: ", read: disconnecting_somebody },
    // Disconnecting invalid user ghost 203.0.113.7 port 36275: Too many authentication failures [preauth]
    Entry { opening: b"Disconnecting ", read: disconnecting },
    // Did not receive identification string from 203.0.113.7 port 44673
    Entry { opening: b"Did not receive identification string from ", read: arrival::no_identification },
];

pub(super) const RECEIVED: &[Entry] = &[
    // Received disconnect from 203.0.113.7 port 33577:11: disconnected by user [preauth]
    // Received disconnect from 203.0.113.7: 11: Bye Bye [preauth]                                        (before 7.0)
    Entry { opening: b"Received disconnect from ", read: received },
    // fatal: Read from socket failed: Connection reset by peer [preauth]                                 (before 7.0)
    Entry { opening: b"Read from socket failed: Connection reset by peer", read: read_failed },
    // ROOT LOGIN REFUSED FROM 203.0.113.7 port 57527
    Entry { opening: b"ROOT LOGIN REFUSED FROM ", read: attempt::root_refused },
];

pub(super) const TIMEOUTS: &[Entry] = &[
    // Timeout before authentication for connection from 203.0.113.7 to 198.51.100.1, pid = 4711          (from 9.8)
    Entry { opening: b"Timeout before authentication for connection from ", read: timeout_of_connection },
    // fatal: Timeout before authentication for 203.0.113.7 port 57527
    // fatal: Timeout before authentication for 203.0.113.7      (before 7.4)
    Entry { opening: b"Timeout before authentication for ", read: timeout },
];

pub(super) const DISPATCH: &[Entry] = &[
    // ssh_dispatch_run_fatal: Connection from 203.0.113.7 port 42477: message authentication code incorrect [preauth]
    Entry { opening: b"ssh_dispatch_run_fatal: Connection from ", read: dispatch },
    // scanned from 203.0.113.7 port 47059 with SSH-2.0-SSH_Version_Mapper.  Don't panic.
    Entry { opening: b"scanned from ", read: arrival::probed },
];

/// Who a session belongs to (packet.c, `sshpkt_fmt_connection_id`; named since 7.5).
enum Owner<'a> {
    /// `authenticating user NAME …` or `invalid user NAME …`: the text behind the words.
    Named(&'a [u8]),
    /// Nobody has named himself: the whole text.
    Nobody(&'a [u8]),
    /// `user NAME …`: somebody who is logged in.
    Authenticated,
}

impl<'a> Owner<'a> {
    fn of(text: &'a [u8]) -> Self {
        for words in [&b"authenticating user "[..], b"invalid user "] {
            if let Some(rest) = text.strip_prefix(words) {
                return Self::Named(rest);
            }
        }
        if text.starts_with(b"user ") { Self::Authenticated } else { Self::Nobody(text) }
    }
}

/// Reads `OWNER ADDR[ port N]`.
fn ended(message: Message<'_>, kind: Kind) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::PreAuth, kind);
    match Owner::of(message.text) {
        Owner::Named(_) if !message.whole => Some(understood),
        Owner::Named(text) => {
            let (user, origin) = Origin::at_end(text)?;
            Some(understood.from(origin).user(user))
        }
        Owner::Nobody(text) if message.preauth => Some(understood.from(Origin::whole(text)?)),
        Owner::Nobody(_) | Owner::Authenticated => None,
    }
}

fn timed_out(message: Message<'_>) -> Option<Understood<'_>> {
    ended(message.with(message.text.strip_suffix(b" timed out")?), Kind::Timeout)
}

fn banner_timed_out(message: Message<'_>) -> Option<Understood<'_>> {
    message.text.is_empty().then(|| Understood::new(Outcome::PreAuth, Kind::Timeout))
}

fn disconnecting_somebody(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = because(message.text);
    if understood.kind == Kind::TooManyAttempts {
        let user = message.text.strip_prefix(TOO_MANY)?.strip_prefix(b" for ");
        return Some(Understood { user, ..understood });
    }
    message.preauth.then_some(understood)
}

/// Reads `OWNER ADDR port N: TEXT`. The text may repeat what the client said (`Change of username or service not
/// allowed: (…) -> (…)`), so that client text stands on both sides.
fn disconnecting(message: Message<'_>) -> Option<Understood<'_>> {
    match Owner::of(message.text) {
        Owner::Named(text) => match between(message, text) {
            Some((user, origin, after)) => Some(because(after).from(origin).user(user)),
            None => Some(Understood::new(Outcome::PreAuth, Kind::Closed)),
        },
        Owner::Nobody(text) if message.preauth => {
            let (origin, rest) = Origin::at_start(text)?;
            Some(because(rest.strip_prefix(b": ")?).from(origin))
        }
        Owner::Nobody(_) | Owner::Authenticated => None,
    }
}

fn dispatch(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::PreAuth, Kind::Other);
    match Owner::of(message.text) {
        Owner::Named(text) => match between(message, text) {
            Some((user, origin, _)) => Some(understood.from(origin).user(user)),
            None => Some(understood),
        },
        Owner::Nobody(text) if message.preauth => {
            let (origin, rest) = Origin::at_start(text)?;
            rest.starts_with(b": ").then(|| understood.from(origin))
        }
        Owner::Nobody(_) | Owner::Authenticated => None,
    }
}

/// Reads `USER ADDR port N: TEXT`, if it can be read in one way only.
fn between<'a>(message: Message<'a>, text: &'a [u8]) -> Option<(&'a [u8], Origin, &'a [u8])> {
    match find(text, b" ", b": ") {
        Found::Once { before, origin, after } if message.whole => Some((before, origin, after)),
        _ => None,
    }
}

/// What the server's reason for hanging up says.
fn because(text: &[u8]) -> Understood<'_> {
    if text.starts_with(TOO_MANY) {
        Understood::new(Outcome::Failure, Kind::TooManyAttempts)
    } else {
        Understood::new(Outcome::PreAuth, Kind::Closed)
    }
}

/// Reads `ADDR port N:CODE: TEXT` or `ADDR: CODE: TEXT`; the text is the client's, and stands behind the address.
fn received(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::PreAuth, Kind::Closed);
    if !message.preauth {
        return None;
    }
    if let Some((origin, rest)) = Origin::at_start(message.text) {
        return rest.starts_with(b":").then(|| understood.from(origin));
    }
    let (word, _) = first_word(message.text)?;
    Some(understood.from(Origin::word(word.strip_suffix(b":")?)))
}

fn read_failed(message: Message<'_>) -> Option<Understood<'_>> {
    (message.preauth && message.text.is_empty()).then(|| Understood::new(Outcome::PreAuth, Kind::Reset))
}

fn timeout(message: Message<'_>) -> Option<Understood<'_>> {
    Some(Understood::new(Outcome::PreAuth, Kind::Timeout).from(Origin::whole(message.text)?))
}

/// Reads `ADDR[ to ADDR], pid = N[ (STATE)]` (sshd.c, `child_register` and `child_reap`). 9.8p1 alone had the two
/// addresses the wrong way round; it then names the server's own, which is never banned.
fn timeout_of_connection(message: Message<'_>) -> Option<Understood<'_>> {
    let at = message.text.windows(PID.len()).position(|window| window == PID)?;
    let (ends, rest) = (&message.text[..at], &message.text[at + PID.len()..]);
    let (pid, state) = first_word(rest).unwrap_or((rest, b""));
    number(pid)?;
    let in_brackets = state.starts_with(b"(") && state.ends_with(b")");
    if !in_brackets && !state.is_empty() {
        return None;
    }
    let client = match first_word(ends) {
        Some((client, rest)) => {
            let server = rest.strip_prefix(b"to ")?;
            if server.is_empty() || server.contains(&b' ') {
                return None;
            }
            client
        }
        None => ends,
    };
    Some(Understood::new(Outcome::PreAuth, Kind::Timeout).from(Origin::word(client)))
}

const TOO_MANY: &[u8] = b"Too many authentication failures";

const PID: &[u8] = b", pid = ";
