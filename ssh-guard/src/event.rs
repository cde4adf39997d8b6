//! What a log line says about a login.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;

/// One auth event: what a server says a client did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthEvent {
    /// How it ended.
    pub outcome: Outcome,
    /// What was tried, or what happened.
    pub kind: Kind,
    /// The client's address, if the line names one.
    pub address: Option<IpAddr>,
    /// The client's TCP port, if the line names it.
    pub port: Option<u16>,
    /// The account that was tried, as far as the server printed it; chosen by the client.
    pub user: Option<SmolStr>,
    /// The server that wrote the line.
    pub service: Service,
    /// How often the line says that it happened (`message repeated N times`).
    pub count: NonZeroU32,
    /// The process that serves the session, if the line says which.
    pub process: Option<Process>,
}

/// A process that serves a session: a seeded hash of its machine and number, so that lines of one session are known
/// to belong together, also where they name no port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Process(pub NonZeroU64);

/// How an auth event ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A login was tried and refused.
    Failure,
    /// A login was tried and accepted.
    Success,
    /// The client came and went without trying to log in.
    PreAuth,
}

/// What was tried, or what happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A password.
    Password,
    /// Keyboard-interactive (RFC 4256), most often a password that PAM asked for.
    KeyboardInteractive,
    /// An account that does not exist.
    InvalidUser,
    /// A public key.
    Publickey,
    /// The client host's key.
    Hostbased,
    /// Kerberos, by GSSAPI.
    Gssapi,
    /// What PAM says of a failure, and what the server says of one that was told already.
    Pam,
    /// An account that exists and is not allowed to log in.
    NotAllowed,
    /// The server ended a session after too many attempts; each was told before.
    TooManyAttempts,
    /// A login was accepted.
    Accepted,
    /// The client closed the session, or disconnected, before it was authenticated.
    Closed,
    /// The client reset the session before it was authenticated.
    Reset,
    /// The client let the server's grace time pass.
    Timeout,
    /// The client never said which SSH version it speaks.
    NoIdentification,
    /// The client said something that is not SSH.
    BadBanner,
    /// Client and server share no algorithm.
    Negotiation,
    /// The server refused the session before anything was said (`MaxStartups`, `tcp wrappers`).
    Refused,
    /// The server refused the session because of the source's earlier ones (`PerSourcePenalties`).
    Penalty,
    /// Something else that bears on a login.
    Other,
}

/// The server that a login was tried at.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Service {
    /// OpenSSH's sshd, sshd-session and sshd-auth.
    Openssh,
    /// Dropbear.
    Dropbear,
    /// `ProFTPD`, over SSH (`mod_sftp`) or FTP.
    Proftpd,
    /// `SFTPGo`, over SSH or FTP.
    Sftpgo,
    /// vsftpd.
    Vsftpd,
    /// Pure-FTPd.
    PureFtpd,
    /// Another one, by the name that the configuration or the application gives it.
    Named(Arc<str>),
}

/// The bytes of an account's name in which all messages agree that one server prints of it.
///
/// OpenSSH prints at most 100 bytes of a name in most messages and more in others (`sshpkt_fmt_connection_id`), and up to
/// 9.x escapes it once in some messages and twice in others: `DOM\\bob`, `DOM\\\\bob`.
pub fn printed(name: &str) -> impl Iterator<Item = u8> {
    let mut last = None;
    let once = move |byte: &u8| {
        let again = *byte == b'\\' && last == Some(b'\\');
        last = Some(*byte);
        !again
    };
    name.bytes().filter(once).take(PRINTED)
}

pub(crate) const PRINTED: usize = 100;

impl Service {
    /// The word for it, in JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Openssh => "openssh",
            Self::Dropbear => "dropbear",
            Self::Proftpd => "proftpd",
            Self::Sftpgo => "sftpgo",
            Self::Vsftpd => "vsftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Named(name) => name,
        }
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Outcome {
    /// Every outcome, each in the place of its number.
    pub const ALL: [Self; 3] = [Self::Failure, Self::Success, Self::PreAuth];

    /// The word for it, in metrics, JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::PreAuth => "pre-auth",
        }
    }
}

impl Kind {
    /// Every kind, each in the place of its number.
    pub const ALL: [Self; 19] = [
        Self::Password,
        Self::KeyboardInteractive,
        Self::InvalidUser,
        Self::Publickey,
        Self::Hostbased,
        Self::Gssapi,
        Self::Pam,
        Self::NotAllowed,
        Self::TooManyAttempts,
        Self::Accepted,
        Self::Closed,
        Self::Reset,
        Self::Timeout,
        Self::NoIdentification,
        Self::BadBanner,
        Self::Negotiation,
        Self::Refused,
        Self::Penalty,
        Self::Other,
    ];

    /// The word for it, in metrics, JSON and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::InvalidUser => "invalid-user",
            Self::Publickey => "publickey",
            Self::Hostbased => "hostbased",
            Self::Gssapi => "gssapi",
            Self::Pam => "pam",
            Self::NotAllowed => "not-allowed",
            Self::TooManyAttempts => "too-many-attempts",
            Self::Accepted => "accepted",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::NoIdentification => "no-identification",
            Self::BadBanner => "bad-banner",
            Self::Negotiation => "negotiation",
            Self::Refused => "refused",
            Self::Penalty => "penalty",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_kinds_stand_in_the_place_of_their_number() {
        assert!((0..).zip(Outcome::ALL).all(|(place, outcome)| place == outcome as usize));
        assert!((0..).zip(Kind::ALL).all(|(place, kind)| place == kind as usize));
    }
}
