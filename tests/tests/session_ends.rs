//! How sessions begin and end that go another way than they should: half-open ones, scans, forged ends, clients that vanish,
//! ports that are used again, a daemon that dies.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and watches the time"
)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use ssh_guard_tests::client::HeldSession;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::{Lab, server_address};
use ssh_guard_tests::needs;
use ssh_guard_tests::packet;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};
use ssh_guard_tests::wire::Wire;

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("ss")];

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";
const SOURCE_V6: &str = "2001:db8:7::/64";
/// Nobody has it: what the server sends there, nobody answers.
const NOBODY: &str = "10.9.9.9";

/// A connection from one port, which may have been used before.
fn open_from(lab: &Lab, address: &str, port: u16) -> TcpStream {
    let address: IpAddr = address.parse().unwrap();
    let stream: TcpStream = lab.client_namespace(0).within(|| {
        let socket = Socket::new(Domain::for_address((address, 0).into()), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::new(address, port).into()).unwrap();
        let server = SocketAddr::new(server_address(0, address.is_ipv4()), 22);
        socket.connect_timeout(&server.into(), PATIENCE).unwrap();
        socket.into()
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Closes a connection by a RST.
fn reset(stream: TcpStream) {
    Socket::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn told_sources(guarded: &Guarded<'_>) -> Vec<Value> {
    guarded.daemon.json(&["sources", "--top", "10000"])["sources"].as_array().unwrap().clone()
}

#[test]
fn a_flood_of_half_open_sessions_makes_no_session_and_of_many_sources_no_record() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let wire = Wire::new(&lab);
    for number in 0..4000_u16 {
        let [high, low] = number.to_be_bytes();
        wire.send(&packet::v4(&format!("198.18.{high}.{low}")).tcp(22).syn().to_bytes());
    }
    // The last is a real one.
    let _held = guarded.greeted(V4);
    guarded.wait_for(V4, "sessions_open", 1);
    let sources = told_sources(&guarded);
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert_eq!(guarded.daemon.json(&["sessions"])["total"], 1);
    let passed = || guarded.daemon.json(&["status"])["verdicts"]["passed"]["packets"].as_u64().unwrap();
    eventually(PATIENCE, "the flood has passed", || passed() >= 4000);
}

#[test]
fn a_source_that_keeps_asking_is_shown_half_open_as_ss_shows_it() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let wire = Wire::new(&lab);
    for port in 0..100 {
        wire.send(&packet::v4(NOBODY).tcp(22).from_port(20_000 + port).syn().to_bytes());
    }
    eventually(PATIENCE, "it is shown", || guarded.count(NOBODY, "half_open") > 0);
    let half_open = guarded.sockets(NOBODY, "syn-recv");
    assert!(half_open >= 60, "{half_open}");
    guarded.wait_for(NOBODY, "half_open", half_open);
    let told = guarded.source(NOBODY).unwrap();
    assert_eq!(
        (&told["sessions_opened"], &told["sessions_open"], &told["packets"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(guarded.sessions(NOBODY).is_empty());
}

#[test]
fn where_the_server_is_elsewhere_the_programs_count_who_keeps_asking() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let wire = Wire::new(&lab);
    for port in 0..100 {
        wire.send(&packet::v4(NOBODY).tcp(22).from_port(20_000 + port).syn().to_bytes());
    }
    let half_open = || {
        let told = daemon.json(&["sources"]);
        told["sources"][0]["half_open"].as_u64().filter(|_| told["sources"][0]["source"] == NOBODY)
    };
    eventually(PATIENCE, "it is shown", || half_open().is_some_and(|count| (30..=100).contains(&count)));
}

#[test]
fn sources_that_only_ask_get_no_more_than_a_hundred_records_a_second() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "limits.new-sessions-per-minute = 2");
    let wire = Wire::new(&lab);
    let begun = Instant::now();
    for number in 0..1500_u16 {
        let [high, low] = number.to_be_bytes();
        let frame = packet::v4(&format!("198.18.{high}.{low}")).tcp(22).syn().to_bytes();
        (0..4).for_each(|_| wire.send(&frame));
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    eventually(PATIENCE, "some are shown", || !told_sources(&guarded).is_empty());
    let sources = told_sources(&guarded).len();
    // A tick is about a second, and one more may have begun; two CPUs may add one each.
    assert!(sources <= 105 * (seconds + 3) && sources < 1500, "{sources} in {seconds} s");
    assert_eq!(guarded.daemon.json(&["sessions"])["total"], 0);
}

#[test]
fn a_scan_that_connects_and_goes_leaves_nothing_open() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    for _ in 0..20 {
        reset(lab.client(V4).open(22, PATIENCE).unwrap());
        drop(lab.client(V6).open(22, PATIENCE).unwrap());
    }
    // Whoever goes before the server has said a word has had no session.
    for (address, source) in [(V4, V4), (V6, SOURCE_V6)] {
        eventually(PATIENCE, "sshd is through with it", || guarded.sockets(address, "established") == 0);
        guarded.wait_for(source, "sessions_open", 0);
        assert!(guarded.count(source, "sessions_opened") <= 20, "{:?}", guarded.source(source));
        guarded.agrees_with_ss(address, source);
    }
    reset(guarded.greeted(V4));
    let _held = guarded.greeted(V4);
    guarded.wait_for(V4, "sessions_open", 1);
    guarded.agrees_with_ss(V4, V4);
}

#[test]
fn an_end_that_is_forged_hides_no_session() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let client = lab.client(V4);
    let mut held = client.hold_session("alice", &guarded.sshd.key());
    guarded.wait_for(V4, "sessions_authenticated", 1);
    let port = guarded.sessions(V4)[0]["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
    let wire = Wire::new(&lab);
    // Numbers that the server does not expect: it takes no notice, but for an answer.
    let forged = || packet::v4(V4).tcp(22).from_port(port).sequence(7);
    wire.send(&forged().rst().to_bytes());
    wire.send(&forged().fin().ack().to_bytes());
    eventually(PATIENCE, "it is seen", || guarded.sessions(V4)[0]["closing"] == true);
    assert!(held.echoes("still", PATIENCE));
    let session = &guarded.sessions(V4)[0];
    assert_eq!(
        (&session["stage"], &session["closing"]),
        (&"authenticated".into(), &true.into()),
        "{session}"
    );
    guarded.agrees_with_ss(V4, V4);
    assert_eq!(guarded.count(V4, "sessions_open"), 1);
    drop(held);
    guarded.wait_for(V4, "sessions_open", 0);
    assert_eq!(guarded.count(V4, "sessions_opened"), 1);
}

#[test]
fn a_client_that_vanishes_holds_its_session_as_long_as_the_server_does() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::with_clients(2);
    let guarded = Guarded::start(&lab, "guard.interfaces = ['eth0', 'eth1']");
    let gone = guarded.greeted("10.101.0.7");
    guarded.wait_for("10.101.0.7", "sessions_open", 1);
    lab.client_namespace(1).ip("link set eth0 down");
    drop(gone);
    let _other = guarded.greeted(V4);
    guarded.wait_for(V4, "sessions_open", 1);
    guarded.agrees_with_ss("10.101.0.7", "10.101.0.7");
    assert_eq!(guarded.count("10.101.0.7", "sessions_open"), 1);
    assert_eq!(guarded.sessions("10.101.0.7")[0]["closing"], false);
}

#[test]
fn a_port_that_is_used_again_is_another_session() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    for (address, source) in [(V4, V4), (V6, SOURCE_V6)] {
        for times in 1..=3 {
            let mut stream = open_from(&lab, address, 41_000);
            stream.write_all(b"this is no SSH\r\n").unwrap();
            // The server hangs up first, so that the port is free at once.
            stream.read_to_end(&mut Vec::new()).unwrap();
            drop(stream);
            guarded.wait_for(source, "sessions_opened", times);
        }
        let stages = || guarded.sessions(source).iter().map(|told| told["stage"].clone()).collect::<Vec<_>>();
        eventually(PATIENCE, "the last one is shown", || stages() == ["closed"]);
        let mut stream = open_from(&lab, address, 41_000);
        stream.read_exact(&mut [0; 4]).unwrap();
        guarded.wait_for(source, "sessions_open", 1);
        assert_eq!(guarded.sessions(source)[0]["stage"], "open");
        guarded.agrees_with_ss(address, source);
    }
}

#[test]
fn a_dual_stack_listener_has_sockets_for_both_families() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let open = |source: &str| {
        let told = daemon.json(&["sources"]);
        let sources = told["sources"].as_array().unwrap().clone();
        sources.iter().find(|told| told["source"] == source).and_then(|told| told["sessions_open"].as_u64())
    };
    for (address, source) in [(V4, V4), (V6, SOURCE_V6)] {
        let client = lab.client(address).open(22, PATIENCE).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"SSH-2.0-y\r\n").unwrap();
        eventually(PATIENCE, "it is open", || open(source) == Some(1));
        // It stays while its socket does, though an end is forged; and goes with a true one, which the server does not answer.
        let port = client.local_addr().unwrap().port();
        let forged = packet::from(address.parse().unwrap()).tcp(22).from_port(port).sequence(7).rst();
        Wire::new(&lab).send(&forged.to_bytes());
        let closing = || daemon.json(&["sessions", "--source", address])["sessions"][0]["closing"].clone();
        eventually(PATIENCE, "it is closing", || closing() == true);
        let seen = daemon.json(&["status"])["uptime"].as_u64().unwrap();
        eventually(PATIENCE, "a census or two", || {
            daemon.json(&["status"])["uptime"].as_u64().unwrap() > seen + 2
        });
        assert_eq!(open(source), Some(1));
        reset(client);
        eventually(PATIENCE, "it is closed", || open(source) == Some(0));
        drop(server);
    }
}

#[test]
fn a_daemon_that_is_killed_and_started_again_knows_the_sessions_and_counts_none_twice() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let mut guarded = Guarded::start(&lab, "");
    let mut held = lab.client(V4).hold_session("alice", &guarded.sshd.key());
    guarded.wait_for(V4, "sessions_authenticated", 1);
    let before = guarded.source(V4).unwrap();
    guarded.daemon.kill9();
    assert!(held.echoes("meanwhile", PATIENCE));
    let new = guarded.greeted(V6);
    guarded.daemon.start_again();
    guarded.wait_for(V4, "sessions_open", 1);
    guarded.wait_for(SOURCE_V6, "sessions_open", 1);
    let session = &guarded.sessions(V4)[0];
    assert_eq!(session["stage"], "authenticated", "{session}");
    assert_eq!(session["account"], Value::Null, "only the test's server has this account");
    let after = guarded.source(V4).unwrap();
    for (count, most) in [("packets", 20), ("sessions_opened", 0), ("sessions_authenticated", 0)] {
        let [before, after] = [&before, &after].map(|told| told[count].as_u64().unwrap());
        assert!((before..=before + most).contains(&after), "{count}: {before}, then {after}");
    }
    assert!(held.echoes("after", PATIENCE));
    drop((held, new));
    guarded.wait_for(V4, "sessions_open", 0);
    guarded.wait_for(SOURCE_V6, "sessions_open", 0);
    assert_eq!(guarded.count(V4, "sessions_opened"), 1);
}

#[test]
fn a_witness_that_sees_no_answer_is_blind_and_says_so_until_it_sees_one() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::with_clients(2);
    answer_by_another_way(&lab);
    let guarded = Guarded::start(&lab, "");

    let mut held: Vec<_> = (1..=3)
        .map(|number| lab.client(&format!("198.51.100.{number}")).hold_session("alice", &guarded.sshd.key()))
        .collect();
    let is_blind = || guarded.daemon.json(&["status"])["witness_blind"] == true;
    assert!(!is_blind());
    assert_eq!(guarded.count("198.51.100.1", "sessions_opened"), 0);
    // It takes a minute to be sure.
    let talk = |held: &mut Vec<HeldSession>| {
        for held in held {
            assert!(held.echoes("still", PATIENCE));
        }
    };
    // Once the logins have been counted, whose packets say nothing about them yet.
    let passed = || guarded.daemon.json(&["status"])["verdicts"]["passed"]["packets"].as_u64().unwrap();
    let begun = Instant::now();
    eventually(PATIENCE, "a census is over", || passed() > 0 && begun.elapsed() > Duration::from_secs(3));
    talk(&mut held);
    eventually(Duration::from_secs(100), "it is blind", is_blind);
    assert!(guarded.daemon.output().contains("no server is seen to answer"), "{}", guarded.daemon.output());
    assert!(guarded.daemon.metrics().contains("ssh_guard_witness_blind 1\n"));

    let mut new = lab.client(V4).hold_session("bob", &guarded.sshd.key());
    assert!(new.echoes("hello", PATIENCE));
    guarded.wait_for(V4, "sessions_authenticated", 1);
    let session = &guarded.sessions(V4)[0];
    assert_eq!(
        (&session["unproven"], &session["stage"]),
        (&true.into(), &"authenticated".into()),
        "{session}"
    );
    guarded.agrees_with_ss(V4, V4);
    // What is unproven is over when its socket is gone, too.
    drop(new);
    guarded.wait_for(V4, "sessions_open", 0);

    lab.server().ip("route del 198.51.100.0/24");
    talk(&mut held);
    eventually(PATIENCE, "it sees again", || !is_blind());
    assert!(guarded.daemon.output().contains("a server is seen to answer"), "{}", guarded.daemon.output());
}

/// Has the server answer clients of `eth0` by `eth1`, which nobody guards.
fn answer_by_another_way(lab: &Lab) {
    let [client, other] = [0, 1].map(|number| lab.client_namespace(number));
    other.ip(&format!("link add across type veth peer name across netns {}", client.path()));
    for (namespace, address) in [(client, "10.99.0.1"), (other, "10.99.0.2")] {
        namespace.ip(&format!("addr add {address}/30 dev across\nlink set across up"));
    }
    for namespace in [lab.server(), client, other] {
        for interface in ["all", "eth0"] {
            namespace.sysctl(&format!("ipv4/conf/{interface}/rp_filter"), "0");
        }
    }
    client.sysctl("ipv4/conf/across/rp_filter", "0");
    other.sysctl("ipv4/ip_forward", "1");
    for network in ["198.51.100.0/24", "203.0.113.0/24"] {
        other.ip(&format!("route add {network} via 10.99.0.1"));
        lab.server().ip(&format!("route add {network} via 10.77.1.2"));
    }
}
