//! Joins the lines of one session by the process that wrote them.
//!
//! sshd serves each session in a process of its own, whose number stands in each of its lines: the process with
//! privileges also writes what its unprivileged child has to say (monitor.c, `monitor_read_log`), `sshd-session` that
//! of `sshd-auth`. Dropbear has a process for each session as well. So a line that names no address, no port or no
//! account takes them from what the same session said before, and all of them carry the same [`Process`], by which
//! attempts are counted once.
//!
//! A client must not bring a line to bear on somebody else:
//! - only what was read from a fixed place of a message is remembered;
//! - process numbers are used again, so another address, port or account in a line makes another session of it, and
//!   what was not heard of for as long as the server lets a session try is forgotten, by when lines were read and by when
//!   they were written: old logs are read at once;
//! - a line without an address that names an account takes only the address of a session of that account, or of one
//!   that has named none yet: at `LogLevel INFO` there are none of these, at `VERBOSE` each begins with `Connection
//!   from`;
//! - what a session said after its end is another one's.
//!
//! Only a transport's header vouches for the number. A bare stream has none; all that is joined there is what PAM
//! and the server both say of one attempt, by address and account, and the end of a session that PAM told of.
//!
//! Memory: at most [`CAPACITY`] sessions, each about 150 bytes and an account's name of at most [`LONGEST_NAME`] bytes:
//! 11 MiB at most, 3 MiB with common names. One that was silent for long makes room; the worst that follows is that a line of
//! its names nobody.

mod time;

use std::hash::BuildHasher as _;
use std::mem;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use foldhash::quality::RandomState;
use smol_str::SmolStr;

use self::time::{Time, written};
use super::Record;
use crate::event::{AuthEvent, Kind, Outcome, Process, printed};
use crate::recent::Recent;

/// How many sessions are remembered.
pub const CAPACITY: usize = 16_384;

/// How long a session of OpenSSH of which nothing is heard is remembered: the default `LoginGraceTime`.
pub const LIFE: Duration = Duration::from_mins(2);

/// The same for Dropbear, which lets a session try for five minutes (`AUTH_TIMEOUT`) and then says that it ended.
pub const DROPBEAR_LIFE: Duration = Duration::from_secs(310);

/// The longest name of an account that is remembered, in bytes; sshd cuts its messages there.
pub const LONGEST_NAME: usize = 500;

/// What is known of the sessions that are trying to log in.
#[derive(Debug)]
pub struct Join {
    seed: RandomState,
    life: Duration,
    sessions: Recent<u64, Session>,
}

/// What a line says by itself.
#[derive(Debug)]
pub struct Told {
    /// What happened.
    pub event: AuthEvent,
    /// What that means.
    pub bearing: Bearing,
    /// The process that it is about, where another one wrote it.
    pub process: Option<u32>,
}

/// What a line means for its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bearing {
    /// An auth event.
    Event,
    /// An auth event that the server may tell once more, as [`Bearing::Again`].
    First,
    /// An auth event, unless it was told just before, as [`Bearing::First`].
    Again,
    /// An auth event if nobody is logged in yet; from the line alone that cannot be told.
    Unauthenticated,
    /// Whose session it is, and no event.
    Whose,
    /// The same of a session that begins: what its process said before is another one's.
    Begun,
    /// An auth event that is about no process, or about that one in [`Told::process`].
    Aside,
}

impl Join {
    /// Makes one that remembers a session for `life` after it was heard of.
    #[must_use]
    pub fn new(life: Duration) -> Self {
        Self { seed: RandomState::default(), life, sessions: Recent::new(CAPACITY) }
    }

    /// Completes what a line says by what its session said before; nothing if it is no event after all.
    pub fn settle(&mut self, record: &Record<'_>, told: Told) -> Option<AuthEvent> {
        let pid = if told.bearing == Bearing::Aside { told.process } else { record.pid };
        let now = Time { read: record.read_at, written: written(record.stamp) };
        match pid {
            Some(pid) => {
                let key = self.seed.hash_one((record.host, pid));
                self.settle_session(key, told, now)
            }
            None => self.settle_nameless(told, now),
        }
    }

    /// How many sessions are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn settle_session(&mut self, key: u64, told: Told, now: Time) -> Option<AuthEvent> {
        let Told { mut event, bearing, process: _ } = told;
        let life = self.life;
        let session = match (bearing, event.kind) {
            (Bearing::Unauthenticated, _) => {
                self.sessions.get_mut(&key).filter(|session| session.is_unauthenticated(&event, now, life))?
            }
            // PAM works in a process of its own for each keyboard-interactive try (auth-pam.c), which says no more.
            (_, Kind::Pam) => match self.sessions.get_mut(&key) {
                Some(session) => session,
                None => return Some(event),
            },
            _ => self.sessions.touch(&key),
        };
        let is_event = !matches!(bearing, Bearing::Whose | Bearing::Begun);
        let ends = is_event && is_end(&event);
        let over = bearing == Bearing::Begun || session.is_over_by(&event, now, life);
        if over || (session.ended && !ends) {
            *session = Session::begun(now);
        }
        session.complete(&mut event);
        session.hear(&event, now);
        session.ended |= ends;
        event.process = NonZeroU64::new(key).map(Process);
        session.count(&mut event, bearing, ends);
        if event.outcome == Outcome::Success {
            self.sessions.remove(&key);
        }
        is_event.then_some(event)
    }

    /// Settles a line of which no process is known.
    fn settle_nameless(&mut self, told: Told, now: Time) -> Option<AuthEvent> {
        let Told { mut event, bearing, process: _ } = told;
        match bearing {
            Bearing::Unauthenticated | Bearing::Whose | Bearing::Begun => return None,
            Bearing::First => {
                let key = self.nameless(&event);
                let session = self.sessions.touch(&key);
                if session.heard.is_past(now, self.life) {
                    *session = Session::begun(now);
                }
                session.heard = now;
                // Several sessions may be trying the same.
                session.told = session.told.saturating_add(1);
            }
            Bearing::Again => {
                let key = self.nameless(&event);
                let life = self.life;
                let heard = |session: &&mut Session| !session.heard.is_past(now, life);
                if let Some(session) = self.sessions.get_mut(&key).filter(heard) {
                    session.untell(&mut event);
                }
            }
            Bearing::Event if is_end(&event) && event.user.is_some() => {
                let key = self.nameless(&event);
                // Its failures were told without a port: they are those of the session that ends here.
                if self.sessions.get(&key).is_some_and(|session| !session.heard.is_past(now, self.life)) {
                    (event.outcome, event.kind) = (Outcome::Failure, Kind::Pam);
                }
            }
            Bearing::Event | Bearing::Aside => {}
        }
        Some(event)
    }

    fn nameless(&self, event: &AuthEvent) -> u64 {
        let name: Option<Vec<u8>> = event.user.as_deref().map(|name| printed(name).collect());
        self.seed.hash_one((event.address, name))
    }
}

/// A session, until somebody is logged in.
#[derive(Default, Debug)]
struct Session {
    address: Option<IpAddr>,
    port: Option<u16>,
    user: Option<SmolStr>,
    heard: Time,
    ended: bool,
    /// How many attempts were told that may be told once more.
    told: u32,
    /// How many attempts were told before it was known whose they are: with `UseDNS yes` PAM's lines name a host.
    owed: u32,
}

impl Session {
    fn begun(now: Time) -> Self {
        Self { heard: now, ..Self::default() }
    }

    /// Whether a line shows that another session has this process now.
    fn is_over_by(&self, event: &AuthEvent, now: Time, life: Duration) -> bool {
        let other_user = match (self.user.as_deref(), event.user.as_deref()) {
            (Some(own), Some(other)) => own != other && !printed(own).eq(printed(other)),
            _ => false,
        };
        self.heard.is_past(now, life)
            || differ(self.address, event.address)
            || differ(self.port, event.port)
            || other_user
    }

    /// Whether a line that does not say so itself is of this session, and so of one where nobody is logged in.
    fn is_unauthenticated(&self, event: &AuthEvent, now: Time, life: Duration) -> bool {
        let same = self.address == event.address && self.port == event.port;
        !self.heard.is_past(now, life) && (self.address.is_none() || same)
    }

    fn complete(&self, event: &mut AuthEvent) {
        // What names an account may be the first line of a session of which nothing is known yet.
        let lends = event.user.is_none() || self.user.is_some() || self.port.is_some();
        if event.address.is_none() && lends {
            event.address = self.address;
        }
        if event.address.is_some() && event.address == self.address {
            event.port = event.port.or(self.port);
            if event.user.is_none() {
                event.user.clone_from(&self.user);
            }
        }
    }

    fn hear(&mut self, event: &AuthEvent, now: Time) {
        self.heard = now;
        self.address = event.address.or(self.address);
        self.port = event.port.or(self.port);
        if self.user.is_none() {
            self.user = event.user.clone().filter(|name| name.len() <= LONGEST_NAME);
        }
    }

    /// Counts an attempt once that is told twice, and at last one that was told before the address was known.
    fn count(&mut self, event: &mut AuthEvent, bearing: Bearing, ends: bool) {
        let known = event.address.is_some();
        match bearing {
            Bearing::First if !known => self.owed = self.owed.saturating_add(event.count.get()),
            Bearing::First => {
                event.count = event.count.saturating_add(mem::take(&mut self.owed));
                self.told = 1;
            }
            Bearing::Again if known && self.owed > 0 => event.count = self.take_owed().unwrap_or(event.count),
            Bearing::Again => self.untell(event),
            Bearing::Event | Bearing::Unauthenticated | Bearing::Aside if known && ends => {
                if let Some(owed) = self.take_owed() {
                    (event.outcome, event.kind, event.count) =
                        (Outcome::Failure, Kind::KeyboardInteractive, owed);
                }
            }
            Bearing::Event | Bearing::Unauthenticated | Bearing::Aside | Bearing::Whose | Bearing::Begun => {}
        }
    }

    fn take_owed(&mut self) -> Option<NonZeroU32> {
        NonZeroU32::new(mem::take(&mut self.owed))
    }

    /// Makes of an attempt that was told before what adds nothing to it.
    fn untell(&mut self, event: &mut AuthEvent) {
        if self.told == 0 {
            return;
        }
        self.told -= 1;
        match NonZeroU32::new(event.count.get() - 1) {
            Some(rest) => event.count = rest,
            None => event.kind = Kind::Pam,
        }
    }
}

fn differ<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && other.is_some() && one != other
}

/// Whether the server says no more of a session but how it ends.
fn is_end(event: &AuthEvent) -> bool {
    event.outcome == Outcome::PreAuth || event.kind == Kind::TooManyAttempts
}

#[cfg(test)]
mod tests;
