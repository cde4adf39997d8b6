//! Where operators are logged in from: no rule bans that, and no command does in passing.

use std::sync::Arc;

use ssh_guard_common::source::Source;
use tracing::{info, warn};

use super::Guard;
use crate::ban::{Ban, By};
use crate::clock;
use crate::fault::{Exit, Fault};
use crate::network::Network;
use crate::observe::Unbanned;
use crate::session::presence::Presence;

impl Guard {
    /// Takes note of who is logged in from where now. A rule may have banned an operator's source in the second that
    /// passes until a session is known: that ends.
    pub(super) fn attend(&mut self, presence: Arc<Presence>) {
        let before = std::mem::replace(&mut self.presence, presence);
        let now: Vec<Source> = self.presence.protected().collect();
        for source in before.protected().filter(|source| !self.presence.protects(*source)) {
            info!(%source, "no operator is logged in from there any more: it is judged again");
        }
        for source in now.into_iter().filter(|source| !before.protects(*source)) {
            info!(%source, "an operator is logged in from there: no rule bans it");
            self.lift_automatic(Network::new(source, self.mask.prefix_of(source)));
        }
        self.publish();
    }

    /// Refuses what a rule has decided where an operator is logged in from, alone or with the network around.
    pub(super) fn check_decided(&self, ban: &Ban) -> Result<(), Fault> {
        let operator = self.presence.operator_in(ban.network()).filter(|_| ban.by == By::Automatic);
        let Some((address, name)) = operator else { return Ok(()) };
        let shown = address.first();
        Err(Fault::new(Exit::Failure, format!("'{name}' is an operator, and is logged in from {shown}")))
    }

    fn lift_automatic(&mut self, source: Network) {
        let decided = |ban: &&Ban| ban.by == By::Automatic && ban.reason.is_known();
        let Some(entry) = self.ledger.get(source).filter(decided).map(Ban::entry) else { return };
        match self.lift(entry, Unbanned::Protected) {
            Ok(lifted) => self.policy.pardon(source, lifted.as_ref(), clock::now()),
            Err(fault) => {
                warn!(%source, error = fault.told(), "stays banned, though an operator is logged in");
            }
        }
    }
}
