//! Why a source is banned, or is not: what is known of it, and the arithmetic, in words.

#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use smol_str::SmolStr;
use ssh_guard_common::source::Source;

use super::Policy;
use super::decision::Evidence;
use super::evidence::{Grounds, Part, Trace, Trail};
use super::ladder::{Offences, Step};
use super::sources::Score;
use super::spray::Sprayed;
use super::weight::Weight;
use crate::moment::Moment;
use crate::network::Network;

/// What the policy knows of a source, or of a network.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Whether it is of a source, which is what events are of, and not of a network.
    pub is_source: bool,
    /// Its score now.
    pub score: Score,
    /// What the score is made of.
    pub evidence: Evidence,
    /// The score that it may reach unpunished.
    pub threshold: Weight,
    /// How far back the score looks.
    pub window: Duration,
    /// What it did last, in the order of time, as far as that is kept.
    pub events: Vec<Trace>,
    /// On what grounds a ban was called for last, as far as that is kept.
    pub grounds: Option<Grounds>,
    /// When the last ban that is kept began and ended, or will.
    pub banned: Option<(Moment, Moment)>,
    /// Its earlier bans.
    pub offences: Option<Offences>,
    /// When those are forgotten.
    pub forgotten: Option<Moment>,
    /// What its next ban would stand on, if the score calls for it.
    pub next: Step,
    /// How many steps the ladder has.
    pub steps: usize,
    /// What its logins make of it; none if nobody has logged in lately.
    pub known_good: Option<KnownGood>,
    /// The accounts that it tried and that are tried from many networks.
    pub sprayed: Vec<(SmolStr, Sprayed)>,
    /// Its score on those of them that exist, and what that may reach.
    pub spraying: (Weight, f64),
    /// The networks around it that sources were banned in.
    pub networks: Vec<Around>,
}

/// What a source's logins make of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct KnownGood {
    /// To how many accounts somebody has logged in lately.
    pub accounts: usize,
    /// On how many days that are over.
    pub days: u32,
    /// Until when the last of them counts.
    pub until: Moment,
    /// What part of its weight a failure on one of them counts.
    pub part: f64,
    /// Whether that makes it shared.
    pub shared: Shared,
}

/// Whether many stand behind a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shared {
    /// The rule does not hold.
    Off,
    /// It is not, for want of so many accounts and days, or more than half of all sessions.
    No {
        /// How many accounts it takes.
        accounts: usize,
        /// How many days.
        days: u32,
    },
    /// By its accounts and days.
    Yes,
    /// By its accounts, and as most sessions come from it.
    Hidden,
}

/// A network around a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Around {
    /// Which one.
    pub network: Network,
    /// How many of its sources were banned lately.
    pub banned: usize,
    /// How many it takes to ban the network.
    pub needed: usize,
}

impl Policy {
    /// Says what there is to say of a source, or of a network: not for the hot path.
    #[must_use]
    pub fn explain(&self, banned: Network, now: Moment) -> Explanation {
        let rules = &self.rules;
        let source = banned.first();
        let is_source = self.network_of(source) == banned;
        let trail = self.trails.get(source).filter(|_| is_source);
        let mut events = trail.map_or_else(Vec::new, |trail| trail.traces().to_vec());
        events.sort_by_key(|trace| trace.at);
        let offences = self.ladder.remembered(banned, rules, now);
        let networks = self.networks.banned_around(banned, &rules.networks, now);
        let networks = networks.filter(|(_, banned)| rules.networks.enabled && *banned > 0);
        let around = |(network, banned)| Around { network, banned, needed: rules.networks.sources };
        Explanation {
            is_source,
            score: if is_source { self.sources.score(source, now) } else { Score::default() },
            evidence: Evidence::of(self.sources.entries(source, now)),
            threshold: self.threshold,
            window: rules.window,
            sprayed: self.sprayed(&events, now),
            events,
            grounds: trail.and_then(Trail::grounds),
            banned: trail.and_then(Trail::banned),
            offences,
            forgotten: offences.map(|offences| offences.until.plus(rules.forget)),
            next: self.ladder.step(banned, Duration::ZERO, rules, now),
            steps: rules.ladder.len(),
            known_good: self.standing(source, now).filter(|_| is_source),
            spraying: (self.spray.score(source, &rules.spray, now), rules.spray.threshold),
            networks: networks.map(around).collect(),
        }
    }

    fn sprayed(&self, events: &[Trace], now: Moment) -> Vec<(SmolStr, Sprayed)> {
        let mut sprayed = Vec::new();
        if !self.rules.spray.enabled {
            return sprayed;
        }
        for trace in events.iter().filter(|trace| trace.part != Part::Login) {
            let (Some(user), Some(account)) = (&trace.user, trace.account) else { continue };
            if !sprayed.iter().any(|(known, _)| known == user)
                && let Some(how) = self.spray.look(account, &self.rules.spray, now)
            {
                sprayed.push((user.clone(), how));
            }
        }
        sprayed
    }

    fn standing(&self, source: Source, now: Moment) -> Option<KnownGood> {
        let (life, rules) = (self.rules.known_good, self.rules.shared);
        let until = self.known_good.until(source, life, now)?;
        let shared = match self.shared_how(source, now) {
            _ if !rules.enabled => Shared::Off,
            Some(how) if how.hidden => Shared::Hidden,
            Some(_) => Shared::Yes,
            None => Shared::No { accounts: rules.accounts, days: rules.days },
        };
        Some(KnownGood {
            accounts: self.known_good.logins(source, life, now).count(),
            days: self.known_good.days(source, life, now),
            until,
            part: self.rules.known_good_weight,
            shared,
        })
    }
}
