//! A question to the kernel over a netlink socket of its own, answered before anything else is done.

use std::io;

use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

/// Has something changed.
///
/// # Errors
/// What the kernel says.
pub(super) fn change(message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags).map(drop)
}

/// Asks for a list; the body of each message of the answer.
///
/// # Errors
/// What the kernel says.
pub(super) fn list(message: RouteNetlinkMessage) -> io::Result<Vec<Vec<u8>>> {
    exchange(message, NLM_F_REQUEST | NLM_F_DUMP)
}

fn exchange(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<Vec<u8>>> {
    let mut request = NetlinkMessage::from(message);
    request.header.flags = flags;
    request.header.sequence_number = 1;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let mut bodies = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        let mut rest = answer.as_slice();
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            match message.message_type() {
                ERROR => return verdict(message.payload()).map(|()| bodies),
                DONE => return Ok(bodies),
                _ => bodies.push(message.payload().to_vec()),
            }
            rest = rest.get((message.length() as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// What `NLMSG_ERROR` says: 0 that it is done, or less what was wrong (netlink(7)).
fn verdict(body: &[u8]) -> io::Result<()> {
    let number = body.first_chunk().map(|number| i32::from_ne_bytes(*number));
    match number {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

const ERROR: u16 = 2;
const DONE: u16 = 3;
