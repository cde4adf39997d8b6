//! What is remembered of one session while it tries to log in.

use std::num::NonZeroU16;
use std::time::Duration;

use super::{PORTLESS_LIFE, SESSION_LIFE};
use crate::moment::Moment;
use crate::policy::account::Account;
use crate::policy::weight::Weight;

/// A session (or, where lines carry no port, all sessions of one address that try one account).
#[derive(Debug, Default)]
pub(super) struct Session {
    account: Option<Account>,
    port: Option<NonZeroU16>,
    heard: Moment,
    /// [`Moment::EARLIEST`] if nothing was heard of its end.
    ended: Moment,
    /// An account was being tried, whether or not that weighed anything.
    tried: bool,
    /// The server said that the account may not log in, which it says once a session.
    announced: bool,
    counted: Counted,
    /// What announcements counted, and no line about a method has taken yet.
    untaken: Weight,
    /// What was counted before it was known that an account was named.
    pre_auth: Weight,
}

/// What a line says of the session that it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) account: Option<Account>,
    pub(super) port: Option<u16>,
    /// Whether nothing but the account tells the session from others of the same address.
    pub(super) portless: bool,
}

/// What of a session has been counted, pre-auth apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Counted {
    #[default]
    Nothing,
    Failures,
    /// Its end, as an unfinished login.
    Unfinished,
}

/// How long after the first line about its end a session may leave another one (`maximum authentication attempts
/// exceeded`, `Received disconnect`, `Disconnected from`). Later ones are of the next session from that port.
const ENDING: Duration = Duration::from_secs(10);

impl Session {
    /// Hears a line that is not about the end, of this session or of the next one in its place.
    pub(super) fn hear(&mut self, line: Line, now: Moment) {
        let over = self.has_ended() && !self.lasts(line.portless);
        if over || self.is_forgotten(line.portless, now) || self.is_another(line) {
            *self = Self::default();
        }
        self.account = line.account.or(self.account);
        self.port = line.port.and_then(NonZeroU16::new).or(self.port);
        // Lines of two inputs may come out of order.
        self.heard = self.heard.max(now);
    }

    /// Hears a line about the end, of this session or of the next one in its place.
    pub(super) fn hear_end(&mut self, line: Line, now: Moment) {
        let over = self.has_ended() && now.since(self.ended) > ENDING && !self.lasts(line.portless);
        if over || self.is_forgotten(line.portless, now) || self.is_another(line) {
            *self = Self { heard: now, ..Self::default() };
        }
        self.account = line.account.or(self.account);
        self.port = line.port.and_then(NonZeroU16::new).or(self.port);
        if !self.has_ended() {
            self.ended = now;
        }
    }

    /// Takes the word that this account may not log in and says what that adds; of words that come `once` a
    /// session, only the first one adds something, and only if no failure was counted before.
    pub(super) fn announce(&mut self, weight: Weight, once: bool) -> Weight {
        let known = once && (self.announced || self.is_counted());
        let added = if known { Weight::ZERO } else { weight };
        self.tried = true;
        self.announced |= once;
        self.count(added);
        self.untaken = self.untaken.plus(added);
        added
    }

    /// Takes a failed login and says what it adds to what was announced.
    pub(super) fn try_login(&mut self, weight: Weight) -> Weight {
        self.tried = true;
        self.count(weight);
        weight.minus(self.take(weight))
    }

    /// Takes what was announced and not taken yet, up to `weight`.
    pub(super) fn take(&mut self, weight: Weight) -> Weight {
        let taken = self.untaken.min(weight);
        self.untaken = self.untaken.minus(taken);
        taken
    }

    /// Says what its end adds if it named no account.
    pub(super) fn end_unnamed(&mut self, weight: Weight) -> Weight {
        let added = if self.pre_auth.is_zero() { weight } else { Weight::ZERO };
        self.pre_auth = self.pre_auth.plus(added);
        added
    }

    /// Says what its end adds if it named an account and no failure was counted.
    pub(super) fn end_named(&mut self, weight: Weight) -> Weight {
        self.counted = Counted::Unfinished;
        weight.minus(self.pre_auth)
    }

    /// Whether it has counted as a failure, by a line of its own or by its end.
    pub(super) fn is_counted(&self) -> bool {
        self.counted != Counted::Nothing
    }

    pub(super) fn names_an_account(&self) -> bool {
        self.tried || self.account.is_some()
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    /// The time since the last line that was not about its end.
    pub(super) fn silence(&self, now: Moment) -> Duration {
        now.since(self.heard)
    }

    fn count(&mut self, failure: Weight) {
        if !failure.is_zero() {
            self.counted = Counted::Failures;
        }
    }

    fn has_ended(&self) -> bool {
        self.ended != Moment::EARLIEST
    }

    /// Whether it outlasts a line about its end: where lines carry no port, that is the end of one of several.
    fn lasts(&self, portless: bool) -> bool {
        portless && self.counted == Counted::Failures
    }

    fn is_forgotten(&self, portless: bool, now: Moment) -> bool {
        self.silence(now) > if portless { PORTLESS_LIFE } else { SESSION_LIFE }
    }

    /// Whether a line shows that another session has taken its place: in SSH a session tries one account (RFC 4252 §5
    /// lets a server hang up when it changes, and OpenSSH does), and a process may serve another client after it.
    fn is_another(&self, line: Line) -> bool {
        differ(self.account, line.account) || differ(self.port.map(NonZeroU16::get), line.port)
    }
}

fn differ<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && other.is_some() && one != other
}
