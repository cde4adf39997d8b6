//! What the programs make of single frames of a session: when it begins, what is counted where, when it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use ssh_guard_common::records::{SessionKey, SessionRecord, Settings, SourceRecord};
use ssh_guard_common::source::Source;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet::{self, Packet};
use ssh_guard_tests::programs::{Action, Programs, Which, source_of};
use ssh_guard_tests::skip::Need;

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";
const NEED: [Need; 2] = [Need::Root, Need::Bpf];

/// A packet of the session from port 40000 of `client`.
fn from(client: &str) -> Packet {
    packet::from(client.parse().expect("it is an address")).tcp(22)
}

/// What the server sends in it.
fn answer(client: &str) -> Packet {
    from(client).ack().back()
}

fn banner(client: &str, sequence: u32) -> Packet {
    answer(client).payload(b"SSH-2.0-y\r\n").sequence(sequence)
}

fn sees(programs: &mut Programs, packet: &Packet) {
    programs.leave(&packet.to_bytes());
}

fn judges(programs: &mut Programs, packet: &Packet) -> u64 {
    let frame = packet.to_bytes();
    assert_eq!(programs.run(Which::Frags, &frame), Action::Pass, "{packet:?}");
    frame.len() as u64
}

fn sessions(programs: &Programs) -> Vec<(SessionKey, SessionRecord)> {
    programs.loaded.sessions.all().unwrap()
}

#[track_caller]
fn session(programs: &Programs) -> SessionRecord {
    let sessions = sessions(programs);
    let [(_, record)] = sessions[..] else { panic!("one session is followed, not {sessions:?}") };
    record
}

fn source(programs: &Programs, source: &str) -> Option<SourceRecord> {
    programs.loaded.sampler.sources().unwrap().get(&source_of(source)).copied()
}

/// The key under which the source of an address is counted.
fn key_of(client: &str) -> &'static str {
    if client == V4 { V4 } else { "2001:db8:7::" }
}

#[test]
fn the_servers_first_payload_makes_a_session_and_nothing_before_it_does() {
    needs!(NEED[0], NEED[1]);
    for client in [V4, V6] {
        let mut programs = Programs::new();
        for packet in [from(client).syn(), from(client).ack(), from(client).ack().payload(b"SSH-2.0-x\r\n")] {
            judges(&mut programs, &packet);
        }
        for packet in [
            answer(client).syn(),
            answer(client).syn().payload(b"fast open"),
            answer(client),
            answer(client).rst(),
            answer(client).fin(),
            // From a port that is not guarded.
            packet::from(client.parse().unwrap()).tcp(23).ack().payload(b"telnet").back(),
            // To the guarded port, not from it.
            from(client).ack().payload(b"SSH-2.0-x\r\n"),
        ] {
            sees(&mut programs, &packet);
            assert_eq!(sessions(&programs), [], "{packet:?}");
        }
        assert_eq!(source(&programs, key_of(client)), None);

        sees(&mut programs, &banner(client, 100));
        let [(key, record)] = sessions(&programs)[..] else { panic!("one session") };
        let server: Source = match client {
            V4 => packet::DESTINATION_V4.into(),
            _ => packet::DESTINATION_V6.into(),
        };
        let expected = SessionKey { client: source_of(client), server, client_port: 40_000, port: 22 };
        assert_eq!(key, expected);
        assert!(record.is_proven() && record.first_seen != 0, "{record:?}");
        assert_eq!((record.packets, record.closing, record.ended), (0, 0, 0), "{record:?}");
        assert_eq!(source(&programs, key_of(client)).unwrap().opened, 1);
    }
}

#[test]
fn a_packet_is_counted_in_one_place_in_its_session_until_that_ends_and_then_with_its_source() {
    needs!(NEED[0], NEED[1]);
    for client in [V4, V6] {
        let mut programs = Programs::new();
        sees(&mut programs, &banner(client, 100));
        let mut bytes = 0;
        for packet in [from(client).ack(), from(client).ack().payload(b"hello"), from(client).ack()] {
            bytes += judges(&mut programs, &packet);
        }
        let record = session(&programs);
        assert_eq!((record.packets, record.bytes), (3, bytes));
        let counted = source(&programs, key_of(client)).unwrap();
        assert_eq!((counted.packets, counted.bytes, counted.opened), (0, 0, 1));
        // A SYN is in neither.
        judges(&mut programs, &from(client).syn());
        assert_eq!(session(&programs).packets, 3);

        sees(&mut programs, &answer(client).fin().sequence(111));
        let record = session(&programs);
        assert!(record.ended != 0, "{record:?}");
        assert_eq!((record.packets, record.bytes), (3, bytes));
        let counted = source(&programs, key_of(client)).unwrap();
        assert_eq!((counted.packets, counted.bytes), (3, bytes), "all of it moves to the source");
        bytes += judges(&mut programs, &from(client).ack());
        let counted = source(&programs, key_of(client)).unwrap();
        assert_eq!((counted.packets, counted.bytes), (4, bytes));
        assert_eq!(session(&programs).packets, 3);
        sees(&mut programs, &answer(client).fin().sequence(111));
        assert_eq!(source(&programs, key_of(client)).unwrap().packets, 4, "it ends once");
    }
}

#[test]
fn a_reset_of_the_servers_ends_a_session_and_one_of_the_clients_does_not() {
    needs!(NEED[0], NEED[1]);
    for hang_up in [from(V4).rst(), from(V4).fin().ack()] {
        let mut programs = Programs::new();
        sees(&mut programs, &banner(V4, 100));
        judges(&mut programs, &hang_up);
        let record = session(&programs);
        assert!(record.closing != 0 && record.ended == 0, "{record:?}");
        judges(&mut programs, &from(V4).ack().payload(b"it was forged"));
        assert_eq!(session(&programs).packets, 2, "it is counted on");
        sees(&mut programs, &answer(V4).rst().sequence(111));
        assert!(session(&programs).ended != 0);
    }
}

#[test]
fn what_is_sent_again_after_the_end_opens_no_session_and_another_one_between_the_same_ends_does() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    let opened = |programs: &Programs| source(programs, V4).unwrap().opened;
    for start in [100_u32, u32::MAX - 5] {
        let before = source(&programs, V4).map_or(0, |record| record.opened);
        sees(&mut programs, &banner(V4, start));
        assert_eq!(opened(&programs), before + 1);
        judges(&mut programs, &from(V4).ack());
        let end = start.wrapping_add(11);
        sees(&mut programs, &answer(V4).fin().sequence(end));
        let ended = session(&programs);
        for again in [banner(V4, start), answer(V4).fin().sequence(end), banner(V4, end.wrapping_sub(1))] {
            sees(&mut programs, &again);
            assert_eq!((opened(&programs), session(&programs).ended), (before + 1, ended.ended));
        }
        let other = start.wrapping_add(0x4000_0000);
        sees(&mut programs, &banner(V4, other));
        let record = session(&programs);
        assert_eq!((opened(&programs), record.ended, record.packets), (before + 2, 0, 0), "{record:?}");
        judges(&mut programs, &from(V4).ack());
        assert_eq!(session(&programs).packets, 1);
        sees(&mut programs, &answer(V4).rst().sequence(other.wrapping_add(11)));
    }
}

#[test]
fn a_session_is_one_of_two_ends_and_four_of_them_make_a_source() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    let four = [from(V6), from(V6).from_port(40_001), from("2001:db8:7::8"), from("2001:db8:7:0:f::1")];
    for packet in &four {
        sees(&mut programs, &packet.clone().ack().payload(b"SSH-2.0-y\r\n").back());
    }
    assert_eq!(sessions(&programs).len(), 4);
    assert_eq!(source(&programs, "2001:db8:7::").unwrap().opened, 4);
    for packet in &four {
        judges(&mut programs, &packet.clone().ack());
    }
    assert!(sessions(&programs).iter().all(|(_, record)| record.packets == 1));
}

#[test]
fn where_no_server_is_seen_the_clients_first_payload_makes_an_unproven_session() {
    needs!(NEED[0], NEED[1]);
    for client in [V4, V6] {
        let mut programs = Programs::new();
        programs.loaded.settings.put_to_use(Settings::UNPROVEN, true).unwrap();
        judges(&mut programs, &from(client).syn());
        judges(&mut programs, &from(client).ack());
        judges(&mut programs, &from(client).fin().ack());
        assert_eq!(sessions(&programs), []);
        let bytes = judges(&mut programs, &from(client).ack().payload(b"SSH-2.0-x\r\n"));
        let record = session(&programs);
        assert!(!record.is_proven(), "{record:?}");
        assert_eq!((record.packets, record.bytes), (1, bytes), "{record:?}");
        assert_eq!(source(&programs, key_of(client)).unwrap().opened, 1);
        judges(&mut programs, &from(client).ack());
        assert_eq!(session(&programs).packets, 2);
        // The answer is seen after all: it is the same session.
        sees(&mut programs, &banner(client, 100));
        assert!(session(&programs).is_proven());
        assert_eq!(source(&programs, key_of(client)).unwrap().opened, 1);
    }
}

#[test]
fn every_program_that_judges_counts_in_sessions() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    sees(&mut programs, &banner(V4, 100));
    let frame = from(V4).ack().to_bytes();
    for which in Which::ALL {
        assert_eq!(programs.run(which, &frame), Action::Pass);
    }
    assert_eq!(session(&programs).packets, Which::ALL.len() as u64);
}

#[test]
fn a_blocked_source_adds_nothing_to_its_sessions() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    sees(&mut programs, &banner(V4, 100));
    judges(&mut programs, &from(V4).ack());
    programs.block(V4);
    let frame = from(V4).ack().payload(b"hello").to_bytes();
    assert_eq!(programs.run(Which::Frags, &frame), Action::Drop);
    assert_eq!(session(&programs).packets, 1);
    assert_eq!(source(&programs, V4).unwrap().packets, 0);
}

#[test]
fn tags_options_and_extension_headers_hide_no_session() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    for (number, packet) in (1..).zip([
        from(V4).vlan(7),
        from(V4).from_port(40_001).options(40),
        from(V4).from_port(40_002).provider_vlan(3).vlan(7),
        from(V6).hop_by_hop().destination_options(),
        from(V4).from_port(40_003).tcp_options(40),
    ]) {
        sees(&mut programs, &packet.clone().ack().payload(b"SSH-2.0-y\r\n").back());
        assert_eq!(sessions(&programs).len(), number, "{packet:?}");
    }
}

#[test]
fn what_an_earlier_daemon_counted_never_takes_the_place_of_what_is_counted_now() {
    needs!(NEED[0], NEED[1]);
    let mut programs = Programs::new();
    sees(&mut programs, &banner(V4, 100));
    judges(&mut programs, &from(V4).ack());
    let [(key, counted)] = sessions(&programs)[..] else { panic!("one session") };
    let earlier = SessionRecord { packets: 90, first_seen: 1, ..counted };
    programs.loaded.sessions.restore(key, earlier).unwrap();
    let of_source = SourceRecord { packets: 900, opened: 9, ..SourceRecord::default() };
    programs.loaded.sampler.restore(source_of(V4), of_source).unwrap();
    assert_eq!(session(&programs), counted);
    assert_eq!(source(&programs, V4).unwrap().opened, 1);

    // A session that ended while it was taken over has ended, unless it has been counted on.
    let other = SessionKey { client_port: 1, ..key };
    let ended = SessionRecord { ended: 5, ..earlier };
    programs.loaded.sessions.restore(other, earlier).unwrap();
    programs.loaded.sessions.restore_end(other, &earlier, ended).unwrap();
    programs.loaded.sessions.restore_end(key, &earlier, ended).unwrap();
    let all = sessions(&programs);
    let record = |key: SessionKey| all.iter().find(|(there, _)| *there == key).unwrap().1;
    assert_eq!((record(other), record(key)), (ended, counted));
    let gone = SessionKey { client_port: 2, ..key };
    programs.loaded.sessions.restore_end(gone, &earlier, ended).unwrap();
    assert_eq!(sessions(&programs).len(), 2, "what is not there has ended long ago");

    programs.loaded.sampler.restore(source_of(V6), of_source).unwrap();
    assert_eq!(source(&programs, V6).unwrap(), of_source);
    let sums =
        programs.loaded.sampler.in_sessions(ssh_guard_common::source::SourceMask::new(32, 64)).unwrap();
    assert_eq!(sums[&source_of(V4)], (counted.packets, counted.bytes), "what has ended is with its source");
}
