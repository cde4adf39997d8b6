//! Syslog over TCP (RFC 6587): a task for each connection, which takes turns with those of other senders.
//!
//! If the guard is slow, nothing more is read, and the senders keep what they have. All is bounded: connections, those of one
//! sender, how long a line may take, how long nothing may come.

mod connection;
mod doors;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::connection::{Batch, Connection};
#[cfg(test)]
pub(super) use self::doors::MOST_OF_ONE;
use self::doors::{Doors, Entry};
use super::strangers::Strangers;
use super::{Senders, Syslog};
use crate::clock;
use crate::input::stats::Refused;
use crate::input::{Feed, InputError, Line, Sink, Stopped, Written};

/// How long nobody can be accepted before it is tried again, as when there are no descriptors left.
const PAUSE: Duration = Duration::from_secs(1);

/// A socket that is listened at.
pub(super) struct Tcp {
    listener: TcpListener,
    senders: Senders,
    limit: usize,
    strangers: Strangers<(IpAddr, Refused)>,
    doors: Doors,
    connections: JoinSet<()>,
}

impl Tcp {
    pub(super) async fn bind(syslog: &Syslog, at: SocketAddr, limit: usize) -> Result<Self, InputError> {
        let unbound = |source| InputError::Listen { listen: syslog.listen.clone(), source };
        let listener = TcpListener::bind(at).await.map_err(unbound)?;
        Ok(Self {
            listener,
            senders: syslog.senders.clone(),
            limit,
            strangers: Strangers::new(),
            doors: Doors::default(),
            connections: JoinSet::new(),
        })
    }

    /// Hands on what comes until the input is stopped. Connections end with it.
    pub(super) async fn run<S: Sink>(mut self, feed: &mut Feed<S>) -> Result<InputError, Stopped> {
        let (batches, mut arrived) = mpsc::channel(1);
        let mut tired = false;
        loop {
            tokio::select! {
                biased;
                () = feed.stop.cancelled() => return Err(Stopped),
                Some(batch) = arrived.recv() => hand_on(batch, feed).await?,
                // It may have been counted why.
                Some(_) = self.connections.join_next() => feed.flush(clock::now()).await?,
                accepted = self.listener.accept(), if !tired => match accepted {
                    Ok((stream, from)) => {
                        self.admit(stream, from.ip().to_canonical(), &batches, feed);
                        // Whoever is turned away brings no line, and is to be counted all the same.
                        feed.flush(clock::now()).await?;
                    }
                    Err(error) => {
                        tracing::debug!(input = feed.name, %error, "a connection is not accepted");
                        tired = !is_of_connection(&error);
                    }
                },
                () = tokio::time::sleep(PAUSE), if tired => tired = false,
            }
        }
    }

    fn admit<S>(&mut self, stream: TcpStream, sender: IpAddr, batches: &mpsc::Sender<Batch>, feed: &Feed<S>) {
        let now = clock::now();
        let refusal = if self.senders.include(sender) {
            match self.doors.enter(sender, now) {
                Entry::Open { place, instead_of_another } => {
                    if instead_of_another {
                        feed.stats.refuse(Refused::Crowded);
                    }
                    keep_alive(&stream);
                    let stop = feed.stop.child_token();
                    let connection =
                        Connection::new(stream, place, batches.clone(), self.limit, feed.stats.clone());
                    let name = feed.name.clone();
                    self.connections.spawn(async move { connection.run(&name, stop).await });
                    return;
                }
                Entry::Full => Refused::Crowded,
            }
        } else {
            Refused::Stranger
        };
        feed.stats.refuse(refusal);
        if self.strangers.is_news((sender, refusal), now) {
            let why = match refusal {
                Refused::Stranger => "it comes from somebody who is none of its 'senders'",
                _ => "there are as many as there may be",
            };
            tracing::warn!(input = feed.name, %sender, why, "a connection is refused");
        }
    }
}

/// Takes the lines of one connection, and lets its sender go on once the guard has them.
async fn hand_on<S: Sink>(batch: Batch, feed: &mut Feed<S>) -> Result<(), Stopped> {
    let Batch { texts, ends, too_long, lost, read_at, turn } = batch;
    let mut from = 0;
    for end in ends {
        feed.line(&Line {
            process: None,
            pid: None,
            text: &texts[from..end],
            read_at,
            written: Written::Sent,
        });
        from = end;
    }
    feed.counts.too_long += too_long;
    feed.counts.lost += lost;
    let flushed = feed.flush(read_at).await;
    drop(turn);
    flushed
}

/// Whether only the connection that was to be accepted failed (accept(2)).
fn is_of_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Has the kernel find out when a sender is gone that did not say so.
fn keep_alive(stream: &TcpStream) {
    let set = setsockopt(stream, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepIdle, &60))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepInterval, &10))
        .and_then(|()| setsockopt(stream, sockopt::TcpKeepCount, &6));
    if let Err(error) = set {
        tracing::debug!(%error, "a sender that vanishes is found out later");
    }
}
