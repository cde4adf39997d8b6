//! How many attempts at a login an event tells of, whatever a configuration makes of them.

use std::net::IpAddr;

use crate::event::AuthEvent;
use crate::moment::Moment;
use crate::policy::account::Accounts;
use crate::policy::attempts::{Attempts, Charge, Who};
use crate::policy::rules::{Rules, Weights};
use crate::policy::weight::Weight;

/// Counts attempts, each once, however many lines tell of it: as the default weights do, where each weighs one.
#[derive(Debug)]
pub(super) struct Tried {
    accounts: Accounts,
    attempts: Attempts,
    weights: Weights,
}

impl Default for Tried {
    fn default() -> Self {
        let Rules { capacity, weights, .. } = Rules::default();
        Self { accounts: Accounts::default(), attempts: Attempts::new(capacity), weights }
    }
}

impl Tried {
    /// How many failed attempts an event adds.
    pub(super) fn count(&mut self, event: &AuthEvent, address: IpAddr, at: Moment) -> u64 {
        let account = event.user.as_deref().map(|name| self.accounts.of(name));
        let who = Who { address: address.into(), account };
        match self.attempts.observe(event, who, &self.weights, at) {
            Charge::Failure(weight) => whole(weight),
            Charge::Success | Charge::PreAuth(_) => 0,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a weight is neither great nor negative"
)]
fn whole(weight: Weight) -> u64 {
    weight.value().round() as u64
}
