//! IPv4, RFC 791.

use super::{Bytes, Doubt, Ports, Reading, Stretch, TCP, tcp};
use crate::source::Source;

/// Reads an IPv4 packet that starts at `offset`.
#[inline(always)]
pub(super) fn read(frame: &impl Bytes, offset: usize, ports: &impl Ports) -> Reading {
    let Some(header) = frame.stretch::<HEADER>(offset) else { return Reading::Elsewhere };
    // The kernel discards another version, and a header that says it is shorter than the fixed part
    // (`ip_rcv_core` in net/ipv4/ip_input.c).
    let first = header.byte::<0>();
    let header_length = usize::from(first & 0x0f) * 4;
    if header.byte::<PROTOCOL>() != TCP || first >> 4 != 4 || header_length < HEADER {
        return Reading::Elsewhere;
    }
    let source = Source::from_v4(header.word::<SOURCE>());
    if header.short::<FRAGMENT>() & FRAGMENT_OFFSET != 0 {
        return Reading::Uncertain(Doubt { source, later_fragment: true });
    }
    let segment_length = usize::from(header.short::<LENGTH>()).saturating_sub(header_length);
    tcp::read(frame, offset + header_length, tcp::Carrier { source, segment_length }, ports)
}

/// The fixed part of the header, in bytes.
const HEADER: usize = 20;
/// The bits of the flags word that say where in the datagram a fragment lies.
const FRAGMENT_OFFSET: u16 = 0x1fff;

const LENGTH: usize = 2;
const FRAGMENT: usize = 6;
const PROTOCOL: usize = 9;
const SOURCE: usize = 12;
