//! What one source did last.

use std::time::Duration;

use smol_str::SmolStr;
use ssh_guard_common::source::Source;

use super::{Added, EVENTS, Grounds, LIFE, LOGINS};
use crate::event::{AuthEvent, Kind, Outcome};
use crate::moment::Moment;
use crate::policy::account::Account;
use crate::policy::weight::Weight;
use crate::recent::Rank;

/// What one source did last.
#[derive(Debug, Default)]
pub struct Trail {
    /// In the order in which they were heard.
    pub(super) traces: Vec<Trace>,
    /// On what grounds a ban was called for last.
    pub(super) grounds: Option<Grounds>,
    /// From when until when it was banned last.
    pub(super) banned: Option<(Moment, Moment)>,
    /// How much its score matters, as long as that counts.
    pub(super) rank: Rank,
}

/// One event that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// When it happened; of several logins to an account the last one.
    pub at: Moment,
    /// The account's name, up to [`Trace::USER_BYTES`] bytes; chosen by the client.
    pub user: Option<SmolStr>,
    /// The line, up to [`Trace::LINE_BYTES`] bytes; none if an application posted the event.
    pub line: Option<Box<[u8]>>,
    pub(in crate::policy) account: Option<Account>,
    /// What it added to the score.
    pub weight: Weight,
    /// How often it happened.
    pub count: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What was tried.
    pub kind: Kind,
    /// What became of its weight.
    pub part: Part,
    /// Only a part of its weight counted, as its source is known-good for the account.
    pub own: bool,
    /// It weighed more, as its account is bait and its source is known-good.
    pub bait: bool,
}

/// What became of an event's weight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// It counts for the score, as long as the window reaches back to it.
    Score,
    /// It led to the last ban.
    Ban,
    /// It counted before the last ban, for an earlier one.
    Earlier,
    /// It was cleared, by a login to its account or by an operator.
    Cleared,
    /// It is a login, which weighs nothing.
    Login,
}

impl Trail {
    /// The events, in the order in which they were heard.
    #[must_use]
    pub fn traces(&self) -> &[Trace] {
        &self.traces
    }

    /// On what grounds a ban was called for last.
    #[must_use]
    pub fn grounds(&self) -> Option<Grounds> {
        self.grounds
    }

    /// From when until when it was banned last.
    #[must_use]
    pub fn banned(&self) -> Option<(Moment, Moment)> {
        self.banned
    }

    pub(super) fn push(&mut self, trace: Trace) {
        let trace = if trace.part == Part::Login { self.joined(trace) } else { trace };
        let is_login = |trace: &Trace| trace.part == Part::Login;
        let logins = self.traces.iter().filter(|trace| is_login(trace)).count();
        let leaves = if logins >= LOGINS && is_login(&trace) {
            self.traces.iter().position(is_login)
        } else {
            (self.traces.len() >= EVENTS).then_some(0)
        };
        if let Some(leaves) = leaves {
            drop(self.traces.remove(leaves));
        }
        // One by one: most sources have few, and there are many of them.
        self.traces.reserve_exact(1);
        self.traces.push(trace);
    }

    /// Joins a login with the last one to the same account.
    fn joined(&mut self, login: Trace) -> Trace {
        let same = |trace: &Trace| trace.part == Part::Login && trace.account == login.account;
        match self.traces.iter().position(same) {
            Some(place) => {
                let before = self.traces.remove(place);
                Trace { count: before.count.saturating_add(login.count), ..login }
            }
            None => login,
        }
    }

    pub(super) fn clear(&mut self, which: impl Fn(&Trace) -> bool) {
        for trace in self.traces.iter_mut().filter(|trace| which(trace)) {
            trace.part = Part::Cleared;
        }
    }

    /// How much it matters to keep it, as long as its score counts.
    pub(super) fn rank_at(&self, now: Moment) -> Rank {
        if self.is_banned(now) { Rank::High } else { self.rank }
    }

    pub(super) fn is_banned(&self, now: Moment) -> bool {
        self.banned.is_some_and(|(_, until)| now < until)
    }

    pub(super) fn is_older(&self, age: Duration, now: Moment) -> bool {
        self.traces.iter().all(|trace| now.since(trace.at) >= age)
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.is_older(LIFE, now) && self.banned.is_none_or(|(_, until)| now >= until.plus(LIFE))
    }

    /// What it takes, in bytes; nothing before the first event.
    pub(super) fn bytes(&self) -> usize {
        if self.traces.is_empty() {
            return 0;
        }
        let beside: usize = self.traces.iter().map(Trace::bytes_beside).sum();
        FIXED + self.traces.capacity() * size_of::<Trace>() + beside
    }
}

/// What a trail takes beside its traces: itself, its key, its mark and its place in the index.
pub(super) const FIXED: usize = size_of::<Trail>() + size_of::<Source>() + 24;

impl Trace {
    /// How much of a line is kept, in bytes.
    pub const LINE_BYTES: usize = 200;
    /// How much of a name is kept, in bytes.
    pub const USER_BYTES: usize = 64;

    /// Keeps an event, for now as one that weighs nothing; `line`: what told of it.
    #[must_use]
    pub fn new(event: &AuthEvent, account: Option<Account>, line: Option<&[u8]>, at: Moment) -> Self {
        Self {
            at,
            user: event.user.as_ref().map(cut),
            line: line.map(|line| line[..line.len().min(Self::LINE_BYTES)].into()),
            account,
            weight: Weight::ZERO,
            count: event.count.get(),
            outcome: event.outcome,
            kind: event.kind,
            part: Part::Login,
            own: false,
            bait: false,
        }
    }

    /// What it added to the score, and how.
    #[must_use]
    pub fn added(self, added: Added, weight: Weight) -> Self {
        Self { weight, part: Part::Score, own: added.own, bait: added.bait, ..self }
    }

    /// What it takes beside itself, with what an allocator adds to each piece.
    fn bytes_beside(&self) -> usize {
        let line = self.line.as_ref().map_or(0, |line| line.len() + 16);
        let user = self.user.as_ref().filter(|user| user.is_heap_allocated());
        line + user.map_or(0, |user| user.len() + 32)
    }
}

/// The part of a name that is kept.
fn cut(user: &SmolStr) -> SmolStr {
    if user.len() <= Trace::USER_BYTES {
        return user.clone();
    }
    SmolStr::new(&user[..user.floor_char_boundary(Trace::USER_BYTES)])
}
