//! A ban: the decision to drop a source's packets until a given moment.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use ssh_guard_common::source::Source;

use crate::moment::Moment;
use crate::network::Network;

/// One ban.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ban {
    /// The banned source.
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
}

/// What kind of rule led to a ban.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The score in the window exceeded the threshold.
    Threshold,
    /// An operator said so.
    Manual,
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

    /// Whether its end has come.
    #[must_use]
    pub fn is_over(&self, now: Moment) -> bool {
        self.until <= now
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Threshold, Self::Manual];

    /// The word for it, in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Manual => "manual",
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
