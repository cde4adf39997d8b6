//! Packets.

use ssh_guard_common::packet::{MAX_VLAN_TAGS, Ports, Reading, Way, read, read_bare};

struct Guarded;

struct Answered;

impl Ports for Guarded {
    fn guard(&self, port: u16) -> bool {
        port == 22 || port == 2222
    }
}

impl Ports for Answered {
    const WAY: Way = Way::FromServer;

    fn guard(&self, port: u16) -> bool {
        port == 22 || port == 2222
    }
}

/// Reads a frame, on its way in and out; with and without Ethernet header it is the same, and behind a VLAN tag.
pub fn frame(frame: &[u8]) {
    read_all_ways(frame, &Guarded);
    read_all_ways(frame, &Answered);
}

fn read_all_ways(frame: &[u8], ports: &impl Ports) {
    let reading = read(&frame, ports);
    let Some((addresses, rest)) = frame.split_at_checked(12) else {
        return assert_eq!(reading, Reading::Elsewhere);
    };
    let Some((ethertype, packet)) = rest.split_first_chunk() else {
        return assert_eq!(reading, Reading::Elsewhere);
    };
    let ethertype = u16::from_be_bytes(*ethertype);
    // Of a pile of tags the first one is not counted where it was taken off before.
    if tags(rest) <= MAX_VLAN_TAGS {
        assert_eq!(read_bare(&packet, ethertype, ports), reading, "without Ethernet header");
    }
    if tags(rest) == 0 {
        for tag in [[0x81, 0, 0, 7], [0x88, 0xa8, 0xe0, 0]] {
            let tagged = [addresses, &tag, rest].concat();
            assert_eq!(read(&&tagged[..], ports), reading, "behind a tag");
        }
    }
    if let Reading::Guarded(segment) = reading {
        assert!(ports.guard(segment.port) && segment.payload <= usize::from(u16::MAX));
    }
}

/// How many VLAN tags stand in front of a packet.
fn tags(packet: &[u8]) -> usize {
    packet.chunks(4).take_while(|tag| matches!(tag, [0x81, 0, ..] | [0x88, 0xa8, ..])).count()
}
