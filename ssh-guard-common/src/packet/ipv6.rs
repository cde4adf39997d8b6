//! IPv6 and its extension headers, RFC 8200.

use super::tcp::{Carrier, Ends};
use super::{Bytes, Doubt, MAX_EXTENSIONS, Ports, Reading, Stretch, TCP, tcp};
use crate::source::Source;

/// Reads an IPv6 packet that starts at `offset`.
#[inline(always)]
pub(super) fn read<P: Ports>(frame: &impl Bytes, offset: usize, ports: &P) -> Reading {
    let Some(header) = frame.stretch::<HEADER>(offset) else { return Reading::Elsewhere };
    // Most IPv6 packets are neither TCP nor behind an extension header: they leave before the address is read.
    if !may_carry_tcp(header) {
        return Reading::Elsewhere;
    }
    let mut next = header.byte::<NEXT>();
    let ends = Ends::of::<P>(source_in(header), destination_in(header));
    let source = ends.source;
    let uncertain = Reading::Uncertain(Doubt { source, later_fragment: false });

    // What lies in the frame behind the packet's end is cut off by the kernel (`ip6_rcv_core` in
    // net/ipv6/ip6_input.c): in a first fragment, where the next one goes on, it would only pretend to be the headers
    // that follow. A length of 0 behind hop-by-hop options cuts nothing off; that is uncertain too.
    let mut remaining = usize::from(header.short::<LENGTH>());
    let mut offset = offset + HEADER;
    for _ in 0..=MAX_EXTENSIONS {
        if next == TCP {
            return tcp::read(frame, offset, Carrier { ends, segment_length: remaining }, ports);
        }
        if !extends(next) {
            return Reading::Elsewhere;
        }
        if remaining < SHORTEST_EXTENSION {
            return uncertain;
        }
        let Some(extension) = frame.stretch::<4>(offset) else { return uncertain };
        let after = extension.byte::<0>();
        let length = usize::from(extension.byte::<1>());
        let header_length = match next {
            FRAGMENT => {
                if extension.short::<2>() & FRAGMENT_OFFSET != 0 {
                    // What follows is a piece from the middle; `after` tells how the whole begins.
                    if after != TCP && !extends(after) {
                        return Reading::Elsewhere;
                    }
                    return Reading::Uncertain(Doubt { source, later_fragment: true });
                }
                8
            }
            AUTHENTICATION => (length + 2) * 4,
            _ => (length + 1) * 8,
        };
        next = after;
        offset = frame.joined(offset + header_length);
        remaining = remaining.saturating_sub(header_length);
    }
    uncertain
}

/// Reads no more than the source of an IPv6 packet that may be TCP.
#[inline(always)]
pub(super) fn source(frame: &impl Bytes, offset: usize) -> Option<Source> {
    let header = frame.stretch::<HEADER>(offset)?;
    may_carry_tcp(header).then(|| source_in(header))
}

#[inline(always)]
fn may_carry_tcp(header: impl Stretch) -> bool {
    let next = header.byte::<NEXT>();
    header.byte::<0>() >> 4 == 6 && (next == TCP || extends(next))
}

#[inline(always)]
fn source_in(header: impl Stretch) -> Source {
    Source::from_v6([
        header.word::<SOURCE>(),
        header.word::<{ SOURCE + 4 }>(),
        header.word::<{ SOURCE + 8 }>(),
        header.word::<{ SOURCE + 12 }>(),
    ])
}

#[inline(always)]
fn destination_in(header: impl Stretch) -> Source {
    Source::from_v6([
        header.word::<DESTINATION>(),
        header.word::<{ DESTINATION + 4 }>(),
        header.word::<{ DESTINATION + 8 }>(),
        header.word::<{ DESTINATION + 12 }>(),
    ])
}

/// Whether a header of this number is followed by another one on the way to TCP.
#[inline(always)]
fn extends(header: u8) -> bool {
    matches!(header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// The fixed header, in bytes.
const HEADER: usize = 40;
/// No extension header has fewer bytes (RFC 8200 §4).
const SHORTEST_EXTENSION: usize = 8;
const LENGTH: usize = 4;
const NEXT: usize = 6;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
/// RFC 4302; its length counts in units of 4 bytes.
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The bits of a fragment header's third and fourth byte that say where in the packet the fragment lies.
const FRAGMENT_OFFSET: u16 = 0xfff8;
