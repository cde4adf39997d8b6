//! The TCP sockets of this machine (`NETLINK_SOCK_DIAG`, `sock_diag(7))`: which there are on guarded ports, and how to end
//! one from outside.
//!
//! The messages are few, and written here: the crate for them has neither the filter that lets the kernel leave out the
//! sockets of other ports, nor does it say what became of a message that was cut short.

mod filter;
mod message;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::libc::{AF_INET, AF_INET6};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recv, send, setsockopt,
    socket,
};
use nix::sys::time::TimeVal;

use crate::fault::{Exit, Fault};
use message::{Answer, Id, Malformed, Reply, State};

/// A TCP socket that belongs to a guarded port, or is to become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket {
    family: u8,
    id: Id,
    inode: u32,
    stage: Stage,
}

/// How far a socket's session has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// The kernel has answered a SYN, and nothing has come back: `SYN_RECV`.
    HalfOpen,
    /// The server has it, or can take it: `ESTABLISHED`, and `CLOSE_WAIT`, where only the client has hung up.
    Open,
    /// The server has hung up.
    Closing,
}

/// Why a socket is still there.
#[derive(Debug)]
pub enum Unclosed {
    /// The kernel cannot end sockets, or not for us: that will be the same the next time.
    Never(Fault),
    /// It failed this time.
    ThisTime(Fault),
}

/// A way to ask for sockets, of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Sockets {
    netlink: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Sockets {
    /// Opens it.
    ///
    /// # Errors
    /// If the kernel has no `NETLINK_SOCK_DIAG`.
    pub fn open() -> Result<Self, Fault> {
        open().map(|netlink| Self { netlink, sequence: 0, buffer: vec![0; BUFFER] }).map_err(unreadable)
    }

    /// The sockets of these ports, of both families, half-open ones included: all that somebody speaks through, or is
    /// about to. Those that listen are left out, and those that only wait for stray packets. A socket that is opened or
    /// closed meanwhile may be missing.
    ///
    /// # Errors
    /// If the kernel does not answer, or not in a way that is understood. Needs no privilege.
    pub fn list(&mut self, ports: &[u16]) -> Result<Vec<Socket>, Fault> {
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut left = ATTEMPTS;
            loop {
                let begin = found.len();
                let consistent = self.dump(family, ports, &mut found).map_err(unreadable)?;
                left -= 1;
                if consistent || left == 0 {
                    break;
                }
                found.truncate(begin);
            }
        }
        Ok(found)
    }

    /// Ends a socket: whoever holds it reads `ECONNABORTED`, and the other end gets a RST. False if it was gone already.
    ///
    /// # Errors
    /// If the kernel cannot (`CONFIG_INET_DIAG_DESTROY`, kernel 4.9 and later), or not for us (`CAP_NET_ADMIN`), or does
    /// not answer.
    pub fn destroy(&mut self, socket: &Socket) -> Result<bool, Unclosed> {
        let request = message::destroy(socket.family, socket.id, self.next_sequence());
        let answered = self.say(&request).and_then(|()| {
            loop {
                for answer in self.hear()? {
                    if let Answer::Ended(result) = answer? {
                        return result.map_err(Trouble::Refused);
                    }
                }
            }
        });
        match answered {
            Ok(()) => Ok(true),
            // Nobody has these addresses and ports, or another socket has: that is what the cookie is for.
            Err(Trouble::Refused(Errno::ENOENT | Errno::ESTALE)) => Ok(false),
            Err(trouble) => Err(unclosed(socket, trouble)),
        }
    }

    /// Adds what the kernel lists of a family; says whether it was one picture, and not one of a list that changed.
    fn dump(&mut self, family: i32, ports: &[u16], found: &mut Vec<Socket>) -> Result<bool, Trouble> {
        let request = message::dump(family_number(family), &filter::of_ports(ports), self.next_sequence());
        self.say(&request)?;
        let mut consistent = true;
        loop {
            for answer in self.hear()? {
                match answer? {
                    Answer::Socket { reply, interrupted } => {
                        consistent &= !interrupted;
                        found.extend(
                            Socket::of(&reply).filter(|socket| ports.contains(&socket.local().port())),
                        );
                    }
                    Answer::Ended(Ok(())) => return Ok(consistent),
                    Answer::Ended(Err(errno)) => return Err(Trouble::Refused(errno)),
                }
            }
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn say(&self, request: &[u8]) -> Result<(), Trouble> {
        let sent = send(self.netlink.as_raw_fd(), request, MsgFlags::empty()).map_err(Trouble::Refused)?;
        if sent == request.len() { Ok(()) } else { Err(Trouble::Malformed(Malformed)) }
    }

    /// The answers of the next datagram to what was asked last.
    fn hear(&mut self) -> Result<impl Iterator<Item = Result<Answer, Trouble>>, Trouble> {
        // Asked for the whole length, the kernel says when there was more than fits.
        let length = recv(self.netlink.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC)
            .map_err(Trouble::Refused)?;
        let datagram = self.buffer.get(..length).filter(|datagram| !datagram.is_empty());
        let answers = message::answers(datagram.ok_or(Trouble::Malformed(Malformed))?, self.sequence);
        Ok(answers.map(|answer| answer.map_err(Trouble::Malformed)))
    }
}

impl Socket {
    /// The other end.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        address(self.family, self.id.remote, self.id.remote_port)
    }

    /// This machine's end.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        address(self.family, self.id.local, self.id.local_port)
    }

    /// The number by which the descriptors of whoever holds it are known; 0 if nobody does.
    #[must_use]
    pub fn inode(&self) -> u32 {
        self.inode
    }

    /// How far its session has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    fn of(reply: &Reply) -> Option<Self> {
        let stage = match State::of(reply.state)? {
            State::HalfOpen => Stage::HalfOpen,
            State::Established | State::CloseWait => Stage::Open,
            // Such sockets that nobody holds are kept in a shorter form, by the same name, which cannot be ended.
            State::FinWait2 if reply.inode == 0 => return None,
            State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing => Stage::Closing,
        };
        Some(Self { family: reply.family, id: reply.id, inode: reply.inode, stage })
    }
}

/// What went wrong with the kernel.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Refused(Errno),
    Malformed(Malformed),
}

fn open() -> Result<OwnedFd, Trouble> {
    let open = || {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        setsockopt(&netlink, ReceiveTimeout, &TimeVal::new(TIMEOUT_SECONDS, 0))?;
        // To the kernel, and from nobody else: a connected netlink socket takes messages of its peer alone.
        connect(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(netlink)
    };
    open().map_err(Trouble::Refused)
}

fn unreadable(trouble: Trouble) -> Fault {
    let fault = Fault::new(Exit::Failure, "cannot list the sockets of the guarded ports");
    match trouble {
        Trouble::Refused(errno @ (Errno::ENOENT | Errno::EPROTONOSUPPORT | Errno::EINVAL)) => fault
            .because(errno)
            .hint("the kernel needs CONFIG_INET_DIAG, or its modules: modprobe -a tcp_diag inet_diag"),
        Trouble::Refused(errno) => fault.because(errno),
        Trouble::Malformed(malformed) => fault.because(malformed),
    }
}

fn unclosed(socket: &Socket, trouble: Trouble) -> Unclosed {
    let fault = Fault::new(Exit::Failure, format!("cannot close the session of {}", socket.remote()));
    match trouble {
        Trouble::Refused(errno @ Errno::EOPNOTSUPP) => {
            Unclosed::Never(fault.because(errno).hint("the kernel needs CONFIG_INET_DIAG_DESTROY"))
        }
        Trouble::Refused(errno @ (Errno::EPERM | Errno::EACCES)) => {
            Unclosed::Never(fault.because(errno).hint("the daemon needs CAP_NET_ADMIN"))
        }
        Trouble::Refused(errno) => Unclosed::ThisTime(fault.because(errno)),
        Trouble::Malformed(malformed) => Unclosed::ThisTime(fault.because(malformed)),
    }
}

/// An address as people know it: IPv4 also where a socket of IPv6 has it mapped.
fn address(family: u8, bytes: [u8; 16], port: [u8; 2]) -> SocketAddr {
    let address = if family == family_number(AF_INET) {
        let [a, b, c, d, ..] = bytes;
        IpAddr::from([a, b, c, d])
    } else {
        Ipv6Addr::from(bytes).to_canonical()
    };
    SocketAddr::new(address, u16::from_be_bytes(port))
}

/// A family as netlink has it, in a byte.
fn family_number(family: i32) -> u8 {
    u8::try_from(family).unwrap_or_default()
}

/// The kernel fills what it is offered, up to 32 KiB a datagram (Linux, `net/netlink/af_netlink.c`, `netlink_dump`).
const BUFFER: usize = 64 * 1024;
/// How often a list is asked for that changed while it was told.
const ATTEMPTS: u32 = 4;
/// The kernel answers at once; this is for when it does not.
const TIMEOUT_SECONDS: i64 = 5;
