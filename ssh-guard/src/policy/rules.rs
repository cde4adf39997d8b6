//! What an operator can set about the policy.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// What each kind of event weighs.
    pub weights: Weights,
    /// How many sources with a score are tracked; also how many sessions, and how many sources with offences.
    pub capacity: usize,
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

impl Default for Rules {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        Self {
            threshold: 5.0,
            window: Duration::from_secs(10 * MINUTE),
            ladder: [10 * MINUTE, HOUR, DAY, 7 * DAY].map(Duration::from_secs).to_vec(),
            forget: Duration::from_secs(30 * DAY),
            known_good: Duration::from_secs(30 * DAY),
            known_good_weight: 0.25,
            weights: Weights::default(),
            capacity: 131_072,
        }
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
