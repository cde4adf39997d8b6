//! Programs behind traffic control where the kernel has no links for that (before 6.6): filters of the queueing
//! discipline `clsact`. They stay until somebody removes them, and are found again by their [`PRIORITY`], [`HANDLE`] and
//! name; whatever else is there stays as it is.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NlasIterator};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};

use super::netlink;

/// The priority (`pref`) of our filters: others may come before them, or behind.
pub(super) const PRIORITY: u16 = 22;

/// The handle of our filters.
pub(super) const HANDLE: u32 = 0x22;

/// Which packets a filter sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Those that come in.
    Ingress,
    /// Those that go out.
    Egress,
}

impl Way {
    pub(super) const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    fn parent(self) -> TcHandle {
        let minor = match self {
            Self::Ingress => TcHandle::MIN_INGRESS,
            Self::Egress => TcHandle::MIN_EGRESS,
        };
        TcHandle { major: TcHandle::CLSACT.major, minor }
    }
}

/// A filter of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Filter {
    /// The number of its program.
    pub(super) program: u32,
}

/// What has our priority and handle.
enum Held {
    Nothing,
    Ours(Filter),
    Others,
}

/// Attaches a program under its name, or puts it in the place of that of our filter, with no packet in between.
/// The queueing discipline is there.
///
/// # Errors
/// What the kernel says; EEXIST if a filter of somebody else has our priority and handle.
pub(super) fn attach(program: BorrowedFd<'_>, name: &str, interface: u32, way: Way) -> io::Result<()> {
    let mut message = message(interface, way);
    message.header.handle = TcHandle::from(HANDLE);
    message.header.info = info();
    message.attributes = vec![
        TcAttribute::Kind(BPF.to_owned()),
        TcAttribute::Options(vec![
            TcOption::Bpf(TcFilterBpfOption::ProgFd(program.as_raw_fd().cast_unsigned())),
            TcOption::Bpf(TcFilterBpfOption::ProgName(name.to_owned())),
            TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
        ]),
    ];
    // Without NLM_F_EXCL the kernel replaces what is there (net/sched/cls_api.c, `tc_new_tfilter`).
    match held(interface, way)? {
        Held::Nothing => {
            netlink::change(RouteNetlinkMessage::NewTrafficFilter(message), NLM_F_CREATE | NLM_F_EXCL)
        }
        Held::Ours(_) => netlink::change(RouteNetlinkMessage::NewTrafficFilter(message), NLM_F_CREATE),
        Held::Others => Err(Errno::EEXIST.into()),
    }
}

/// Our filter, if it is there.
///
/// # Errors
/// What the kernel says.
pub(super) fn find(interface: u32, way: Way) -> io::Result<Option<Filter>> {
    Ok(match held(interface, way)? {
        Held::Ours(filter) => Some(filter),
        Held::Nothing | Held::Others => None,
    })
}

/// Removes our filter; says whether it was there.
///
/// # Errors
/// What the kernel says.
pub(super) fn detach(interface: u32, way: Way) -> io::Result<bool> {
    if find(interface, way)?.is_none() {
        return Ok(false);
    }
    let mut message = message(interface, way);
    message.header.handle = TcHandle::from(HANDLE);
    message.header.info = info();
    message.attributes = vec![TcAttribute::Kind(BPF.to_owned())];
    unless_gone(netlink::change(RouteNetlinkMessage::DelTrafficFilter(message), 0))
}

/// Adds the queueing discipline, unless it is there; says whether it was added.
///
/// # Errors
/// What the kernel says; ENOTSUP if `ingress` is there in its place and `way` is not what that knows.
pub(super) fn add_qdisc(interface: u32, way: Way) -> io::Result<bool> {
    match netlink::change(
        RouteNetlinkMessage::NewQueueDiscipline(qdisc(interface)),
        NLM_F_CREATE | NLM_F_EXCL,
    ) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
            // The kernel would put a filter for what goes out among those for what comes in.
            if way == Way::Egress && kind_of_qdisc(interface)?.as_deref() != Some(CLSACT) {
                return Err(Errno::ENOTSUP.into());
            }
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Removes the queueing discipline unless somebody has a filter there; says whether it did.
///
/// # Errors
/// What the kernel says.
pub(super) fn remove_empty_qdisc(interface: u32) -> io::Result<bool> {
    for way in Way::ALL {
        if !filters(interface, way)?.is_empty() {
            return Ok(false);
        }
    }
    if kind_of_qdisc(interface)?.as_deref() != Some(CLSACT) {
        return Ok(false);
    }
    unless_gone(netlink::change(RouteNetlinkMessage::DelQueueDiscipline(qdisc(interface)), 0))
}

fn unless_gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn held(interface: u32, way: Way) -> io::Result<Held> {
    let bodies = filters(interface, way)?;
    let ours = bodies.iter().find_map(|body| {
        let header = TcHeader::parse(body).ok()?;
        (u32::from(header.handle) == HANDLE && header.info >> 16 == u32::from(PRIORITY)).then_some(body)
    });
    let Some(body) = ours else { return Ok(Held::Nothing) };
    let options = attribute(body.get(HEADER..).unwrap_or_default(), OPTIONS).unwrap_or_default();
    let name = attribute(&options, NAME).unwrap_or_default();
    let program = attribute(&options, PROGRAM).and_then(|id| id.first_chunk().copied());
    Ok(match program.map(u32::from_ne_bytes) {
        Some(program) if name.starts_with(OURS) => Held::Ours(Filter { program }),
        _ => Held::Others,
    })
}

/// The bodies of the filters that are there.
fn filters(interface: u32, way: Way) -> io::Result<Vec<Vec<u8>>> {
    let bodies = netlink::list(RouteNetlinkMessage::GetTrafficFilter(message(interface, way)));
    match bodies {
        // No queueing discipline, or no interface.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV | libc::ENOENT)) => {
            Ok(Vec::new())
        }
        // Each priority is told by itself, without a handle, beside its filters.
        bodies => Ok(bodies?
            .into_iter()
            .filter(|body| TcHeader::parse(body).is_ok_and(|header| u32::from(header.handle) != 0))
            .collect()),
    }
}

/// What stands at the place of `clsact`, if anything does.
fn kind_of_qdisc(interface: u32) -> io::Result<Option<String>> {
    let bodies =
        netlink::list(RouteNetlinkMessage::GetQueueDiscipline(TcMessage::with_index(number(interface))))?;
    let there = bodies.iter().find(|body| {
        TcHeader::parse(body)
            .is_ok_and(|header| header.index == number(interface) && header.parent == TcHandle::CLSACT)
    });
    let kind = there.and_then(|body| attribute(body.get(HEADER..).unwrap_or_default(), KIND));
    Ok(kind.map(|kind| String::from_utf8_lossy(&kind).trim_end_matches('\0').to_owned()))
}

fn qdisc(interface: u32) -> TcMessage {
    let mut message = TcMessage::with_index(number(interface));
    message.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
    message.header.parent = TcHandle::CLSACT;
    message.attributes = vec![TcAttribute::Kind(CLSACT.to_owned())];
    message
}

fn message(interface: u32, way: Way) -> TcMessage {
    let mut message = TcMessage::with_index(number(interface));
    message.header.parent = way.parent();
    message
}

/// Our priority, for packets of every protocol.
fn info() -> u32 {
    u32::from(PRIORITY) << 16 | u32::from(EVERY_PROTOCOL.to_be())
}

fn number(interface: u32) -> i32 {
    i32::try_from(interface).unwrap_or(i32::MAX)
}

/// The value of the first attribute of a kind; what others wrote may be of any form.
fn attribute(bytes: &[u8], kind: u16) -> Option<Vec<u8>> {
    NlasIterator::new(bytes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == kind)
        .map(|attribute| attribute.value().to_vec())
}

const BPF: &str = "bpf";
const CLSACT: &str = "clsact";
/// What the names of our programs begin with.
const OURS: &[u8] = b"ssh_guard_";
/// `ETH_P_ALL` of `linux/if_ether.h`.
const EVERY_PROTOCOL: u16 = 3;
/// Bytes of `struct tcmsg`.
const HEADER: usize = 20;
/// `TCA_KIND` and `TCA_OPTIONS` of `linux/rtnetlink.h`; `TCA_BPF_NAME` and `TCA_BPF_ID` of `linux/pkt_cls.h`.
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const NAME: u16 = 7;
const PROGRAM: u16 = 11;
