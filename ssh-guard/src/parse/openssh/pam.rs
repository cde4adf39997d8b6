//! Messages about what PAM said to sshd.

use std::num::NonZeroU32;

use super::super::join::Bearing;
use super::super::pam::{self, Ruser};
use super::super::text::{Origin, first_word, number};
use super::{Entry, Message, Understood, arrival, attempt};
use crate::event::{Kind, Outcome};

pub(super) const WORDS: &[Entry] = &[
    // error: PAM: Authentication failure for illegal user ghost from 203.0.113.7
    Entry { opening: b"PAM: ", read: verdict },
    // PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root
    Entry { opening: b"PAM ", read: more },
    // error: Protocol major versions differ: 2 vs. 1
    // Protocol major versions differ for 203.0.113.7 port 34067: SSH-2.0-OpenSSH_7.4 vs. SSH-1.5-old     (before 7.8)
    Entry { opening: b"Protocol major versions differ", read: arrival::versions_differ },
    attempt::POSTPONED,
    attempt::PARTIAL,
];

pub(super) const MODULES: &[Entry] = &[
    // pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root
    // pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7
    Entry { opening: b"pam_", read: module },
    // probed from 203.0.113.7 port 47059 with SSH-1.0-SSH_Version_Mapper.  Don't panic.
    Entry { opening: b"probed from ", read: arrival::probed },
    attempt::SIGNATURES,
];

/// Reads `TEXT for [illegal user ]USER from HOST` (auth-pam.c, `sshpam_query`); the text is PAM's own. It is the only word
/// of a failed keyboard-interactive login below half of `MaxAuthTries` at `LogLevel INFO` (auth.c, `auth_log`).
fn verdict(message: Message<'_>) -> Option<Understood<'_>> {
    let understood = Understood::new(Outcome::Failure, Kind::KeyboardInteractive).bearing(Bearing::First);
    let at = message.text.windows(FOR.len()).position(|window| window == FOR)?;
    if !message.whole {
        return Some(understood);
    }
    let text = &message.text[at + FOR.len()..];
    let text = text.strip_prefix(b"illegal user ").unwrap_or(text);
    let (user, origin) = Origin::from_host_at_end(text)?;
    Some(understood.from(origin).user(user))
}

fn module(message: Message<'_>) -> Option<Understood<'_>> {
    let name = message.text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let fields = message.text[name..].strip_prefix(b"(sshd:auth): authentication failure; ")?;
    refusal(fields)
}

fn more(message: Message<'_>) -> Option<Understood<'_>> {
    let (times, rest) = first_word(message.text)?;
    let rest = rest.strip_prefix(b"more authentication failure")?;
    let fields = rest.strip_prefix(b"s").unwrap_or(rest).strip_prefix(b"; ")?;
    Some(Understood { count: NonZeroU32::new(number(times)?)?, ..refusal(fields)? })
}

/// Reads what PAM says of a client. sshd leaves the names before the host empty, and no client chooses them.
fn refusal(fields: &[u8]) -> Option<Understood<'_>> {
    let (origin, user) = pam::fields(fields, Ruser::Empty)?;
    let understood = Understood::new(Outcome::Failure, Kind::Pam).from(origin);
    Some(user.map_or(understood, |user| understood.user(user)))
}

const FOR: &[u8] = b" for ";
