//! Messages about a login that was tried.

use super::super::join::Bearing;
use super::super::text::{Found, Origin, find, first_word};
use super::{Entry, Message, Understood, arrival, ending};
use crate::event::{Kind, Outcome};

pub(super) const FAILED: &[Entry] = &[
    // Failed password for root from 203.0.113.7 port 57527 ssh2
    // Failed keyboard-interactive/pam for invalid user ghost from 2001:db8::7 port 34693 ssh2
    // Failed publickey for root from 203.0.113.7 port 56363 ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2
    // Failed rsa for root from 203.0.113.7 port 56363 ssh1                                                (before 7.4)
    Entry { opening: b"Failed ", read: failed },
];

pub(super) const ACCEPTED: &[Entry] = &[
    // Accepted publickey for alice from 203.0.113.7 port 37643 ssh2: ED25519 SHA256:GA3DljsQojns6Y0Fd9A
    Entry { opening: b"Accepted ", read: accepted },
    // fatal: Access denied for user frank by PAM account configuration [preauth]
    Entry { opening: b"Access denied for user ", read: access_denied },
];

pub(super) const INVALID: &[Entry] = &[
    // Invalid user ghost from 203.0.113.7 port 60651
    // Invalid user ghost from 203.0.113.7                       (before 7.4)
    Entry { opening: b"Invalid user ", read: |message| named(message, Kind::InvalidUser) },
];

pub(super) const NOT_ALLOWED: &[Entry] = &[
    // User dave from 203.0.113.7 not allowed because listed in DenyUsers
    // User bob not allowed because account is locked
    Entry { opening: b"User ", read: not_allowed },
    // Unable to negotiate with 203.0.113.7 port 34041: no matching cipher found. Their offer: aes128-cbc [preauth]
    // fatal: Unable to negotiate with 203.0.113.7: no matching cipher found. Their offer: aes128-cbc [preauth]
    //                                                                                                (7.0 and 7.1)
    Entry { opening: b"Unable to negotiate with ", read: ending::negotiation },
    // fatal: Unable to negotiate a key exchange method [preauth]                                          (before 6.8)
    Entry {
        opening: b"Unable to negotiate a key exchange method",
        read: |_| Some(arrival::nobody(Kind::Negotiation)),
    },
    // fatal: Username too long from 203.0.113.7 port 57527                                                (from 8.5)
    Entry { opening: b"Username too long from ", read: arrival::unanswerable },
];

pub(super) const SIGNATURES: Entry =
    // error: public key ED25519-SK SHA256:QiSYl/d6XrT5WUMHG2GMFH2 signature for root from 203.0.113.7 port 56363 rejected: \
    // user presence (authenticator touch) requirement not met
    Entry { opening: b"public key ", read: unproven };

pub(super) const POSTPONED: Entry =
    // Postponed keyboard-interactive for root from 203.0.113.7 port 57527 ssh2 [preauth]
    Entry { opening: b"Postponed ", read: underway };

pub(super) const PARTIAL: Entry =
    // Partial publickey for root from 203.0.113.7 port 57527 ssh2: ED25519 SHA256:QiSYl/d6XrT5WUMHG2GMFH2
    Entry { opening: b"Partial ", read: underway };

pub(super) const TOO_MANY: &[Entry] = &[
    // error: maximum authentication attempts exceeded for root from 203.0.113.7 port 36275 ssh2 [preauth]
    Entry { opening: b"maximum authentication attempts exceeded for ", read: too_many },
];

pub(super) const PROHIBITED: &[Entry] = &[
    // administratively prohibited connection for invalid user ghost from 203.0.113.7 port 60651
    Entry {
        opening: b"administratively prohibited connection for ",
        read: |message| {
            let text = message.text.strip_prefix(b"invalid user ").unwrap_or(message.text);
            named(message.with(text), Kind::NotAllowed)
        },
    },
];

/// Reads `ROOT LOGIN REFUSED FROM ADDR[ port N]` behind its opening (auth.c, `auth_root_allowed`).
pub(super) fn root_refused(message: Message<'_>) -> Option<Understood<'_>> {
    let origin = Origin::whole(message.text)?;
    Some(Understood::new(Outcome::Failure, Kind::NotAllowed).from(origin).user(b"root"))
}

fn failed(message: Message<'_>) -> Option<Understood<'_>> {
    let (method, rest) = first_word(message.text)?;
    let kind = match method {
        b"password" => Kind::Password,
        b"publickey" | b"rsa" => Kind::Publickey,
        b"keyboard-interactive" | b"challenge-response" => Kind::KeyboardInteractive,
        b"hostbased" | b"rhosts-rsa" => Kind::Hostbased,
        b"gssapi-with-mic" | b"gssapi-keyex" => Kind::Gssapi,
        // The method's device: `pam`, `bsdauth`, `skey`.
        _ if method.starts_with(b"keyboard-interactive/") => Kind::KeyboardInteractive,
        // `none` asks which methods there are; no other is a try that could have led in.
        _ => return None,
    };
    let again = method == b"keyboard-interactive/pam";
    let bearing = if again { Bearing::Again } else { Bearing::Event };
    let understood = Understood::new(Outcome::Failure, kind).bearing(bearing);
    tried(message.with(rest.strip_prefix(b"for ")?), understood)
}

/// Reads `METHOD for …` where a login has neither failed nor succeeded: another step of it follows.
fn underway(message: Message<'_>) -> Option<Understood<'_>> {
    let (_method, rest) = first_word(message.text)?;
    tried(message.with(rest.strip_prefix(b"for ")?), Understood::whose(Origin::UNKNOWN))
}

/// Reads `TYPE[ FINGERPRINT] signature for [invalid user ]USER from ADDR port N rejected: REASON`.
fn unproven(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::Failure, Kind::Publickey);
    let at = message.text.windows(SIGNATURE.len()).position(|window| window == SIGNATURE)?;
    let text = &message.text[at + SIGNATURE.len()..];
    if !message.whole {
        return Some(understood);
    }
    let text = UNPROVEN.iter().find_map(|reason| text.strip_suffix(*reason))?;
    let (user, origin) = Origin::from_port_at_end(text.strip_prefix(b"invalid user ").unwrap_or(text))?;
    Some(understood.from(origin).user(user))
}

fn accepted(message: Message<'_>) -> Option<Understood<'_>> {
    let (_method, rest) = first_word(message.text)?;
    // `Accepted key … found at …` and `Accepted certificate ID …` say that a key is known, not that it was proven.
    tried(message.with(rest.strip_prefix(b"for ")?), Understood::new(Outcome::Success, Kind::Accepted))
}

fn too_many(message: Message<'_>) -> Option<Understood<'_>> {
    tried(message, Understood::new(Outcome::Failure, Kind::TooManyAttempts))
}

/// Reads `[invalid user ]USER from ADDR port N[ ssh2][: INFO]`, or `ssh1` before 7.4 (auth.c, `auth_log`). INFO is what the method adds: a key
/// and its fingerprint, a certificate's name or a client's host name, which the client chose as well.
fn tried<'a>(message: Message<'a>, understood: Understood<'a>) -> Option<Understood<'a>> {
    // A certificate's long name may have cost a success its end; only an account's owner can bring that about.
    if !message.whole && understood.outcome != Outcome::Success {
        return Some(understood);
    }
    let text = message.text.strip_prefix(b"invalid user ").unwrap_or(message.text);
    // INFO never ends like this: it ends with a fingerprint, a quotation mark or a realm.
    if let Some(text) = text.strip_suffix(b" ssh2").or_else(|| text.strip_suffix(b" ssh1"))
        && message.whole
    {
        let (user, origin) = Origin::from_port_at_end(text)?;
        return Some(understood.from(origin).user(user));
    }
    let found = match find(text, b" from ", b" ssh2: ") {
        Found::Nowhere if message.whole => find(text, b" from ", b" ssh1: "),
        found => found,
    };
    match found {
        Found::Once { before, origin, .. } => Some(understood.from(origin).user(before)),
        Found::Nowhere if message.whole => {
            let (user, origin) = Origin::from_port_at_end(text)?;
            Some(understood.from(origin).user(user))
        }
        Found::Nowhere | Found::Often => Some(understood),
    }
}

/// Reads `USER from ADDR[ port N]`.
fn named(message: Message<'_>, kind: Kind) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::Failure, kind);
    if !message.whole {
        return Some(understood);
    }
    let (user, origin) = Origin::from_at_end(message.text)?;
    Some(understood.from(origin).user(user))
}

fn access_denied(message: Message<'_>) -> Option<Understood<'_>> {
    let user = message.text.strip_suffix(b" by PAM account configuration")?;
    Some(Understood::new(Outcome::Failure, Kind::NotAllowed).user(user))
}

/// Reads `USER[ from HOST] not allowed because REASON`. Whether there is a host depends on the reason, not on what the
/// text looks like: the name of an account may hold ` from `.
fn not_allowed(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::Failure, Kind::NotAllowed);
    for reason in REASONS_WITH_HOST {
        if let Some(text) = message.text.strip_suffix(*reason) {
            let (user, origin) = Origin::from_host_at_end(text.strip_suffix(BECAUSE)?)?;
            return Some(understood.from(origin).user(user));
        }
    }
    let at = message.text.windows(BECAUSE.len()).position(|window| window == BECAUSE)?;
    let (user, reason) = (&message.text[..at], &message.text[at + BECAUSE.len()..]);
    let known = reason == b"account is locked" || reason.starts_with(b"shell ");
    known.then_some(understood.user(user))
}

const SIGNATURE: &[u8] = b" signature for ";

/// Why a signature by a security key is not enough (auth2-pubkey.c, monitor.c).
const UNPROVEN: &[&[u8]] = &[
    b" rejected: user presence (authenticator touch) requirement not met",
    b" rejected: user verification requirement not met",
];

const BECAUSE: &[u8] = b" not allowed because ";

/// Why an account is refused, where its client's host is told (auth.c, `allowed_user`).
const REASONS_WITH_HOST: &[&[u8]] = &[
    b"listed in DenyUsers",
    b"not listed in AllowUsers",
    b"not in any group",
    b"a group is listed in DenyGroups",
    b"none of user's groups are listed in AllowGroups",
];
