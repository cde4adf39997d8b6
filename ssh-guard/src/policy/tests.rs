//! A stage on which lines are said and judged.

mod floods;
mod interleaving;
mod model;
mod processes;
mod rules;
mod sessions;
mod together;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ssh_guard_common::source::{Source, SourceMask};

use super::{Judgement, Policy, Rules, Standing};
use crate::event::{AuthEvent, Kind, Outcome, Service};
use crate::moment::Moment;
use crate::network::Network;

/// A policy and the time; bans that it calls for come into force at once.
struct Stage {
    policy: Policy,
    now: Moment,
}

/// The source that most tests are about.
const MALLORY: &str = "203.0.113.7";

impl Stage {
    fn new() -> Self {
        Self::with(Rules::default())
    }

    fn with(rules: Rules) -> Self {
        Self { policy: Policy::new(rules), now: Moment::default() }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn hear(&mut self, address: &str, event: AuthEvent) -> Judgement {
        self.hear_of(address, event, Standing::Judged)
    }

    fn hear_of(&mut self, address: &str, event: AuthEvent, standing: Standing) -> Judgement {
        let event = AuthEvent { address: Some(address.parse().unwrap()), ..event };
        let mut judgement = self.policy.observe(&event, source(address), self.now, || standing);
        if let Some(login) = judgement.login {
            self.policy.admit(login, self.now);
            judgement.score = self.policy.score(source(address), self.now);
        }
        if let Some(decision) = judgement.ban.clone() {
            self.policy.punish(&decision.into_ban(self.now));
        }
        judgement
    }

    /// Mallory's score, after all of these.
    fn score_after(&mut self, events: impl IntoIterator<Item = AuthEvent>) -> f64 {
        events.into_iter().fold(0.0, |_, event| self.hear(MALLORY, event).score)
    }
}

fn source(address: &str) -> Source {
    SourceMask::new(32, 64).apply(address.parse::<IpAddr>().unwrap().into())
}

fn network(address: &str) -> Network {
    Network::new(source(address), SourceMask::new(32, 64).prefix_of(source(address)))
}

fn event(kind: Kind, user: Option<&str>, port: Option<u16>) -> AuthEvent {
    let outcome = match (kind, user) {
        (Kind::Accepted, _) => Outcome::Success,
        (_, Some(_)) => Outcome::Failure,
        (_, None) => Outcome::PreAuth,
    };
    let (user, count) = (user.map(Into::into), NonZeroU32::MIN);
    AuthEvent { outcome, kind, address: None, port, user, service: Service::Openssh, count, process: None }
}

/// An event of `user` with a port.
fn by(kind: Kind, user: &str, port: u16) -> AuthEvent {
    event(kind, Some(user), Some(port))
}

fn times(count: u32, event: AuthEvent) -> AuthEvent {
    AuthEvent { count: NonZeroU32::new(count).unwrap(), ..event }
}

fn assert_score(score: f64, expected: f64) {
    assert!((score - expected).abs() < 1e-9, "the score is {score}, not {expected}");
}
