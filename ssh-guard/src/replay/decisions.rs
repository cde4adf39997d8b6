//! What the policy would have decided on the events of old logs, by one configuration or several.
//!
//! Whoever is banned cannot reach the server: what it did meanwhile by the log is *stopped*, and not judged. A login that
//! succeeded is then *refused*.

mod refused;
mod tried;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ssh_guard_common::source::Source;

use super::clock::timestamp;
use super::decided::{
    AttemptCounts, BanCount, BanCounts, ByConfig, Decided, NetworkCount, SharedCount, SprayCount,
    StoppedCount, TimeToBan, Told,
};
use super::spread::Spread;
use super::summary::{TOLD, shortened};
use super::top::Top;
use crate::ban::{Ban, Reason, Scope};
use crate::event::{AuthEvent, Outcome};
use crate::moment::Moment;
use crate::network::Network;
use crate::recent::Recent;
use crate::rehearsal::Rehearsal;
use refused::Refused;
use tried::Tried;

/// Rehearsals of the same events by several configurations.
#[derive(Debug)]
pub struct Rehearsals {
    tried: Tried,
    each: Vec<Decisions>,
    without_time: u64,
    set_back: u64,
}

/// What one configuration leads to.
#[derive(Debug)]
struct Decisions {
    config: String,
    rehearsal: Rehearsal,
    attempts: AttemptCounts,
    logins: u64,
    refused: Refused,
    bans: BTreeMap<(&'static str, Option<usize>), BanCount>,
    sources: Top<Network>,
    networks: Top<Network>,
    /// What each source has failed at since it first failed, or last logged in.
    spells: Recent<Source, Spell>,
    seconds_to_ban: Spread,
    attempts_to_ban: Spread,
    sprayed: Top<String>,
    shared: Top<Source>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spell {
    began: Option<Moment>,
    attempts: u64,
    /// Its first ban was told.
    banned: bool,
}

/// So many sources, networks and accounts are told from each other.
const DISTINCT: usize = super::summary::SOURCES;

impl Rehearsals {
    /// Begins one for each configuration, which is called by its name.
    #[must_use]
    pub fn new(configs: Vec<(String, Rehearsal)>) -> Self {
        let each = configs.into_iter().map(|(config, rehearsal)| Decisions::new(config, rehearsal)).collect();
        Self { tried: Tried::default(), each, without_time: 0, set_back: 0 }
    }

    /// Takes an event; none may be earlier than the one before.
    pub fn take(&mut self, event: &AuthEvent, at: Moment) {
        let Some(address) = event.address else { return };
        self.without_time += u64::from(timestamp(at).is_none());
        let attempts = self.tried.count(event, address, at);
        for decisions in &mut self.each {
            decisions.take(event, address, attempts, at);
        }
    }

    /// Notes how often the times of a log stepped back.
    pub fn note_set_back(&mut self, times: u64) {
        self.set_back += times;
    }

    /// What was decided.
    #[must_use]
    pub fn decided(&self) -> Decided {
        Decided {
            events_without_time: self.without_time,
            times_set_back: self.set_back,
            configs: self.each.iter().map(Decisions::told).collect(),
        }
    }
}

impl Decisions {
    fn new(config: String, rehearsal: Rehearsal) -> Self {
        Self {
            config,
            attempts: AttemptCounts::default(),
            logins: 0,
            refused: Refused::default(),
            bans: BTreeMap::new(),
            sources: Top::new(DISTINCT),
            networks: Top::new(DISTINCT),
            spells: Recent::new(rehearsal.policy().rules().capacity),
            seconds_to_ban: Spread::default(),
            attempts_to_ban: Spread::default(),
            sprayed: Top::new(DISTINCT),
            shared: Top::new(DISTINCT),
            rehearsal,
        }
    }

    fn take(&mut self, event: &AuthEvent, address: IpAddr, attempts: u64, at: Moment) {
        let is_login = event.outcome == Outcome::Success;
        let logins = if is_login { u64::from(event.count.get()) } else { 0 };
        self.attempts.total += attempts;
        self.logins += logins;
        if let Some((banned, scope)) = self.rehearsal.drops(address, at) {
            self.attempts.stopped += attempts;
            let ban = self.rehearsal.ban(banned);
            match scope {
                _ if ban.is_none() => self.attempts.stopped_by_lists += attempts,
                Scope::Source => drop(self.sources.count(&banned, attempts)),
                Scope::Network => drop(self.networks.count(&banned, attempts)),
            }
            if is_login {
                self.refused.note(event, address, (banned, ban), at);
            }
            return;
        }
        self.attempts.let_through += attempts;
        let source = self.rehearsal.policy().rules().mask.apply(address.into());
        self.follow(source, is_login, attempts, at);
        let heard = self.rehearsal.hear(event, at);
        for ban in &heard.bans {
            self.note(ban, source, event);
        }
        if heard.close.is_some() {
            self.shared.count(&source, 1);
        }
    }

    /// Follows what a source does up to its first ban.
    fn follow(&mut self, source: Source, is_login: bool, attempts: u64, at: Moment) {
        if is_login && self.spells.get(&source).is_some_and(|spell| !spell.banned) {
            self.spells.remove(&source);
        } else if attempts > 0 {
            let spell = self.spells.touch(&source);
            spell.began.get_or_insert(at);
            spell.attempts += attempts;
        }
    }

    fn note(&mut self, ban: &Ban, source: Source, event: &AuthEvent) {
        let count = self.bans.entry((ban.reason.as_str(), ban.rung)).or_insert(BanCount {
            reason: ban.reason,
            rung: ban.rung,
            bans: 0,
        });
        count.bans += 1;
        if ban.scope == Scope::Network {
            self.networks.count(&ban.network(), 0);
            return;
        }
        self.sources.count(&ban.network(), 0);
        if let (Reason::Spray, Some(user)) = (ban.reason, &event.user) {
            self.sprayed.count(&shortened(user).unwrap_or_else(|| user.to_string()), 1);
        }
        let Some(spell) = self.spells.get_mut(&source).filter(|spell| !spell.banned) else { return };
        spell.banned = true;
        if let Some(began) = spell.began {
            self.seconds_to_ban.add(ban.since.since(began).as_secs());
            self.attempts_to_ban.add(spell.attempts);
        }
    }

    fn told(&self) -> ByConfig {
        let tally = self.rehearsal.tally();
        let mask = self.rehearsal.policy().rules().mask;
        let to_ban = self.seconds_to_ban.quantiles().zip(self.attempts_to_ban.quantiles());
        ByConfig {
            config: self.config.clone(),
            refused_logins: self.refused.told(self.logins),
            attempts: self.attempts,
            bans: BanCounts {
                total: self.bans.values().map(|count| count.bans).sum(),
                by: self.bans.values().copied().collect(),
                extended: tally.extended,
                ended_early: tally.quiet,
                waited: tally.waited,
                spared: tally.spared,
                displaced: self.rehearsal.ledger().displaced(),
            },
            sources_banned: Told::of(&self.sources, TOLD, |count| StoppedCount {
                source: count.key.to_string(),
                stopped: count.count,
                at_least: count.at_least,
            }),
            networks_banned: Told::of(&self.networks, TOLD, |count| NetworkCount {
                network: count.key.to_string(),
                stopped: count.count,
                at_least: count.at_least,
            }),
            time_to_first_ban: to_ban.map(|(seconds, attempts)| TimeToBan { seconds, attempts }),
            accounts_sprayed: Told::of(&self.sprayed, TOLD, |count| SprayCount {
                user: count.key.clone(),
                bans: count.count,
                at_least: count.at_least,
            }),
            sources_shared: Told::of(&self.shared, TOLD, |count| SharedCount {
                source: Network::new(*count.key, mask.prefix_of(*count.key)).to_string(),
                closings: count.count,
                at_least: count.at_least,
            }),
            flood_seconds: self.rehearsal.flooded_for().as_secs(),
        }
    }
}

#[cfg(test)]
mod tests;
