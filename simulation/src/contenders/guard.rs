//! This project's policy, by default rules.

use std::net::IpAddr;

use ssh_guard::allowlist::Allowlist;
use ssh_guard::ban::Scope;
use ssh_guard::event::AuthEvent;
use ssh_guard::ledger::Capacity;
use ssh_guard::moment::Moment;
use ssh_guard::policy::Rules;
use ssh_guard::policy::bannable::Protected;
use ssh_guard::rehearsal::Rehearsal;

use super::{Begun, Contender};
use crate::session::End;

/// The same engine that the daemon has, with nobody in the allowlist.
#[derive(Debug)]
pub struct Guard(Rehearsal);

impl Default for Guard {
    fn default() -> Self {
        let capacity = Capacity { sources: 262_144, networks: 65_536 };
        Self(Rehearsal::new(Rules::default(), capacity, Allowlist::new(), Protected::default()))
    }
}

impl Contender for Guard {
    fn name(&self) -> &'static str {
        "ssh-guard"
    }

    fn drops(&mut self, from: IpAddr, now: Moment) -> bool {
        self.0.drops(from, now).is_some()
    }

    fn hear(&mut self, event: &AuthEvent, now: Moment, begun: &mut Vec<Begun>) -> bool {
        let heard = self.0.hear(event, now);
        begun.extend(heard.bans.iter().map(|ban| Begun {
            banned: ban.network(),
            is_network: ban.scope == Scope::Network,
            rung: ban.rung.unwrap_or_default(),
        }));
        heard.close.is_none()
    }

    fn leave(&mut self, _: IpAddr, _: End, _: Moment, _: &mut Vec<Begun>) {
        // The log has told of it.
    }
}
