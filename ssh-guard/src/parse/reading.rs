//! What a message was understood as, while it still borrows from the line.

use std::num::NonZeroU32;

use super::text::Origin;
use crate::event::{AuthEvent, Kind, Outcome, Service};

/// What one message of a server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading<'a> {
    pub(super) outcome: Outcome,
    pub(super) kind: Kind,
    pub(super) origin: Origin,
    pub(super) user: Option<&'a [u8]>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(outcome: Outcome, kind: Kind) -> Self {
        Self { outcome, kind, origin: Origin::UNKNOWN, user: None }
    }

    pub(super) fn failure(kind: Kind) -> Self {
        Self::new(Outcome::Failure, kind)
    }

    pub(super) fn success() -> Self {
        Self::new(Outcome::Success, Kind::Accepted)
    }

    pub(super) fn pre_auth(kind: Kind) -> Self {
        Self::new(Outcome::PreAuth, kind)
    }

    pub(super) fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// An empty name is none.
    pub(super) fn user(self, user: &'a [u8]) -> Self {
        Self { user: Some(user).filter(|user| !user.is_empty()), ..self }
    }

    pub(super) fn event(self, service: Service, count: NonZeroU32) -> AuthEvent {
        AuthEvent {
            outcome: self.outcome,
            kind: self.kind,
            address: self.origin.address,
            port: self.origin.port,
            user: self.user.map(|user| String::from_utf8_lossy(user).into()),
            service,
            count,
            process: None,
        }
    }
}
