//! Enacts what the rules call for: bans of sources and of networks, as far as they may be.

use std::fmt;

use tracing::{info, warn};

use super::super::seldom::Seldom;
use super::{Guard, Heard};
use crate::allowlist::Covered;
use crate::ban::{Ban, Scope};
use crate::clock;
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::Decision;
use crate::policy::blast::Beyond;

/// What the rules call for and do not get.
#[derive(Default)]
pub(in crate::daemon) struct Withheld {
    waiting: Seldom,
    spared: Seldom,
}

/// Why the rules may not ban a network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spared {
    /// An address in it is in the allowlist.
    Allowed,
    /// An address in it is never banned.
    Protected,
    /// An operator is logged in from there.
    Operator,
    /// It is banned, or listed, or lies in a network that is.
    Banned,
}

impl Guard {
    /// Bans whom the rules say, and the network around it if that is called for then.
    pub(super) fn enact(&mut self, decision: Decision, heard: &Heard) {
        let Heard { at, read_at, .. } = heard;
        // A ban for what happened while nobody read ends when it would have ended.
        let happened = if at < read_at { *at } else { clock::now() };
        let mut next = Some(decision);
        while let Some(decision) = next {
            let is_of_source = decision.scope == Scope::Source;
            let (ban, around) = self.enact_one(decision, happened);
            if ban.is_some() && is_of_source && at == read_at {
                self.metrics.blocked_after(clock::now().since(*read_at));
            }
            next = around;
        }
    }

    /// Gives the ban that is in force now, and that of a network which is called for next.
    fn enact_one(&mut self, decision: Decision, happened: Moment) -> (Option<Ban>, Option<Decision>) {
        let (banned, score) = (decision.banned, decision.score);
        let now = clock::now();
        // What may not be is no part of the blast radius either.
        let spared = match decision.scope {
            Scope::Network => self.may_be_banned(banned, now).err(),
            Scope::Source => self.presence.operator_in(banned).map(|_| Spared::Operator),
        };
        if let Some(why) = spared {
            self.tell_spared(banned, why, now);
            return (None, None);
        }
        let ban = decision.into_ban(happened);
        if ban.is_over(now) {
            let around = self.policy.punish(&ban);
            info!(source = %banned, score, rule = &*ban.rule, "would be banned, and free again: it is an offence all the same");
            return (None, around);
        }
        if let Err(beyond) = self.policy.restrain(&ban, self.ledger.held(), now) {
            self.tell_waiting(&ban, beyond, now);
            return (None, None);
        }
        match self.ban(&ban) {
            Ok(ban) => {
                let around = self.policy.punish(&ban);
                let seconds = ban.until.since(ban.since).as_secs();
                info!(source = %banned, score, seconds, reason = ban.reason.as_str(), rule = &*ban.rule, "banned");
                (Some(ban), around)
            }
            Err(fault) => {
                warn!(source = %banned, error = fault.told(), "not banned");
                (None, None)
            }
        }
    }

    /// Whether the rules may ban a network.
    ///
    /// # Errors
    /// With what keeps them from it.
    pub(super) fn may_be_banned(&self, network: Network, now: Moment) -> Result<(), Spared> {
        let listed = |entry| self.listed_until(entry).is_some_and(|until| until > now);
        if self.ledger.is_banned(network, now)
            || self.ledger.around(network).any(|ban| !ban.is_over(now))
            || listed((network, Scope::Network))
            || self.lists.around(network).any(|(_, entry)| listed(entry))
        {
            return Err(Spared::Banned);
        }
        if self.allowlist.covers(network.first(), network.prefix()) != Covered::No {
            return Err(Spared::Allowed);
        }
        if self.protected.why_not(&network).is_some() || self.protected.is_partly_in(&network) {
            return Err(Spared::Protected);
        }
        if self.presence.operator_in(network).is_some() {
            return Err(Spared::Operator);
        }
        Ok(())
    }

    fn tell_spared(&mut self, network: Network, why: Spared, now: Moment) {
        // Sources whose packets are dropped are heard of for a while still.
        if why == Spared::Banned {
            return;
        }
        if let Some(times) = self.withheld.spared.note(now) {
            warn!(%network, %why, times, "not banned, whatever comes from there; other sources of a network may be");
        }
    }

    fn tell_waiting(&mut self, ban: &Ban, beyond: Beyond, now: Moment) {
        self.metrics.withheld(beyond);
        if let Some(bans) = self.withheld.waiting.note(now) {
            warn!(
                source = %ban.network(),
                bans,
                hint = format!("if that is meant, raise '{}'; 'ssh-guard ban' is not limited", beyond.key()),
                "not banned, as {beyond}: it waits"
            );
        }
    }
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "an address in it is in the allowlist",
            Self::Protected => "an address in it is never banned",
            Self::Operator => "an operator is logged in from there",
            Self::Banned => "it is blocked already",
        })
    }
}
