//! The table of sources that have a score.
//!
//! It holds at most `Rules::capacity` sources. A newcomer to a full table evicts, in this order: a source silent for long
//! of those with nothing but pre-auth events (perhaps the newcomer itself); of those with failures that make no more
//! than half the threshold; of those above it. Where the last are more than half of the table, they come before the
//! second, so that nobody can fill the table for good. So neither a scan by a million sources nor a million single
//! failures makes the guard forget a source that is about to be banned. See [`Recent`] for how exact that is.
//!
//! Memory: about 80 bytes for a source with two events, and 16 to 32 for each further one, 32 at most; by default rules at
//! most 128 MiB. Every operation is O(1), the window's length being a constant.

use std::hash::Hash;
use std::time::Duration;

use super::account::Account;
use super::weight::Weight;
use super::window::{Entry, Window, sums};
use crate::moment::Moment;
use crate::recent::{Rank, Recent};

/// The sources that have a score, or whatever else has one, apart by how much a loss would matter.
#[derive(Debug)]
pub struct Sources<K> {
    windows: Recent<K, Window>,
    limits: Limits,
}

/// What bounds the table and its scores.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many sources are kept, at least one.
    pub capacity: usize,
    /// How far back scores look.
    pub window: Duration,
    /// The score up to which pre-auth events count, and above which a source is evicted last.
    pub half: Weight,
}

/// A source's score and what it is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Score {
    /// What failed logins add.
    pub failures: Weight,
    /// What pre-auth events add, at most half the threshold.
    pub pre_auth: Weight,
}

impl Score {
    /// The score itself.
    #[must_use]
    pub fn total(self) -> Weight {
        self.failures.plus(self.pre_auth)
    }

    /// How much it matters whose it is; `half`: half the threshold.
    #[must_use]
    pub fn rank(self, half: Weight) -> Rank {
        match self.failures.is_zero() {
            true => Rank::Low,
            false if self.total() <= half => Rank::Middle,
            false => Rank::High,
        }
    }
}

impl<K: Hash + Eq + Copy> Sources<K> {
    /// Makes an empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { windows: Recent::new(limits.capacity), limits }
    }

    /// Adds an entry and gives the score with it, and what of the entry's weight was added: of a pre-auth event,
    /// only what half the threshold leaves room for. Entries may come out of order, as those of two inputs do: the
    /// window ends with the youngest.
    pub fn add(&mut self, source: K, entry: Entry) -> (Score, Weight) {
        let limits = self.limits;
        self.sweep(2, entry.at);
        self.windows.update(&source, |window| {
            let now = window.youngest().max(entry.at);
            window.expire(limits.window, now);
            let before = limits.score_of(window, now);
            let room = limits.half.minus(before.pre_auth);
            let weight = if entry.pre_auth { entry.weight.min(room) } else { entry.weight };
            if weight.is_zero() {
                return (limits.rank(window, before), (before, weight));
            }
            window.push(Entry { weight, ..entry });
            // It may be too old for the window that the youngest ends.
            window.expire(limits.window, now);
            let score = limits.score_of(window, now);
            (limits.rank(window, score), (score, weight))
        })
    }

    /// The score of a source.
    #[must_use]
    pub fn score(&self, source: K, now: Moment) -> Score {
        self.windows.get(&source).map(|window| self.limits.score_of(window, now)).unwrap_or_default()
    }

    /// What a source's score is made of.
    pub fn entries(&self, source: K, now: Moment) -> impl Iterator<Item = Entry> + '_ {
        self.windows.get(&source).into_iter().flat_map(move |window| window.at(self.limits.window, now))
    }

    /// Drops what a source was counted for on one account.
    pub fn forgive(&mut self, source: K, account: Account, now: Moment) {
        if self.windows.get(&source).is_none() {
            return;
        }
        let limits = self.limits;
        self.windows.update(&source, |window| {
            window.forgive(account);
            window.expire(limits.window, now);
            (limits.rank(window, limits.score_of(window, now)), ())
        });
    }

    /// Drops a source.
    pub fn remove(&mut self, source: K) {
        self.windows.remove(&source);
    }

    /// Looks at the next `limit` sources, drops those whose window is empty, and says how many those were.
    pub fn sweep(&mut self, limit: usize, now: Moment) -> usize {
        let length = self.limits.window;
        self.windows.sweep(limit, |window| window.is_over(length, now))
    }

    /// Changes the limits; sources that no longer fit are evicted.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.windows.resize(limits.capacity);
    }

    /// How many sources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// How many sources with a score had to make room for others so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.windows.evicted()
    }
}

impl Limits {
    fn score_of(&self, window: &Window, now: Moment) -> Score {
        let (failures, pre_auth) = sums(window.at(self.window, now));
        Score { failures, pre_auth: pre_auth.min(self.half) }
    }

    /// How much it matters to keep a source; nothing if there is nothing to keep.
    fn rank(&self, window: &Window, score: Score) -> Option<Rank> {
        (!window.is_empty()).then(|| score.rank(self.half))
    }
}
