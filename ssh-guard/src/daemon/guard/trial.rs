//! Changes that cover whoever asks for them: they are in force for a minute, close no socket, and are undone, unless they
//! are confirmed from a session that was authenticated after them.
//!
//! The end of a trial is that of its blocks in the kernel, so a daemon that dies meanwhile leaves nobody locked out.

use std::net::IpAddr;
use std::time::Duration;

use tracing::{info, warn};

use super::Guard;
use super::orders::Begun;
use crate::ban::{Ban, Reason};
use crate::clock;
use crate::control::api::Done;
use crate::daemon::caller::Caller;
use crate::fault::{Exit, Fault};
use crate::lists::{List, ListName};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::bannable::NeverBanned;

/// A change that is tried.
pub(in crate::daemon) struct Trial {
    since: Moment,
    until: Moment,
    change: Change,
}

/// What is tried, as it is to be if it is confirmed.
pub(super) enum Change {
    /// Bans by hand.
    Bans(Vec<Ban>),
    /// A list.
    List { name: ListName, since: Moment, until: Moment },
    /// Networks that were taken out of the allowlist, and until when they had been in it.
    Disallowed(Vec<(Network, Option<Moment>)>),
}

/// Why a change is a trial.
pub(super) struct AtRisk {
    /// What it would cut off.
    address: Network,
    /// Why that may be the caller's own, if it is not known to be.
    doubt: Option<&'static str>,
}

impl Guard {
    /// Finds out whether a change covers the source that the caller comes from. `covers` tells of an address, for which
    /// nothing else makes an exception, whether the change would have it dropped.
    pub(super) fn covers_caller(&self, caller: Caller, covers: impl Fn(Network) -> bool) -> Option<AtRisk> {
        let covers = |address: &Network| !self.is_exempt(*address) && covers(*address);
        let doubt = match caller {
            Caller::Nowhere => return None,
            Caller::Session { address, .. } if !self.is_here(address) => {
                let address = Some(Network::from(address)).filter(covers)?;
                return Some(AtRisk { address, doubt: None });
            }
            Caller::Session { .. } => "its session comes from this machine itself, and that from anywhere",
            Caller::Unknown(why) => why,
        };
        let address = self.presence.addresses().find(covers)?;
        Some(AtRisk { address, doubt: Some(doubt) })
    }

    /// Refuses a change that would cut an operator off, who is logged in.
    pub(super) fn check_operators(&self, covers: impl Fn(Network) -> bool) -> Result<(), Fault> {
        let covers = |address: Network| !self.is_exempt(address) && covers(address);
        let Some((address, name)) = self.presence.operators().find(|(address, _)| covers(*address)) else {
            return Ok(());
        };
        let shown = address.first();
        let what =
            format!("'{name}' is an operator, and is logged in from {shown}, which that would cut off");
        Err(Fault::new(Exit::Usage, what + "; nothing is changed").hint("if that is meant, add --force"))
    }

    fn is_here(&self, address: IpAddr) -> bool {
        let why = self.protected.why_not(&Network::from(address));
        matches!(why, Some(NeverBanned::Own | NeverBanned::Loopback))
    }

    /// Refuses a second trial beside one that is not over.
    pub(super) fn check_no_trial(&self) -> Result<(), Fault> {
        let Some(trial) = &self.trial else { return Ok(()) };
        let until = clock::wall(trial.until);
        let what = format!("this covers your own session, and another such change is on trial until {until}");
        Err(Fault::new(Exit::Failure, what)
            .hint("confirm that first (ssh-guard confirm), or wait until it is undone; or add --force"))
    }

    /// When a trial ends that begins now.
    pub(super) fn trial_end(since: Moment) -> Moment {
        since.plus(TRIAL)
    }

    /// Takes note of a trial whose change is in force since `since`, and tells what that means.
    pub(super) fn begin_trial(&mut self, since: Moment, change: Change, covered: &AtRisk) -> Vec<String> {
        let until = Self::trial_end(since);
        let address = covered.address.first();
        info!(%address, seconds = TRIAL.as_secs(), "that covers whoever asked for it, and is a trial");
        self.trial = Some(Trial { since, until, change });
        let whose = match covered.doubt {
            None => format!("your own session comes from {address}, which this covers"),
            Some(doubt) => format!(
                "somebody is logged in from {address}, which this covers, and that may be you: {doubt}"
            ),
        };
        vec![
            whose,
            format!("so it is a trial: no session is closed, and it is undone at {}", clock::wall(until)),
            "to keep it, open a second session before that, and run there: ssh-guard confirm".to_owned(),
        ]
    }

    /// Makes a change final that is on trial.
    pub(super) fn confirm(&mut self, caller: Caller) -> Result<Begun, Fault> {
        let Some(trial) = &self.trial else {
            let fault = Fault::new(Exit::Failure, "there is nothing to confirm");
            return Err(
                fault.hint("a change that covers your own session is undone after a minute: make it again")
            );
        };
        let refused = |why: &str| {
            let until = clock::wall(trial.until);
            let what = format!("this does not confirm the change that is on trial until {until}: {why}");
            Err(Fault::new(Exit::Usage, what)
                .hint("open another session now, and run there, in its own terminal: ssh-guard confirm"))
        };
        match caller {
            Caller::Session { since, .. } if since > trial.since => {}
            Caller::Session { .. } => return refused("your session was there before the change was made"),
            Caller::Nowhere => return refused("it comes from no session of a guarded port"),
            Caller::Unknown(why) => return refused(why),
        }
        let Some(Trial { since, change, .. }) = self.trial.take() else { return Ok(Begun::default()) };
        info!("the change that was on trial is confirmed");
        match change {
            Change::Bans(bans) => Ok((Done { done: self.confirm_bans(&bans)? }, Vec::new())),
            Change::List { name, until, .. } => Ok(self.confirm_list(&name, since, until)),
            Change::Disallowed(networks) => {
                // What was kept open for the trial may be closed.
                self.blocked.notify_one();
                let told = |(network, _): &(Network, _)| format!("{network} is no longer allowed");
                Ok((Done { done: networks.iter().map(told).collect() }, Vec::new()))
            }
        }
    }

    fn confirm_bans(&mut self, bans: &[Ban]) -> Result<Vec<String>, Fault> {
        let mut done = Vec::new();
        for ban in bans {
            // Somebody may have lifted it, or banned it for longer, meanwhile.
            let Some(standing) = self.ledger.get(ban.network()) else {
                done.push(format!("{} was unbanned meanwhile, and stays so", ban.network()));
                continue;
            };
            if standing.until < ban.until {
                self.ban_for_good(ban)?;
            }
            done.push(format!("banned {} until {}", ban.network(), clock::wall(ban.until)));
        }
        Ok(done)
    }

    /// Gives a list its own end, and lets what it takes the place of go.
    fn confirm_list(&mut self, name: &ListName, since: Moment, until: Moment) -> Begun {
        let Some(list) = self.lists.take(|list| list.name == *name && list.since == since) else {
            let what = format!("what '{}' lists was lifted meanwhile, and stays so", name.as_str());
            return (Done { done: vec![what] }, Vec::new());
        };
        let mut spans = vec![list.span()];
        if let Some(replaced) = self.lists.take(|list| list.name.is_file() && list.name == *name) {
            spans.push(replaced.span());
        }
        let entries = list.entries.len();
        self.lists.add(List { until, ..list });
        let told = format!("what '{}' lists stays banned: {entries} sources and networks", name.as_str());
        (Done { done: vec![told] }, spans)
    }

    /// Undoes a trial whose time is over: blocks have ended by themselves; says when that is to be looked at again.
    pub(super) fn expire_trial(&mut self, now: Moment) -> Option<Moment> {
        let trial = self.trial.take_if(|trial| trial.until <= now);
        if let Some(Trial { change, .. }) = trial {
            warn!("nobody has confirmed the change that was on trial: it is undone");
            if let Change::Disallowed(networks) = change {
                for (network, until) in
                    networks.into_iter().filter(|(_, until)| until.is_none_or(|until| until > now))
                {
                    if let Err(fault) = self.allow_again(network, until) {
                        warn!(%network, error = fault.told(), "is not in the allowlist again");
                    }
                }
            }
        }
        self.trial.as_ref().map(|trial| trial.until)
    }

    fn allow_again(&mut self, network: Network, until: Option<Moment>) -> Result<(), Fault> {
        self.put_in_allowlist(network, until)?;
        self.settle_blocks(network)?;
        self.settle_by_and_by(network)
    }

    /// Forgets of a trial that these were allowed: the configuration has taken them out by itself.
    pub(super) fn allow_no_more(&mut self, gone: &[Network]) {
        if let Some(Trial { change: Change::Disallowed(networks), .. }) = &mut self.trial {
            networks.retain(|(network, _)| !gone.contains(network));
        }
    }

    /// Forgets a trial whose list was taken back.
    pub(super) fn abandon_trial_of(&mut self, list: &List) {
        self.trial.take_if(|trial| trial.is_of_list(list));
    }

    /// Whether an address passed before the change that is on trial.
    pub(super) fn passed_before_trial(&self, address: Network) -> bool {
        let Some(Trial { change: Change::Disallowed(networks), .. }) = &self.trial else { return false };
        networks.iter().any(|(network, _)| network.contains(&address))
    }

    /// Whether a ban is one that closes no socket: it is on trial, or may have been when an earlier daemon died.
    pub(super) fn is_ban_on_trial(&self, ban: &Ban, now: Moment) -> bool {
        // What an earlier daemon wrote ends in the kernel up to two ticks late (`ssh-guard-common/src/time.rs`).
        (ban.reason == Reason::Unknown && ban.until <= Self::trial_end(now).plus(TWO_TICKS))
            || self.trial.as_ref().is_some_and(|trial| trial.is_of_ban(ban))
    }

    /// Whether a list is on trial.
    pub(super) fn is_list_on_trial(&self, list: &List) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.is_of_list(list))
    }
}

impl Trial {
    fn is_of_ban(&self, ban: &Ban) -> bool {
        let Change::Bans(bans) = &self.change else { return false };
        ban.until <= self.until && bans.iter().any(|tried| tried.network() == ban.network())
    }

    fn is_of_list(&self, list: &List) -> bool {
        matches!(&self.change, Change::List { name, since, .. } if *name == list.name && *since == list.since)
    }
}

/// How long a trial lasts.
const TRIAL: Duration = Duration::from_mins(1);

/// At 250 Hz, and a bit.
const TWO_TICKS: Duration = Duration::from_secs(3);
