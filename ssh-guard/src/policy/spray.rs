//! Account spray: one account is tried from many networks at once, a few times from each.
//!
//! A table of accounts, each with the networks that it failed from last; at most [`ACCOUNTS`] of them, at about 600 bytes
//! each by default rules. Accounts that few networks have tried make room first, so that an attacker who makes up names
//! pushes out the names that he made up.

use std::time::Duration;

use ssh_guard_common::source::Source;

use super::account::Account;
use super::rules;
use crate::moment::Moment;
use crate::network::Network;
use crate::recent::{Rank, Recent};

/// The accounts that are being tried.
#[derive(Debug)]
pub struct Spray {
    accounts: Recent<Account, Tried>,
}

/// How an account is being tried.
#[derive(Clone, Debug, Default)]
struct Tried {
    /// The networks, each with its last failure; the latest behind.
    networks: Vec<(Network, Moment)>,
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

impl Default for Spray {
    fn default() -> Self {
        Self { accounts: Recent::new(ACCOUNTS) }
    }
}

impl Spray {
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
        let from = neighbourhood(source);
        self.accounts.update(&account, |tried| {
            tried.missing |= missing;
            let count = tried.count(from, rules, now);
            let rank = match count {
                0 | 1 => Rank::Low,
                few if few < rules.sources => Rank::Middle,
                _ => Rank::High,
            };
            let sprayed = if tried.missing { Sprayed::Missing } else { Sprayed::Existing };
            (Some(rank), (count >= rules.sources).then_some(sprayed))
        })
    }

    /// Takes note that somebody has logged in to the account: it exists.
    pub fn admit(&mut self, account: Account) {
        if let Some(tried) = self.accounts.get_mut(&account) {
            tried.missing = false;
        }
    }

    /// Looks at the next `limit` accounts, and drops those that nobody has tried within `window`.
    pub fn sweep(&mut self, limit: usize, window: Duration, now: Moment) {
        self.accounts.sweep(limit, |tried| tried.is_over(window, now));
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
    fn count(&mut self, from: Network, rules: &rules::Spray, now: Moment) -> usize {
        match self.networks.iter().position(|(network, _)| *network == from) {
            Some(at) => drop(self.networks.remove(at)),
            None if self.networks.len() >= rules.sources => drop(self.networks.remove(0)),
            None => {}
        }
        self.networks.push((from, now));
        self.networks.iter().filter(|(_, at)| now.since(*at) < rules.window).count()
    }

    fn is_over(&self, window: Duration, now: Moment) -> bool {
        self.networks.last().is_none_or(|(_, at)| now.since(*at) >= window)
    }
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
        let mut spray = Spray::default();
        for number in 0..19 {
            assert_eq!(note(&mut spray, "oracle", source(number), 3599), None);
        }
        assert_eq!(note(&mut spray, "oracle", source(19), 3599), Some(Sprayed::Missing));
        assert_eq!(note(&mut spray, "oracle", source(5), 3600 + 3598), Some(Sprayed::Missing));
        assert_eq!(note(&mut spray, "oracle", source(6), 3600 + 3599), None, "the others are an hour ago");
    }

    #[test]
    fn an_account_that_exists_is_told_from_one_that_does_not() {
        let mut spray = Spray::default();
        let mut last = None;
        for number in 0..20 {
            last = note(&mut spray, "root", source(number), 0);
        }
        assert_eq!(last, Some(Sprayed::Existing));
        for number in 0..20 {
            last = note(&mut spray, "ghost", source(number), 0);
        }
        assert_eq!(last, Some(Sprayed::Missing));
        spray.admit(ACCOUNTS_OF_TESTS.with(|accounts| accounts.of("ghost")));
        let ghost = ACCOUNTS_OF_TESTS.with(|accounts| accounts.of("ghost"));
        let again = spray.note(ghost, source(3), false, &rules::Spray::default(), at(1));
        assert_eq!(again, Some(Sprayed::Existing), "it was made meanwhile");
    }

    #[test]
    fn many_sources_of_one_network_are_one() {
        let mut spray = Spray::default();
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
        let mut spray = Spray::default();
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
