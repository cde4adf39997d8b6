//! IPv4, RFC 791.

use super::tcp::{Carrier, Ends};
use super::{Bytes, Doubt, Ports, Reading, Stretch, TCP, tcp};
use crate::source::Source;

/// Reads an IPv4 packet that starts at `offset`.
#[inline(always)]
pub(super) fn read<P: Ports>(frame: &impl Bytes, offset: usize, ports: &P) -> Reading {
    let Some(header) = frame.stretch::<HEADER>(offset) else { return Reading::Elsewhere };
    if !carries_tcp(header) {
        return Reading::Elsewhere;
    }
    let ends = Ends::of::<P>(
        Source::from_v4(header.word::<SOURCE>()),
        Source::from_v4(header.word::<DESTINATION>()),
    );
    if header.short::<FRAGMENT>() & FRAGMENT_OFFSET != 0 {
        return Reading::Uncertain(Doubt { source: ends.source, later_fragment: true });
    }
    let header_length = header_length(header);
    let segment_length = usize::from(header.short::<LENGTH>()).saturating_sub(header_length);
    tcp::read(frame, offset + header_length, Carrier { ends, segment_length }, ports)
}

/// Reads no more than the source of an IPv4 packet that may be TCP.
#[inline(always)]
pub(super) fn source(frame: &impl Bytes, offset: usize) -> Option<Source> {
    let header = frame.stretch::<HEADER>(offset)?;
    carries_tcp(header).then(|| Source::from_v4(header.word::<SOURCE>()))
}

/// Whether this is the header of a TCP segment.
#[inline(always)]
fn carries_tcp(header: impl Stretch) -> bool {
    // The kernel discards another version, and a header that says it is shorter than the fixed part
    // (`ip_rcv_core` in net/ipv4/ip_input.c).
    header.byte::<PROTOCOL>() == TCP && header.byte::<0>() >> 4 == 4 && header_length(header) >= HEADER
}

#[inline(always)]
fn header_length(header: impl Stretch) -> usize {
    usize::from(header.byte::<0>() & 0x0f) * 4
}

/// The fixed part of the header, in bytes.
const HEADER: usize = 20;
/// The bits of the flags word that say where in the datagram a fragment lies.
const FRAGMENT_OFFSET: u16 = 0x1fff;

const LENGTH: usize = 2;
const FRAGMENT: usize = 6;
const PROTOCOL: usize = 9;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
