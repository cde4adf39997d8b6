//! Sources whose user names look like the end of a log line.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use super::lone::every;
use crate::cast::Cast;
use crate::random::Random;
use crate::scenario::time;
use crate::session::{Act, Session};

/// Sources whose user names look like the end of a log line about somebody else.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Forger {
    /// How many sources it has.
    sources: u8,
    /// How soon each of them tries again.
    #[serde(deserialize_with = "time")]
    every: Duration,
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
    /// The partners who are to be banned.
    victims: Range<usize>,
    /// The user names; `{victim}` is where the address of one goes.
    names: Vec<String>,
}

impl Forger {
    pub(super) fn play(&self, cast: &mut Cast, random: &mut Random) {
        let who = cast.engage("forger", false);
        cast.tell_by_lines(who);
        let victims: Vec<String> =
            self.victims.clone().map(|number| cast.partner(number).home.to_string()).collect();
        let forged = |name: &String| -> Vec<String> {
            victims.iter().map(|victim| name.replace("{victim}", victim)).collect()
        };
        let names: Vec<u32> =
            self.names.iter().flat_map(forged).map(|name| cast.account(&name, false)).collect();
        for at in every(self.every, self.lasts, cast.begins) {
            for source in 0..self.sources {
                let from = Ipv4Addr::new(10, 66, source, 6).into();
                let act = Act::LogIn { wrong: 1, right: false };
                cast.sessions.push(Session { at, from, who, account: *random.one_of(&names), act });
            }
        }
    }
}
