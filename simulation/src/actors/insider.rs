//! Somebody with an account, who guesses at others'.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use super::lone::every;
use crate::cast::{Cast, DAY, first_day, some_time};
use crate::random::Random;
use crate::scenario::time;
use crate::session::{Act, Session};

/// Somebody who has logged in for long, and now guesses at others' accounts, and logs in between.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Insider {
    name: String,
    at: IpAddr,
    /// How often it has logged in on each ordinary day.
    logins_a_day: u64,
    /// How soon the next session begins.
    #[serde(deserialize_with = "time")]
    every: Duration,
    /// How many guesses there are between two logins.
    guesses: usize,
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
    /// The partners at whose accounts it guesses.
    names_of: Range<usize>,
}

impl Insider {
    pub(super) fn play(&self, cast: &mut Cast, random: &mut Random) {
        let who = cast.engage(&self.name, false);
        let own = cast.account(&self.name, true);
        let names: Vec<u32> = self.names_of.clone().map(|number| cast.partner(number).account).collect();
        let begins = cast.begins;
        let mut session = |at, account, act| {
            cast.sessions.push(Session { at, from: self.at, who, account, act });
        };
        let log_in = Act::LogIn { wrong: 0, right: true };
        for morning in (0..).map(|day| first_day().plus(DAY * day)).take_while(|day| *day < begins) {
            for _ in 0..self.logins_a_day {
                session(some_time(morning, DAY, random), own, log_in);
            }
        }
        for (nth, at) in every(self.every, self.lasts, begins).enumerate() {
            if nth % (self.guesses + 1) == self.guesses {
                session(at, own, log_in);
            } else {
                session(at, *random.one_of(&names), Act::LogIn { wrong: 1, right: false });
            }
        }
    }
}
