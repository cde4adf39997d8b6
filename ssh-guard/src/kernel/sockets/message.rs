//! The messages of `sock_diag(7)`, as they are written and read. Every length in what the kernel sends is checked against
//! what there is.

use std::fmt;
use std::mem::size_of;

use bytemuck::{Pod, Zeroable, bytes_of, pod_read_unaligned};
use nix::errno::Errno;
use nix::libc::{
    IPPROTO_TCP, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN,
};

/// `struct nlmsghdr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
}

/// `struct nlattr`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Attribute {
    length: u16,
    kind: u16,
}

/// `struct inet_diag_sockid`: which socket. The cookie is no other socket's, also when the rest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Id {
    pub(super) local_port: [u8; 2],
    pub(super) remote_port: [u8; 2],
    pub(super) local: [u8; 16],
    pub(super) remote: [u8; 16],
    pub(super) interface: u32,
    pub(super) cookie: [u32; 2],
}

/// `struct inet_diag_req_v2`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Request {
    family: u8,
    protocol: u8,
    extensions: u8,
    padding: u8,
    states: u32,
    id: Id,
}

/// `struct inet_diag_msg`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Reply {
    pub(super) family: u8,
    pub(super) state: u8,
    pub(super) timer: u8,
    pub(super) retransmissions: u8,
    pub(super) id: Id,
    pub(super) expires: u32,
    pub(super) receive_queue: u32,
    pub(super) send_queue: u32,
    pub(super) user: u32,
    /// 0 where no process holds the socket.
    pub(super) inode: u32,
}

/// What the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// One of the sockets that were asked for.
    Socket {
        reply: Reply,
        /// What is told has changed since the beginning.
        interrupted: bool,
    },
    /// That is all, or all there will be.
    Ended(Result<(), Errno>),
}

/// The kernel has sent something that is no message, or the end of one is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// The states of TCP in which somebody speaks, or is about to; the numbers are those of `linux/tcp_states.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Established = 1,
    HalfOpen = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    CloseWait = 8,
    LastAck = 9,
    Closing = 11,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Established,
        Self::HalfOpen,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::LastAck,
        Self::Closing,
    ];

    pub(super) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message of the kernel is cut short")
    }
}

impl std::error::Error for Malformed {}

/// Asks for all TCP sockets of a family that a filter takes.
pub(super) fn dump(family: u8, filter: &[u8], sequence: u32) -> Vec<u8> {
    let attribute = Attribute { length: short(size_of::<Attribute>() + filter.len()), kind: FILTER };
    let states = State::ALL.into_iter().fold(0, |states, state| states | 1 << state as u32);
    let request = Request { states, ..request(family, Id::zeroed()) };
    let body = [bytes_of(&request), bytes_of(&attribute), filter].concat();
    message(SOCK_DIAG_BY_FAMILY, flags(NLM_F_REQUEST | NLM_F_DUMP), sequence, &body)
}

/// Asks for the end of a socket, and for an answer.
pub(super) fn destroy(family: u8, id: Id, sequence: u32) -> Vec<u8> {
    message(SOCK_DESTROY, flags(NLM_F_REQUEST | NLM_F_ACK), sequence, bytes_of(&request(family, id)))
}

/// Reads what the kernel sends in answer to the request of this number. After something malformed nothing more is told.
pub(super) fn answers(datagram: &[u8], sequence: u32) -> impl Iterator<Item = Result<Answer, Malformed>> {
    let mut rest = Some(datagram);
    std::iter::from_fn(move || {
        loop {
            let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
            let Ok((header, body, behind)) = split(bytes) else { return Some(Err(Malformed)) };
            rest = Some(behind);
            if header.sequence != sequence || i32::from(header.kind) == NLMSG_NOOP {
                continue;
            }
            let answer = read(&header, body);
            if answer.is_err() {
                rest = None;
            }
            return Some(answer);
        }
    })
}

fn request(family: u8, id: Id) -> Request {
    let protocol = u8::try_from(IPPROTO_TCP).unwrap_or_default();
    Request { family, protocol, extensions: 0, padding: 0, states: 0, id }
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = size_of::<Header>() + body.len();
    let header = Header { length: u32::try_from(length).unwrap_or(u32::MAX), kind, flags, sequence, port: 0 };
    [bytes_of(&header), body].concat()
}

/// Takes the first message apart: its header, its body, and what is behind it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8], &[u8]), Malformed> {
    let header: Header = pod_read_unaligned(bytes.get(..size_of::<Header>()).ok_or(Malformed)?);
    let length = usize::try_from(header.length).map_err(|_| Malformed)?;
    let body = bytes.get(size_of::<Header>()..length).ok_or(Malformed)?;
    // The next one is aligned, and the last one may end where it does.
    let behind = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    Ok((header, body, behind))
}

fn read(header: &Header, body: &[u8]) -> Result<Answer, Malformed> {
    let number = || body.get(..size_of::<i32>()).map(pod_read_unaligned::<i32>);
    match i32::from(header.kind) {
        NLMSG_ERROR => Ok(Answer::Ended(outcome(number().ok_or(Malformed)?))),
        // What went wrong on the way stands behind it, if anything does.
        NLMSG_DONE => Ok(Answer::Ended(outcome(number().unwrap_or_default()))),
        NLMSG_OVERRUN => Ok(Answer::Ended(Err(Errno::ENOBUFS))),
        kind if kind == i32::from(SOCK_DIAG_BY_FAMILY) => {
            let reply = pod_read_unaligned(body.get(..size_of::<Reply>()).ok_or(Malformed)?);
            Ok(Answer::Socket { reply, interrupted: header.flags & flags(NLM_F_DUMP_INTR) != 0 })
        }
        _ => Err(Malformed),
    }
}

fn outcome(number: i32) -> Result<(), Errno> {
    if number < 0 { Err(Errno::from_raw(number.saturating_neg())) } else { Ok(()) }
}

fn flags(flags: i32) -> u16 {
    u16::try_from(flags).unwrap_or_default()
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// `linux/sock_diag.h`.
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// `INET_DIAG_REQ_BYTECODE`.
const FILTER: u16 = 1;
/// `NLMSG_ALIGNTO`.
const ALIGNMENT: usize = 4;
