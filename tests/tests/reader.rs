//! What the packet reader makes of frames.

use proptest::prelude::*;
use ssh_guard_common::packet::{
    self as reader, Doubt, MAX_BURYING_TAGS, MAX_EXTENSIONS, MAX_VLAN_TAGS, Ports, Reading,
};
use ssh_guard_tests::packet::{self, Extension, Packet};
use ssh_guard_tests::programs::source_of;

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";
const SYN: u8 = 0x02;

struct Guarded<'a>(&'a [u16]);

impl Ports for Guarded<'_> {
    fn guard(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    Elsewhere,
    /// Flags and payload length.
    Guarded(u8, usize),
    Uncertain,
    LaterFragment,
}
use Expected::{Elsewhere, LaterFragment, Uncertain};

fn read(frame: &[u8]) -> Reading {
    reader::read(&frame, &Guarded(&[22]))
}

#[track_caller]
fn check(name: &str, packet: &Packet, source: &str, expected: Expected) {
    assert_eq!(simplified(read(&packet.to_bytes()), source), expected, "{name}");
}

/// Checks who is said to have sent it, and leaves that out.
#[track_caller]
fn simplified(reading: Reading, source: &str) -> Expected {
    match reading {
        Reading::Elsewhere => Elsewhere,
        Reading::Guarded(segment) => {
            assert_eq!((segment.source, segment.source_port, segment.port), (source_of(source), 40_000, 22));
            Expected::Guarded(segment.flags.0, segment.payload)
        }
        Reading::Uncertain(doubt) => {
            assert_eq!(doubt.source, source_of(source));
            if doubt.later_fragment { LaterFragment } else { Uncertain }
        }
    }
}

fn v4() -> Packet {
    packet::v4(V4).tcp(22).syn()
}

fn v6() -> Packet {
    packet::v6(V6).tcp(22).syn()
}

fn tagged(packet: Packet, tags: usize) -> Packet {
    (0..tags).fold(packet, |packet, _| packet.vlan(0))
}

fn extended(headers: usize) -> Packet {
    (0..headers).fold(v6(), |packet, _| packet.destination_options())
}

#[test]
fn a_segment_is_read_behind_any_tags_and_options() {
    let plain = Expected::Guarded(SYN, 0);
    for (packet, source) in [(v4(), V4), (v6(), V6)] {
        check("plain", &packet, source, plain);
        check("one tag", &packet.clone().vlan(5), source, plain);
        check("two tags", &packet.clone().vlan(5).vlan(6), source, plain);
        check("802.1ad", &packet.clone().provider_vlan(5).vlan(6), source, plain);
        check("802.1ad inside", &packet.clone().vlan(0).provider_vlan(0), source, plain);
        check("padded", &packet.clone().padded(90), source, plain);
        check("TCP options", &packet.clone().tcp_options(40), source, plain);
    }
    for bytes in (0..=40).step_by(4) {
        check("IPv4 options", &v4().options(bytes), V4, plain);
    }
}

#[test]
fn tags_are_looked_behind_for_the_port_and_deeper_for_the_source_only() {
    let (slack, deepest) = (MAX_VLAN_TAGS, MAX_BURYING_TAGS);
    for (packet, source) in [(v4(), V4), (v6(), V6)] {
        check("the last for the port", &tagged(packet.clone(), slack), source, Expected::Guarded(SYN, 0));
        check("one more", &tagged(packet.clone(), slack + 1), source, Uncertain);
        check("the last for the source", &tagged(packet.clone(), deepest), source, Uncertain);
        check("one more than that", &tagged(packet, deepest + 1), source, Elsewhere);
    }
    for packet in [packet::v4(V4).udp(22), packet::v6(V6).echo(), packet::arp(V4)] {
        check("no TCP", &tagged(packet, slack + 1), V4, Elsewhere);
    }
}

#[test]
fn flags_and_payload_are_told() {
    for (packet, source) in [(v4(), V4), (v6(), V6)] {
        check("SYN, ACK", &packet.clone().ack(), source, Expected::Guarded(0x12, 0));
        check("ECN", &packet.clone().flags(0xc0), source, Expected::Guarded(0xc2, 0));
        check("PSH, URG", &packet.clone().flags(0x28), source, Expected::Guarded(0x2a, 0));
        check("data", &packet.clone().payload(b"hello"), source, Expected::Guarded(SYN, 5));
        check(
            "data, padded",
            &packet.clone().payload(b"hello").padded(99),
            source,
            Expected::Guarded(SYN, 5),
        );
        check("a header too long", &packet.data_offset(15).payload(b"x"), source, Expected::Guarded(SYN, 0));
    }
    for flags in 0..=u8::MAX {
        let Reading::Guarded(segment) = read(&packet::v4(V4).tcp(22).flags(flags).to_bytes()) else {
            panic!()
        };
        assert_eq!(segment.flags.opens_session(), flags & SYN != 0 && flags & 0x10 == 0, "{flags:#x}");
    }
}

#[test]
fn what_is_not_tcp_to_a_guarded_port_is_elsewhere() {
    for packet in [packet::v4(V4), packet::v6(V6)] {
        check("another port", &packet.clone().tcp(2222).syn(), V4, Elsewhere);
        check("from port 22", &packet.clone().tcp(40_000).from_port(22).syn().ack(), V4, Elsewhere);
        check("port 0x1600", &packet.clone().tcp(22_u16.swap_bytes()).syn(), V4, Elsewhere);
        check("UDP", &packet.clone().udp(22), V4, Elsewhere);
        check("echo", &packet.clone().echo(), V4, Elsewhere);
        check("ESP", &packet.clone().protocol(50, &[0; 40]), V4, Elsewhere);
        check("another EtherType", &packet.tcp(22).ether_type(0x88cc), V4, Elsewhere);
    }
    check("ARP", &packet::arp(V4), V4, Elsewhere);
    // Neighbour solicitation and advertisement (RFC 4861), whose first bytes are made to look like ports.
    for kind in [135, 136] {
        let mut bytes = vec![kind, 0, 0, 22];
        bytes.resize(24, 0);
        check("neighbour discovery", &packet::v6(V6).protocol(58, &bytes), V6, Elsewhere);
        check("behind options", &packet::v6(V6).hop_by_hop().protocol(58, &bytes), V6, Elsewhere);
    }
}

#[test]
fn every_one_of_sixteen_ports_is_guarded() {
    let ports: Vec<u16> = (0..16).map(|number| 2200 + 7 * number).collect();
    for port in 2190..2320 {
        let frame = packet::v4(V4).tcp(port).syn().to_bytes();
        let guarded =
            matches!(reader::read(&&frame[..], &Guarded(&ports)), Reading::Guarded(s) if s.port == port);
        assert_eq!(guarded, ports.contains(&port), "{port}");
    }
}

#[test]
fn headers_that_the_kernel_discards_are_elsewhere() {
    for words in 0..5 {
        check("a short IPv4 header", &v4().header_words(words), V4, Elsewhere);
    }
    check("IPv4 called IPv6", &v4().ether_type(0x86dd).padded(80), V4, Elsewhere);
    check("IPv6 called IPv4", &v6().ether_type(0x0800), V4, Elsewhere);
}

#[test]
fn ipv4_fragments_are_told_apart() {
    check("the first, whole header", &v4().fragment(0, true), V4, Expected::Guarded(SYN, 0));
    let eight = |port: u8| packet::v4(V4).protocol(6, &[0x9c, 0x40, 0, port, 0, 0, 0, 1]).fragment(0, true);
    check("the first, 8 bytes", &eight(22), V4, Uncertain);
    check("the first, 8 bytes, padded", &eight(22).padded(60), V4, Uncertain);
    check("the first, 8 bytes, another port", &eight(23), V4, Elsewhere);
    for more in [true, false] {
        check("later", &packet::v4(V4).protocol(6, b"anything").fragment(8, more), V4, LaterFragment);
        check("the last place", &packet::v4(V4).protocol(6, b"x").fragment(65528, more), V4, LaterFragment);
        check("later, UDP", &packet::v4(V4).udp(22).fragment(8, more), V4, Elsewhere);
    }
}

#[test]
fn ipv6_fragments_are_told_apart() {
    check("atomic", &v6().fragment(0, false), V6, Expected::Guarded(SYN, 0));
    check("the first", &v6().fragment(0, true), V6, Expected::Guarded(SYN, 0));
    check("the first, UDP", &packet::v6(V6).udp(22).fragment(0, true), V6, Elsewhere);
    check("later", &v6().fragment(8, true), V6, LaterFragment);
    check("the last", &v6().fragment(65528, false), V6, LaterFragment);
    check("later, behind options", &v6().hop_by_hop().fragment(8, false), V6, LaterFragment);
    check("later, of an extension", &v6().fragment(8, false).destination_options(), V6, LaterFragment);
    check("later, UDP", &packet::v6(V6).udp(22).fragment(8, true), V6, Elsewhere);
    check("later, ICMP", &packet::v6(V6).echo().fragment(8, false), V6, Elsewhere);
}

#[test]
fn each_extension_header_is_passed_over_whatever_its_length() {
    let plain = Expected::Guarded(SYN, 0);
    for bytes in (8..=2048).step_by(8) {
        for extension in
            [Extension::HopByHop(bytes), Extension::Routing(bytes), Extension::DestinationOptions(bytes)]
        {
            check("options", &v6().extension(extension), V6, plain);
        }
    }
    for bytes in (12..=1028).step_by(4) {
        check("authentication", &v6().extension(Extension::Authentication(bytes)), V6, plain);
    }
    let all = v6().hop_by_hop().destination_options().routing().fragment(0, false).authentication();
    check("all, and data", &all.destination_options().payload(b"hello"), V6, Expected::Guarded(SYN, 5));
}

#[test]
fn a_chain_of_extensions_is_followed_to_its_bound_and_then_uncertain() {
    check("at the bound", &extended(MAX_EXTENSIONS), V6, Expected::Guarded(SYN, 0));
    for more in [1, 2, 40] {
        check("beyond", &extended(MAX_EXTENSIONS + more), V6, Uncertain);
    }
    let udp = (0..MAX_EXTENSIONS).fold(packet::v6(V6).udp(22), |packet, _| packet.destination_options());
    check("UDP at the bound", &udp, V6, Elsewhere);
    check("UDP beyond", &udp.destination_options(), V6, Uncertain);
}

#[test]
fn bytes_behind_the_end_of_the_packet_are_not_read() {
    // The packet ends with the options; the frame goes on with a segment for another port.
    let mut frame = packet::v6(V6).tcp(80).syn().destination_options().to_bytes();
    assert_eq!(read(&frame), Reading::Elsewhere);
    for length in 0..12_u8 {
        frame[14 + 4..14 + 6].copy_from_slice(&u16::from(length).to_be_bytes());
        assert_eq!(simplified(read(&frame), V6), Uncertain, "{length}");
    }
    let mut without = v6().hop_by_hop().to_bytes();
    without[14 + 4..14 + 6].fill(0);
    assert_eq!(simplified(read(&without), V6), Uncertain);
    for length in 0..20 + 14 {
        let packet = v4().total_length(length);
        check("an IPv4 packet that ends before the flags", &packet, V4, Uncertain);
        let other = packet::v4(V4).tcp(80).total_length(length);
        check("the same, another port", &other, V4, if length < 24 { Uncertain } else { Elsewhere });
    }
    check("with the flags", &v4().total_length(34), V4, Expected::Guarded(SYN, 0));
}

#[test]
fn a_frame_that_is_cut_short_is_elsewhere_only_before_its_source() {
    // Where the fixed IP header ends, and where the flags do.
    let cuts = [
        (v4(), V4, 14 + 20, 14 + 20 + 14),
        (v4().options(40), V4, 14 + 20, 14 + 60 + 14),
        (v4().vlan(5).provider_vlan(6), V4, 22 + 20, 22 + 20 + 14),
        (v6(), V6, 14 + 40, 14 + 40 + 14),
        (v6().hop_by_hop().fragment(0, false).authentication(), V6, 14 + 40, 14 + 40 + 32 + 14),
    ];
    for (packet, source, sender, flags) in cuts {
        for length in 0..=packet.to_bytes().len() {
            let expected = match length {
                _ if length < sender => Elsewhere,
                _ if length < flags => Uncertain,
                _ => Expected::Guarded(SYN, 0),
            };
            check(&format!("{length} bytes"), &packet.clone().truncated(length), source, expected);
        }
    }
    let buried = tagged(v4(), MAX_VLAN_TAGS + 1);
    for length in 0..=buried.to_bytes().len() {
        let expected = if length < 14 + 4 * (MAX_VLAN_TAGS + 1) + 20 { Elsewhere } else { Uncertain };
        check(&format!("buried, {length} bytes"), &buried.clone().truncated(length), V4, expected);
    }
    let later = v4().fragment(8, false);
    for length in 14 + 20..later.to_bytes().len() {
        check("a later fragment", &later.clone().truncated(length), V4, LaterFragment);
    }
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    // Random bytes alone would hardly ever get beyond the EtherType.
    let ethertypes = prop::collection::vec(prop::sample::select(vec![0x8100_u16, 0x88a8]), 0..12);
    let network = prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806]);
    let body = prop::collection::vec(
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 6, 43, 44, 51, 60, 22])],
        0..300,
    );
    (ethertypes, network, body).prop_map(|(tags, network, body)| {
        let mut frame = vec![0; 12];
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 0]);
        }
        frame.extend(network.to_be_bytes());
        let version = if network == 0x86dd { 0x60 } else { 0x45 };
        frame.extend(
            body.iter().enumerate().map(|(at, byte)| if at == 0 { version | byte & 0x0f } else { *byte }),
        );
        frame
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_guard_another_port(
        frame in prop_oneof![anything(), prop::collection::vec(any::<u8>(), 0..2000)],
        port in any::<u16>(),
    ) {
        match reader::read(&&frame[..], &Guarded(&[port, 22])) {
            Reading::Guarded(segment) => {
                prop_assert!(segment.port == port || segment.port == 22);
                prop_assert!(u16::try_from(segment.payload).is_ok());
            }
            Reading::Uncertain(Doubt { .. }) | Reading::Elsewhere => {}
        }
    }

    #[test]
    fn a_changed_byte_behind_the_ports_hides_no_segment(at in 14 + 40 + 4..14 + 40 + 20_usize, byte in any::<u8>()) {
        let mut frame = v6().to_bytes();
        frame[at] = byte;
        prop_assert!(matches!(read(&frame), Reading::Guarded(_)));
    }
}
