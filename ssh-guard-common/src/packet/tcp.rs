//! TCP, RFC 9293.

use super::{Bytes, Doubt, Ports, Reading, Stretch, Way};
use crate::source::Source;

/// A TCP segment to a guarded port, or from one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The client's address.
    pub source: Source,
    /// The client's port.
    pub source_port: u16,
    /// The server's address.
    pub server: Source,
    /// The guarded port.
    pub port: u16,
    /// The flags that are set.
    pub flags: Flags,
    /// The number of its first byte (RFC 9293 §3.4).
    pub sequence: u32,
    /// Bytes of payload, as the IP header tells them.
    pub payload: usize,
}

/// The flags of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags(pub u8);

impl Flags {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// Whether the segment asks for a new session: SYN without ACK, whatever else is set. Linux accepts a SYN that
    /// comes with PSH, URG or ECN flags (`tcp_rcv_state_process` in `net/ipv4/tcp_input.c`).
    #[inline(always)]
    #[must_use]
    pub const fn opens_session(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether the segment belongs to a handshake.
    #[inline(always)]
    #[must_use]
    pub const fn shakes_hands(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// Whether who sent the segment will send nothing after it.
    #[inline(always)]
    #[must_use]
    pub const fn ends_session(self) -> bool {
        self.0 & (Self::FIN | Self::RST) != 0
    }
}

/// What the IP header said of the segment.
#[derive(Clone, Copy)]
pub(super) struct Carrier {
    pub(super) ends: Ends,
    pub(super) segment_length: usize,
}

/// The addresses of a packet's two ends.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) source: Source,
    pub(super) server: Source,
}

impl Ends {
    /// Tells the ends of a packet from one address to another.
    #[inline(always)]
    pub(super) fn of<P: Ports>(from: Source, to: Source) -> Self {
        match P::WAY {
            Way::ToServer => Self { source: from, server: to },
            Way::FromServer => Self { source: to, server: from },
        }
    }
}

/// Reads a TCP header that starts at `offset`.
#[inline(always)]
pub(super) fn read<P: Ports>(frame: &impl Bytes, offset: usize, carrier: Carrier, ports: &P) -> Reading {
    let Carrier { ends: Ends { source, server }, segment_length } = carrier;
    let uncertain = Reading::Uncertain(Doubt { source, later_fragment: false });
    // Behind the packet's end stands what nobody but this program reads.
    if segment_length < PORTS {
        return uncertain;
    }
    let Some(both) = frame.stretch::<PORTS>(offset) else { return uncertain };
    let (source_port, port) = ends::<P>(both.short::<0>(), both.short::<2>());
    if !ports.guard(port) {
        return Reading::Elsewhere;
    }
    let port = frame.joined_port(port);
    // A first fragment may hold the ports and not the flags.
    if segment_length < DATA_OFFSET + 2 {
        return uncertain;
    }
    let Some(rest) = frame.stretch::<{ DATA_OFFSET + 2 - PORTS }>(offset + PORTS) else { return uncertain };
    Reading::Guarded(Segment {
        source,
        source_port,
        server,
        port,
        flags: Flags(rest.byte::<{ FLAGS - PORTS }>()),
        sequence: u32::from_be(rest.word::<{ SEQUENCE - PORTS }>()),
        payload: segment_length.saturating_sub(usize::from(rest.byte::<{ DATA_OFFSET - PORTS }>() >> 4) * 4),
    })
}

/// Tells the client's port and the server's, in a segment from one port to another.
#[inline(always)]
pub(super) fn ends<P: Ports>(from: u16, to: u16) -> (u16, u16) {
    match P::WAY {
        Way::ToServer => (from, to),
        Way::FromServer => (to, from),
    }
}

/// The two ports, in bytes.
const PORTS: usize = 4;
/// Where in the header the number of the first byte stands.
const SEQUENCE: usize = 4;
/// Where in the header the length of the header stands.
const DATA_OFFSET: usize = 12;
/// Where the flags stand.
const FLAGS: usize = 13;
