//! What an operator can set about the policy.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use smol_str::SmolStr;
use ssh_guard_common::source::SourceMask;

use crate::event::Kind;

/// The rules that sources are judged by.
#[derive(Clone, PartialEq, Debug)]
pub struct Rules {
    /// The score that a source may reach unpunished; one above it bans. Counted in thousandths.
    pub threshold: f64,
    /// How far back the score looks.
    pub window: Duration,
    /// How long a ban lasts, by the earlier bans of the source; the last step serves for all further ones.
    pub ladder: Vec<Duration>,
    /// How long after the end of its last ban a source's offences are forgotten.
    pub forget: Duration,
    /// How long after a login a source is known-good for that account.
    pub known_good: Duration,
    /// What part of its weight a failure counts on an account that its source is known-good for, from 0 to 1.
    pub known_good_weight: f64,
    /// Whether a ban whose source still knocks in its last quarter is extended, once.
    pub extend: bool,
    /// Accounts that nobody has a reason to try: a failure on one bans at once.
    pub bait: Vec<SmolStr>,
    /// What each kind of event weighs.
    pub weights: Weights,
    /// Accounts that are tried from many networks.
    pub spray: Spray,
    /// Networks with many banned or failing sources.
    pub networks: Networks,
    /// Sources that many stand behind.
    pub shared: Shared,
    /// When new sessions are limited for all.
    pub flood: Flood,
    /// How much may be banned automatically.
    pub blast: Blast,
    /// How much of an address makes a source.
    pub mask: SourceMask,
    /// How many sources with a score are tracked; also how many sessions, and how many sources with offences.
    pub capacity: usize,
    /// Of how many sources the last events are kept to explain what was decided, 0 for none.
    pub evidence: usize,
}

/// What each kind of event adds to the score of its source, in thousandths: the table `[policy.weights]` of the
/// configuration, where each is from 0 to 1000.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Weights {
    /// A failed password.
    pub password: f64,
    /// A failed keyboard-interactive login, as the server tells it by itself or for PAM.
    pub keyboard_interactive: f64,
    /// An account that does not exist; the first try of a password in that session is the same attempt.
    pub invalid_user: f64,
    /// A refused key. Clients offer every key they hold, so that a good login often begins with some of these.
    pub publickey: f64,
    /// A refused host key.
    pub hostbased: f64,
    /// A refused Kerberos ticket. Clients try one unasked.
    pub gssapi: f64,
    /// A failure told by a module of PAM, which the server tells as well: to be raised only where nothing else is read.
    pub pam: f64,
    /// An account that exists and may not log in; the first try in that session is the same attempt.
    pub not_allowed: f64,
    /// The end of a session after too many attempts, each of which was told.
    pub too_many_attempts: f64,
    /// A session that ended while an account was being tried, with no failure counted.
    pub unfinished: f64,
    /// A session that ended before an account was named.
    pub pre_auth: f64,
    /// Another failure.
    pub other: f64,
}

/// Accounts that are tried from many networks at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spray {
    /// Whether the rule holds.
    pub enabled: bool,
    /// From how many networks an account has to be tried, 2 to 256.
    pub sources: usize,
    /// Within what time.
    pub window: Duration,
    /// How long, at least, the first ban lasts of a source that tries such an account which does not exist.
    pub missing_ban: Duration,
    /// The score on such accounts that exist which a source may reach unpunished.
    pub threshold: f64,
    /// How far back that score looks.
    pub existing_window: Duration,
    /// How long, at least, the first ban lasts of a source that exceeds it.
    pub existing_ban: Duration,
}

/// Networks with many banned or failing sources.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Networks {
    /// Whether the rule holds.
    pub enabled: bool,
    /// How many sources have to be banned, 2 to 32.
    pub sources: usize,
    /// Within what time.
    pub window: Duration,
    /// How many times the threshold the sources of a network, at least as many, may reach together within the window of the
    /// score; 0 for no limit.
    pub failures: f64,
    /// How long nothing has to come from a banned network before its ban ends early.
    pub quiet: Duration,
}

/// Sources that many stand behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shared {
    /// Whether the rule holds.
    pub enabled: bool,
    /// How many accounts have to have logged in, 2 to 256.
    pub accounts: usize,
    /// On how many days, 1 to 30.
    pub days: u32,
    /// Whether a source of more than half of all sessions is shared without the days.
    pub hidden: bool,
}

/// When new sessions are limited for all.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Flood {
    /// Whether a surge begins flood mode.
    pub enabled: bool,
    /// How many times as fast as usual failures or proven sessions have to come, 2 to 1000.
    pub factor: f64,
    /// How many a minute there have to be in any case.
    pub floor: f64,
    /// How many unauthenticated sessions sources that are not known-good may hold together meanwhile.
    pub sessions: u32,
}

/// How much may be banned automatically.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Blast {
    /// Whether the limits hold.
    pub enabled: bool,
    /// What part of IPv4 automatic bans may hold, up to 1.
    pub ipv4_share: f64,
    /// How many IPv6 networks.
    pub ipv6_networks: u64,
    /// How many automatic bans may begin in a minute.
    pub bans_per_minute: u64,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Default for Rules {
    fn default() -> Self {
        Self {
            threshold: 5.0,
            window: Duration::from_secs(10 * MINUTE),
            ladder: [10 * MINUTE, HOUR, DAY, 7 * DAY].map(Duration::from_secs).to_vec(),
            forget: Duration::from_secs(30 * DAY),
            known_good: Duration::from_secs(30 * DAY),
            known_good_weight: 0.25,
            extend: true,
            bait: Vec::new(),
            weights: Weights::default(),
            spray: Spray::default(),
            networks: Networks::default(),
            shared: Shared::default(),
            flood: Flood::default(),
            blast: Blast::default(),
            mask: SourceMask::new(32, 64),
            capacity: 131_072,
            evidence: 65_536,
        }
    }
}

impl Default for Spray {
    fn default() -> Self {
        Self {
            enabled: true,
            sources: 20,
            window: Duration::from_secs(HOUR),
            missing_ban: Duration::from_secs(DAY),
            threshold: 4.0,
            existing_window: Duration::from_secs(DAY),
            existing_ban: Duration::from_secs(HOUR),
        }
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self {
            enabled: true,
            sources: 8,
            window: Duration::from_secs(DAY),
            failures: 8.0,
            quiet: Duration::from_secs(HOUR),
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { enabled: true, accounts: 3, days: 3, hidden: true }
    }
}

impl Default for Flood {
    fn default() -> Self {
        Self { enabled: true, factor: 8.0, floor: 120.0, sessions: 8 }
    }
}

impl Default for Blast {
    fn default() -> Self {
        Self { enabled: true, ipv4_share: 0.01, ipv6_networks: 4096, bans_per_minute: 10_000 }
    }
}

impl Blast {
    /// How many IPv4 addresses automatic bans may hold.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of 2^32 fits")]
    pub fn ipv4_addresses(&self) -> u64 {
        (self.ipv4_share.clamp(0.0, 1.0) * 2_f64.powi(32)) as u64
    }
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            password: 1.0,
            keyboard_interactive: 1.0,
            invalid_user: 1.0,
            publickey: 0.0,
            hostbased: 1.0,
            gssapi: 0.0,
            pam: 0.0,
            not_allowed: 1.0,
            too_many_attempts: 0.0,
            unfinished: 1.0,
            pre_auth: 0.1,
            other: 0.0,
        }
    }
}

impl Weights {
    /// What one event of this kind weighs by itself, apart from what its session has counted already.
    #[must_use]
    pub fn of(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Password => self.password,
            Kind::KeyboardInteractive => self.keyboard_interactive,
            Kind::InvalidUser => self.invalid_user,
            Kind::Publickey => self.publickey,
            Kind::Hostbased => self.hostbased,
            Kind::Gssapi => self.gssapi,
            Kind::Pam => self.pam,
            Kind::NotAllowed => self.not_allowed,
            Kind::TooManyAttempts => self.too_many_attempts,
            Kind::Accepted => 0.0,
            Kind::Closed | Kind::Reset | Kind::Timeout => self.unfinished,
            Kind::NoIdentification | Kind::BadBanner | Kind::Negotiation | Kind::Refused | Kind::Penalty => {
                self.pre_auth
            }
            Kind::Other => self.other,
        }
    }
}
