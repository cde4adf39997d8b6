//! No way around a block: frames that a sender built oddly are put on a real wire to a real listener, and what opens a
//! session there is dropped when its source is blocked.

use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet::{self, Packet};
use ssh_guard_tests::programs::{Action, Programs, Which};
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wire::{Answer, Wire};

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";

const UDP: u8 = 17;
const TCP: u8 = 6;
const OPTIONS: u8 = 60;

/// What a sender does, and whether a Linux server takes it for the beginning of a session.
type Trick = (&'static str, fn(u16) -> Vec<Vec<u8>>, bool);

const TRICKS: &[Trick] = &[
    ("nothing", |port| one(&v4(port)), true),
    ("nothing, IPv6", |port| one(&v6(port)), true),
    ("IPv4 options", |port| one(&v4(port).options(40)), true),
    ("ECN", |port| one(&v4(port).flags(0xc0)), true),
    ("PSH and URG", |port| one(&v4(port).flags(0x28)), true),
    ("reserved bits", |port| vec![edited(&v4(port), |frame| frame[14 + 20 + 12] |= 0x0e)], true),
    ("data", |port| one(&v4(port).payload(b"SSH-2.0-x\r\n")), true),
    ("FIN", |port| one(&v4(port).fin()), false),
    ("8 priority tags", |port| one(&tagged(v4(port), 8)), true),
    ("9 priority tags", |port| one(&tagged(v4(port), 9)), true),
    ("40 priority tags", |port| one(&tagged(v4(port), 40)), true),
    ("360 priority tags", |port| one(&tagged(v4(port), 360)), true),
    ("340 priority tags, IPv6", |port| one(&tagged(v6(port), 340)), true),
    ("provider's tags", |port| one(&v4(port).provider_vlan(0).provider_vlan(0).vlan(0)), true),
    ("a tag of a VLAN that is not there", |port| one(&v4(port).vlan(5)), false),
    ("fragments of 8 bytes", |port| v4_fragments(port, &[0, 1, 2]), true),
    ("fragments of 8 bytes, the last first", |port| v4_fragments(port, &[2, 1, 0]), true),
    ("hop-by-hop options", |port| one(&v6(port).hop_by_hop()), true),
    ("6 extensions", |port| one(&v6_options(port, 6)), true),
    ("7 extensions", |port| one(&v6_options(port, 7)), true),
    ("40 extensions", |port| one(&v6_options(port, 40)), true),
    ("an atomic fragment", |port| one(&v6(port).fragment(0, false)), true),
    (
        "hop-by-hop options that a length of 0 leaves out",
        |port| vec![without_length(&v6(port).hop_by_hop())],
        true,
    ),
    ("an authentication header that nobody agreed on", |port| one(&v6(port).authentication()), false),
    ("an unused routing header", |port| one(&v6(port).routing()), true),
    ("a later fragment that denies TCP", |port| chain_across(port, TCP, UDP), true),
    ("bytes behind the end of the first fragment", |port| chain_across(port, UDP, UDP), true),
    ("a segment over one for another port", overlapping, false),
    ("a segment under one for another port", |port| overlapping(port).into_iter().rev().collect(), false),
];

fn v4(port: u16) -> Packet {
    packet::v4(V4).tcp(22).from_port(port).syn()
}

fn v6(port: u16) -> Packet {
    packet::v6(V6).tcp(22).from_port(port).syn()
}

fn one(packet: &Packet) -> Vec<Vec<u8>> {
    vec![packet.to_bytes()]
}

fn tagged(packet: Packet, tags: usize) -> Packet {
    (0..tags).fold(packet, |packet, _| packet.vlan(0))
}

fn v6_options(port: u16, headers: usize) -> Packet {
    (0..headers).fold(v6(port), |packet, _| packet.destination_options())
}

/// Changes a TCP segment and mends its checksum (RFC 1624) for a change in its 13th byte, by adding what the byte gained.
fn edited(packet: &Packet, edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut frame = packet.to_bytes();
    let at = 14 + 20 + 12;
    let before = frame[at];
    edit(&mut frame);
    let gained = u32::from(frame[at] - before) << 8;
    let sum = u32::from(!u16::from_be_bytes([frame[at + 4], frame[at + 5]])) + gained;
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a carry is 1");
    frame[at + 4..at + 6].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn v4_fragments(port: u16, order: &[u16]) -> Vec<Vec<u8>> {
    let segment = v4(port).tcp_options(4).to_bytes()[14 + 20..].to_vec();
    let piece = |number: &u16| {
        let bytes = segment.chunks(8).nth(usize::from(*number)).expect("it has 24 bytes");
        packet::v4(V4).protocol(TCP, bytes).fragment(number * 8, *number < 2).to_bytes()
    };
    order.iter().map(piece).collect()
}

fn without_length(packet: &Packet) -> Vec<u8> {
    let mut frame = packet.to_bytes();
    frame[14 + 4..14 + 6].fill(0);
    frame
}

/// A first fragment that ends within the chain of headers, and a later one with the segment, which `denied` takes for
/// something else. What the frame holds behind the end of the first fragment says that `behind` follows.
fn chain_across(port: u16, behind: u8, denied: u8) -> Vec<Vec<u8>> {
    let whole = v6_options(port, 2).to_bytes()[14 + 40..].to_vec();
    let (first, rest) = whole.split_at(8);
    let mut frame = packet::v6(V6).protocol(OPTIONS, first).fragment(0, true).to_bytes();
    if behind != TCP {
        frame.extend([behind, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend([0; 20]);
    }
    numbered(vec![frame, packet::v6(V6).protocol(denied, rest).fragment(8, false).to_bytes()], port)
}

/// A first fragment with the beginning of a segment for port 23, and a later one, called UDP, with a whole segment for
/// port 22 in the same place: Linux throws both away (RFC 5722).
fn overlapping(port: u16) -> Vec<Vec<u8>> {
    let mut first = v6_options(port, 1).to_bytes()[14 + 40..][..16].to_vec();
    first[8 + 3] = 23;
    let segment = v6(port).to_bytes()[14 + 40..].to_vec();
    numbered(
        vec![
            packet::v6(V6).protocol(OPTIONS, &first).fragment(0, true).to_bytes(),
            packet::v6(V6).protocol(UDP, &segment).fragment(8, false).to_bytes(),
        ],
        port,
    )
}

/// Gives fragments a number of their own: what an earlier test left behind would spoil them.
fn numbered(mut fragments: Vec<Vec<u8>>, number: u16) -> Vec<Vec<u8>> {
    for frame in &mut fragments {
        frame[14 + 40 + 4..][..2].copy_from_slice(&number.to_be_bytes());
    }
    fragments
}

/// Every trick with a port of its own and a port for the sentinel that follows it.
fn tricks() -> impl Iterator<Item = (&'static Trick, u16, u16)> {
    TRICKS.iter().zip(0_u16..).map(|(trick, number)| (trick, 20_000 + 2 * number, 20_001 + 2 * number))
}

fn sentinel(frames: &[Vec<u8>], port: u16) -> Vec<u8> {
    // IPv6 begins with 6, behind however many tags.
    let is_v6 = frames[0]
        .chunks(2)
        .skip(6)
        .find(|word| ![[0x81, 0], [0x88, 0xa8], [0, 0]].contains(&[word[0], word[1]]));
    if is_v6 == Some(&[0x86, 0xdd]) { v6(port).to_bytes() } else { v4(port).to_bytes() }
}

#[test]
fn a_listener_is_reached_by_odd_frames() {
    needs!(Need::Root, Need::Netns);
    let lab = Lab::new();
    let _listener = lab.listen();
    let wire = Wire::new(&lab);
    let mut wrong = Vec::new();
    for ((name, build, reaches), port, after) in tricks() {
        let frames = build(port);
        for frame in &frames {
            wire.send(frame);
        }
        wire.send(&sentinel(&frames, after));
        let reached = wire.answer(port, after) == Some(Answer::Accepted);
        if reached != *reaches {
            wrong.push(format!("{name}: reached {reached}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_the_programs_let_through_of_a_blocked_source_opens_no_session() {
    needs!(Need::Root, Need::Netns, Need::Bpf);
    let mut programs = Programs::new();
    programs.block(V4);
    programs.block("2001:db8:7::");
    let lab = Lab::new();
    let _listener = lab.listen();
    let wire = Wire::new(&lab);
    let mut around = Vec::new();
    for which in Which::ALL {
        for ((name, build, _), port, after) in tricks() {
            let frames = build(port);
            let passing = frames.iter().filter(|frame| programs.run(which, frame) == Action::Pass);
            passing.for_each(|frame| wire.send(frame));
            wire.send(&sentinel(&frames, after));
            if wire.answer(port, after).is_some() {
                around.push((name, which));
            }
        }
    }
    assert!(around.is_empty(), "{around:#?}");
}
