//! Closes the sessions that fail where a source is not banned as a whole, as many stand behind it.
//!
//! A session waits a moment before it is closed: if somebody logs in there after all, it stays.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ssh_guard_common::source::Source;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{Guard, Heard};
use crate::event::{AuthEvent, Outcome};
use crate::moment::Moment;
use crate::policy::Closing;
use crate::recent::Recent;

/// Sessions that failed, until they are closed, and the sources that were told of.
pub(in crate::daemon) struct Closings {
    waiting: VecDeque<(Moment, SocketAddr)>,
    told: Recent<Source, ()>,
    /// Who closes sockets; nobody does in a dry run.
    closer: Option<mpsc::Sender<Vec<SocketAddr>>>,
}

/// How long somebody may take to log in after all: a journal shows entries half a second late.
const GRACE: Duration = Duration::from_secs(1);
/// Sessions that may wait; those beyond fail again.
const MOST: usize = 4096;
/// Sources that are told of once.
const TOLD: usize = 1024;

impl Closings {
    pub(in crate::daemon) fn new(closer: Option<mpsc::Sender<Vec<SocketAddr>>>) -> Self {
        Self { waiting: VecDeque::new(), told: Recent::new(TOLD), closer }
    }

    fn add(&mut self, end: SocketAddr, now: Moment) {
        if self.waiting.len() < MOST && self.waiting.iter().all(|(_, waiting)| *waiting != end) {
            self.waiting.push_back((now.plus(GRACE), end));
        }
    }

    /// Lets a session be.
    fn spare(&mut self, end: SocketAddr) {
        self.waiting.retain(|(_, waiting)| *waiting != end);
    }

    /// When the next one is to be closed.
    pub(super) fn due(&self) -> Option<Moment> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Those that are to be closed now.
    fn take(&mut self, now: Moment) -> Vec<SocketAddr> {
        let count = self.waiting.iter().take_while(|(due, _)| *due <= now).count();
        self.waiting.drain(..count).map(|(_, end)| end).collect()
    }
}

impl Guard {
    /// Has the session of an event closed by and by, and says once for a source why.
    pub(super) fn close_by_and_by(&mut self, closing: &Closing, source: Source, heard: &Heard) {
        let Heard { event: AuthEvent { address, port, .. }, read_at, at, .. } = heard;
        self.tell_shared(closing, source);
        // What is read late may be about another session between the same ends.
        if let (Some(address), Some(port), true) = (address, port, at == read_at) {
            self.closings.add(SocketAddr::new(*address, *port), *read_at);
        }
    }

    /// Has a session stay in which somebody has logged in.
    pub(super) fn spare_session(&mut self, event: &AuthEvent) {
        if let AuthEvent { outcome: Outcome::Success, address: Some(address), port: Some(port), .. } = event {
            self.closings.spare(SocketAddr::new(*address, *port));
        }
    }

    /// Hands on what is to be closed now.
    pub(super) fn close(&mut self, now: Moment) {
        let ends = self.closings.take(now);
        let Some(closer) = self.closings.closer.as_ref().filter(|_| !ends.is_empty()) else { return };
        if closer.try_send(ends).is_err() {
            debug!("sessions that failed stay open: there are too many to close");
        }
    }

    fn tell_shared(&mut self, closing: &Closing, source: Source) {
        let Closing { reason, rule, hidden } = closing;
        let (reason, rule) = (reason.as_str(), &**rule);
        if self.closings.told.get(&source).is_some() {
            return debug!(%source, reason, rule, "a session that fails is closed");
        }
        self.closings.told.touch(&source);
        if *hidden {
            warn!(
                %source,
                reason,
                rule,
                hint = "have the proxy or load balancer hand on the client's address (the PROXY protocol, or transparently), and \
                        until then limit attempts there",
                "the real source is hidden behind this address, as most sessions come from it: it is not banned, and sessions \
                 that fail are closed"
            );
        } else {
            warn!(
                %source,
                reason,
                rule,
                hint = "ask those who run it who that is; 'policy.shared' says what a shared source is, and 'ssh-guard ban' bans it \
                        all the same",
                "shared source: many have logged in from it, so it is not banned, and sessions that fail are closed"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(port: u16) -> SocketAddr {
        ([203, 0, 113, 7], port).into()
    }

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_session_is_closed_a_second_after_it_failed_unless_somebody_logs_in_there() {
        let mut closings = Closings::new(None);
        for (port, millis) in [(1, 0), (2, 100), (1, 200), (3, 300)] {
            closings.add(end(port), at(millis));
        }
        closings.spare(end(2));
        assert_eq!(closings.due(), Some(at(1000)));
        assert_eq!(closings.take(at(999)), []);
        assert_eq!(closings.take(at(1000)), [end(1)]);
        assert_eq!((closings.take(at(5000)), closings.due()), (vec![end(3)], None));
    }

    #[test]
    fn no_more_wait_than_there_is_room_for() {
        let mut closings = Closings::new(None);
        (0..10_000).for_each(|port| closings.add(end(port), at(0)));
        assert_eq!(closings.take(at(1000)).len(), MOST);
    }
}
