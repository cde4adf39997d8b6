//! Reads one packet, once: the very same code runs in XDP, in TC, and over a slice on the host.

mod bytes;
mod ipv4;
mod ipv6;
mod plain;
mod tcp;

pub use bytes::{Bytes, Divisible, Stretch};
pub use tcp::{Flags, Segment};

use crate::source::Source;

/// How many VLAN tags are looked behind for the port. 802.1Q inside 802.1ad makes two; there is slack.
pub const MAX_VLAN_TAGS: usize = 8;

/// How many VLAN tags are looked behind for the source: Linux takes off any number of nested priority tags on its way
/// to the socket (`__netif_receive_skb_core` in net/core/dev.c). These fill 4096 bytes, which is more than Ethernet's
/// 1500 or a driver's first buffer hold.
pub const MAX_BURYING_TAGS: usize = 1024;

/// How many IPv6 extension headers are looked behind; a longer chain is [uncertain](Reading::Uncertain).
pub const MAX_EXTENSIONS: usize = 6;

/// What a packet turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// Certainly not TCP to a guarded port.
    Elsewhere,
    /// TCP to a guarded port, or from one.
    Guarded(Segment),
    /// Built so that the port cannot be read: it may be TCP to a guarded port.
    Uncertain(Doubt),
}

/// A packet whose port cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// The client's address.
    pub source: Source,
    /// Whether it is a fragment other than the first, which by itself opens no session.
    pub later_fragment: bool,
}

/// The ports that are guarded.
pub trait Ports {
    /// Which way the packets go that are read.
    const WAY: Way = Way::ToServer;

    /// Whether TCP to this port is guarded.
    fn guard(&self, port: u16) -> bool;
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// From a client to a guarded port.
    ToServer,
    /// From a guarded port to a client.
    FromServer,
}

/// Reads a frame that starts with an Ethernet header.
#[inline(always)]
pub fn read<B>(frame: &B, ports: &impl Ports) -> Reading
where
    B: Bytes<Stretch<{ plain::HEADERS }>: Divisible>,
{
    match plain::read(frame, ports) {
        Some(reading) => reading,
        None => read_any(frame, ports),
    }
}

/// Reads a packet that starts behind what said that it is of this `EtherType`.
#[inline(always)]
pub fn read_bare(packet: &impl Bytes, ethertype: u16, ports: &impl Ports) -> Reading {
    if ethertype == IPV4
        && let Some(reading) = plain::read_bare(packet, ports)
    {
        return reading;
    }
    match ethertype {
        IPV4 => ipv4::read(packet, 0, ports),
        IPV6 => ipv6::read(packet, 0, ports),
        VLAN | SERVICE_VLAN => read_tagged(packet, TAG_CONTROL, ports),
        _ => Reading::Elsewhere,
    }
}

/// The same, whatever headers there are.
#[inline(always)]
fn read_any(frame: &impl Bytes, ports: &impl Ports) -> Reading {
    read_tagged(frame, ETHERNET_ADDRESSES, ports)
}

/// The same from an `EtherType` at `offset` on.
#[inline(always)]
fn read_tagged(frame: &impl Bytes, mut offset: usize, ports: &impl Ports) -> Reading {
    for _ in 0..=MAX_VLAN_TAGS {
        let Some(ethertype) = frame.stretch::<2>(offset) else { return Reading::Elsewhere };
        offset += 2;
        match ethertype.short::<0>() {
            IPV4 => return ipv4::read(frame, offset, ports),
            IPV6 => return ipv6::read(frame, offset, ports),
            VLAN | SERVICE_VLAN => offset = frame.joined(offset + TAG_CONTROL),
            _ => return Reading::Elsewhere,
        }
    }
    read_buried(frame, offset)
}

/// Reads no more than the source of what lies behind more than [`MAX_VLAN_TAGS`] tags, the next of which may stand at
/// `offset`.
#[inline(always)]
fn read_buried(frame: &impl Bytes, mut offset: usize) -> Reading {
    for _ in 0..(MAX_BURYING_TAGS - MAX_VLAN_TAGS) / TAGS_AT_ONCE - 1 {
        match frame.stretch::<{ TAGS_AT_ONCE * TAG }>(offset) {
            Some(stretch) if has_tags_alone(stretch) => offset += TAGS_AT_ONCE * TAG,
            _ => break,
        }
    }
    // The way to the port is not taken from here: the verifier would go it once for each number of tags.
    let mut offset = frame.joined(offset);
    let mut source = None;
    for _ in 0..TAGS_AT_ONCE {
        let Some(ethertype) = frame.stretch::<2>(offset) else { break };
        offset += 2;
        match ethertype.short::<0>() {
            VLAN | SERVICE_VLAN => offset += TAG_CONTROL,
            IPV4 => {
                source = ipv4::source(frame, offset);
                break;
            }
            IPV6 => {
                source = ipv6::source(frame, offset);
                break;
            }
            _ => break,
        }
    }
    match source {
        Some(source) => Reading::Uncertain(Doubt { source, later_fragment: false }),
        None => Reading::Elsewhere,
    }
}

/// Whether a stretch has nothing but tags.
#[inline(always)]
fn has_tags_alone(stretch: impl Stretch) -> bool {
    // A product is 0 where a factor is: one branch for all of them is what the verifier can go hundreds of times.
    let other = |ethertype: u16| u64::from(ethertype ^ VLAN) * u64::from(ethertype ^ SERVICE_VLAN);
    let mut others = 0;
    macro_rules! look {
        ($($tag:literal)*) => { $(others |= other(stretch.short::<{ $tag * TAG }>());)* };
    }
    look!(0 1 2 3 4 5 6 7);
    others == 0
}

/// How many tags of a pile are looked at in one go.
const TAGS_AT_ONCE: usize = 8;

/// Destination and source address of a frame.
const ETHERNET_ADDRESSES: usize = 12;
/// Priority and number of a VLAN, between one `EtherType` and the next.
const TAG_CONTROL: usize = 2;
/// A tag, with the `EtherType` that announces it.
const TAG: usize = 2 + TAG_CONTROL;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// 802.1Q.
const VLAN: u16 = 0x8100;
/// 802.1ad.
const SERVICE_VLAN: u16 = 0x88a8;

/// TCP's protocol number, in IPv4 and IPv6.
const TCP: u8 = 6;
