//! Account spray: one account is tried from many networks at once, a few times from each.
//!
//! A table of accounts, each with the networks that it failed from last; at most 4096 of them, at about 200 bytes
//! each by default rules. Accounts that few networks have tried make room first, so that an attacker who makes up names
//! pushes out the names that he made up. And a table of the sources that try such accounts slowly (`slow.rs`).

mod slow;

use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::quality::RandomState;
use ssh_guard_common::source::Source;

use super::account::Account;
use super::rules;
use super::weight::Weight;
use crate::moment::Moment;
use crate::network::Network;
use crate::recent::{Rank, Recent};
use slow::Slow;

/// The accounts that are being tried, and who tries them.
#[derive(Debug)]
pub struct Spray {
    accounts: Recent<Account, Tried>,
    slow: Slow,
    seed: RandomState,
}

/// How an account is being tried.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// The networks, by a hash of 32 bits, each with its last failure in seconds since [`Moment::EARLIEST`]; in no order.
    networks: Vec<(u32, u32)>,
    /// Whether a server has said that there is no such account.
    missing: bool,
}

/// A failure on an account that is being sprayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sprayed {
    /// There is no such account: nobody who tries it means well.
    Missing,
    /// The account exists, as far as is known: its owner may have mistyped.
    Existing,
}

/// How many accounts are followed.
const ACCOUNTS: usize = 4096;

impl Spray {
    /// Makes room for `capacity` sources.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { accounts: Recent::new(ACCOUNTS), slow: Slow::new(capacity), seed: RandomState::default() }
    }

    /// Takes a failure that weighs something, of a source that is not known-good, and says whether its account is being
    /// sprayed. `missing`: the server says that there is no such account.
    pub fn note(
        &mut self,
        account: Account,
        source: Source,
        missing: bool,
        rules: &rules::Spray,
        now: Moment,
    ) -> Option<Sprayed> {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let from = self.seed.hash_one(neighbourhood(source)) as u32;
        self.accounts.update(&account, |tried| {
            tried.missing |= missing;
            let count = tried.count(from, rules, now);
            let rank = match count {
                0 | 1 => Rank::Low,
                few if few < rules.sources => Rank::Middle,
                _ => Rank::High,
            };
            (Some(rank), (count >= rules.sources).then(|| tried.sprayed()))
        })
    }

    /// Adds a failure on a sprayed account that exists, and gives the source's score on all of these.
    pub fn add(&mut self, source: Source, weight: Weight, rules: &rules::Spray, now: Moment) -> Weight {
        self.slow.add(source, weight, rules.existing_window, now)
    }

    /// Forgets what a source has failed at: it is banned for that, or pardoned.
    pub fn answer(&mut self, source: Source) {
        self.slow.remove(source);
    }

    /// The source's score on sprayed accounts that exist.
    #[must_use]
    pub fn score(&self, source: Source, rules: &rules::Spray, now: Moment) -> Weight {
        self.slow.score(source, rules.existing_window, now)
    }

    /// Whether the account is being sprayed.
    #[must_use]
    pub fn look(&self, account: Account, rules: &rules::Spray, now: Moment) -> Option<Sprayed> {
        let tried = self.accounts.get(&account)?;
        (tried.within(rules, second(now)) >= rules.sources).then(|| tried.sprayed())
    }

    /// Takes note that somebody has logged in to the account: it exists. The source is known-good from now on, and not judged
    /// by sprays.
    pub fn admit(&mut self, source: Source, account: Account) {
        self.slow.remove(source);
        if let Some(tried) = self.accounts.get_mut(&account) {
            tried.missing = false;
        }
    }

    /// Looks at the next `limit` accounts and sources, and drops those whose window is over.
    pub fn sweep(&mut self, limit: usize, rules: &rules::Spray, now: Moment) {
        self.accounts.sweep(limit, |tried| tried.is_over(rules, now));
        self.slow.sweep(limit, rules.existing_window, now);
    }

    /// Changes for how many sources there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.slow.resize(capacity);
    }

    /// How many accounts are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

impl Tried {
    /// Counts the networks with this one; no more than there need to be for a spray.
    fn count(&mut self, from: u32, rules: &rules::Spray, now: Moment) -> usize {
        let now = second(now);
        match self.networks.iter().position(|(network, _)| *network == from) {
            Some(at) => self.networks[at].1 = self.networks[at].1.max(now),
            None if self.networks.len() < rules.sources => self.networks.push((from, now)),
            None => {
                // The one that has not failed for longest makes room.
                let oldest = (0..self.networks.len()).min_by_key(|at| self.networks[*at].1);
                self.networks[oldest.unwrap_or_default()] = (from, now);
            }
        }
        self.within(rules, now)
    }

    /// How many networks have failed within the window.
    fn within(&self, rules: &rules::Spray, now: u32) -> usize {
        let window = seconds(rules.window);
        self.networks.iter().filter(|(_, at)| now.saturating_sub(*at) < window).count()
    }

    fn sprayed(&self) -> Sprayed {
        if self.missing { Sprayed::Missing } else { Sprayed::Existing }
    }

    fn is_over(&self, rules: &rules::Spray, now: Moment) -> bool {
        self.within(rules, second(now)) == 0
    }
}

fn second(moment: Moment) -> u32 {
    seconds(moment.since(Moment::EARLIEST))
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// The network that counts as one: what one owner has, an IPv4 /24 or an IPv6 /48.
fn neighbourhood(source: Source) -> Network {
    Network::new(source, if source.is_v4() { 24 } else { 48 })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::account::Accounts;
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn source(number: u32) -> Source {
        Ipv4Addr::from(0x0a00_0000 + number * 256).into()
    }

    fn note(spray: &mut Spray, name: &str, source: Source, seconds: u64) -> Option<Sprayed> {
        let account = ACCOUNTS_OF_TESTS.with(|accounts| accounts.of(name));
        spray.note(account, source, name != "root", &rules::Spray::default(), at(seconds))
    }

    thread_local! {
        static ACCOUNTS_OF_TESTS: Accounts = Accounts::default();
    }

    #[test]
    fn an_account_that_twenty_networks_try_within_an_hour_is_sprayed() {
        let mut spray = Spray::new(9);
        for number in 0..19 {
            assert_eq!(note(&mut spray, "oracle", source(number), 3599), None);
        }
        assert_eq!(note(&mut spray, "oracle", source(19), 3599), Some(Sprayed::Missing));
        assert_eq!(note(&mut spray, "oracle", source(5), 3600 + 3598), Some(Sprayed::Missing));
        assert_eq!(note(&mut spray, "oracle", source(6), 3600 + 3599), None, "the others are an hour ago");
    }

    #[test]
    fn an_account_that_exists_is_told_from_one_that_does_not() {
        let mut spray = Spray::new(9);
        let mut last = None;
        for number in 0..20 {
            last = note(&mut spray, "root", source(number), 0);
        }
        assert_eq!(last, Some(Sprayed::Existing));
        for number in 0..20 {
            last = note(&mut spray, "ghost", source(number), 0);
        }
        assert_eq!(last, Some(Sprayed::Missing));
        spray.admit(source(0), ACCOUNTS_OF_TESTS.with(|accounts| accounts.of("ghost")));
        let ghost = ACCOUNTS_OF_TESTS.with(|accounts| accounts.of("ghost"));
        let again = spray.note(ghost, source(3), false, &rules::Spray::default(), at(1));
        assert_eq!(again, Some(Sprayed::Existing), "it was made meanwhile");
    }

    #[test]
    fn many_sources_of_one_network_are_one() {
        let mut spray = Spray::new(9);
        for number in 0..256 {
            let source = Ipv4Addr::from(0x0a00_0000 + number).into();
            assert_eq!(note(&mut spray, "oracle", source, 0), None);
        }
        for number in 0..1000 {
            let source = Ipv6Addr::from((0x2001_0db8_0001_u128 << 80) + (number << 64)).into();
            assert_eq!(note(&mut spray, "backup", source, 0), None);
        }
    }

    #[test]
    fn names_that_an_attacker_makes_up_do_not_hide_a_spray() {
        let mut spray = Spray::new(9);
        for round in 0..20 {
            for number in 0..ACCOUNTS / 8 {
                note(&mut spray, &format!("made-up-{round}-{number}"), source(99), round);
            }
            let sprayed = note(&mut spray, "oracle", source(u32::try_from(round).unwrap()), round);
            assert_eq!(sprayed.is_some(), round == 19, "round {round}");
        }
        assert_eq!(spray.len(), ACCOUNTS);
    }
}
