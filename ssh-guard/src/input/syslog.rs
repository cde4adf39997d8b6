//! Receives syslog: what other daemons and other machines send, over UDP, TCP or a Unix socket. How a message's header is
//! read is the same as for a file's line (`parse/header.rs`).

mod datagram;
mod framing;
mod listen;
mod queue;
mod strangers;
mod tcp;
mod udp;
mod unix;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use self::tcp::Tcp;
use self::udp::Udp;
use self::unix::Unix;
use super::{Feed, InputError, Sink, Stopped};
pub use listen::{Listen, NoListen};

/// How long it waits before it tries to listen again.
const PAUSE: Duration = Duration::from_secs(2);

/// Where syslog is received, and from whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Syslog {
    /// Where.
    pub listen: Listen,
    /// Who may send over UDP and TCP.
    pub senders: Senders,
    /// Whose processes may send to a Unix socket, beside root's, by their numbers; if empty, the socket's file is for root only.
    pub users: Vec<u32>,
}

/// The networks that messages are taken from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Senders(Arc<[IpNet]>);

impl Senders {
    /// These.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether an address lies in one of them.
    #[must_use]
    pub fn include(&self, sender: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&sender))
    }
}

impl Syslog {
    /// Tries to listen, and lets go of it again.
    pub(super) async fn check(&self) -> Result<(), InputError> {
        let limit = 0;
        match &self.listen {
            Listen::Udp(at) => Udp::bind(self, *at, limit).map(drop),
            Listen::Tcp(at) => Tcp::bind(self, *at, limit).await.map(drop),
            Listen::Unix(path) => unix::check(path),
        }
    }
}

/// Receives until the input is stopped.
pub(super) async fn follow<S: Sink>(syslog: Syslog, feed: &mut Feed<S>) {
    loop {
        let Ok(error) = receive(&syslog, feed).await else { return };
        feed.failed(&error);
        tokio::select! {
            () = feed.stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Receives until that fails.
async fn receive<S: Sink>(syslog: &Syslog, feed: &mut Feed<S>) -> Result<InputError, Stopped> {
    let limit = feed.line_bytes;
    match &syslog.listen {
        Listen::Udp(at) => match Udp::bind(syslog, *at, limit) {
            Ok(udp) => {
                feed.works();
                udp.run(feed).await
            }
            Err(error) => Ok(error),
        },
        Listen::Tcp(at) => match Tcp::bind(syslog, *at, limit).await {
            Ok(tcp) => {
                feed.works();
                tcp.run(feed).await
            }
            Err(error) => Ok(error),
        },
        Listen::Unix(path) => match Unix::bind(syslog, path, limit) {
            Ok(unix) => {
                feed.works();
                unix.run(feed).await
            }
            Err(error) => Ok(error),
        },
    }
}

#[cfg(test)]
mod tests;
