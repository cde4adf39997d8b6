//! What the guard and the registrar of sessions have to do with each other: logins go one way, limits come back.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus::IntCounter;
use ssh_guard_common::records::Settings;
use tokio::sync::mpsc;
use tracing::warn;

use super::{Guard, Heard};
use crate::daemon::sessions::Orders;
use crate::event::{AuthEvent, Outcome};
use crate::observe::MapOperation;
use crate::policy::Login;
use crate::session::successes::Success;

/// Where logins are told, those that fail by their number only.
pub(in crate::daemon) struct Logins {
    pub(in crate::daemon) registrar: mpsc::Sender<Success>,
    /// Those that found no room: the guard waits for nobody.
    pub(in crate::daemon) lost: IntCounter,
    /// Failures that were heard as they happened.
    pub(in crate::daemon) failures: Arc<AtomicU64>,
}

impl Guard {
    /// Has the session of a success found and marked as authenticated; what follows from the login waits for that.
    pub(super) fn tell_login(&self, heard: &Heard, login: Option<Login>) {
        let Heard { event, read_at, at, .. } = heard;
        let AuthEvent { outcome: Outcome::Success, address: Some(address), port, user, .. } = event else {
            return;
        };
        let success = Success {
            client: (*address).into(),
            port: *port,
            account: user.clone(),
            at: self.maps.clock.ticks_of(*at),
            login: login.map(|login| (login, *at)),
            late: at < read_at,
        };
        if self.logins.registrar.try_send(success).is_err() {
            self.logins.lost.inc();
        }
    }

    /// Counts a failure that happens now.
    pub(super) fn count_failure(&self, heard: &Heard) {
        let Heard { event, read_at, at, .. } = heard;
        if event.outcome == Outcome::Failure && at == read_at {
            self.logins.failures.fetch_add(event.count.get().into(), Relaxed);
        }
    }

    /// Has the programs enforce what follows from the sessions as they are now.
    pub(super) fn limit(&mut self, orders: Orders) {
        let Orders { flood, crowded, unproven } = orders;
        let settings = &mut self.maps.settings;
        let written = settings
            .put_to_use(Settings::CROWDED, crowded)
            .and_then(|()| settings.put_to_use(Settings::UNPROVEN, unproven))
            .and_then(|()| {
                let (budget, unauthenticated) =
                    flood.map_or((None, 0), |(budget, held)| (Some(budget), held));
                settings.limit_flood(budget, unauthenticated)
            });
        if let Err(fault) = written {
            self.metrics.refused(MapOperation::Set);
            warn!(error = fault.told(), "limits of sessions are not as they should be");
        }
    }
}
