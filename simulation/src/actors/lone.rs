//! Those who mean well, or whose name is abused.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use ssh_guard::moment::Moment;

use crate::cast::{Cast, Partner};
use crate::scenario::time;
use crate::session::{Act, Session};

/// Partners' programs that try again and again what is not valid any more.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Retries {
    /// Which partners.
    partners: Range<usize>,
    with: Stale,
    #[serde(deserialize_with = "time")]
    every: Duration,
    /// For how long; then it is mended.
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
    /// Whether nothing else logs in to these accounts meanwhile.
    #[serde(default)]
    alone: bool,
}

/// What is not valid any more.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stale {
    OldPassword,
    ExpiredKey,
}

/// Somebody who means well, at an address that nobody has logged in from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Newcomer {
    name: String,
    at: IpAddr,
    /// How many wrong passwords come in each session; after the last of them all comes the right one.
    mistypes: Vec<u8>,
    /// How soon the next session begins.
    #[serde(deserialize_with = "time")]
    every: Duration,
}

/// A load balancer that looks whether the server is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Probe {
    name: String,
    at: IpAddr,
    #[serde(deserialize_with = "time")]
    every: Duration,
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
}

/// Packets in the name of somebody who sends none of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Flood {
    /// In whose name.
    of_partner: usize,
    packets_a_second: u32,
    #[serde(rename = "for", deserialize_with = "time")]
    lasts: Duration,
}

impl Retries {
    pub(super) fn play(&self, cast: &mut Cast) {
        let (begins, ends) = (cast.begins, cast.begins.plus(self.lasts));
        for number in self.partners.clone() {
            let Partner { who, home, account } = cast.partner(number);
            if self.alone {
                cast.sessions
                    .retain(|session| session.who != who || session.at < begins || session.at >= ends);
            }
            let act = match self.with {
                Stale::OldPassword => Act::LogIn { wrong: 1, right: false },
                Stale::ExpiredKey => Act::OfferKey,
            };
            // Each of them begins at a time of its own.
            let nth = u32::try_from(number - self.partners.start).unwrap_or_default();
            let first =
                begins.plus(self.every * nth / u32::try_from(self.partners.len()).unwrap_or(u32::MAX));
            for at in every(self.every, self.lasts, first) {
                cast.sessions.push(Session { at, from: home.into(), who, account, act });
            }
        }
    }
}

impl Newcomer {
    pub(super) fn play(&self, cast: &mut Cast) {
        let who = cast.engage(&self.name, true);
        cast.house(who, self.at);
        let account = cast.account(&self.name, true);
        let last = self.mistypes.len().saturating_sub(1);
        for (nth, wrong) in self.mistypes.iter().copied().enumerate() {
            let at = cast.begins.plus(self.every * u32::try_from(nth).unwrap_or(u32::MAX));
            let act = Act::LogIn { wrong, right: nth == last };
            cast.sessions.push(Session { at, from: self.at, who, account, act });
        }
    }
}

impl Probe {
    pub(super) fn play(&self, cast: &mut Cast) {
        let who = cast.engage(&self.name, true);
        cast.house(who, self.at);
        let account = cast.account("", false);
        for at in every(self.every, self.lasts, cast.begins) {
            cast.sessions.push(Session { at, from: self.at, who, account, act: Act::Knock });
        }
    }
}

impl Flood {
    pub(super) fn play(&self, cast: &mut Cast) {
        let Partner { home, account, .. } = cast.partner(self.of_partner);
        let who = cast.engage("flood", false);
        for at in every(Duration::from_secs(1) / self.packets_a_second, self.lasts, cast.begins) {
            cast.sessions.push(Session { at, from: home.into(), who, account, act: Act::Syn });
        }
    }
}

/// The moments from `begins` on, at these distances.
pub(super) fn every(distance: Duration, lasts: Duration, begins: Moment) -> impl Iterator<Item = Moment> {
    let ends = begins.plus(lasts);
    std::iter::successors(Some(begins), move |at| Some(at.plus(distance))).take_while(move |at| *at < ends)
}
