//! Closes the sockets of whoever is dropped: the server's processes that wait for a banned source end at once, and the
//! places that they took (sshd's `MaxStartups`) are free for others.
//!
//! The guard wakes it when anything new is blocked, and waits for nothing. However many bans there are, all sockets are
//! listed a few times a second at most, and the guard is asked who of the other ends is dropped now.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::command::Command;
use crate::fault::{Exit, Fault};
use crate::kernel::{Socket, Sockets, Unclosed};

/// Who closes sockets.
pub(super) struct Closer {
    /// The guarded ports.
    pub(super) ports: Arc<[u16]>,
    /// Whenever something new is blocked.
    pub(super) blocked: Arc<Notify>,
    pub(super) guard: mpsc::Sender<Command>,
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
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut reported = false;
        loop {
            tokio::select! {
                () = self.blocked.notified() => {}
                () = stop.cancelled() => return,
            }
            let pause = match self.round().await {
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
        let ports = Arc::clone(&self.ports);
        let sockets = match aside(move || Sockets::open()?.list(&ports)).await {
            Ok(sockets) => sockets,
            Err(fault) => return Round::Failed(fault),
        };
        let mut others: Vec<IpAddr> = sockets.iter().map(|socket| socket.remote().ip()).collect();
        others.sort_unstable();
        others.dedup();
        let Some(dropped) = self.dropped_of(&others).await else { return Round::NoGuard };
        let sockets: Vec<Socket> =
            sockets.into_iter().filter(|socket| dropped.contains(&socket.remote().ip())).collect();
        if sockets.is_empty() {
            return Round::Done;
        }
        let (closed, round) = match aside(move || Ok(close(&sockets))).await {
            Ok(done) => done,
            Err(fault) => (0, Round::Failed(fault)),
        };
        self.closed.inc_by(closed);
        if closed > 0 {
            info!(sockets = closed, "closed what banned sources had open");
        }
        round
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
