//! What sources did last, kept to explain what was decided.
//!
//! Of each source the last [`EVENTS`] events that weighed something, of which at most [`LOGINS`] are
//! logins, with the lines that told of them. They are kept for a day after the last one and after the end of a ban that they
//! led to.
//!
//! Memory: at most `Rules::evidence` sources, and at most 512 bytes for each of these together; 32 MiB by default. That is
//! room for six failures of 26,000 sources, or for one of each of all. What has the least score makes room first; a ban in force
//! counts as the highest, as long as such are not more than half of all.

#[cfg(test)]
mod tests;
mod trail;

use std::time::Duration;

use ssh_guard_common::source::Source;

use super::account::Account;
use super::decision::{Decision, Evidence};
use crate::ban::Reason;
use crate::moment::Moment;
use crate::recent::{Rank, Recent};
pub use trail::{Part, Trace, Trail};

/// What sources did last.
#[derive(Debug)]
pub struct Trails {
    sources: Recent<Source, Trail>,
    /// How many sources there is room for; nothing is kept if it is none.
    capacity: usize,
    /// What all of them take, in bytes.
    bytes: usize,
}

/// How an event was added to a score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Added {
    /// The account that was tried.
    pub account: Option<Account>,
    /// Only a part of its weight counted, as its source is known-good for the account.
    pub own: bool,
    /// It weighs more, as its account is bait and its source is known-good.
    pub bait: bool,
    /// How much the score of its source matters with it.
    pub rank: Rank,
}

/// On what grounds a ban was called for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Grounds {
    /// What kind of rule called for it.
    pub reason: Reason,
    /// The score that did.
    pub score: f64,
    /// What the score was made of.
    pub evidence: Evidence,
}

/// The most events of a source that are kept.
pub const EVENTS: usize = 16;

/// The most of them that are logins: who owns an account cannot push out with it what he tried on others.
pub const LOGINS: usize = 4;

/// How long a trail is kept after its last event, and after the end of a ban.
const LIFE: Duration = Duration::from_hours(24);

/// What a source may take on average, in bytes.
const EACH: usize = 512;

/// What there is room for in any case, in bytes.
const LEAST: usize = 64 * 1024;

impl Trails {
    /// Makes room for `capacity` sources.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { sources: Recent::new(capacity), capacity, bytes: 0 }
    }

    /// Changes for how many sources there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.make_room(None);
        self.sources.resize(capacity);
    }

    /// Whether nothing is ever kept.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.capacity == 0
    }

    /// Keeps an event, and how much the score of its source matters with it.
    pub fn note(&mut self, source: Source, trace: Trace, added: Option<Added>) {
        if self.is_off() {
            return;
        }
        self.change(source, |trail| {
            let at = trace.at;
            trail.rank = added.map_or(trail.rank, |added| added.rank);
            trail.push(trace);
            Some(trail.rank_at(at))
        });
    }

    /// Takes note that the rules call for a ban.
    pub fn call(&mut self, source: Source, decision: &Decision) {
        let Decision { reason, score, evidence, .. } = *decision;
        if let Some(trail) = self.sources.get_mut(&source) {
            trail.grounds = Some(Grounds { reason, score, evidence });
        }
    }

    /// Takes note of a ban, automatic or not: what counted until now was answered by it.
    pub fn ban(&mut self, source: Source, (since, until): (Moment, Moment), automatic: bool) {
        if self.get(source).is_none() {
            return;
        }
        self.change(source, |trail| {
            for trace in &mut trail.traces {
                trace.part = match trace.part {
                    Part::Score => Part::Ban,
                    Part::Ban => Part::Earlier,
                    part => part,
                };
            }
            if !automatic {
                trail.grounds = None;
            }
            trail.banned = Some((since, until));
            Some(Rank::High)
        });
    }

    /// Takes note that a login has cleared what was counted on its account.
    pub fn forgive(&mut self, source: Source, account: Account) {
        if let Some(trail) = self.sources.get_mut(&source) {
            trail.clear(|trace| trace.part == Part::Score && trace.account == Some(account));
        }
    }

    /// Takes note that an operator has cleared the score and lifted the ban.
    pub fn pardon(&mut self, source: Source) {
        if let Some(trail) = self.sources.get_mut(&source) {
            trail.clear(|trace| matches!(trace.part, Part::Score | Part::Ban));
            (trail.grounds, trail.banned, trail.rank) = (None, None, Rank::Low);
        }
    }

    /// What a source did last, if that is kept.
    #[must_use]
    pub fn get(&self, source: Source) -> Option<&Trail> {
        self.sources.get(&source)
    }

    /// Looks at the next `limit` sources, and drops those whose time is over; a score that is older than `window` is
    /// none any more.
    pub fn sweep(&mut self, limit: usize, window: Duration, now: Moment) {
        let mut dropped = 0;
        self.sources.review(limit, |trail| {
            if trail.is_over(now) {
                dropped += trail.bytes();
                return None;
            }
            let matters = trail.is_banned(now) || !trail.is_older(window, now);
            Some(if matters { trail.rank_at(now) } else { Rank::Low })
        });
        self.bytes -= dropped;
    }

    /// How many sources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn change(&mut self, source: Source, change: impl FnOnce(&mut Trail) -> Option<Rank>) {
        let ((before, after), evicted) = self.sources.exchange(&source, |trail| {
            let before = trail.bytes();
            let rank = change(trail);
            (rank, (before, trail.bytes()))
        });
        self.bytes = self.bytes + after - before - evicted.map_or(0, |trail| trail.bytes());
        self.make_room(Some(&source));
    }

    fn make_room(&mut self, newest: Option<&Source>) {
        let most = if self.is_off() { 0 } else { self.capacity.saturating_mul(EACH).max(LEAST) };
        while (self.bytes > most || self.sources.len() > self.capacity)
            && let Some(evicted) = self.sources.give_up(newest)
        {
            self.bytes -= evicted.bytes();
        }
    }
}
