//! What the policy calls for, and on what grounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::window::Entry;
use crate::ban::{Ban, By, Reason, Scope};
use crate::moment::Moment;
use crate::network::Network;

/// A ban that the rules call for, and that is not in force yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// Whom it bans.
    pub banned: Network,
    /// What it is of.
    pub scope: Scope,
    /// What kind of rule calls for it.
    pub reason: Reason,
    /// The rule in words.
    pub rule: Arc<str>,
    /// The step of the ladder, from 0.
    pub rung: usize,
    /// How long it is to last.
    pub duration: Duration,
    /// The automatic bans of it that are remembered, this one included.
    pub offences: u32,
    /// The score that called for it.
    pub score: f64,
    /// What the score is made of; nothing for a network.
    pub evidence: Evidence,
}

/// What a score is made of.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Evidence {
    /// How many failures count.
    pub failures: u32,
    /// How many pre-auth events count.
    pub pre_auth: u32,
    /// How many accounts the failures were about; at most [`super::window::Window::CAPACITY`].
    pub accounts: usize,
    /// When the first event that counts happened.
    pub since: Moment,
}

impl Decision {
    /// The ban that begins now.
    #[must_use]
    pub fn into_ban(self, now: Moment) -> Ban {
        Ban {
            source: self.banned.first(),
            prefix: self.banned.prefix(),
            since: now,
            until: now.plus(self.duration),
            reason: self.reason,
            rule: self.rule,
            rung: Some(self.rung),
            offences: self.offences,
            note: None,
            by: By::Automatic,
            scope: self.scope,
            extended: false,
            forced: false,
        }
    }
}

impl Evidence {
    pub(super) fn of(entries: impl Iterator<Item = Entry>) -> Self {
        let mut evidence = Self { failures: 0, pre_auth: 0, accounts: 0, since: Moment::default() };
        let mut accounts = HashSet::new();
        let mut since = None::<Moment>;
        for entry in entries {
            let events = if entry.pre_auth { &mut evidence.pre_auth } else { &mut evidence.failures };
            *events = events.saturating_add(entry.count.into());
            accounts.extend(entry.account);
            since = Some(since.map_or(entry.at, |since| since.min(entry.at)));
        }
        Self { accounts: accounts.len(), since: since.unwrap_or_default(), ..evidence }
    }
}
