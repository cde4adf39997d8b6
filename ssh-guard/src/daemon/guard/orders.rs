//! What operators have the guard do.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ssh_guard_common::records::Settings;
use tracing::info;

use super::super::command::Command;
use super::Guard;
use crate::allowlist::Covered;
use crate::ban::{Ban, By, Reason};
use crate::clock;
use crate::config::duration::LONGEST;
use crate::control::api::{AllowRequest, BanRequest, DisallowRequest, Done, UnbanRequest};
use crate::fault::{Exit, Fault};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::{MapOperation, Unbanned};

impl Guard {
    /// Does what a command says, and answers it. Whoever asked may have gone meanwhile; that changes nothing.
    pub(super) fn obey(&mut self, command: Command) {
        let gone = match command {
            Command::Bans { after, limit, answer } => answer.send(self.tell_bans(after, limit)).is_err(),
            Command::Describe { sources, answer } => answer.send(self.tell_sources(sources)).is_err(),
            Command::Ban { request, answer } => answer.send(self.ban_by_hand(request)).is_err(),
            Command::Unban { request, answer } => answer.send(self.unban(request)).is_err(),
            Command::Allow { request, answer } => answer.send(self.allow(&request)).is_err(),
            Command::Disallow { request, answer } => answer.send(self.disallow(&request)).is_err(),
        };
        if gone {
            tracing::debug!("nobody waits for the answer");
        }
        self.publish();
    }

    fn ban_by_hand(&mut self, request: BanRequest) -> Result<Done, Fault> {
        let BanRequest { addresses, seconds, reason } = request;
        let length = length(seconds)?;
        if reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES) {
            let what = format!("the reason is longer than {REASON_BYTES} bytes");
            return Err(Fault::new(Exit::Usage, what).hint("shorten it"));
        }
        for address in &addresses {
            self.check_bannable(*address)?;
        }
        let mut done = Done::default();
        let now = clock::now();
        let plan = |address: IpAddr| {
            let source = self.mask.apply(address.into());
            Ban {
                source,
                prefix: self.mask.prefix_of(source),
                since: now,
                until: now.plus(length),
                reason: Reason::Manual,
                rule: Arc::from("by hand"),
                rung: None,
                offences: self.policy.offences(source, now),
                note: reason.clone(),
                by: By::Hand,
            }
        };
        let bans: Vec<Ban> = addresses.into_iter().map(plan).collect();
        // All or none: what the ledger would refuse is found out before the first is in force.
        for ban in &bans {
            self.plan(ban)?;
        }
        for ban in bans {
            let ban = self.ban(&ban)?;
            self.policy.punish(&ban);
            let network = ban.network();
            info!(source = %network, seconds, reason, "banned by hand");
            done.done.push(format!("banned {network} until {}", clock::wall(ban.until)));
        }
        Ok(done)
    }

    /// Refuses what would lock out this machine or somebody in the allowlist.
    fn check_bannable(&self, address: IpAddr) -> Result<(), Fault> {
        let source = self.mask.apply(address.into());
        let network = Network::new(source, self.mask.prefix_of(source));
        let itself = Network::from(address);
        if let Some(why) = self.protected.why_not(&itself).or_else(|| self.protected.why_not(&network)) {
            return Err(Fault::new(
                Exit::Usage,
                format!("{address} is never banned: it is {}", why.as_str()),
            ));
        }
        if self.allowlist.covers(source, network.prefix()) == Covered::Whole {
            let fault = Fault::new(Exit::Usage, format!("{network} is in the allowlist"));
            return Err(match self.allowlist.network_of(network) {
                Some(allowed) => fault.hint(format!("take it out first: ssh-guard allow --remove {allowed}")),
                None => fault.hint("networks that together hold all of it are allowed: take one out first"),
            });
        }
        Ok(())
    }

    fn unban(&mut self, request: UnbanRequest) -> Result<Done, Fault> {
        let now = clock::now();
        let sources = match request {
            UnbanRequest::Addresses(addresses) => {
                addresses.into_iter().map(|address| self.mask.apply(address.into())).collect()
            }
            UnbanRequest::All => {
                self.ledger.page(None, usize::MAX).into_iter().map(|ban| ban.source).collect::<Vec<_>>()
            }
        };
        let mut done = Done::default();
        if sources.is_empty() {
            done.done.push("nobody was banned".to_owned());
        }
        for source in sources {
            let network = Network::new(source, self.mask.prefix_of(source));
            let lifted = self.lift(source, Unbanned::Manual)?;
            self.policy.pardon(source, lifted.as_ref(), now);
            if lifted.is_some() {
                info!(source = %network, "unbanned by hand");
                done.done.push(format!("unbanned {network}"));
            } else {
                done.done.push(format!("{network} was not banned; its score is cleared"));
            }
        }
        Ok(done)
    }

    /// Puts networks into the allowlist, and lifts or flags every block that they touch, before it answers.
    fn allow(&mut self, request: &AllowRequest) -> Result<Done, Fault> {
        let length = request.seconds.map(length).transpose()?;
        let until = length.map(|length| clock::now().plus(length));
        let mut done = Done::default();
        for network in request.networks.iter().copied().map(Network::from) {
            let standing = self.allowlist.iter().find_map(|(other, end)| (other == network).then_some(end));
            let lasts = |end: Option<Moment>| end.is_none_or(|end| until.is_some_and(|until| until <= end));
            if standing.is_some_and(lasts) {
                // The kernel must not be told an earlier end than the one that stands.
                done.done.push(format!(
                    "{network} is already allowed for as long; to shorten that, remove it first"
                ));
                continue;
            }
            self.maps
                .settings
                .put_to_use(Settings::ALLOWLIST, true)
                .inspect_err(|_| self.metrics.refused(MapOperation::Allow))?;
            self.let_pass(network, until)?;
            self.allowlist.add(network, until);
            info!(%network, seconds = request.seconds, "allowed by hand");
            done.done.push(match until {
                Some(until) => format!("allowed {network} until {}", clock::wall(until)),
                None => format!(
                    "allowed {network} until the daemon ends; to keep it, write it to 'allow.sources'"
                ),
            });
            done.done.extend(self.settle_blocks(network)?);
        }
        Ok(done)
    }

    fn disallow(&mut self, request: &DisallowRequest) -> Result<Done, Fault> {
        let mut done = Done::default();
        for network in request.networks.iter().copied().map(Network::from) {
            self.leave_allowlist(network)?;
            if !self.allowlist.remove(network) {
                done.done.push(format!("{network} was not in the allowlist"));
                continue;
            }
            info!(%network, "taken out of the allowlist by hand");
            done.done.push(format!("{network} is no longer allowed"));
            done.done.extend(self.settle_blocks(network)?);
        }
        Ok(done)
    }

    /// Brings the blocks that touch a network in line with the allowlist; says which bans that ended.
    pub(super) fn settle_blocks(&mut self, network: Network) -> Result<Vec<String>, Fault> {
        let mut ended = Vec::new();
        let touched: Vec<Ban> = self.ledger.touching(network).cloned().collect();
        for ban in touched {
            if self.is_exempt(ban.network()) {
                self.lift(ban.source, Unbanned::Allowed)?;
                self.policy.pardon(ban.source, Some(&ban), clock::now());
                ended.push(format!("unbanned {}", ban.network()));
            } else {
                self.block(&ban)?;
            }
        }
        Ok(ended)
    }
}

/// The longest reason that is kept with a ban.
const REASON_BYTES: usize = 1024;

/// A length of time as anybody may send it over the socket: what the kernel can count.
fn length(seconds: u64) -> Result<Duration, Fault> {
    let length = Duration::from_secs(seconds);
    if length.is_zero() || length > LONGEST {
        return Err(Fault::new(Exit::Usage, format!("{seconds} s is not between a second and ten years")));
    }
    Ok(length)
}
