//! What most packets are: IPv4 without options right behind Ethernet. Everything stands at a place that is known when this
//! is compiled, which spares each packet of the machine half of what reading it costs.

use super::tcp::{Ends, ends};
use super::{Bytes, Flags, IPV4, Ports, Reading, Segment, Stretch, TCP};
use crate::packet::bytes::Divisible;
use crate::source::Source;

/// Reads such a frame; nothing of any other one, which is no statement about it.
#[inline(always)]
pub(super) fn read<B>(frame: &B, ports: &impl Ports) -> Option<Reading>
where
    B: Bytes<Stretch<HEADERS>: Divisible>,
{
    let headers = frame.stretch::<HEADERS>(0)?;
    if headers.short::<ETHERTYPE>() != IPV4 {
        return None;
    }
    read_headers(frame, headers.behind::<ETHERNET>(), ports)
}

/// The same of a packet that has nothing in front of its IPv4 header.
#[inline(always)]
pub(super) fn read_bare(packet: &impl Bytes, ports: &impl Ports) -> Option<Reading> {
    read_headers(packet, packet.stretch::<{ IP + LEAST_TCP }>(0)?, ports)
}

#[inline(always)]
fn read_headers<P: Ports>(packet: &impl Bytes, headers: impl Stretch, ports: &P) -> Option<Reading> {
    if headers.byte::<VERSION_AND_LENGTH>() != WITHOUT_OPTIONS {
        return None;
    }
    if headers.byte::<PROTOCOL>() != TCP {
        return Some(Reading::Elsewhere);
    }
    let length = usize::from(headers.short::<LENGTH>());
    if headers.short::<FRAGMENT>() & FRAGMENT_OFFSET != 0 || length < IP + LEAST_TCP {
        return None;
    }
    let (source_port, port) = ends::<P>(headers.short::<FROM_PORT>(), headers.short::<TO_PORT>());
    if !ports.guard(port) {
        return Some(Reading::Elsewhere);
    }
    let port = packet.joined_port(port);
    let Ends { source, server } =
        Ends::of::<P>(Source::from_v4(headers.word::<FROM>()), Source::from_v4(headers.word::<TO>()));
    Some(Reading::Guarded(Segment {
        source,
        source_port,
        server,
        port,
        flags: Flags(headers.byte::<FLAGS>()),
        sequence: u32::from_be(headers.word::<SEQUENCE>()),
        payload: (length - IP).saturating_sub(usize::from(headers.byte::<DATA_OFFSET>() >> 4) * 4),
    }))
}

/// Bytes of the headers of Ethernet, of IPv4 without options, and of TCP without options.
const ETHERNET: usize = 14;
const IP: usize = 20;
const LEAST_TCP: usize = 20;
pub(super) const HEADERS: usize = ETHERNET + IP + LEAST_TCP;

const ETHERTYPE: usize = 12;

// From the IPv4 header on.
const VERSION_AND_LENGTH: usize = 0;
/// Version 4, and a header of five words.
const WITHOUT_OPTIONS: u8 = 0x45;
const LENGTH: usize = 2;
const FRAGMENT: usize = 6;
/// The bits of the flags word that say where in the datagram a fragment lies.
const FRAGMENT_OFFSET: u16 = 0x1fff;
const PROTOCOL: usize = 9;
const FROM: usize = 12;
const TO: usize = 16;
const FROM_PORT: usize = IP;
const TO_PORT: usize = IP + 2;
const SEQUENCE: usize = IP + 4;
const DATA_OFFSET: usize = IP + 12;
const FLAGS: usize = IP + 13;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::read_any;

    struct Port22;

    impl Ports for Port22 {
        fn guard(&self, port: u16) -> bool {
            port == 22
        }
    }

    /// A SYN to port 22, with 6 bytes behind it.
    fn frame() -> [u8; HEADERS + 6] {
        let mut frame = [0; HEADERS + 6];
        frame[ETHERTYPE] = 0x08;
        frame[ETHERNET + VERSION_AND_LENGTH] = WITHOUT_OPTIONS;
        frame[ETHERNET + LENGTH + 1] = 46;
        frame[ETHERNET + PROTOCOL] = TCP;
        frame[ETHERNET + FROM..][..4].copy_from_slice(&[203, 0, 113, 7]);
        frame[ETHERNET + FROM_PORT] = 0x9c;
        frame[ETHERNET + TO_PORT + 1] = 22;
        frame[ETHERNET + DATA_OFFSET] = 0x50;
        frame[ETHERNET + FLAGS] = 0x02;
        frame
    }

    #[test]
    fn a_plain_packet_is_read_by_the_short_way() {
        assert!(
            matches!(read(&&frame()[..], &Port22), Some(Reading::Guarded(segment)) if segment.payload == 6)
        );
        assert_eq!(read(&&frame()[..HEADERS - 1], &Port22), None);
    }

    #[test]
    fn the_short_way_says_what_the_long_one_does_of_every_packet_that_differs_in_two_bytes_and_of_every_cut()
    {
        let mut taken = 0;
        for first in 0..HEADERS {
            for second in first..HEADERS {
                for value in [0, 1, 2, 5, 6, 20, 22, 0x1f, 0x20, 0x40, 0x45, 0x46, 0x60, 0xff] {
                    let mut frame = frame();
                    frame[first] = value;
                    frame[second] ^= value;
                    if let Some(reading) = read(&&frame[..], &Port22) {
                        assert_eq!(reading, read_any(&&frame[..], &Port22), "{first} {second} {value:#x}");
                        taken += 1;
                    }
                }
            }
        }
        assert!(taken > 10_000, "{taken}");
        for cut in 0..=HEADERS + 6 {
            let frame = frame();
            if let Some(reading) = read(&&frame[..cut], &Port22) {
                assert_eq!(reading, read_any(&&frame[..cut], &Port22), "{cut}");
            }
        }
    }
}
