//! What operators have the guard do.

use std::time::Duration;

use tracing::info;

use super::super::command::{Command, Reply};
use super::Guard;
use super::trial::{AtRisk, Change};
use super::work::{Settling, reply};
use crate::ban::Ban;
use crate::clock;
use crate::config::duration::LONGEST;
use crate::control::api::{AllowRequest, DisallowRequest, Done};
use crate::daemon::caller::Caller;
use crate::fault::{Exit, Fault};
use crate::lists::Span;
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::Unbanned;

/// What was done, and what of it is still to be settled.
pub(super) type Begun = (Done, Vec<Span>);

impl Guard {
    /// Does what a command says, and answers it. Whoever asked may have gone meanwhile; that changes nothing.
    pub(super) fn obey(&mut self, command: Command) {
        let Some(command) = self.put_off(command) else { return };
        let gone = match command {
            Command::Bans { after, limit, answer } => answer.send(self.tell_bans(after, limit)).is_err(),
            Command::Allowed { after, limit, answer } => {
                answer.send(self.tell_allowed(after, limit)).is_err()
            }
            Command::Why { asked, answer } => answer.send(self.tell_why(asked)).is_err(),
            Command::Describe { sources, answer } => answer.send(self.tell_sources(sources)).is_err(),
            Command::Dropped { addresses, answer } => answer.send(self.tell_dropped(addresses)).is_err(),
            Command::Ban { request, caller, answer } => {
                answer.send(self.ban_by_hand(request, caller)).is_err()
            }
            Command::Resync { answer } => {
                self.resync.ask(answer);
                false
            }
            Command::Load { list, answer } => {
                self.load(list, answer);
                false
            }
            Command::Unban { request, answer } => {
                let begun = self.unban(request);
                self.answer_when_settled(begun, true, answer);
                false
            }
            Command::Allow { request, answer } => {
                let begun = self.allow(&request);
                self.answer_when_settled(begun, false, answer);
                false
            }
            Command::Disallow { request, caller, answer } => {
                let begun = self.disallow(&request, caller);
                self.answer_when_settled(begun, false, answer);
                false
            }
            Command::Reallow { change } => {
                self.reallow(change);
                false
            }
            Command::Confirm { caller, answer } => {
                let begun = self.confirm(caller);
                self.answer_when_settled(begun, true, answer);
                false
            }
        };
        if gone {
            tracing::debug!("nobody waits for the answer");
        }
        self.publish();
    }

    /// Answers at once if nothing is left to settle. `gone`: what is left are entries of lists that are no more.
    fn answer_when_settled(&mut self, begun: Result<Begun, Fault>, gone: bool, answer: Reply) {
        match begun {
            Ok((done, spans)) if !spans.is_empty() => {
                let answer = Some((answer, Ok(done)));
                self.settle_spans(Settling { spans: spans.into(), gone, answer });
            }
            Ok((done, _)) => reply(answer, Ok(done)),
            Err(fault) => reply(answer, Err(fault)),
        }
    }

    /// Puts networks into the allowlist, and lifts or flags every block that they touch, before it answers.
    fn allow(&mut self, request: &AllowRequest) -> Result<Begun, Fault> {
        let length = request.seconds.map(length).transpose()?;
        let until = length.map(|length| clock::now().plus(length));
        let (mut done, mut left) = Begun::default();
        for network in request.networks.iter().copied().map(Network::from) {
            let standing = self.allowlist.until_of(network);
            let lasts = |end: Option<Moment>| end.is_none_or(|end| until.is_some_and(|until| until <= end));
            if standing.is_some_and(lasts) {
                // The kernel must not be told an earlier end than the one that stands.
                done.done.push(format!(
                    "{network} is already allowed for as long; to shorten that, remove it first"
                ));
                continue;
            }
            self.put_in_allowlist(network, until)?;
            info!(%network, seconds = request.seconds, "allowed by hand");
            done.done.push(match until {
                Some(until) => format!("allowed {network} until {}", clock::wall(until)),
                None => format!(
                    "allowed {network} until the daemon is started again; to keep it, write it to 'allow.sources'"
                ),
            });
            done.done.extend(self.settle_blocks(network)?);
            left.extend(self.settle_listed(network)?);
        }
        Ok((done, left))
    }

    fn disallow(&mut self, request: &DisallowRequest, caller: Caller) -> Result<Begun, Fault> {
        let networks: Vec<Network> = request.networks.iter().copied().map(Network::from).collect();
        self.check_leaving(&networks)?;
        let since = clock::now();
        let taken: Vec<_> = networks.iter().filter_map(|network| self.take_out(*network)).collect();
        let covered = match self.check_taken(&taken, caller, request.force) {
            Ok(covered) => covered,
            Err(fault) => {
                for (network, until) in taken {
                    self.allowlist.add(network, until);
                }
                return Err(fault);
            }
        };
        // Before anything is dropped for it, so that no session is closed.
        let trial =
            covered.map(|covered| self.begin_trial(since, Change::Disallowed(taken.clone()), &covered));
        let (mut done, mut left) = Begun::default();
        for network in networks {
            self.leave_allowlist(network)?;
            if !taken.iter().any(|(taken, _)| *taken == network) {
                done.done.push(format!("{network} was not in the allowlist"));
                continue;
            }
            info!(%network, "taken out of the allowlist by hand");
            done.done.push(format!("{network} is no longer allowed"));
            done.done.extend(self.settle_blocks(network)?);
            left.extend(self.settle_listed(network)?);
        }
        done.done.extend(trial.into_iter().flatten());
        Ok((done, left))
    }

    /// Refuses to take out what is allowed as a part of something else.
    fn check_leaving(&self, networks: &[Network]) -> Result<(), Fault> {
        for network in networks.iter().filter(|network| self.allowlist.until_of(**network).is_none()) {
            if let Some(around) = self.allowlist.network_of(*network)
                && !networks.contains(&around)
            {
                let what =
                    format!("{network} is still allowed: it lies in {around}, which is in the allowlist");
                return Err(Fault::new(Exit::Failure, what)
                    .hint(format!("take that out: ssh-guard allow --remove {around}")));
            }
        }
        Ok(())
    }

    /// Says whether what was taken out of the allowlist covers the caller; refuses what would cut an operator off.
    fn check_taken(
        &self,
        taken: &[(Network, Option<Moment>)],
        caller: Caller,
        forced: bool,
    ) -> Result<Option<AtRisk>, Fault> {
        if forced {
            return Ok(None);
        }
        let covers = |address: Network| taken.iter().any(|(network, _)| network.contains(&address));
        let now = clock::now();
        self.check_operators(|address| covers(address) && self.drops(address.first().address(), now))?;
        self.covers_caller(caller, covers).map(|covered| self.check_no_trial().map(|()| covered)).transpose()
    }

    /// Takes a network out of the allowlist, and not yet out of the kernel's; returns until when it was in it.
    fn take_out(&mut self, network: Network) -> Option<(Network, Option<Moment>)> {
        let until = self.allowlist.until_of(network)?;
        self.allowlist.remove(network);
        Some((network, until))
    }

    /// Brings the blocks that touch a network in line with the allowlist; says which bans that ended.
    pub(super) fn settle_blocks(&mut self, network: Network) -> Result<Vec<String>, Fault> {
        let mut ended = Vec::new();
        let touched: Vec<Ban> = self.ledger.touching(network).cloned().collect();
        for ban in touched {
            if self.may_not_stand(&ban) {
                self.lift(ban.entry(), Unbanned::Allowed)?;
                self.policy.pardon(ban.network(), Some(&ban), clock::now());
                ended.push(format!("unbanned {}", ban.network()));
            } else {
                self.settle([ban.entry()])?;
            }
        }
        Ok(ended)
    }
}

/// A length of time as anybody may send it over the socket: what the kernel can count.
pub(in crate::daemon) fn length(seconds: u64) -> Result<Duration, Fault> {
    let length = Duration::from_secs(seconds);
    if length.is_zero() || length > LONGEST {
        return Err(Fault::new(Exit::Usage, format!("{seconds} s is not between a second and ten years")));
    }
    Ok(length)
}
