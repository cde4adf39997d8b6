//! Everybody who takes part in a scenario, and all that they do, in the order of time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use smol_str::SmolStr;
use ssh_guard::moment::Moment;
use ssh_guard_common::source::{Source, SourceMask};

use crate::random::Random;
use crate::scenario::{Ordinary, Scenario};
use crate::session::{Account, Act, Session};

/// Who takes part, and what they do.
#[derive(Debug)]
pub struct Cast {
    /// Everybody; the partners come first.
    pub people: Vec<Person>,
    /// The accounts that are tried.
    pub accounts: Vec<Account>,
    /// What happens, in the order of time.
    pub sessions: Vec<Session>,
    /// When the ordinary days are over.
    pub begins: Moment,
    /// When the last thing happens.
    pub ends: Moment,
    partners: Vec<Partner>,
    homes: HashMap<Source, Vec<u32>>,
}

/// Somebody.
#[derive(Clone, Debug)]
pub struct Person {
    /// What the report calls it.
    pub name: String,
    /// Whether it means well: no rule should hit it.
    pub innocent: bool,
    /// Whether what it does is what is looked at.
    pub watched: bool,
    /// Whether its sessions are told by lines of a log, which the parser reads.
    pub by_lines: bool,
}

/// A business partner with an account.
#[derive(Clone, Copy, Debug)]
pub struct Partner {
    /// Its number in the cast.
    pub who: u32,
    /// From where it logs in.
    pub home: Ipv4Addr,
    /// Its account.
    pub account: u32,
}

impl Cast {
    /// Has everybody do what the scenario says, after and among ordinary days.
    #[must_use]
    pub fn of(scenario: &Scenario, ordinary: &Ordinary) -> Self {
        let begins = Moment::from_start(ordinary.history);
        let mut cast = Self {
            people: Vec::new(),
            accounts: Vec::new(),
            sessions: Vec::new(),
            begins,
            ends: begins.plus(scenario.lasts),
            partners: Vec::new(),
            homes: HashMap::new(),
        };
        cast.engage_partners(ordinary);
        cast.ordinary_days(ordinary);
        for partner in &scenario.watched {
            cast.people[*partner].watched = true;
        }
        for (number, actor) in (1..).zip(&scenario.actors) {
            let mut random = Random::new(scenario.seed.wrapping_mul(1000).wrapping_add(number));
            actor.play(&mut cast, &mut random);
        }
        // What happens at the same time happens in the order in which it was written down.
        cast.sessions.sort_by_key(|session| session.at);
        cast
    }

    /// A partner, by its number.
    ///
    /// # Panics
    /// If there is none of that number.
    #[must_use]
    pub fn partner(&self, number: usize) -> Partner {
        self.partners[number]
    }

    /// The innocent people whose source this is.
    pub fn innocents_at(&self, source: Source) -> impl Iterator<Item = u32> {
        self.homes.get(&source).into_iter().flatten().copied()
    }

    /// Lets somebody take part, whose sessions are looked at.
    pub(crate) fn engage(&mut self, name: &str, innocent: bool) -> u32 {
        self.people.push(Person { name: name.to_owned(), innocent, watched: true, by_lines: false });
        number(self.people.len() - 1)
    }

    /// Says that an innocent person is at an address.
    pub(crate) fn house(&mut self, who: u32, home: IpAddr) {
        let source = SourceMask::new(32, 64).apply(home.into());
        self.homes.entry(source).or_default().push(who);
    }

    /// Has the sessions of a person told by lines of a log.
    pub(crate) fn tell_by_lines(&mut self, who: u32) {
        self.people[who as usize].by_lines = true;
    }

    /// Takes note of an account.
    pub(crate) fn account(&mut self, name: &str, exists: bool) -> u32 {
        self.accounts.push(Account { name: SmolStr::new(name), exists });
        number(self.accounts.len() - 1)
    }

    fn engage_partners(&mut self, ordinary: &Ordinary) {
        for partner in 0..ordinary.partners {
            let name = format!("partner-{partner}");
            let who = self.engage(&name, true);
            self.people[partner].watched = false;
            let [_, _, high, low] = number(partner).to_be_bytes();
            let home = if ordinary.behind_one_address.contains(&partner) {
                Ipv4Addr::new(172, 31, 0, 1)
            } else {
                Ipv4Addr::new(172, 16 + high, low, 10)
            };
            let account = self.account(&name, true);
            self.house(who, home.into());
            self.partners.push(Partner { who, home, account });
        }
    }

    fn ordinary_days(&mut self, ordinary: &Ordinary) {
        let mut random = Random::new(ordinary.seed);
        let [fewest, most] = ordinary.logins_a_day;
        for partner in 0..ordinary.partners {
            let a_day = fewest + random.below(most - fewest + 1);
            let mistypes = ordinary.by_password.contains(&partner);
            let Partner { who, home, account } = self.partners[partner];
            let mut session =
                |at, act| self.sessions.push(Session { at, from: home.into(), who, account, act });
            for day in 0.. {
                let morning = first_day().plus(DAY * day);
                if morning >= self.ends {
                    break;
                }
                for _ in 0..a_day {
                    let mut at = some_time(morning, DAY, &mut random);
                    if mistypes && random.happens(ordinary.typing_errors_of_a_thousand) {
                        session(at, Act::LogIn { wrong: 1, right: false });
                        at = at.plus(AGAIN);
                    }
                    session(at, Act::LogIn { wrong: 0, right: true });
                }
            }
        }
        let ends = self.ends;
        self.sessions.retain(|session| session.at < ends);
    }
}

/// When the ordinary days begin.
pub(crate) fn first_day() -> Moment {
    Moment::from_start(Duration::ZERO)
}

/// Some moment within `length` of `from`.
pub(crate) fn some_time(from: Moment, length: Duration, random: &mut Random) -> Moment {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    from.plus(Duration::from_millis(random.below(millis)))
}

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// How soon somebody who mistyped logs in again.
const AGAIN: Duration = Duration::from_secs(5);

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer people and accounts than that")
}
