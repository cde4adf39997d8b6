//! Syslog over UDP (RFC 5426): a datagram is a message, whatever newlines stand in it.
//!
//! The kernel throws away what comes while its queue is full, the newest. So the socket is emptied first of all, also while
//! the guard is busy, into a [`Queue`] that gives up the oldest of whoever sends most.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::datagram::receive;
use super::framing::trimmed;
use super::queue::{Message, Queue};
use super::strangers::Strangers;
use super::{Listen, Senders, Syslog};
use crate::clock;
use crate::input::stats::Refused;
use crate::input::{Feed, InputError, Line, Sink, Stats, Stopped, Written};
use crate::moment::Moment;

/// What the kernel may hold of datagrams that were not read yet, in bytes.
const KERNEL_ROOM: usize = 4 << 20;
/// What is held of messages that the guard has not taken yet, in bytes.
const ROOM: usize = 4 << 20;
/// Datagrams that are read before others on this thread have their turn.
const READS: usize = 1024;
/// Messages that are handed on together.
const BATCH: usize = 256;
/// The longest datagram.
const DATAGRAM: usize = 65_536;
/// So many datagrams at once may have filled the kernel's queue, if they are as long as can be and it is as short as Linux makes
/// it without the right to a longer one (`net.core.rmem_default`, 208 KiB).
const BURST: usize = 3;
/// How long the socket is silent before it is looked what the kernel threw away last.
const QUIET: Duration = Duration::from_secs(1);

/// A socket that is listened at.
pub(super) struct Udp {
    socket: UdpSocket,
    listen: Listen,
    inode: u64,
    senders: Senders,
    limit: usize,
    buffer: Box<[u8]>,
    queue: Queue,
    strangers: Strangers<IpAddr>,
    /// What the kernel had thrown away when it was last asked.
    dropped: u32,
    /// So much came at once that the kernel may have thrown something away since.
    pressed: bool,
}

/// What came in and is no line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Missed {
    lost: u64,
    too_long: u64,
}

impl Udp {
    pub(super) fn bind(syslog: &Syslog, at: SocketAddr, limit: usize) -> Result<Self, InputError> {
        let unbound = |source| InputError::Listen { listen: syslog.listen.clone(), source };
        let socket = std::net::UdpSocket::bind(at).map_err(unbound)?;
        socket.set_nonblocking(true).map_err(unbound)?;
        // Above `net.core.rmem_max` this takes CAP_NET_ADMIN; without it the kernel gives as much as it may.
        if setsockopt(&socket, sockopt::RcvBufForce, &KERNEL_ROOM).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &KERNEL_ROOM).map_err(|error| unbound(error.into()))?;
        }
        setsockopt(&socket, sockopt::RxqOvfl, &1).map_err(|error| unbound(error.into()))?;
        let inode = inode(&socket).map_err(unbound)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket).map_err(unbound)?,
            listen: syslog.listen.clone(),
            inode,
            senders: syslog.senders.clone(),
            limit,
            buffer: vec![0; DATAGRAM].into_boxed_slice(),
            queue: Queue::new(ROOM),
            strangers: Strangers::new(),
            dropped: 0,
            pressed: false,
        })
    }

    /// Hands on what comes until the input is stopped, or the socket fails.
    pub(super) async fn run<S: Sink>(mut self, feed: &mut Feed<S>) -> Result<InputError, Stopped> {
        loop {
            if self.queue.is_empty() {
                tokio::select! {
                    biased;
                    () = feed.stop.cancelled() => return Err(Stopped),
                    ready = self.socket.readable() => if let Err(source) = ready {
                        return Ok(self.failed(source));
                    },
                    () = tokio::time::sleep(QUIET), if self.pressed => {
                        feed.counts.lost += self.look();
                        feed.flush(clock::now()).await?;
                        continue;
                    }
                }
            }
            match self.read(&feed.name, &feed.stats) {
                Ok(missed) => feed.missed(missed),
                Err(source) => return Ok(self.failed(source)),
            }
            let mut read_at = clock::now();
            for message in std::iter::from_fn(|| self.queue.pop()).take(BATCH) {
                read_at = message.read_at;
                feed.line(&Line {
                    process: None,
                    pid: None,
                    text: &message.text,
                    read_at,
                    written: Written::Sent,
                });
            }
            if let Some(source) = self.flush(feed, read_at).await? {
                return Ok(self.failed(source));
            }
        }
    }

    /// Hands the lines to the guard, and goes on reading meanwhile; returns how that failed, if it did.
    async fn flush<S: Sink>(
        &mut self,
        feed: &mut Feed<S>,
        read_at: Moment,
    ) -> Result<Option<io::Error>, Stopped> {
        let (name, stats) = (feed.name.clone(), Arc::clone(&feed.stats));
        let (mut missed, mut broken) = (Missed::default(), None);
        {
            let mut flush = pin!(feed.flush(read_at));
            loop {
                let read = tokio::select! {
                    biased;
                    flushed = &mut flush => {
                        flushed?;
                        break;
                    }
                    ready = self.socket.readable(), if broken.is_none() => {
                        ready.and_then(|()| self.read(&name, &stats))
                    }
                };
                match read {
                    Ok(more) => missed.add(more),
                    Err(error) => broken = Some(error),
                }
            }
        }
        feed.missed(missed);
        Ok(broken)
    }

    /// Reads what there is into the queue.
    fn read(&mut self, name: &str, stats: &Stats) -> io::Result<Missed> {
        let mut missed = Missed::default();
        let read_at = clock::now();
        for count in 1..=READS {
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            let datagram = match socket.try_io(Interest::READABLE, || receive(socket, buffer)) {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(missed),
                // What the other end of an earlier datagram said (ICMP) is no fault of the socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            self.pressed |= count >= BURST;
            if let Some(dropped) = datagram.dropped {
                missed.lost += u64::from(self.note_dropped(dropped));
            }
            let Some(sender) = datagram.sender else { continue };
            if !self.senders.include(sender) {
                stats.refuse(Refused::Stranger);
                if self.strangers.is_news(sender, read_at) {
                    tracing::warn!(input = name, %sender, "a datagram came from somebody who is none of its 'senders'");
                }
                continue;
            }
            let text = trimmed(&self.buffer[..datagram.length]);
            if text.len() > self.limit || datagram.cut {
                missed.too_long += 1;
            } else if !text.is_empty() {
                missed.lost += self.queue.push(sender, Message { text: text.into(), read_at });
            }
        }
        Ok(missed)
    }

    /// Notes what the kernel has thrown away so far; returns how much of that is new.
    fn note_dropped(&mut self, dropped: u32) -> u32 {
        let new = dropped.wrapping_sub(self.dropped);
        // A datagram that waited while the kernel's table was read tells less than the table did.
        if new > u32::MAX / 2 {
            return 0;
        }
        self.dropped = dropped;
        new
    }

    /// Looks what the kernel has thrown away behind the last datagram that was read, which no datagram told yet.
    fn look(&mut self) -> u64 {
        self.pressed = false;
        let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
        let dropped = tables.iter().find_map(|path| dropped_in(&fs::read_to_string(path).ok()?, self.inode));
        u64::from(dropped.map_or(0, |dropped| self.note_dropped(dropped)))
    }

    fn failed(&self, source: io::Error) -> InputError {
        InputError::Receive { listen: self.listen.clone(), source }
    }
}

impl Missed {
    fn add(&mut self, more: Self) {
        self.lost += more.lost;
        self.too_long += more.too_long;
    }
}

impl<S: Sink> Feed<S> {
    fn missed(&mut self, missed: Missed) {
        self.counts.lost += missed.lost;
        self.counts.too_long += missed.too_long;
    }
}

fn inode(socket: &impl AsFd) -> io::Result<u64> {
    let socket = fs::File::from(socket.as_fd().try_clone_to_owned()?);
    Ok(socket.metadata()?.ino())
}

/// Finds what was thrown away of a socket in the kernel's table (Linux, net/ipv4/udp.c, `udp4_format_sock`): the tenth
/// field is the socket's inode, the thirteenth what was dropped.
fn dropped_in(table: &str, inode: u64) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(9);
        if fields.next()?.parse() != Ok(inode) {
            return None;
        }
        let dropped: u64 = fields.nth(2)?.parse().ok()?;
        u32::try_from(dropped & u64::from(u32::MAX)).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_found_by_the_sockets_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             2345: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n\
             2346: 0100007F:158B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 4294967299 \n\
             short\n";
        assert_eq!(dropped_in(table, 4711), Some(17));
        assert_eq!(dropped_in(table, 4712), Some(3), "as a datagram would tell it");
        assert_eq!(dropped_in(table, 17), None);
    }

    #[test]
    fn the_kernel_has_the_socket_in_its_table() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let table = fs::read_to_string("/proc/thread-self/net/udp").unwrap();
        assert_eq!(dropped_in(&table, inode(&socket).unwrap()), Some(0));
    }
}
