//! The score of one source in the sliding window.

use std::time::Duration;

use smallvec::SmallVec;

use super::account::Account;
use super::weight::Weight;
use crate::moment::Moment;

/// What one source has failed at lately: exact up to [`Window::CAPACITY`] entries, which by default rules no source
/// reaches before it is banned. Beyond, those that lie closest are folded at the older one's moment: nothing stays
/// longer than the window's length, and nothing was seen to leave more than an eighth of it early.
///
/// Memory: most sources fail once or twice, which is kept in place; more lie elsewhere, 16 bytes each.
#[derive(Debug, Default)]
pub struct Window {
    /// In the order of time.
    entries: SmallVec<[Packed; 2]>,
}

/// An entry in little memory.
#[derive(Clone, Copy, Debug)]
struct Packed {
    /// When it happened, in units of 2^20 ns, which is about a millisecond; in the lowest bits, how many events it stands for
    /// and whether they are of a session that named no account.
    at: u64,
    account: Option<Account>,
    weight: Weight,
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

const _: () =
    assert!(size_of::<Packed>() == 16 && size_of::<Window>() == 40, "the documented memory counts on it");

impl Packed {
    const COUNT: u64 = (1 << 19) - 1;

    fn new(entry: Entry) -> Self {
        let Entry { at, account, weight, count, pre_auth } = entry;
        Self { at: at.coarse() | u64::from(count) << 1 | u64::from(pre_auth), account, weight }
    }

    fn at(self) -> Moment {
        Moment::of_coarse(self.at)
    }

    fn entry(self) -> Entry {
        let count = u16::try_from((self.at >> 1) & Self::COUNT).unwrap_or(u16::MAX);
        let Self { account, weight, .. } = self;
        Entry { at: self.at(), account, weight, count, pre_auth: self.at & 1 != 0 }
    }
}

impl Window {
    /// How many entries are kept.
    pub const CAPACITY: usize = 32;

    /// Adds an entry, behind those that are not younger.
    pub fn push(&mut self, entry: Entry) {
        if self.entries.len() >= Self::CAPACITY {
            self.fold();
        }
        let entry = Packed::new(entry);
        let younger = self.entries.iter().rev().take_while(|other| other.at() > entry.at()).count();
        self.entries.insert(self.entries.len() - younger, entry);
    }

    /// Drops what is `length` old or older.
    pub fn expire(&mut self, length: Duration, now: Moment) {
        self.entries.retain(|entry| now.since(entry.at()) < length);
    }

    /// Drops what was added for an account, pre-auth events excepted.
    pub fn forgive(&mut self, account: Account) {
        self.entries.retain(|entry| entry.account != Some(account));
    }

    /// The entries in the window at `now`, the oldest first.
    pub fn at(&self, length: Duration, now: Moment) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().map(|entry| entry.entry()).filter(move |entry| now.since(entry.at) < length)
    }

    /// The moment of the youngest entry; that of the clock's start if there is none.
    #[must_use]
    pub fn youngest(&self) -> Moment {
        self.entries.last().map(|entry| entry.at()).unwrap_or_default()
    }

    /// Whether everything in it is `length` old or older.
    #[must_use]
    pub fn is_over(&self, length: Duration, now: Moment) -> bool {
        self.entries.last().is_none_or(|entry| now.since(entry.at()) >= length)
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
        for (index, entry) in self.entries.iter().map(|entry| entry.entry()).enumerate() {
            if let Some(older) = last[usize::from(entry.pre_auth)].replace(index) {
                let distance = entry.at.since(self.entries[older].at());
                closest = [closest, Some((distance, older, index))].into_iter().flatten().min();
            }
        }
        if let Some((_, older, younger)) = closest {
            let younger = self.entries.remove(younger).entry();
            self.entries[older] = Packed::new(self.entries[older].entry().plus(younger));
        }
    }
}

impl Entry {
    /// Both in one, at the older one's moment.
    fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight.plus(other.weight),
            count: self.count.saturating_add(other.count),
            account: self.account.filter(|account| other.account == Some(*account)),
            ..self
        }
    }
}

/// Sums failures and pre-auth events apart.
pub fn sums(entries: impl Iterator<Item = Entry>) -> (Weight, Weight) {
    entries.fold((Weight::ZERO, Weight::ZERO), |(failures, pre_auth), entry| {
        if entry.pre_auth {
            (failures, pre_auth.plus(entry.weight))
        } else {
            (failures.plus(entry.weight), pre_auth)
        }
    })
}
