//! A ban: the decision to drop a source's packets until a given moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ssh_guard_common::source::Source;

use crate::moment::Moment;
use crate::network::Network;

/// One ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// The banned source, or the first address of the banned network.
    pub source: Source,
    /// How many bits of its address count, within its family.
    pub prefix: u8,
    /// When it began.
    pub since: Moment,
    /// When it ends; the source is free from this moment on.
    pub until: Moment,
    /// What kind of rule led to it.
    pub reason: Reason,
    /// The rule in words, as it stood then; shared by the bans it led to.
    pub rule: Arc<str>,
    /// The step of the ladder, from 0; none for a ban by hand.
    pub rung: Option<usize>,
    /// The automatic bans of this source that are remembered, this one included if it is one.
    pub offences: u32,
    /// What the operator gave as the reason.
    pub note: Option<String>,
    /// Who decided.
    pub by: By,
    /// What it is of.
    pub scope: Scope,
    /// Whether its end was put off once because the source still knocked.
    pub extended: bool,
    /// Whether the operator insisted on a network that holds addresses no client has, or that is very large.
    pub forced: bool,
}

/// What a ban or an entry of a list is of. A network that is exactly a source is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// A source.
    Source,
    /// A network.
    Network,
}

/// What kind of rule led to a ban.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The score in the window exceeded the threshold.
    Threshold,
    /// An account that many networks try was tried.
    Spray,
    /// A bait account was tried.
    Bait,
    /// Many sources of the network are banned, or fail together.
    Network,
    /// An operator said so.
    Manual,
    /// It is listed.
    List,
    /// An earlier daemon knew.
    Unknown,
}

/// Who decided on a ban.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The policy.
    Automatic,
    /// An operator.
    Hand,
}

impl Ban {
    /// The addresses it drops.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.source, self.prefix)
    }

    /// What it is of.
    #[must_use]
    pub fn entry(&self) -> (Network, Scope) {
        (self.network(), self.scope)
    }

    /// Whether the rules called for it; of what an earlier daemon left, nobody knows.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        self.by == By::Automatic && self.rung.is_some()
    }

    /// Whether its end has come.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.until <= now
    }
}

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Source, Self::Network];

    /// What many of them are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Network => "networks",
        }
    }

    /// The key of the configuration that says how many may be blocked.
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Source => "limits.blocklist",
            Self::Network => "limits.networks",
        }
    }
}

impl Reason {
    /// Every reason that a ban begins for.
    pub const ALL: [Self; 6] =
        [Self::Threshold, Self::Spray, Self::Bait, Self::Network, Self::Manual, Self::List];

    /// Whether it is known.
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::Unknown
    }

    /// The word for it, in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Spray => "spray",
            Self::Bait => "bait",
            Self::Network => "network",
            Self::Manual => "manual",
            Self::List => "list",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_word_everywhere() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
        }
    }
}
