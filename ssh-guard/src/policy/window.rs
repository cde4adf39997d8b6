//! The score of one source in the sliding window.

use std::time::Duration;

use super::account::Account;
use super::weight::Weight;
use crate::moment::Moment;

/// What one source has failed at lately: exact up to [`Window::CAPACITY`] entries, which by default rules no source
/// reaches before it is banned. Beyond, those that lie closest are folded at the older one's moment: nothing stays
/// longer than the window's length, and nothing was seen to leave more than an eighth of it early.
#[derive(Debug, Default)]
pub struct Window {
    entries: Vec<Entry>,
    /// The moment of the youngest entry, for whoever asks all windows for it.
    youngest: Moment,
}

/// What one event added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When it happened.
    pub at: Moment,
    /// The account that was tried; none if none was named, or if entries of several were folded.
    pub account: Option<Account>,
    /// What it added.
    pub weight: Weight,
    /// How many events it stands for.
    pub count: u16,
    /// Whether it is an event of a session that named no account.
    pub pre_auth: bool,
}

const _: () = assert!(size_of::<Entry>() == 24, "the documented memory bound counts on it");

impl Window {
    /// How many entries are kept.
    pub const CAPACITY: usize = 32;

    /// Adds an entry, behind those that are not younger.
    pub fn push(&mut self, entry: Entry) {
        if self.entries.len() >= Self::CAPACITY {
            self.fold();
        }
        self.youngest = self.youngest.max(entry.at);
        let younger = self.entries.iter().rev().take_while(|other| other.at > entry.at).count();
        self.entries.insert(self.entries.len() - younger, entry);
    }

    /// Drops what is `length` old or older.
    pub fn expire(&mut self, length: Duration, now: Moment) {
        self.entries.retain(|entry| now.since(entry.at) < length);
    }

    /// Drops what was added for an account, pre-auth events excepted.
    pub fn forgive(&mut self, account: Account) {
        self.entries.retain(|entry| entry.account != Some(account));
        self.youngest = self.entries.iter().map(|entry| entry.at).max().unwrap_or_default();
    }

    /// The entries in the window at `now`, the oldest first.
    pub fn at(&self, length: Duration, now: Moment) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| now.since(entry.at) < length)
    }

    /// The moment of the youngest entry; that of the clock's start if there is none.
    #[must_use]
    pub fn youngest(&self) -> Moment {
        self.youngest
    }

    /// Whether everything in it is `length` old or older.
    #[must_use]
    pub fn is_over(&self, length: Duration, now: Moment) -> bool {
        self.entries.is_empty() || now.since(self.youngest) >= length
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes room for one more: of two failures, or two pre-auth events, that follow one another at the shortest
    /// distance, the younger one is added to the older one.
    fn fold(&mut self) {
        let mut last = [None::<usize>; 2];
        let mut closest = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(older) = last[usize::from(entry.pre_auth)].replace(index) {
                let distance = entry.at.since(self.entries[older].at);
                closest = [closest, Some((distance, older, index))].into_iter().flatten().min();
            }
        }
        if let Some((_, older, younger)) = closest {
            let younger = self.entries.remove(younger);
            self.entries[older].add(younger);
        }
    }
}

impl Entry {
    fn add(&mut self, other: Self) {
        self.weight = self.weight.plus(other.weight);
        self.count = self.count.saturating_add(other.count);
        if self.account != other.account {
            self.account = None;
        }
    }
}

/// Sums failures and pre-auth events apart.
pub fn sums<'a>(entries: impl Iterator<Item = &'a Entry>) -> (Weight, Weight) {
    entries.fold((Weight::ZERO, Weight::ZERO), |(failures, pre_auth), entry| {
        if entry.pre_auth {
            (failures, pre_auth.plus(entry.weight))
        } else {
            (failures.plus(entry.weight), pre_auth)
        }
    })
}
