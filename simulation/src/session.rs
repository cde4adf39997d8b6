//! Sessions: what a client does in one, and what sshd logs of it.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use smol_str::SmolStr;
use ssh_guard::event::{AuthEvent, Kind, Outcome, Process, Service};
use ssh_guard::moment::Moment;

/// One connection to the server, or what looks like one.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// When it begins; all of it happens at once.
    pub at: Moment,
    /// The client's address.
    pub from: IpAddr,
    /// Who it is, by the number in the cast.
    pub who: u32,
    /// Which account it is about, by the number in the cast.
    pub account: u32,
    /// What the client does.
    pub act: Act,
}

/// What a client does in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// It tries so many wrong passwords, and then the right key or password, or leaves.
    LogIn {
        /// How many.
        wrong: u8,
        /// Whether it gets in.
        right: bool,
    },
    /// It offers a key that is not accepted, and leaves.
    OfferKey,
    /// It connects and leaves.
    Knock,
    /// There is no session: somebody else sends a SYN in its name, and the handshake is never completed.
    Syn,
}

/// An account that is tried.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub name: SmolStr,
    /// Whether the server has it.
    pub exists: bool,
}

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it says.
    pub event: AuthEvent,
    /// Whether it is the first line of an attempt.
    pub begins_attempt: bool,
}

/// How a session ended, as far as sshd's own penalties ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The client is in.
    LoggedIn,
    /// It failed, and left.
    Failed,
    /// It tried an account that does not exist.
    NoSuchUser,
    /// It left without a try.
    Untried,
}

impl Act {
    /// How many logins are tried.
    #[must_use]
    pub fn attempts(self) -> u64 {
        match self {
            Self::LogIn { wrong, right } => u64::from(wrong) + u64::from(right),
            Self::OfferKey | Self::Knock => 1,
            Self::Syn => 0,
        }
    }

    /// Whether it ends with a login.
    #[must_use]
    pub fn gets_in(self) -> bool {
        matches!(self, Self::LogIn { right: true, .. })
    }

    /// How it ends if nothing intervenes.
    #[must_use]
    pub fn end(self, account: &Account) -> End {
        match self {
            Self::LogIn { right: true, .. } => End::LoggedIn,
            Self::Knock | Self::Syn => End::Untried,
            Self::LogIn { .. } | Self::OfferKey if account.exists => End::Failed,
            Self::LogIn { .. } | Self::OfferKey => End::NoSuchUser,
        }
    }
}

impl Session {
    /// What OpenSSH logs of it at its usual level, line by line; `number`: that of the process.
    pub fn steps(&self, account: &Account, number: NonZeroU64, steps: &mut Vec<Step>) {
        steps.clear();
        let user = Some(&account.name);
        let mut say = |outcome, kind, user: Option<&SmolStr>, begins_attempt| {
            let event = AuthEvent {
                outcome,
                kind,
                address: Some(self.from),
                port: Some(port(number)),
                user: user.cloned(),
                service: Service::Openssh,
                count: NonZeroU32::MIN,
                process: Some(Process(number)),
            };
            steps.push(Step { event, begins_attempt });
        };
        match self.act {
            Act::LogIn { wrong, right } => {
                if !account.exists {
                    say(Outcome::Failure, Kind::InvalidUser, user, true);
                }
                for nth in 0..wrong {
                    say(Outcome::Failure, Kind::Password, user, account.exists || nth > 0);
                }
                if right {
                    say(Outcome::Success, Kind::Accepted, user, true);
                } else {
                    say(Outcome::PreAuth, Kind::Closed, user, false);
                }
            }
            Act::OfferKey => {
                // Logged at `VERBOSE` only, as some servers are set; it weighs nothing.
                say(Outcome::Failure, Kind::Publickey, user, true);
                say(Outcome::PreAuth, Kind::Closed, user, false);
            }
            Act::Knock => say(Outcome::PreAuth, Kind::Closed, None, true),
            Act::Syn => {}
        }
    }
}

/// A client's port: any will do, as a process has one client.
pub(crate) fn port(number: NonZeroU64) -> u16 {
    1024 + u16::try_from(number.get() % 60_000).unwrap_or_default()
}
