//! The blast radius: how much the rules may ban by themselves, however right each ban is.

use std::fmt;
use std::time::Duration;

use super::rules;
use crate::ban::{Ban, Scope};
use crate::moment::Moment;

/// How many automatic bans there were in the minute that goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blast {
    minute: Option<Moment>,
    bans: u64,
}

/// What the automatic bans in force hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// IPv4 addresses; those that two bans hold count twice.
    pub ipv4: u64,
    /// IPv6 networks, those that are sources not counted.
    pub ipv6_networks: u64,
}

/// Why an automatic ban has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Beyond {
    /// The automatic bans would hold too much of IPv4.
    Ipv4,
    /// There would be too many IPv6 networks.
    Ipv6Networks,
    /// There were too many in the last minute.
    Rate,
}

impl Blast {
    /// Takes an automatic ban for granted, or says why it has to wait; `held`: what those in force hold.
    ///
    /// # Errors
    /// With the limit that it would go beyond.
    pub fn take(&mut self, ban: &Ban, held: Held, rules: &rules::Blast, now: Moment) -> Result<(), Beyond> {
        if !rules.enabled {
            return Ok(());
        }
        let more = Held::of(ban);
        if more.ipv4 > 0 && held.ipv4 + more.ipv4 > rules.ipv4_addresses() {
            return Err(Beyond::Ipv4);
        }
        if more.ipv6_networks > 0 && held.ipv6_networks + more.ipv6_networks > rules.ipv6_networks {
            return Err(Beyond::Ipv6Networks);
        }
        if self.minute.is_none_or(|began| now.since(began) >= Duration::from_mins(1)) {
            *self = Self { minute: Some(now), bans: 0 };
        }
        if self.bans >= rules.bans_per_minute {
            return Err(Beyond::Rate);
        }
        self.bans += 1;
        Ok(())
    }
}

impl Held {
    /// What one ban holds.
    #[must_use]
    pub fn of(ban: &Ban) -> Self {
        match (ban.source.is_v4(), ban.scope) {
            (true, _) => Self { ipv4: 1 << (32 - ban.prefix.min(32)), ipv6_networks: 0 },
            (false, Scope::Source) => Self::default(),
            (false, Scope::Network) => Self { ipv4: 0, ipv6_networks: 1 },
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { ipv4: self.ipv4 + other.ipv4, ipv6_networks: self.ipv6_networks + other.ipv6_networks }
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4.saturating_sub(other.ipv4),
            ipv6_networks: self.ipv6_networks.saturating_sub(other.ipv6_networks),
        }
    }
}

impl Beyond {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6Networks, Self::Rate];

    /// The word for it, in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6Networks => "ipv6-networks",
            Self::Rate => "rate",
        }
    }

    /// The key of the configuration that sets the limit.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ipv4 => "policy.blast.ipv4-share",
            Self::Ipv6Networks => "policy.blast.ipv6-networks",
            Self::Rate => "policy.blast.bans-per-minute",
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "automatic bans hold as much of IPv4 as they may",
            Self::Ipv6Networks => "as many IPv6 networks are banned automatically as may be",
            Self::Rate => "there were as many automatic bans in the last minute as there may be",
        })
    }
}
