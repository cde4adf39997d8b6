//! IPv6 and its extension headers, RFC 8200.

use super::{Bytes, Doubt, MAX_EXTENSIONS, Ports, Reading, Stretch, TCP, tcp};
use crate::source::Source;

/// Reads an IPv6 packet that starts at `offset`.
#[inline(always)]
pub(super) fn read(frame: &impl Bytes, offset: usize, ports: &impl Ports) -> Reading {
    let Some(header) = frame.stretch::<HEADER>(offset) else { return Reading::Elsewhere };
    let mut next = header.byte::<NEXT>();
    // Most IPv6 packets are neither TCP nor behind an extension header: they leave before the address is read.
    if header.byte::<0>() >> 4 != 6 || (next != TCP && !extends(next)) {
        return Reading::Elsewhere;
    }
    let source = Source::from_v6([
        header.word::<SOURCE>(),
        header.word::<{ SOURCE + 4 }>(),
        header.word::<{ SOURCE + 8 }>(),
        header.word::<{ SOURCE + 12 }>(),
    ]);
    let uncertain = Reading::Uncertain(Doubt { source, later_fragment: false });

    let mut remaining = usize::from(header.short::<LENGTH>());
    let mut offset = offset + HEADER;
    for _ in 0..=MAX_EXTENSIONS {
        if next == TCP {
            return tcp::read(frame, offset, tcp::Carrier { source, segment_length: remaining }, ports);
        }
        if !extends(next) {
            return Reading::Elsewhere;
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
        offset += header_length;
        remaining = remaining.saturating_sub(header_length);
    }
    uncertain
}

/// Whether a header of this number is followed by another one on the way to TCP.
#[inline(always)]
fn extends(header: u8) -> bool {
    matches!(header, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS)
}

/// The fixed header, in bytes.
const HEADER: usize = 40;
const LENGTH: usize = 4;
const NEXT: usize = 6;
const SOURCE: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
/// RFC 4302; its length counts in units of 4 bytes.
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The bits of a fragment header's third and fourth byte that say where in the packet the fragment lies.
const FRAGMENT_OFFSET: u16 = 0xfff8;
