//! Messages about a session that ended before anybody was authenticated.

use super::super::join::Bearing;
use super::super::text::{Found, Origin, find, first_word, number};
use super::{Entry, Message, Reader, Understood, arrival, attempt};
use crate::event::{Kind, Outcome};

pub(super) const CONNECTIONS: &[Entry] = &[
    // Connection closed by authenticating user root 203.0.113.7 port 57527 [preauth]
    // Connection closed by 203.0.113.7 port 57527 [preauth]
    // Connection closed by 203.0.113.7 [preauth]               (before 7.0)
    Entry { opening: b"Connection closed by ", read: |message| ended(message, Kind::Closed) },
    // Connection reset by invalid user ghost 203.0.113.7 port 44673 [preauth]
    Entry { opening: b"Connection reset by ", read: |message| ended(message, Kind::Reset) },
    // Connection from authenticating user root 203.0.113.7 port 57527 timed out [preauth]
    // Connection from 203.0.113.7 port 57527 on 198.51.100.1 port 22 rdomain ""
    // fatal: Connection from 203.0.113.7 port 57527 with IP opts: 83.07.04
    Entry { opening: b"Connection from ", read: connection_from },
    // Connection to 203.0.113.7 timed out while waiting to read [preauth]                                 (before 7.2)
    Entry { opening: b"Connection to ", read: connection_to },
    // Could not write ident string to 203.0.113.7 port 57527                                              (before 8.0)
    Entry { opening: b"Could not write ident string to ", read: arrival::unanswerable },
    // fatal: Client version "OpenSSH_3.0" uses unsafe key agreement; refusing connection                  (6.5 to 7.6)
    Entry { opening: b"Client version \"", read: arrival::unsafe_agreement },
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

pub(super) const PROCESSES: &[Entry] = &[
    // ssh_dispatch_run_fatal: Connection from 203.0.113.7 port 42477: message authentication code incorrect [preauth]
    Entry { opening: b"ssh_dispatch_run_fatal: Connection from ", read: dispatch },
    // scanned from 203.0.113.7 port 47059 with SSH-2.0-SSH_Version_Mapper.  Don't panic.
    Entry { opening: b"scanned from ", read: arrival::probed },
    // error: session process 4712 for connection from 203.0.113.7 to 198.51.100.1 killed by signal 11       (from 9.8)
    Entry { opening: b"session process ", read: process_died },
    // Session process 4712 unpriv child crash for connection from 203.0.113.7 to 198.51.100.1               (from 9.8)
    Entry { opening: b"Session process ", read: child_crashed },
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
        Owner::Nobody(text) => {
            let bearing = if message.preauth { Bearing::Event } else { Bearing::Unauthenticated };
            Some(understood.from(Origin::whole(text)?).bearing(bearing))
        }
        Owner::Authenticated => None,
    }
}

/// Reads `OWNER ADDR port N timed out`, `OWNER ADDR port N: ERROR`, `ADDR port N[ on …]` or `ADDR[ port N] with IP opt…`.
fn connection_from(message: Message<'_>) -> Option<Understood<'_>> {
    if let Some(text) = message.text.strip_suffix(b" timed out") {
        return ended(message.with(text), Kind::Timeout);
    }
    for options in [&b" with IP opts: "[..], b" with IP options:"] {
        if let Some((origin, _)) = Origin::at_start_before(message.text, options) {
            return Some(Understood::new(Outcome::PreAuth, Kind::Other).from(origin));
        }
    }
    match Origin::at_start(message.text) {
        Some((origin, rest)) if rest.is_empty() || rest.starts_with(b" on ") => {
            Some(Understood::whose(origin))
        }
        _ => dispatch(message),
    }
}

/// Reads `ADDR timed out[ while waiting to …]` or `ADDR: ERROR`: so the server said before 7.2, of its clients too.
fn connection_to(message: Message<'_>) -> Option<Understood<'_>> {
    if !message.preauth {
        return None;
    }
    let (word, rest) = first_word(message.text)?;
    if rest == b"timed out" || rest.starts_with(b"timed out while waiting to ") {
        return Some(Understood::new(Outcome::PreAuth, Kind::Timeout).from(Origin::word(word)));
    }
    let address = word.strip_suffix(b":")?;
    Some(Understood::new(Outcome::PreAuth, Kind::Other).from(Origin::word(address)))
}

const TAGGED: [(&[u8], Reader); 2] =
    [(b": Connection from ", dispatch), (b": Connection to ", connection_to)];

/// Reads any other message with which a process ends while nobody is logged in: `[FUNCTION: [DOING: ]]Connection from
/// OWNER ADDR port N: ERROR` (packet.c, `sshpkt_vfatal`), or a text that names nobody.
pub(super) fn fatal(message: Message<'_>) -> Option<Understood<'_>> {
    for (mark, read) in TAGGED {
        let Some(tag) = message.text.windows(mark.len()).position(|window| window == mark) else { continue };
        // What a function and its doing are called is not the client's to choose.
        if message.text[..tag].iter().all(|byte| byte.is_ascii_alphanumeric() || b"_: ".contains(byte)) {
            return read(message.with(&message.text[tag + mark.len()..]));
        }
    }
    message.preauth.then(|| Understood::new(Outcome::PreAuth, Kind::Other))
}

fn banner_timed_out(message: Message<'_>) -> Option<Understood<'_>> {
    message.text.is_empty().then(|| Understood::new(Outcome::PreAuth, Kind::Timeout))
}

fn disconnecting_somebody(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = because(message.text);
    if understood.kind == Kind::TooManyAttempts {
        let user = message.text.strip_prefix(TOO_MANY)?.strip_prefix(b" for ");
        // 6.7 alone adds ` from ADDR port N ssh2`, of a text that is cut at 100 bytes: a name may end like that as well.
        let user = user.filter(|user| !user.ends_with(b" ssh2") && message.text.len() < DISCONNECT_CUT);
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
    broken(message, Kind::Other)
}

/// Reads `OWNER ADDR[ port N]: no matching … found. Their offer: …`; the offer is the client's, and somebody who asks for
/// new keys has a name.
pub(super) fn negotiation(message: Message<'_>) -> Option<Understood<'_>> {
    match Owner::of(message.text) {
        Owner::Named(_) => broken(message, Kind::Negotiation),
        Owner::Nobody(_) => arrival::negotiation(message),
        Owner::Authenticated => None,
    }
}

/// Reads `OWNER ADDR port N: TEXT`.
fn broken(message: Message<'_>, kind: Kind) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::PreAuth, kind);
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
    let process = number(pid)?;
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
    Some(of_process(process, Kind::Timeout).from(Origin::word(client)))
}

/// Reads `N for connection from ADDR to ADDR killed by signal N[ (STATE)]` or `… terminated abnormally, status=N[ (STATE)]`.
fn process_died(message: Message<'_>) -> Option<Understood<'_>> {
    let (process, rest) = first_word(message.text)?;
    let (client, end) = ends(rest.strip_prefix(b"for ")?)?;
    let known = end.starts_with(b"killed by signal ") || end.starts_with(b"terminated abnormally, status=");
    known.then_some(of_process(number(process)?, Kind::Other).from(client))
}

/// Reads `N unpriv child crash for connection from ADDR to ADDR[ (STATE)]`.
fn child_crashed(message: Message<'_>) -> Option<Understood<'_>> {
    let (process, rest) = first_word(message.text)?;
    let (client, _) = ends(rest.strip_prefix(b"unpriv child crash for ")?)?;
    Some(of_process(number(process)?, Kind::Other).from(client))
}

/// Reads `connection from ADDR to ADDR` at the start; returns what follows as well.
fn ends(text: &[u8]) -> Option<(Origin, &[u8])> {
    let (client, rest) = first_word(text.strip_prefix(b"connection from ")?)?;
    let rest = rest.strip_prefix(b"to ")?;
    let (_server, rest) = first_word(rest).unwrap_or((rest, b""));
    Some((Origin::word(client), rest))
}

/// What the process that listens says of the one that serves a session.
fn of_process<'a>(process: u32, kind: Kind) -> Understood<'a> {
    let understood = Understood::new(Outcome::PreAuth, kind).bearing(Bearing::Aside);
    Understood { process: Some(process), ..understood }
}

const TOO_MANY: &[u8] = b"Too many authentication failures";

/// packet.c, `packet_disconnect`: `Disconnecting: %.100s`.
const DISCONNECT_CUT: usize = 100;

const PID: &[u8] = b", pid = ";
