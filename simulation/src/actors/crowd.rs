//! A crowd: many sources that guess passwords.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use crate::cast::{Cast, DAY, some_time};
use crate::random::Random;
use crate::scenario::time;
use crate::session::{Act, Session};

/// Many sources that guess passwords, one in a session, and go on whatever happens.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Crowd {
    from: Home,
    attempts: Pace,
    /// For how long.
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
    /// How many names are tried that nobody has.
    #[serde(default)]
    made_up_names: u64,
    /// The partners whose names are tried.
    #[serde(default)]
    names_of: Range<usize>,
}

/// Where a crowd is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Home {
    /// So many IPv4 sources in so many /24s, as evenly as can be.
    Scattered {
        /// How many sources.
        sources: u64,
        /// How many /24s.
        networks: u64,
    },
    /// So many sources in a partner's own /24.
    Beside {
        /// The partner.
        partner: usize,
        /// How many sources.
        sources: u64,
    },
    /// Each time at another /64 of this IPv6 /48.
    Rotating(Ipv6Addr),
}

/// How often a crowd tries.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Pace {
    /// So many times an hour all together, at any time and by any source.
    AnHour(u64),
    /// So many times a day each source, at any time of the day.
    EachADay(u64),
}

impl Crowd {
    pub(super) fn play(&self, cast: &mut Cast, random: &mut Random) {
        let who = cast.engage("crowd", false);
        let begins = cast.begins;
        let beside = match self.from {
            Home::Beside { partner, .. } => cast.partner(partner).home,
            Home::Scattered { .. } | Home::Rotating(_) => Ipv4Addr::UNSPECIFIED,
        };
        let mut names: Vec<u32> =
            (0..self.made_up_names).map(|number| cast.account(&format!("user{number}"), false)).collect();
        names.extend(self.names_of.clone().map(|number| cast.partner(number).account));
        let mut attempt = |at, source, random: &mut Random| {
            let from = self.from.address(source, beside);
            let act = Act::LogIn { wrong: 1, right: false };
            cast.sessions.push(Session { at, from, who, account: *random.one_of(&names), act });
        };
        match self.attempts {
            Pace::AnHour(attempts) => {
                for nth in 0..attempts * self.lasts.as_secs() / 3600 {
                    let at = some_time(begins, self.lasts, random);
                    let source = self.from.any(nth, random);
                    attempt(at, source, random);
                }
            }
            Pace::EachADay(attempts) => {
                for day in (0..).map(|day| DAY * day).take_while(|day| *day < self.lasts) {
                    for source in 0..self.from.sources() {
                        for _ in 0..attempts {
                            let at = some_time(begins.plus(day), DAY, random);
                            attempt(at, source, random);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn divide(&mut self, by: u64) {
        if let Pace::AnHour(attempts) = &mut self.attempts {
            *attempts /= by;
        }
        if let Home::Scattered { sources, networks } = &mut self.from {
            *sources /= by;
            *networks /= by;
        }
        // As often as before on each name.
        self.made_up_names = self.made_up_names.div_ceil(by);
        let names = self.names_of.len().div_ceil(usize::try_from(by).unwrap_or(usize::MAX));
        self.names_of.end = self.names_of.start + names;
    }
}

impl Home {
    fn sources(&self) -> u64 {
        match self {
            Self::Scattered { sources, .. } | Self::Beside { sources, .. } => *sources,
            Self::Rotating(_) => 1 << 16,
        }
    }

    /// The source that the `nth` attempt comes from.
    fn any(&self, nth: u64, random: &mut Random) -> u64 {
        match self {
            Self::Scattered { .. } | Self::Beside { .. } => random.below(self.sources()),
            // Any odd factor leads through all of them before one comes again.
            Self::Rotating(_) => nth.wrapping_mul(25_173) % self.sources(),
        }
    }

    /// A source's address; `partner`: the home of the partner whose neighbours these are.
    fn address(&self, source: u64, partner: Ipv4Addr) -> IpAddr {
        let host = |number| u8::try_from(number).expect("a /24 has no room for more sources");
        match self {
            Self::Scattered { networks, .. } => {
                let [.., high, low] = (source % networks).to_be_bytes();
                Ipv4Addr::new(10, high, low, host(1 + source / networks)).into()
            }
            Self::Beside { .. } => {
                let [a, b, c, last] = partner.octets();
                Ipv4Addr::new(a, b, c, host(u64::from(last) + 1 + source)).into()
            }
            Self::Rotating(network) => {
                Ipv6Addr::from(u128::from(*network) | u128::from(source) << 64 | 1).into()
            }
        }
    }
}
