//! Frames put on a lab's wire as they are.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt,
    socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::TimeVal;
use ssh_guard_common::packet::{self, Ports, Reading};
use ssh_guard_common::source::Source;

use crate::lab::Lab;
use crate::wait::{PATIENCE, poll};

/// A raw socket on client 0's end of a lab's first link.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    server: [u8; 6],
}

/// What comes in at the server's end of a lab's first link: what XDP drops does not.
#[derive(Debug)]
pub struct Tap(OwnedFd);

impl Tap {
    /// Opens it.
    ///
    /// # Panics
    /// Without the right to.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self(lab.server().within(|| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
                .expect("root may open a packet socket");
            bind(socket.as_raw_fd(), &link("eth0")).expect("the interface is up");
            socket
        }))
    }

    /// How many packets to port 22 came in from these sources since the last time, or since it was opened.
    #[must_use]
    pub fn count(&self, sources: &[Source]) -> usize {
        let mut buffer = [0; 2048];
        let mut count = 0;
        while let Ok(length) = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            let reading = packet::read(&&buffer[..length], &Server);
            count += usize::from(
                matches!(reading, Reading::Guarded(segment) if sources.contains(&segment.source)),
            );
        }
        count
    }
}

/// Says that something is over, when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

struct Server;

impl Ports for Server {
    fn guard(&self, port: u16) -> bool {
        port == 22
    }
}

/// What a server answers to a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// SYN and ACK: a socket has taken it.
    Accepted,
    /// RST: TCP has seen it, and nobody listens.
    Reset,
}

impl Wire {
    /// Opens the socket.
    ///
    /// # Panics
    /// Without the right to.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        let server = lab.server().within(|| link("eth0")).addr().expect("Ethernet has addresses");
        let socket = lab.client_namespace(0).within(|| {
            let socket =
                socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                    .expect("root may open a packet socket");
            bind(socket.as_raw_fd(), &link("eth0")).expect("the interface is up");
            socket
        });
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(0, PAUSE_MICROS)).expect("a socket has a timeout");
        Self { socket, server }
    }

    /// Sends a frame to the server's Ethernet address, whatever address it names.
    ///
    /// # Panics
    /// When the interface does not take it.
    pub fn send(&self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        frame[..6].copy_from_slice(&self.server);
        // While the other end has no room left, older kernels (5.10) refuse a frame.
        let sent = poll(PATIENCE, || match send(self.socket.as_raw_fd(), &frame, MsgFlags::empty()) {
            Err(Errno::ENOBUFS) => None,
            sent => Some(sent.expect("the interface takes the frame")),
        });
        assert_eq!(sent, Some(frame.len()));
    }

    /// Sends frames in turn, again and again, while something is done; tells how many that were. An imitated machine has one
    /// processor: three quarters of the time are left to the others.
    #[expect(clippy::disallowed_methods, reason = "how long it took needs a clock")]
    pub fn send_during(&self, frames: &[Vec<u8>], something: impl FnOnce()) -> usize {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut sent = 0;
                while !done.load(Relaxed) {
                    let begun = Instant::now();
                    for frame in frames {
                        self.send(frame);
                    }
                    sent += frames.len();
                    thread::sleep(begun.elapsed() * 3);
                }
                sent
            });
            // Told also by a panic, which would wait for the sender without an end.
            let over = Over(&done);
            something();
            drop(over);
            sender.join().expect("the interface takes the frames")
        })
    }

    /// Waits for the server's answer to what came from `port`; nothing if there is none before an answer to
    /// `sentinel` is read: of two packets on one wire, the second is not answered first.
    ///
    /// # Panics
    /// When the sentinel is not answered.
    #[must_use]
    pub fn answer(&self, port: u16, sentinel: u16) -> Option<Answer> {
        let mut buffer = [0; 2048];
        let mut found = None;
        for _ in 0..ENOUGH {
            let Ok(length) = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
            let Reading::Guarded(segment) = packet::read(&&buffer[..length], &Clients) else { continue };
            let answer = match segment.flags.0 & SYN_RST_ACK {
                SYN_ACK => Answer::Accepted,
                RST | RST_ACK => Answer::Reset,
                _ => continue,
            };
            if segment.port == port {
                found = Some(answer);
            }
            if segment.port == sentinel {
                return found;
            }
        }
        panic!("the server does not answer at all");
    }
}

fn link(name: &str) -> LinkAddr {
    let found = getifaddrs().expect("interfaces can be listed").find_map(|interface| {
        let named = interface.interface_name == name;
        interface.address.as_ref().filter(|_| named)?.as_link_addr().copied()
    });
    found.unwrap_or_else(|| panic!("no interface '{name}'"))
}

/// Every port: on its way back, a packet for a client's port is what is looked for.
struct Clients;

impl Ports for Clients {
    fn guard(&self, _port: u16) -> bool {
        true
    }
}

/// The answer to an ECN SYN has other flags beside.
const SYN_RST_ACK: u8 = 0x16;
const SYN_ACK: u8 = 0x12;
const RST: u8 = 0x04;
const RST_ACK: u8 = 0x14;
const PAUSE_MICROS: i64 = 100_000;
/// Frames, or pauses without one, until the server is taken for dead.
const ENOUGH: usize = 200;
