//! Messages about a client that never came as far as naming a user.

use super::super::join::Bearing;
use super::super::text::{Origin, first_word, last_word, number, port};
use super::{Entry, Message, Understood};
use crate::event::{Kind, Outcome};

pub(super) const BANNERS: &[Entry] = &[
    // banner exchange: Connection from 203.0.113.7 port 56233: invalid format
    Entry { opening: b"banner exchange: Connection from ", read: banner_exchange },
    // Bad protocol version identification 'GET / HTTP/1.1' from 203.0.113.7 port 56233
    // Bad protocol version identification 'GET / HTTP/1.1' from 203.0.113.7                              (before 6.6)
    Entry { opening: b"Bad protocol version identification '", read: bad_version },
    // error: Bad remote protocol version identification: 'SSH-x'
    Entry {
        opening: b"Bad remote protocol version identification: '",
        read: |_| Some(nobody(Kind::BadBanner)),
    },
];

pub(super) const IDENTIFICATION: &[Entry] = &[
    // error: kex_exchange_identification: client sent invalid protocol identifier "GET / HTTP/1.1"
    // error: kex_exchange_identification: read: Connection reset by peer
    // kex_exchange_identification: Connection closed by remote host                       (VERBOSE from 9.5, else error)
    Entry { opening: b"kex_exchange_identification: ", read: identification },
];

pub(super) const NEGOTIATION: &[Entry] = &[
    // fatal: no matching cipher found: client aes128-cbc server aes256-ctr [preauth]                     (before 7.0)
    Entry { opening: b"no matching ", read: |message| message.preauth.then(|| nobody(Kind::Negotiation)) },
    // fatal: no hostkey alg [preauth]                                                                     (before 6.8)
    Entry { opening: b"no hostkey alg", read: |message| message.preauth.then(|| nobody(Kind::Negotiation)) },
];

pub(super) const DROPS: &[Entry] = &[
    // drop connection #10 from [203.0.113.7]:58801 on [198.51.100.1]:22 past MaxStartups
    // drop connection #0 from [203.0.113.7]:58801 on [198.51.100.1]:22 penalty: failed authentication
    Entry { opening: b"drop connection #", read: dropped },
];

pub(super) const REFUSED: &[Entry] = &[
    // refused connect from client.example (203.0.113.7)
    // refused connect from 203.0.113.7
    Entry { opening: b"refused connect from ", read: refused },
];

/// Reads `ADDR[ port N]: no matching … found. Their offer: …`; the offer is the client's.
pub(super) fn negotiation(message: Message<'_>) -> Option<Understood<'_>> {
    let (origin, rest) = Origin::at_start_before(message.text, b": ")?;
    rest.starts_with(b"no matching ").then(|| nobody(Kind::Negotiation).from(origin))
}

/// Reads `VERSION" uses unsafe key agreement; refusing connection`; the version is the client's.
pub(super) fn unsafe_agreement(message: Message<'_>) -> Option<Understood<'_>> {
    let refused = message.text.ends_with(b"\" uses unsafe key agreement; refusing connection");
    refused.then(|| nobody(Kind::Negotiation))
}

/// Reads `ADDR[ port N]` of a client that had gone before the server could say which version it speaks.
pub(super) fn unanswerable(message: Message<'_>) -> Option<Understood<'_>> {
    Some(nobody(Kind::Closed).from(Origin::whole(message.text)?))
}

/// Reads `ADDR[ port N]`.
pub(super) fn no_identification(message: Message<'_>) -> Option<Understood<'_>> {
    Some(nobody(Kind::NoIdentification).from(Origin::whole(message.text)?))
}

/// Reads `ADDR[ port N] with BANNER.  Don't panic.`; the banner is the client's.
pub(super) fn probed(message: Message<'_>) -> Option<Understood<'_>> {
    let (origin, rest) = match Origin::at_start(message.text) {
        Some((origin, rest)) => (origin, rest.strip_prefix(b" ")?),
        None => first_word(message.text).map(|(word, rest)| (Origin::word(word), rest))?,
    };
    rest.starts_with(b"with ").then(|| nobody(Kind::BadBanner).from(origin))
}

/// Reads what follows `Protocol major versions differ`: ` for ADDR[ port N]: …` before 7.8, `: 2 vs. 1` since.
pub(super) fn versions_differ(message: Message<'_>) -> Option<Understood<'_>> {
    if message.text.starts_with(b": ") {
        return Some(nobody(Kind::BadBanner));
    }
    let (origin, _) = Origin::at_start_before(message.text.strip_prefix(b" for ")?, b": ")?;
    Some(nobody(Kind::BadBanner).from(origin))
}

pub(super) fn nobody<'a>(kind: Kind) -> Understood<'a> {
    Understood::new(Outcome::PreAuth, kind)
}

/// Reads `ADDR port N: ERROR`.
fn banner_exchange(message: Message<'_>) -> Option<Understood<'_>> {
    let (origin, rest) = Origin::at_start(message.text)?;
    rest.starts_with(b": ").then(|| nobody(Kind::BadBanner).from(origin))
}

/// Reads `BANNER' from ADDR[ port N]`; the banner is the client's.
fn bad_version(message: Message<'_>) -> Option<Understood<'_>> {
    if !message.whole {
        return Some(nobody(Kind::BadBanner));
    }
    let (before, origin) = Origin::from_at_end(message.text)?;
    before.ends_with(b"'").then(|| nobody(Kind::BadBanner).from(origin))
}

fn identification(message: Message<'_>) -> Option<Understood<'_>> {
    let text = message.text;
    if text.starts_with(b"Connection closed by remote host") {
        Some(nobody(Kind::Closed))
    } else if text.starts_with(b"read: Connection reset by peer") {
        Some(nobody(Kind::Reset))
    } else if text.starts_with(b"client sent invalid protocol identifier ")
        || text.starts_with(b"banner line ")
    {
        Some(nobody(Kind::BadBanner))
    } else {
        None
    }
}

/// Reads `N from [ADDR]:PORT on [ADDR]:PORT REASON`.
fn dropped(message: Message<'_>) -> Option<Understood<'_>> {
    let (startups, rest) = first_word(message.text)?;
    number(startups)?;
    let (client, rest) = first_word(rest.strip_prefix(b"from ")?)?;
    let (server, reason) = first_word(rest.strip_prefix(b"on ")?)?;
    bracketed(server)?;
    let (address, port) = bracketed(client)?;
    let origin = Origin::word(address);
    let origin = Origin { port: origin.address.and(Some(port)), ..origin };
    // sshd.c, drop_connection: `penalty: …` (srclimit.c) or, from 9.9, its heading.
    let penalty = reason.starts_with(b"penalty: ") || reason == b"PerSourcePenalties";
    let kind = if penalty { Kind::Penalty } else { Kind::Refused };
    // The process that listens wrote it, for all clients.
    Some(nobody(kind).from(origin).bearing(Bearing::Aside))
}

/// Splits `[ADDR]:PORT`.
fn bracketed(word: &[u8]) -> Option<(&[u8], u16)> {
    let rest = word.strip_prefix(b"[")?;
    let close = rest.iter().position(|&byte| byte == b']')?;
    Some((&rest[..close], port(rest[close + 1..].strip_prefix(b":")?)?))
}

/// Reads `NAME (ADDR)` or `ADDR` (libwrap, refuse.c). A name says nothing: whoever holds the reverse zone chose it.
fn refused(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = nobody(Kind::Refused).bearing(Bearing::Aside);
    match last_word(message.text) {
        Some((_name, word)) => {
            let address = word.strip_prefix(b"(")?.strip_suffix(b")")?;
            Some(understood.from(Origin::word(address)))
        }
        None => Some(understood.from(Origin::word(message.text))),
    }
}
