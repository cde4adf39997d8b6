//! Ends of the rules' bans that come later, or sooner, than was decided: the program's last hit says whether somebody still
//! knocks. What is looked at in a second is bounded.

use std::time::Duration;

use tracing::{info, warn};

use super::Guard;
use crate::ban::{Ban, Scope};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::Unbanned;
use crate::policy::extension;

/// How far the bans have been looked at: each once when its end is near, those of networks again and again.
#[derive(Default)]
pub(in crate::daemon) struct Looked {
    ending: [Looking; Scope::ALL.len()],
    quiet: Looking,
}

/// The end of the last one that was looked at, and whose ban it is.
type Looking = Option<(Moment, Network)>;

/// So long before its end a ban is extended, so that no packet passes in between.
const AHEAD: Duration = Duration::from_secs(2);
/// Bans that are about to end, looked at in a second: a millisecond or two. Those that many at once leave no time for end.
const ENDING_AT_ONCE: usize = 4096;
/// Banned networks looked at in a second: all that fit by default are in four minutes.
const NETWORKS_AT_ONCE: usize = 256;

impl Guard {
    /// Puts off the ends of bans whose sources still knock.
    pub(super) fn extend(&mut self, now: Moment) {
        if !self.policy.rules().extend {
            return;
        }
        for scope in Scope::ALL {
            let near = self.ledger.ending(scope, self.looked.ending[scope as usize]);
            let near = near.take(ENDING_AT_ONCE).take_while(|ban| ban.until <= now.plus(AHEAD));
            let near: Vec<(Moment, Network)> = near.map(|ban| (ban.until, ban.network())).collect();
            for (until, network) in near {
                self.looked.ending[scope as usize] = Some((until, network));
                self.extend_one(network, now);
            }
        }
    }

    fn extend_one(&mut self, network: Network, now: Moment) {
        let Some(ban) = self.ledger.get(network).filter(|ban| !ban.is_over(now)) else { return };
        let Some(until) = extension::extended(ban, self.last_hit(ban)) else { return };
        let (entry, offences) = (ban.entry(), ban.offences);
        if let Err(fault) = self.write([(entry, Some(until).max(self.listed_until(entry)))]) {
            warn!(source = %network, error = fault.told(), "the ban is not extended");
            return;
        }
        self.ledger.extend(network, until);
        // No offence more, but they are remembered from the new end on.
        self.policy.restore(network, offences, until);
        self.metrics.extended();
        info!(source = %network, seconds = until.since(now).as_secs(), "the ban is extended: packets still come");
    }

    /// Ends the bans of networks from which nothing has come for long.
    pub(super) fn narrow(&mut self, now: Moment) {
        let quiet = self.policy.rules().networks.quiet;
        let next: Vec<&Ban> =
            self.ledger.ending(Scope::Network, self.looked.quiet).take(NETWORKS_AT_ONCE).collect();
        let last = next.last().map(|ban| (ban.until, ban.network()));
        self.looked.quiet = last.filter(|_| next.len() == NETWORKS_AT_ONCE);
        let is_quiet = |ban: &&&Ban| {
            let last_hit = self.last_hit(ban).unwrap_or(ban.since);
            ban.is_automatic() && now.since(ban.since.max(last_hit)) >= quiet
        };
        let over: Vec<_> = next.iter().filter(is_quiet).map(|ban| ban.entry()).collect();
        for entry in &over {
            match self.lift(*entry, Unbanned::Quiet) {
                Ok(_) => {
                    info!(network = %entry.0, quiet = quiet.as_secs(), "the ban of the network ends early: nothing came from it");
                }
                Err(fault) => {
                    warn!(network = %entry.0, error = fault.told(), "the ban of a quiet network goes on");
                }
            }
        }
        if !over.is_empty() {
            self.publish();
        }
    }

    /// When the last packet came that was dropped because of a ban, to a tick of the kernel.
    fn last_hit(&self, ban: &Ban) -> Option<Moment> {
        let block = self.block_of(ban.entry()).filter(|block| block.hits > 0)?;
        Some(self.maps.clock.moment_of(block.last_hit))
    }
}
