//! Those who do something that is not ordinary.

mod crowd;
mod forger;
mod insider;
mod lone;

use serde::Deserialize;

use crate::cast::Cast;
use crate::random::Random;
use crowd::Crowd;
use forger::Forger;
use insider::Insider;
use lone::{Flood, Newcomer, Probe, Retries};

/// Somebody who does something that is not ordinary, or many who do the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Actor {
    /// Many sources that guess passwords.
    Crowd(Crowd),
    /// Partners' programs that try again and again what is not valid any more.
    Retries(Retries),
    /// Somebody who means well, at an address that nobody has logged in from.
    Newcomer(Newcomer),
    /// Somebody with an account, who guesses at others'.
    Insider(Insider),
    /// A load balancer that looks whether the server is there.
    Probe(Probe),
    /// Packets in the name of somebody who sends none of them.
    Flood(Flood),
    /// Sources whose user names look like the end of a log line.
    Forger(Forger),
}

impl Actor {
    pub(crate) fn play(&self, cast: &mut Cast, random: &mut Random) {
        match self {
            Self::Crowd(crowd) => crowd.play(cast, random),
            Self::Retries(retries) => retries.play(cast),
            Self::Newcomer(newcomer) => newcomer.play(cast),
            Self::Insider(insider) => insider.play(cast, random),
            Self::Probe(probe) => probe.play(cast),
            Self::Flood(flood) => flood.play(cast),
            Self::Forger(forger) => forger.play(cast, random),
        }
    }

    pub(crate) fn divide(&mut self, by: u64) {
        if let Self::Crowd(crowd) = self {
            crowd.divide(by);
        }
    }
}
