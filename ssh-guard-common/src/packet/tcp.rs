//! TCP, RFC 9293.

use super::{Bytes, Doubt, Ports, Reading, Stretch};
use crate::source::Source;

/// A TCP segment to a guarded port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Who sent it.
    pub source: Source,
    /// The client's port.
    pub source_port: u16,
    /// The guarded port.
    pub port: u16,
    /// The flags that are set.
    pub flags: Flags,
    /// Bytes of payload, as the IP header tells them.
    pub payload: usize,
}

/// The flags of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub u8);

impl Flags {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    /// Whether the segment asks for a new session: SYN without ACK, whatever else is set. Linux accepts a SYN that
    /// comes with PSH, URG or ECN flags (`tcp_rcv_state_process` in `net/ipv4/tcp_input.c`).
    #[inline(always)]
    #[must_use]
    pub const fn opens_session(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }
}

/// What the IP header said of the segment.
#[derive(Clone, Copy)]
pub(super) struct Carrier {
    pub(super) source: Source,
    pub(super) segment_length: usize,
}

/// Reads a TCP header that starts at `offset`.
#[inline(always)]
pub(super) fn read(frame: &impl Bytes, offset: usize, carrier: Carrier, ports: &impl Ports) -> Reading {
    let Carrier { source, segment_length } = carrier;
    let uncertain = Reading::Uncertain(Doubt { source, later_fragment: false });
    // Behind the packet's end stands what nobody but this program reads.
    if segment_length < PORTS {
        return uncertain;
    }
    let Some(both) = frame.stretch::<4>(offset) else { return uncertain };
    let port = both.short::<2>();
    if !ports.guard(port) {
        return Reading::Elsewhere;
    }
    // A first fragment may hold the ports and not the flags.
    if segment_length < DATA_OFFSET + 2 {
        return uncertain;
    }
    let Some(rest) = frame.stretch::<2>(offset + DATA_OFFSET) else { return uncertain };
    Reading::Guarded(Segment {
        source,
        source_port: both.short::<0>(),
        port,
        flags: Flags(rest.byte::<1>()),
        payload: segment_length.saturating_sub(usize::from(rest.byte::<0>() >> 4) * 4),
    })
}

/// The two ports, in bytes.
const PORTS: usize = 4;
/// Where in the header the length of the header stands; the flags follow.
const DATA_OFFSET: usize = 12;
