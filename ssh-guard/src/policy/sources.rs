//! The table of sources that have a score.
//!
//! It holds at most `Rules::capacity` sources. A newcomer to a full table evicts, in this order: the source silent
//! longest of those with nothing but pre-auth events (perhaps the newcomer itself); of those with failures that make
//! no more than half the threshold; of those above it. Where the last are more than half of the table, they come
//! before the second, so that nobody can fill the table for good. So neither a scan by a million sources nor a
//! million single failures makes the guard forget a source that is about to be banned.
//!
//! Memory: about 200 bytes for a source with one event, under 1 KiB for one with a full window; by default rules at
//! most 128 MiB. Every operation is O(1), the window's length being a constant.

use std::hash::RandomState;
use std::time::Duration;

use lru::LruCache;
use ssh_guard_common::source::Source;

use super::account::Account;
use super::weight::Weight;
use super::window::{Entry, Window, sums};
use crate::moment::Moment;

/// The sources that have a score, apart by how much a loss would matter.
#[derive(Debug)]
pub struct Sources {
    ranks: [LruCache<Source, Window, RandomState>; 3],
    limits: Limits,
    evicted: u64,
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
}

impl Sources {
    /// Makes an empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let ranks = [(); 3].map(|()| LruCache::unbounded_with_hasher(RandomState::new()));
        Self { ranks, limits, evicted: 0 }
    }

    /// Adds an entry and gives the score with it, and what of the entry's weight was added: of a pre-auth event,
    /// only what half the threshold leaves room for.
    pub fn add(&mut self, source: Source, entry: Entry) -> (Score, Weight) {
        let now = entry.at;
        let mut window = self.ranks.iter_mut().find_map(|rank| rank.pop(&source)).unwrap_or_default();
        window.expire(self.limits.window, now);
        let before = self.score_of(&window, now);
        let room = self.limits.half.minus(before.pre_auth);
        let weight = if entry.pre_auth { entry.weight.min(room) } else { entry.weight };
        if !weight.is_zero() {
            window.push(Entry { weight, ..entry });
        }
        let score = self.score_of(&window, now);
        self.file(source, window, now);
        (score, weight)
    }

    /// The score of a source.
    #[must_use]
    pub fn score(&self, source: Source, now: Moment) -> Score {
        self.get(source).map(|window| self.score_of(window, now)).unwrap_or_default()
    }

    /// What a source's score is made of.
    pub fn entries(&self, source: Source, now: Moment) -> impl Iterator<Item = &Entry> {
        self.get(source).into_iter().flat_map(move |window| window.at(self.limits.window, now))
    }

    /// Drops what a source was counted for on one account.
    pub fn forgive(&mut self, source: Source, account: Account, now: Moment) {
        let Some(mut window) = self.ranks.iter_mut().find_map(|rank| rank.pop(&source)) else { return };
        window.forgive(account);
        window.expire(self.limits.window, now);
        self.file(source, window, now);
    }

    /// Drops a source.
    pub fn remove(&mut self, source: Source) {
        for rank in &mut self.ranks {
            rank.pop(&source);
        }
    }

    /// Drops sources whose window is empty, at most `limit` of each rank, and says how many.
    pub fn sweep(&mut self, limit: usize, now: Moment) -> usize {
        let length = self.limits.window;
        let old = |window: &Window| window.youngest().is_none_or(|at| now.since(at) >= length);
        let mut dropped = 0;
        for rank in &mut self.ranks {
            let mut left = limit;
            while left > 0 && rank.peek_lru().is_some_and(|(_, window)| old(window)) {
                rank.pop_lru();
                (left, dropped) = (left - 1, dropped + 1);
            }
        }
        dropped
    }

    /// Changes the limits; sources that no longer fit are evicted.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.evict();
    }

    /// How many sources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranks.iter().map(LruCache::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many sources with a score had to make room for others so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn get(&self, source: Source) -> Option<&Window> {
        self.ranks.iter().find_map(|rank| rank.peek(&source))
    }

    fn score_of(&self, window: &Window, now: Moment) -> Score {
        let (failures, pre_auth) = sums(window.at(self.limits.window, now));
        Score { failures, pre_auth: pre_auth.min(self.limits.half) }
    }

    fn file(&mut self, source: Source, window: Window, now: Moment) {
        if window.is_empty() {
            return;
        }
        let score = self.score_of(&window, now);
        let rank = match score.failures.is_zero() {
            true => FAINT,
            false if score.total() <= self.limits.half => FAILING,
            false => NEAR,
        };
        self.ranks[rank].put(source, window);
        self.evict();
    }

    fn evict(&mut self) {
        let capacity = self.limits.capacity.max(1);
        while self.len() > capacity {
            let crowded = self.ranks[NEAR].len() > capacity / 2;
            let order = if crowded { [FAINT, NEAR, FAILING] } else { [FAINT, FAILING, NEAR] };
            for rank in order {
                if self.ranks[rank].pop_lru().is_some() {
                    self.evicted = self.evicted.saturating_add(1);
                    break;
                }
            }
        }
    }
}

/// Nothing but pre-auth events.
const FAINT: usize = 0;
/// Failures, and a score of no more than half the threshold.
const FAILING: usize = 1;
/// A score above half the threshold.
const NEAR: usize = 2;
