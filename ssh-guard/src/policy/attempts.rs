//! What one line adds, given what its session has counted already: an attempt counts once, however many lines tell
//! of it.
//!
//! A session is known by the client's address and the process that serves it, where lines tell that, else by address and
//! port. Some lines carry no port (OpenSSH's `User … not allowed because …`, all of PAM's, `Invalid user …` before
//! OpenSSH 7.2): where they tell no process either, they are kept by address and account for [`PORTLESS_LIFE`], and the
//! line of the same account that tells one of the two finds them there.
//!
//! Memory: one session takes about 70 bytes, at most `Rules::capacity` of them are kept, and what is evicted is
//! the session that was silent longest; the worst that follows is that its attempt counts twice.

mod session;

use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::quality::RandomState;
use ssh_guard_common::source::Source;

use super::account::Account;
use super::rules::Weights;
use super::weight::Weight;
use crate::event::{AuthEvent, Kind, Outcome, Process};
use crate::moment::Moment;
use crate::recent::Recent;
use session::{Line, Session};

/// How long a session of which nothing is heard is remembered.
pub const SESSION_LIFE: Duration = Duration::from_mins(10);

/// How long a line without a port is held to belong to the next one about the same account: OpenSSH's default
/// `LoginGraceTime`, after which no session can still be trying.
pub const PORTLESS_LIFE: Duration = Duration::from_mins(2);

/// The sessions that are trying to log in.
#[derive(Debug)]
pub struct Attempts {
    /// By the hash of their key, of 64 bits and seeded: no two are ever alike.
    sessions: Recent<u64, Session>,
    seed: RandomState,
}

/// Whom an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who {
    /// The client's address, not masked: two clients of one source may use the same port.
    pub address: Source,
    /// The account that was tried.
    pub account: Option<Account>,
}

/// What one event adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Charge {
    /// The login was accepted.
    Success,
    /// A login failed; nothing if its session has counted that already.
    Failure(Weight),
    /// A session came and went without naming an account; nothing if it was counted already.
    PreAuth(Weight),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    address: Source,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    Process(Process),
    Port(u16),
    Account(Option<Account>),
}

impl Key {
    fn of(event: &AuthEvent, who: Who) -> Self {
        let at = match (event.process, event.port) {
            (Some(process), _) => At::Process(process),
            (None, Some(port)) => At::Port(port),
            (None, None) => At::Account(who.account),
        };
        Self { address: who.address, at }
    }

    fn is_portless(&self) -> bool {
        matches!(self.at, At::Account(_))
    }
}

impl Attempts {
    /// Makes room for `capacity` sessions.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { sessions: Recent::new(capacity), seed: RandomState::default() }
    }

    /// Takes one event and says what it adds; O(1).
    pub fn observe(&mut self, event: &AuthEvent, who: Who, weights: &Weights, now: Moment) -> Charge {
        self.sweep(2, now);
        let key = Key::of(event, who);
        let line = Line { account: who.account, port: event.port, portless: key.is_portless() };
        let weight = Weight::new(weights.of(event.kind)).times(event.count);
        match part(event) {
            Part::Success => {
                self.forget(key);
                self.forget(Key { address: who.address, at: At::Account(who.account) });
                Charge::Success
            }
            Part::Announced => {
                let once = !key.is_portless() && event.kind != Kind::Pam;
                Charge::Failure(self.session(key, line, now).announce(weight, once))
            }
            Part::Tried => {
                let rest = self.session(key, line, now).try_login(weight);
                Charge::Failure(rest.minus(self.take_portless(key, who.account, rest, now)))
            }
            Part::Ended => self.end(event, key, line, (weights, now)),
        }
    }

    /// Forgets the sessions of which nothing was heard for [`SESSION_LIFE`], at most `limit`, and says how many.
    pub fn sweep(&mut self, limit: usize, now: Moment) -> usize {
        self.sessions.sweep(limit, |session| session.silence(now) > SESSION_LIFE)
    }

    /// Changes for how many sessions there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.sessions.resize(capacity);
    }

    /// How many sessions are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many sessions were forgotten for want of room so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.sessions.evicted()
    }

    fn end(&mut self, event: &AuthEvent, key: Key, line: Line, at: (&Weights, Moment)) -> Charge {
        let (weights, now) = at;
        let weigh = |weight: f64| Weight::new(weight).times(event.count);
        let own = match event.kind {
            Kind::TooManyAttempts => weigh(weights.too_many_attempts),
            _ => Weight::ZERO,
        };
        if key.at == At::Account(None) {
            return match event.kind {
                Kind::TooManyAttempts => Charge::Failure(own),
                _ => Charge::PreAuth(weigh(weights.pre_auth)),
            };
        }
        let session = self.sessions.touch(&self.seed.hash_one(key));
        session.hear_end(line, now);
        if session.is_counted() {
            return Charge::Failure(own);
        }
        if !session.names_an_account() {
            return Charge::PreAuth(session.end_unnamed(weigh(weights.pre_auth)));
        }
        let unfinished = weigh(weights.unfinished);
        let (account, rest) = (session.account(), session.end_named(unfinished));
        let told = self.take_portless(key, account, unfinished, now);
        Charge::Failure(if told.is_zero() { own.plus(rest) } else { own })
    }

    fn session(&mut self, key: Key, line: Line, now: Moment) -> &mut Session {
        let session = self.sessions.touch(&self.seed.hash_one(key));
        session.hear(line, now);
        session
    }

    fn forget(&mut self, key: Key) {
        self.sessions.remove(&self.seed.hash_one(key));
    }

    /// Takes what a line without a port has counted already, up to `weight`.
    fn take_portless(&mut self, key: Key, account: Option<Account>, weight: Weight, now: Moment) -> Weight {
        let (At::Port(_) | At::Process(_), Some(account)) = (key.at, account) else { return Weight::ZERO };
        let key = Key { at: At::Account(Some(account)), ..key };
        match self.sessions.get_mut(&self.seed.hash_one(key)) {
            Some(session) if session.silence(now) <= PORTLESS_LIFE => session.take(weight),
            _ => Weight::ZERO,
        }
    }
}

/// What a line tells of an attempt.
enum Part {
    Success,
    /// Who is being tried; the line about the method follows, or does not.
    Announced,
    /// A method and that it failed.
    Tried,
    /// The session is over.
    Ended,
}

fn part(event: &AuthEvent) -> Part {
    match (event.outcome, event.kind) {
        (Outcome::Success, _) | (_, Kind::Accepted) => Part::Success,
        (_, Kind::InvalidUser | Kind::NotAllowed | Kind::Pam) => Part::Announced,
        (
            _,
            Kind::Password | Kind::KeyboardInteractive | Kind::Publickey | Kind::Hostbased | Kind::Gssapi,
        )
        | (Outcome::Failure, Kind::Other) => Part::Tried,
        (
            _,
            Kind::TooManyAttempts
            | Kind::Closed
            | Kind::Reset
            | Kind::Timeout
            | Kind::NoIdentification
            | Kind::BadBanner
            | Kind::Negotiation
            | Kind::Refused
            | Kind::Penalty,
        )
        | (Outcome::PreAuth, Kind::Other) => Part::Ended,
    }
}
