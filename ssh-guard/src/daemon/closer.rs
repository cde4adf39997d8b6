//! Closes the sockets of whoever is dropped, and of sessions that fail where a source is not banned as a whole: the server's processes that wait for a banned source end at once, and the
//! places that they took (sshd's `MaxStartups`) are free for others.
//! No session that fails is closed if somebody has logged in there.
//!
//! The guard wakes it when anything new is blocked, and waits for nothing. However many bans there are, all sockets are
//! listed a few times a second at most, and the guard is asked who of the other ends is dropped now.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::command::Command;
use super::sessions::{self, Book};
use crate::fault::{Exit, Fault};
use crate::kernel::{Socket, Sockets, Unclosed};
use crate::session::Stage;

/// Who closes sockets.
pub(super) struct Closer {
    /// The guarded ports.
    pub(super) ports: Arc<[u16]>,
    /// Whenever something new is blocked.
    pub(super) blocked: Arc<Notify>,
    /// The other ends of sessions that failed.
    pub(super) failed: mpsc::Receiver<Vec<SocketAddr>>,
    pub(super) guard: mpsc::Sender<Command>,
    /// Who has logged in.
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) closed: IntCounter,
}

/// How a round went.
enum Round {
    /// Whoever is dropped has no socket any more.
    Done,
    /// It is worth another try.
    Failed(Fault),
    /// The kernel has no way to close sockets, or not for us.
    Never(Fault),
    /// There is no guard any more.
    NoGuard,
}

impl Closer {
    /// Works until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut reported = false;
        loop {
            let round = tokio::select! {
                () = self.blocked.notified() => self.round().await,
                Some(ends) = self.failed.recv() => self.close_failed(ends).await,
                () = stop.cancelled() => return,
            };
            let pause = match round {
                Round::Done => {
                    reported = false;
                    PAUSE
                }
                Round::Failed(fault) => {
                    if reported {
                        debug!(error = fault.told(), "sessions of banned sources are still not closed");
                    } else {
                        let hint = fault.way_out().unwrap_or(HINT);
                        warn!(error = fault.told(), hint, "sessions of banned sources are not closed yet");
                    }
                    reported = true;
                    self.blocked.notify_one();
                    PAUSE_AFTER_FAILURE
                }
                Round::Never(fault) => {
                    let hint = fault.way_out().unwrap_or(HINT);
                    warn!(
                        error = fault.told(),
                        hint, "sessions of banned sources stay until the server ends them"
                    );
                    break;
                }
                Round::NoGuard => break,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
        stop.cancelled().await;
    }

    /// Closes the sockets of all who are dropped now.
    async fn round(&self) -> Round {
        let sockets = match self.list().await {
            Ok(sockets) => sockets,
            Err(fault) => return Round::Failed(fault),
        };
        let mut others: Vec<IpAddr> = sockets.iter().map(|socket| socket.remote().ip()).collect();
        others.sort_unstable();
        others.dedup();
        let Some(dropped) = self.dropped_of(&others).await else { return Round::NoGuard };
        let sockets: Vec<Socket> =
            sockets.into_iter().filter(|socket| dropped.contains(&socket.remote().ip())).collect();
        let (closed, round) = self.close(sockets).await;
        if closed > 0 {
            info!(sockets = closed, "closed what banned sources had open");
        }
        round
    }

    /// Closes the sessions that failed, with the other ends `ends`, but for those in which somebody has logged in.
    async fn close_failed(&self, ends: Vec<SocketAddr>) -> Round {
        let mut ends: HashSet<SocketAddr> = ends.into_iter().collect();
        let census = Arc::clone(&sessions::lock(&self.book).census);
        for session in census.sessions.iter().filter(|session| session.stage == Stage::Authenticated) {
            ends.remove(&SocketAddr::new(session.key.client.address(), session.key.client_port));
        }
        let mut sockets = match self.list().await {
            Ok(sockets) => sockets,
            Err(fault) => return Round::Failed(fault),
        };
        sockets.retain(|socket| ends.contains(&socket.remote()));
        let (closed, round) = self.close(sockets).await;
        if closed > 0 {
            info!(sockets = closed, "closed sessions that failed");
        }
        round
    }

    /// The sockets of guarded ports.
    async fn list(&self) -> Result<Vec<Socket>, Fault> {
        let ports = Arc::clone(&self.ports);
        aside(move || Sockets::open()?.list(&ports)).await
    }

    /// Closes these, counts them, and says how many were open still.
    async fn close(&self, sockets: Vec<Socket>) -> (u64, Round) {
        if sockets.is_empty() {
            return (0, Round::Done);
        }
        let done = aside(move || Ok(close(&sockets))).await;
        let (closed, round) = done.unwrap_or_else(|fault| (0, Round::Failed(fault)));
        self.closed.inc_by(closed);
        (closed, round)
    }

    /// Whom of these the kernel drops; nothing if there is no guard to ask.
    async fn dropped_of(&self, addresses: &[IpAddr]) -> Option<HashSet<IpAddr>> {
        let mut dropped = HashSet::new();
        for addresses in addresses.chunks(ASKED_AT_ONCE) {
            let (answer, answered) = oneshot::channel();
            let command = Command::Dropped { addresses: addresses.to_vec(), answer };
            self.guard.send(command).await.ok()?;
            dropped.extend(answered.await.ok()?);
        }
        Some(dropped)
    }
}

/// Closes these, and says how many were open still.
fn close(sockets: &[Socket]) -> (u64, Round) {
    let mut way = match Sockets::open() {
        Ok(way) => way,
        Err(fault) => return (0, Round::Failed(fault)),
    };
    let mut closed = 0;
    let mut failed = None;
    for socket in sockets {
        match way.destroy(socket) {
            Ok(was_open) => closed += u64::from(was_open),
            Err(Unclosed::Never(fault)) => return (closed, Round::Never(fault)),
            // The others may go all the same.
            Err(Unclosed::ThisTime(fault)) => failed = Some(fault),
        }
    }
    (closed, failed.map_or(Round::Done, Round::Failed))
}

/// Runs what takes milliseconds on a thread of its own: a busy server has a hundred thousand sockets.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::new(Exit::Failure, "cannot look through the sockets").because(error))?
}

/// Between two listings.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// So many addresses the guard looks up in a few milliseconds, and others wait no longer.
const ASKED_AT_ONCE: usize = 512;

const HINT: &str = "their packets are dropped all the same";
