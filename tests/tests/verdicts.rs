//! What the programs do in a real kernel, one frame at a time: both of them, and the host's reader and judge beside.

use ssh_guard_common::flat::LAST_END;
use ssh_guard_common::names::PROGRAM_FRAGS;
use ssh_guard_common::packet as reader;
use ssh_guard_common::records::{Block, KnownGood, SessionKey, SourceRecord};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet::{self, Extension, Packet};
use ssh_guard_tests::programs::{Action, Programs, Which, source_of};
use ssh_guard_tests::skip::{Need, skipped};
use ssh_guard_tests::wait::{PATIENCE, eventually};

#[expect(clippy::inline_always, reason = "it is made for the kernel")]
#[path = "../../ssh-guard-ebpf/src/judge.rs"]
mod judge;

use Action::{Drop, Pass};
use Verdict::{Allowed, Blocked, Passed};

const BAD_V4: &str = "203.0.113.7";
const GOOD_V4: &str = "203.0.113.8";
const BAD_V6: &str = "2001:db8:7::7";
const GOOD_V6: &str = "2001:db8:8::7";

fn from(source: &str) -> Packet {
    packet::from(source.parse().expect("it is an address"))
}

fn syn(source: &str) -> Packet {
    from(source).tcp(22).syn()
}

fn blocking() -> Programs {
    let mut programs = Programs::new();
    programs.block(BAD_V4);
    programs.block("2001:db8:7::");
    programs
}

/// Runs both programs; `expected` is nothing for what passes uncounted.
#[track_caller]
fn check(programs: &mut Programs, name: &str, packet: &Packet, expected: Option<(Action, Verdict)>) {
    let frame = packet.to_bytes();
    for which in Which::ALL {
        let (action, counted) = programs.judge(which, &frame);
        match expected {
            None => assert_eq!((action, counted), (Pass, vec![]), "{name}, {which:?}"),
            Some((expected, verdict)) => {
                let once = vec![(verdict, 1, frame.len() as u64)];
                assert_eq!((action, counted), (expected, once), "{name}, {which:?}");
            }
        }
    }
}

const DROPPED: Option<(Action, Verdict)> = Some((Drop, Blocked));
const PASSED: Option<(Action, Verdict)> = Some((Pass, Passed));
const ALLOWED: Option<(Action, Verdict)> = Some((Pass, Allowed));

type Build = fn(&str) -> Packet;

/// What is judged, for certain or not.
const JUDGED: [(&str, Build); 10] = [
    ("SYN", syn),
    ("data", |source| syn(source).ack().payload(b"SSH-2.0-x\r\n")),
    ("RST", |source| from(source).tcp(22).rst()),
    ("ECN", |source| syn(source).flags(0xc0)),
    ("tags", |source| syn(source).provider_vlan(3).vlan(0)),
    ("8 tags", |source| (0..8).fold(syn(source), |packet, _| packet.vlan(0))),
    ("9 tags", |source| (0..9).fold(syn(source), |packet, _| packet.vlan(0))),
    ("360 tags", |source| (0..360).fold(syn(source), |packet, _| packet.vlan(0))),
    ("a first fragment", |source| syn(source).fragment(0, true)),
    ("a later fragment", |source| syn(source).fragment(1480, false)),
];

/// What is not.
const ELSEWHERE: [(&str, Build); 7] = [
    ("another port", |source| from(source).tcp(443).syn()),
    ("from port 22", |source| from(source).tcp(40_000).from_port(22).syn()),
    ("UDP", |source| from(source).udp(22)),
    ("echo", |source| from(source).echo()),
    ("a later fragment of UDP", |source| from(source).udp(22).fragment(8, true)),
    ("9 tags, UDP", |source| (0..9).fold(from(source).udp(22), |packet, _| packet.vlan(0))),
    ("another EtherType", |source| syn(source).ether_type(0x88cc)),
];

#[test]
fn a_blocked_source_is_dropped_and_another_one_passes() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    for (name, build) in JUDGED {
        for (source, expected) in [(BAD_V4, DROPPED), (BAD_V6, DROPPED), (GOOD_V4, PASSED), (GOOD_V6, PASSED)]
        {
            check(&mut programs, &format!("{name} of {source}"), &build(source), expected);
        }
    }
    let options = packet::v4(BAD_V4).options(40).tcp(22);
    check(&mut programs, "IPv4 options", &options, DROPPED);
    for headers in [1, reader::MAX_EXTENSIONS, reader::MAX_EXTENSIONS + 1, 40] {
        for (source, expected) in [(BAD_V6, DROPPED), (GOOD_V6, PASSED)] {
            let packet = (0..headers).fold(syn(source), |packet, _| packet.destination_options());
            check(&mut programs, &format!("{headers} extensions"), &packet, expected);
        }
    }
    check(&mut programs, "long options", &syn(BAD_V6).extension(Extension::HopByHop(1024)), DROPPED);
}

#[test]
fn what_is_elsewhere_passes_uncounted_whoever_sends_it() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    for (name, build) in ELSEWHERE {
        for source in [BAD_V4, BAD_V6, GOOD_V4, GOOD_V6] {
            check(&mut programs, &format!("{name} of {source}"), &build(source), None);
        }
    }
    check(&mut programs, "ARP", &packet::arp(BAD_V4), None);
    let mut solicitation = vec![135, 0, 0, 22];
    solicitation.resize(24, 0);
    check(&mut programs, "neighbour discovery", &packet::v6(BAD_V6).protocol(58, &solicitation), None);
    check(&mut programs, "a short header", &syn(BAD_V4).header_words(4), None);
    assert!(programs.loaded.sampler.sources().unwrap().is_empty());
    assert_eq!(programs.loaded.blocklist.block_of(source_of(BAD_V4)).unwrap().unwrap().hits, 0);
}

#[test]
fn an_unused_blocklist_blocks_nobody() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    check(&mut programs, "before", &syn(BAD_V4), PASSED);
    programs.block(BAD_V4);
    check(&mut programs, "blocked", &syn(BAD_V4), DROPPED);
    programs.loaded.blocklist.unblock(source_of(BAD_V4)).unwrap();
    check(&mut programs, "unblocked", &syn(BAD_V4), PASSED);
}

#[test]
fn the_allowlist_wins_over_a_block_that_is_known_to_overlap_it() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.block_until("2001:db8:7::", NEVER, true);
    programs.allow_until(BAD_V6, NEVER);
    programs.allow_until(GOOD_V4, NEVER);
    for (name, build) in JUDGED {
        check(&mut programs, name, &build(BAD_V6), ALLOWED);
        check(&mut programs, name, &build("2001:db8:7::8"), DROPPED);
        check(&mut programs, name, &build(GOOD_V4), ALLOWED);
        check(&mut programs, name, &build(BAD_V4), PASSED);
    }
    programs.block_until(GOOD_V4, NEVER, false);
    check(&mut programs, "a block without the flag asks nobody", &syn(GOOD_V4), DROPPED);
    programs.block_until(GOOD_V4, NEVER, true);
    check(&mut programs, "and with it", &syn(GOOD_V4), ALLOWED);
    // A test may well begin in the first tick, which is over at once.
    programs.allow_until(GOOD_V4, 0);
    check(&mut programs, "an entry that is over allows nobody", &syn(GOOD_V4), DROPPED);
}

#[test]
fn a_block_ends_by_itself() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.block_until(BAD_V4, 0, false);
    check(&mut programs, "over", &syn(BAD_V4), PASSED);
    programs.block_until(BAD_V4, 1_000_000, false);
    check(&mut programs, "long", &syn(BAD_V4), DROPPED);
    programs.block_until(BAD_V4, 1, false);
    let frame = syn(BAD_V4).to_bytes();
    eventually(PATIENCE, "the first tick ends", || programs.run(Which::Frags, &frame) == Pass);
    check(&mut programs, "over by now", &syn(BAD_V4), PASSED);
}

#[test]
fn a_block_holds_for_as_much_of_an_address_as_makes_a_source() {
    needs!(Need::Root, Need::Bpf);
    // Prefixes, and the blocked address, one of the same source, one of the next.
    let rows = [
        (
            (32, 64),
            &[
                ("2001:db8:7::", "2001:db8:7:0:ffff:ffff:ffff:ffff", "2001:db8:7:1::"),
                (BAD_V4, BAD_V4, GOOD_V4),
                // 6to4, Teredo, NAT64.
                ("2002:cb00:7107::", "2002:cb00:7107::ffff", "2002:cb00:7107:1::"),
                ("2001:0:4136::fdd2", "2001:0:4136::fdd2", "2001:0:4136::fdd3"),
                (BAD_V4, "64:ff9b::203.0.113.7", "64:ff9b::203.0.113.8"),
            ][..],
        ),
        (
            (24, 56),
            &[
                ("2001:db8:7::", "2001:db8:7:ff::1", "2001:db8:7:100::"),
                ("203.0.113.0", "203.0.113.255", "203.0.114.0"),
                ("203.0.113.0", "64:ff9b::203.0.113.9", "64:ff9b:1::203.0.113.9"),
            ],
        ),
        ((32, 48), &[("2001:db8:7::", "2001:db8:7:ffff::1", "2001:db8:8::")]),
        ((32, 128), &[("2001:db8:7::7", "2001:db8:7::7", "2001:db8:7::8")]),
        ((32, 32), &[("2002:cb00:7107::", "2002:cb00:7107:ffff::1", "2002:cb00:7108::")]),
    ];
    for ((v4, v6), rows) in rows {
        let mut programs = Programs::with(&[22], SourceMask::new(v4, v6), false);
        for (blocked, same, other) in rows {
            check(&mut programs, &format!("{same} of {blocked}, not blocked yet"), &syn(same), PASSED);
            programs.block(blocked);
            check(&mut programs, &format!("{same} of {blocked}"), &syn(same), DROPPED);
            check(&mut programs, &format!("{other} beside {blocked}"), &syn(other), PASSED);
            programs.loaded.blocklist.unblock(source_of(blocked)).unwrap();
        }
    }
}

#[test]
fn a_dry_run_counts_and_drops_nothing() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::with(&[22], SourceMask::new(32, 64), true);
    programs.block(BAD_V4);
    for (name, build) in JUDGED {
        check(&mut programs, name, &build(BAD_V4), Some((Pass, Blocked)));
    }
    let block = programs.loaded.blocklist.block_of(source_of(BAD_V4)).unwrap().unwrap();
    assert!(block.hits > 0, "a hit is a hit, dry run or not");
}

#[test]
fn each_of_sixteen_ports_is_guarded_and_no_other() {
    needs!(Need::Root, Need::Bpf);
    let ports: Vec<u16> = (0..16).map(|number| 22 + 1000 * number).collect();
    let mut programs = Programs::with(&ports, SourceMask::FULL, false);
    programs.block(BAD_V4);
    for port in ports {
        check(&mut programs, &port.to_string(), &packet::v4(BAD_V4).tcp(port).syn(), DROPPED);
        check(&mut programs, &port.to_string(), &packet::v4(BAD_V4).tcp(port + 1).syn(), None);
    }
    check(&mut programs, "0", &packet::v4(BAD_V4).tcp(0).syn(), None);
    let mut few = Programs::with(&[22, 2222], SourceMask::FULL, false);
    check(&mut few, "an empty slot is no port", &packet::v4(BAD_V4).tcp(0).syn(), None);
    check(&mut few, "the second of two", &packet::v4(BAD_V4).tcp(2222).syn(), PASSED);
}

#[test]
fn what_a_source_sent_and_what_it_was_denied_are_counted_exactly() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    let bytes_of =
        |frames: &[Packet]| frames.iter().map(|packet| packet.to_bytes().len() as u64).sum::<u64>();
    let run = |programs: &mut Programs, packet: &Packet, expected| {
        assert_eq!(programs.run(Which::Frags, &packet.to_bytes()), expected);
    };
    // Nobody whom no server has answered: a flood could send as much under any address.
    let ending = from(GOOD_V6).tcp(22).fin().flags(0xe8);
    for packet in [
        syn(GOOD_V6),
        syn(GOOD_V6).payload(b"fast open"),
        syn(GOOD_V6).ack().payload(b"hello"),
        ending.clone(),
        syn(GOOD_V6).fragment(8, true),
        from(GOOD_V6).udp(22),
    ] {
        run(&mut programs, &packet, Pass);
    }
    assert!(programs.loaded.sampler.sources().unwrap().is_empty());
    assert_eq!(programs.loaded.sessions.all().unwrap(), []);
    // From the server's first payload on, what belongs to the session is counted in it, and the rest by its source.
    programs.leave(&from(GOOD_V6).tcp(22).ack().payload(b"SSH-2.0").back().to_bytes());
    let session = [from(GOOD_V6).tcp(22).ack().payload(b"hello"), from(GOOD_V6).tcp(22).ack(), ending];
    let stray =
        [from("2001:db8:8::9").tcp(22).ack().payload(b"hello"), from(GOOD_V6).tcp(22).ack().from_port(9)];
    for packet in session.iter().chain(&stray) {
        run(&mut programs, packet, Pass);
        run(&mut programs, &syn(GOOD_V6), Pass);
    }
    for _ in 0..5 {
        run(&mut programs, &syn(BAD_V6).ack().payload(b"hello"), Drop);
    }
    let sources = programs.loaded.sampler.sources().unwrap();
    assert_eq!(
        sources.keys().collect::<Vec<_>>(),
        [&source_of("2001:db8:8::")],
        "the blocked one is not among them"
    );
    let record = sources[&source_of("2001:db8:8::")];
    assert_eq!(
        SourceRecord { last_seen: 0, ..record },
        SourceRecord { packets: 2, bytes: bytes_of(&stray), opened: 1, ..Default::default() }
    );
    let sessions = programs.loaded.sessions.all().unwrap();
    let [(key, counted)] = sessions[..] else { panic!("one session, not {sessions:?}") };
    assert_eq!((key.client, key.client_port, key.port), (source_of(GOOD_V6), 40_000, 22));
    assert_eq!(key.server, packet::DESTINATION_V6.into());
    assert_eq!((counted.packets, counted.bytes), (3, bytes_of(&session)));
    assert!(counted.is_proven() && counted.closing != 0 && counted.ended == 0);
    let block = programs.loaded.blocklist.block_of(source_of("2001:db8:7::")).unwrap().unwrap();
    assert_eq!((block.until(), block.overlaps()), (LAST_END, false));
    assert!(block.hits > 0);
}

#[test]
fn each_hit_of_a_block_is_counted_and_in_a_flood_about_each() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    programs.loaded.settings.renew(NEVER).unwrap();
    let hits =
        |programs: &Programs| programs.loaded.blocklist.block_of(source_of(BAD_V4)).unwrap().unwrap().hits;
    for _ in 0..100 {
        assert_eq!(programs.run(Which::Frags, &syn(BAD_V4).to_bytes()), Drop);
    }
    assert_eq!(hits(&programs), 100);
    let flood = 2_000_000;
    assert_eq!(programs.flood(Which::Frags, &syn(BAD_V4).to_bytes(), flood), Drop);
    let counted = hits(&programs) - 100;
    assert!((flood - flood / 20..=flood + flood / 20).contains(&counted), "{counted} of {flood}");
}

#[test]
fn a_block_ends_by_itself_in_a_flood_too_as_soon_as_the_daemon_vouches_for_it_no_more() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    for bad in [BAD_V4, "2001:db8:7::"] {
        let now = programs.loaded.clock.ticks_of(ssh_guard::clock::now());
        programs.block_until(bad, now + 2, false);
        programs.loaded.settings.renew(now + 3).unwrap();
        let frame = syn(bad).to_bytes();
        assert_eq!(programs.flood(Which::Frags, &frame, 20_000), Drop);
        eventually(PATIENCE, "the lease ends", || programs.flood(Which::Frags, &frame, 20_000) == Pass);
    }
}

#[test]
fn a_block_that_overlaps_the_allowlist_does_so_in_a_flood_too() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.loaded.settings.renew(NEVER).unwrap();
    programs.block_until("2001:db8:7::", NEVER, true);
    programs.allow_until("2001:db8:7::a", NEVER);
    assert_eq!(programs.flood(Which::Frags, &syn("2001:db8:7::b").to_bytes(), 100_000), Drop);
    assert_eq!(programs.flood(Which::Frags, &syn("2001:db8:7::a").to_bytes(), 100_000), Pass);
}

#[test]
fn a_frame_of_several_buffers_is_judged_and_counted_whole() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    if programs.loaded.program_name() != PROGRAM_FRAGS {
        return skipped(&"this kernel has no XDP for packets of several buffers");
    }
    for (source, expected, verdict) in [(BAD_V4, Drop, Blocked), (GOOD_V6, Pass, Passed)] {
        let frame = syn(source).ack().payload(&[b'x'; 8900]).to_bytes();
        let (action, counted) = programs.judge(Which::Frags, &frame);
        assert_eq!((action, counted), (expected, vec![(verdict, 1, frame.len() as u64)]));
    }
}

/// The tables of [`blocking`], on the host.
struct Tables;

impl judge::Tables for Tables {
    type Place = ();

    fn blocked(&self, source: Source) -> Option<(Block, ())> {
        let blocked = [BAD_V4, "2001:db8:7::"].map(source_of).contains(&source);
        blocked.then(|| (Block { end: LAST_END, ..Block::default() }, ()))
    }

    fn allowed(&self, _address: Source) -> bool {
        false
    }

    fn blocked_network(&self, _address: Source) -> Option<(Block, ())> {
        None
    }

    fn excepted(&self, _address: Source) -> bool {
        false
    }

    fn leased(&self) -> bool {
        false
    }

    fn is_over_rate(&self, _source: Source) -> bool {
        false
    }

    fn bans_networks(&self) -> bool {
        false
    }

    fn tally(&self, _verdict: Verdict, _bytes: u64) {}

    fn crowd(&self, _source: Source) -> u32 {
        0
    }

    fn is_over_flood_budget(&self, _holds_enough: bool) -> bool {
        false
    }

    fn known_good(&self, _source: Source) -> Option<KnownGood> {
        None
    }

    fn count(&self, _session: SessionKey, _source: Source, _bytes: u64, _going: judge::Going) {}

    fn mask(&self) -> SourceMask {
        SourceMask::new(32, 64)
    }

    fn hit(&self, _verdict: Verdict, _bytes: u64, _block: &Block, (): &()) {}
}

struct Port22;

impl reader::Ports for Port22 {
    fn guard(&self, port: u16) -> bool {
        port == 22
    }
}

fn on_the_host(frame: &[u8]) -> Option<Verdict> {
    let evidence = judge::Evidence::from(reader::read(&frame, &Port22))?;
    Some(judge::judge(evidence, frame.len() as u64, &Tables))
}

#[test]
fn the_programs_and_the_host_agree_on_every_cut_of_every_packet() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = blocking();
    let mut packets: Vec<Packet> = Vec::new();
    for source in [BAD_V4, BAD_V6] {
        packets.extend(JUDGED.iter().filter(|(name, _)| *name != "360 tags").map(|(_, build)| build(source)));
        packets.extend(ELSEWHERE.iter().map(|(_, build)| build(source)));
    }
    packets.push(packet::v4(BAD_V4).options(40).tcp(22).tcp_options(12));
    packets.push(packet::v4(GOOD_V4).tcp(22));
    packets.push(syn(BAD_V6).hop_by_hop().routing().fragment(0, true).authentication().destination_options());
    packets.push((0..8).fold(syn(BAD_V6), |packet, _| packet.destination_options()));
    let mut dropped = 0;
    for packet in packets {
        let whole = packet.to_bytes();
        // The kernel runs programs on no less than an Ethernet header, and those of traffic control on no less than an IP
        // header behind it.
        for length in 14..=whole.len() {
            let frame = &whole[..length];
            let verdict = on_the_host(frame);
            let action = if verdict.is_some_and(Verdict::drops) { Drop } else { Pass };
            let counted: Vec<_> = verdict.map(|verdict| (verdict, 1, length as u64)).into_iter().collect();
            for which in Which::ALL.into_iter().filter(|which| *which != Which::Tc || length >= 14 + 40) {
                let judged = programs.judge(which, frame);
                assert_eq!(judged, (action, counted.clone()), "{which:?}, {length} bytes of {packet:?}");
            }
            dropped += u32::from(action == Drop);
        }
    }
    assert!(dropped > 300, "{dropped} cuts are dropped: the table has lost its point");
}
