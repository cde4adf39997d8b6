//! Receives datagrams, and what the kernel says of them.

use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

/// A datagram that lies in the buffer that was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Datagram {
    /// Its length; the rest of what was longer than the buffer is gone.
    pub(super) length: usize,
    /// Whether it was longer.
    pub(super) cut: bool,
    /// Who sent it over UDP, or says that he did.
    pub(super) sender: Option<IpAddr>,
    /// How many datagrams the kernel had thrown away for want of room before this one came, since the socket was made; it
    /// counts up to 2^32 and begins again.
    pub(super) dropped: Option<u32>,
    /// The user whose process sent it through a Unix socket.
    pub(super) user: Option<u32>,
}

/// Receives one, without waiting.
pub(super) fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut room = nix::cmsg_space!(u32, libc::ucred);
    let mut into = [IoSliceMut::new(buffer)];
    let socket = socket.as_fd().as_raw_fd();
    let message = recvmsg::<SockaddrStorage>(socket, &mut into, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
    let (mut dropped, mut user) = (None, None);
    for told in message.cmsgs()? {
        match told {
            ControlMessageOwned::RxqOvfl(count) => dropped = Some(count),
            ControlMessageOwned::ScmCredentials(sender) => user = Some(sender.uid()),
            _ => {}
        }
    }
    let address = message.address.as_ref();
    let v4 = || address?.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    let v6 = || address?.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()).to_canonical());
    Ok(Datagram {
        length: message.bytes,
        cut: message.flags.contains(MsgFlags::MSG_TRUNC),
        sender: v4().or_else(v6),
        dropped,
        user,
    })
}
