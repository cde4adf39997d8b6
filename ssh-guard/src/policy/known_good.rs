//! Which sources are known-good: those that have logged in to an account lately, for that account; and which of them are
//! *shared*: several accounts have logged in there on several days.

use std::time::Duration;

use ssh_guard_common::source::Source;

use super::account::Account;
use crate::moment::Moment;
use crate::recent::Recent;

/// The logins that succeeded, by source: at most `Rules::capacity` sources, at about 120 bytes each and 16 for each
/// account. A source that has not logged in for long makes room, and of one source the account that has not for longest.
#[derive(Debug)]
pub struct KnownGood {
    visitors: Recent<Source, Visitor>,
}

/// What is known of a source that has logged in.
#[derive(Clone, Debug, Default)]
struct Visitor {
    /// Each account that has, and when it did last; in no order.
    logins: Vec<(Account, Moment)>,
    days: Days,
}

/// On which of the last 64 days something happened.
#[derive(Clone, Copy, Debug, Default)]
struct Days {
    latest: u64,
    /// Bit `n`: `n` days before the latest.
    bits: u64,
}

/// What makes a source shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Many {
    /// How many accounts have logged in, at least.
    pub accounts: usize,
    /// On how many days, at least.
    pub days: u32,
}

impl KnownGood {
    /// The most accounts of a source that are remembered: behind a large company's address there may be hundreds.
    pub const MOST_ACCOUNTS: usize = 256;

    /// Makes room for `capacity` sources.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { visitors: Recent::new(capacity) }
    }

    /// Takes note of a login.
    pub fn note(&mut self, source: Source, account: Account, now: Moment) {
        let Visitor { logins, days } = self.visitors.touch(&source);
        days.note(now);
        if let Some((_, last)) = logins.iter_mut().find(|(known, _)| *known == account) {
            *last = (*last).max(now);
            return;
        }
        if logins.len() >= Self::MOST_ACCOUNTS
            && let Some(oldest) = (0..logins.len()).min_by_key(|index| logins[*index].1)
        {
            logins.swap_remove(oldest);
        }
        logins.push((account, now));
    }

    /// Whether the source has logged in to the account within `life`.
    #[must_use]
    pub fn is(&self, source: Source, account: Account, life: Duration, now: Moment) -> bool {
        self.logins(source, life, now).any(|known| known == account)
    }

    /// The accounts that the source has logged in to within `life`.
    pub fn logins(&self, source: Source, life: Duration, now: Moment) -> impl Iterator<Item = Account> {
        let logins = self.visitors.get(&source).map_or(&[][..], |visitor| &visitor.logins[..]);
        logins.iter().filter(move |(_, last)| now.since(*last) < life).map(|(account, _)| *account)
    }

    /// When the last of the logins will be longer ago than `life`, if there is one within it.
    #[must_use]
    pub fn until(&self, source: Source, life: Duration, now: Moment) -> Option<Moment> {
        let visitor = self.visitors.get(&source)?;
        let last = visitor.logins.iter().map(|(_, last)| *last).max()?;
        Some(last.plus(life)).filter(|until| *until > now)
    }

    /// On how many days within `life` somebody has logged in, those that are over.
    #[must_use]
    pub fn days(&self, source: Source, life: Duration, now: Moment) -> u32 {
        self.visitors.get(&source).map_or(0, |visitor| visitor.days.between(now.minus(life), now))
    }

    /// Whether so many accounts have logged in from the source, on so many of the days within `life` that were over
    /// when `incident` began: whoever attacks does not become shared meanwhile.
    #[must_use]
    pub fn is_shared(&self, source: Source, many: Many, life: Duration, incident: Moment) -> bool {
        self.days(source, life, incident) >= many.days
            && self.logins(source, life, incident).take(many.accounts).count() >= many.accounts
    }

    /// Looks at the next `limit` sources, and drops those whose logins are longer ago than `life`.
    pub fn sweep(&mut self, limit: usize, life: Duration, now: Moment) {
        self.visitors.sweep(limit, |visitor| visitor.logins.iter().all(|(_, last)| now.since(*last) >= life));
    }

    /// Changes for how many sources there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.visitors.resize(capacity);
    }
}

impl Days {
    fn note(&mut self, now: Moment) {
        let day = day_of(now);
        if day > self.latest {
            let passed = u32::try_from(day - self.latest).unwrap_or(u32::MAX);
            self.bits = self.bits.checked_shl(passed).unwrap_or(0);
            self.latest = day;
        }
        self.bits |= bit(self.latest - day);
    }

    /// How many days there were from the one of `since` on, and before the one of `until`.
    fn between(self, since: Moment, until: Moment) -> u32 {
        let counted = |age: &u64| {
            let day = self.latest.saturating_sub(*age);
            day >= day_of(since) && day < day_of(until) && self.bits & bit(*age) != 0
        };
        u32::try_from((0..64).filter(counted).count()).unwrap_or(u32::MAX)
    }
}

/// The number of a day, of 24 hours by the clock that never steps back.
fn day_of(moment: Moment) -> u64 {
    moment.since(Moment::EARLIEST).as_secs() / (24 * 60 * 60)
}

fn bit(age: u64) -> u64 {
    u32::try_from(age).ok().and_then(|age| 1_u64.checked_shl(age)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::account::Accounts;
    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const LIFE: Duration = Duration::from_secs(30 * DAY);
    const MANY: Many = Many { accounts: 3, days: 3 };

    fn at(days: u64) -> Moment {
        Moment::from_start(Duration::from_secs(days * DAY))
    }

    fn office() -> Source {
        Ipv4Addr::new(192, 0, 2, 1).into()
    }

    #[test]
    fn a_login_makes_known_good_for_its_account_alone_and_for_as_long_as_it_says() {
        let (mut known, accounts) = (KnownGood::new(9), Accounts::default());
        known.note(office(), accounts.of("alice"), at(0));
        assert!(known.is(office(), accounts.of("alice"), LIFE, at(29)));
        assert!(!known.is(office(), accounts.of("bob"), LIFE, at(29)));
        assert!(!known.is(office(), accounts.of("alice"), LIFE, at(30)));
        known.sweep(9, LIFE, at(30));
        assert_eq!(known.visitors.len(), 0);
    }

    #[test]
    fn a_source_is_shared_once_three_accounts_have_logged_in_on_three_days_that_are_over() {
        let (mut known, accounts) = (KnownGood::new(9), Accounts::default());
        for (day, name) in [(0, "alice"), (1, "bob"), (2, "carol")] {
            assert!(!known.is_shared(office(), MANY, LIFE, at(day)));
            known.note(office(), accounts.of(name), at(day));
        }
        assert!(!known.is_shared(office(), MANY, LIFE, at(2)), "the third day is not over");
        assert!(known.is_shared(office(), MANY, LIFE, at(3)));
        assert!(known.is_shared(office(), MANY, LIFE, at(29)));
        assert!(!known.is_shared(office(), MANY, LIFE, at(32)), "alice's login is too long ago");
    }

    #[test]
    fn one_account_on_many_days_or_many_accounts_on_one_are_not_a_shared_source() {
        let (mut known, accounts) = (KnownGood::new(9), Accounts::default());
        (0..20).for_each(|day| known.note(office(), accounts.of("alice"), at(day)));
        assert!(!known.is_shared(office(), MANY, LIFE, at(20)));
        let other = Ipv4Addr::new(192, 0, 2, 2).into();
        for name in ["alice", "bob", "carol", "dave"] {
            known.note(other, accounts.of(name), at(0));
        }
        assert!(!known.is_shared(other, MANY, LIFE, at(5)));
    }

    #[test]
    fn the_account_that_has_not_logged_in_for_longest_makes_room() {
        let (mut known, accounts) = (KnownGood::new(9), Accounts::default());
        for number in 0..=KnownGood::MOST_ACCOUNTS as u64 {
            known.note(office(), accounts.of(&number.to_string()), at(0).plus(Duration::from_secs(number)));
        }
        let is = |name| known.is(office(), accounts.of(name), LIFE, at(1));
        assert_eq!((is("0"), is("1"), is("256")), (false, true, true));
    }
}
