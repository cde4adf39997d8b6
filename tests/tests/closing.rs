//! A ban ends the sessions of its source, not only their packets: the server's processes are gone at once, and the places
//! that they took are free for others.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use ssh_guard::kernel::{Socket, Sockets, Stage};
use ssh_guard_tests::client::{Client, Connect, HeldSession, Login};
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{Logging, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};
use ssh_guard_tests::wire::Wire;

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];

const ATTACKER_V4: &str = "203.0.113.7";
const ATTACKER_V6: &str = "2001:db8:7::7";
const OTHER_V4: &str = "198.51.100.8";
const OTHER_V6: &str = "2001:db8:8::8";

/// Four sessions may be in front of their login, and would be for much longer than any test waits.
const FEW_PLACES: &str = "MaxStartups 4:100:4\nLoginGraceTime 3600";
const PLACES: usize = 4;

fn reading(log: &Path) -> String {
    format!("[[input]]\nkind = \"file\"\npath = \"{}\"\n", log.display())
}

/// Sessions that never log in, and were greeted: each holds a place of the server.
fn greeted(client: &Client<'_>, count: usize) -> Vec<TcpStream> {
    let greeted = |_| {
        let mut stream = client.open(22, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        stream
    };
    (0..count).map(greeted).collect()
}

/// Whether the server turns a new session away before it says a word.
fn is_turned_away(client: &Client<'_>) -> bool {
    let mut stream = client.open(22, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = [0; 4];
    // Since OpenSSH 9.8 the server says "Exceeded MaxStartups" instead of its greeting.
    !matches!(stream.read_exact(&mut said), Ok(()) if said == *b"SSH-")
}

fn closed(daemon: &Daemon<'_>) -> u64 {
    daemon.json(&["status"])["sockets_closed"].as_u64().unwrap()
}

/// What was closed is counted after it.
fn wait_for_closed(daemon: &Daemon<'_>, count: u64) {
    eventually(PATIENCE, "what was closed is counted", || closed(daemon) >= count);
    assert_eq!(closed(daemon), count);
}

fn ban(daemon: &Daemon<'_>, what: &str) {
    let answer = daemon.cli(&["ban", what]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

/// The processes of a server for sessions.
fn children(sshd: &Sshd) -> Vec<u32> {
    let pid = sshd.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

fn hold(lab: &Lab, sshd: &Sshd, address: &str) -> HeldSession {
    let mut session = lab.client(address).hold_session("alice", &sshd.key());
    assert!(session.echoes("one", PATIENCE), "{address}");
    session
}

fn ends(session: &mut HeldSession, whose: &str) {
    eventually(PATIENCE, &format!("the session of {whose} ends"), || session.has_ended());
}

#[test]
fn a_ban_frees_the_places_of_sessions_that_never_logged_in() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    for (attacker, other) in [(ATTACKER_V4, OTHER_V4), (ATTACKER_V6, OTHER_V6)] {
        let lab = Lab::new();
        let sshd = Sshd::configured(lab.server(), Logging::File, FEW_PLACES);
        let daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
        let client = lab.client(attacker);
        let mut waiting = greeted(&client, PLACES);
        eventually(PATIENCE, "no place is left", || is_turned_away(&lab.client(other)));
        waiting.pop();
        eventually(PATIENCE, "one place is free", || !is_turned_away(&lab.client(other)));

        // Through the last place the attacker fails until it is banned; sessions that came to nothing weigh a little too.
        for _ in 0..4 {
            eventually(PATIENCE, "a password is refused", || client.fail_password("root") == Login::Denied);
        }
        eventually(PATIENCE, "the others wait still", || children(&sshd).len() == PLACES - 1);
        assert_eq!(closed(&daemon), 0);
        eventually(PATIENCE, "it is banned", || client.fail_password("root") == Login::TimedOut);

        eventually(PATIENCE, "the server's processes are gone", || children(&sshd).is_empty());
        eventually(PATIENCE, "what was closed is counted", || closed(&daemon) >= 3);
        for stream in &mut waiting {
            // The kernel's RST passes: it goes out.
            eventually(
                PATIENCE,
                "the attacker is told",
                || matches!(stream.read(&mut [0; 4096]), Err(why) if why.kind() == ErrorKind::ConnectionReset),
            );
        }
        let login = lab.client(other).login_with_key("alice", &sshd.key(), "echo in");
        assert_eq!(login, Login::Accepted("in\n".into()));
        assert!(daemon.metrics().contains(&format!("ssh_guard_sockets_closed_total {}\n", closed(&daemon))));
    }
}

#[test]
fn a_session_that_is_logged_in_ends_with_its_source_and_nobody_elses_does() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
    let mut banned = [ATTACKER_V4, ATTACKER_V6, "2001:db8:7::77"].map(|address| hold(&lab, &sshd, address));
    let mut others = [OTHER_V4, OTHER_V6, "203.0.113.8"].map(|address| hold(&lab, &sshd, address));
    assert_eq!(daemon.cli(&["ban", ATTACKER_V4, ATTACKER_V6]).code, 0);
    for session in &mut banned {
        ends(session, "a banned source");
    }
    eventually(PATIENCE, "their processes are gone", || children(&sshd).len() == others.len());
    for session in &mut others {
        assert!(session.echoes("two", PATIENCE));
    }
    wait_for_closed(&daemon, 3);
}

#[test]
fn who_is_excepted_from_a_ban_keeps_its_session() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    // Both in banned networks, and in a banned source.
    let allowed = ["203.0.113.9", "2001:db8:7:1::9", "2001:db8:9::9"];
    // The gateway of the lab is client 0 itself.
    let gateways = ["10.77.0.2", "fd00:77::2"];
    let config = format!("allow.sources = {allowed:?}\n{}", reading(sshd.log_file()));
    // Whoever logs in under a daemon would pass banned networks.
    let mut kept: Vec<HeldSession> =
        allowed.iter().chain(&gateways).map(|address| hold(&lab, &sshd, address)).collect();
    let banned = ["203.0.113.7", "2001:db8:7:1::7", "2001:db8:7:2::9", "2001:db8:9::7", "10.77.0.1"];
    let mut banned = banned[..4].iter().map(|address| hold(&lab, &sshd, address)).collect::<Vec<_>>();
    let daemon = Daemon::start(lab.server(), &config);
    for network in ["203.0.113.0/24", "2001:db8:7::/48", "2001:db8:9::/64", "10.77.0.0/24", "fd00:77::/64"] {
        ban(&daemon, network);
    }
    for session in &mut banned {
        ends(session, "who is not excepted");
    }
    for session in &mut kept {
        assert!(session.echoes("two", PATIENCE));
    }
    // What is allowed no more is dropped, and closed.
    assert_eq!(daemon.cli(&["allow", "--remove", allowed[0]]).code, 0);
    ends(&mut kept[0], "who is allowed no more");
    for session in &mut kept[1..] {
        assert!(session.echoes("three", PATIENCE));
    }
    wait_for_closed(&daemon, 5);
}

#[test]
fn a_dry_run_closes_nothing() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let config = format!("[guard]\ndry-run = true\n{}", reading(sshd.log_file()));
    let daemon = Daemon::start(lab.server(), &config);
    let mut session = hold(&lab, &sshd, ATTACKER_V4);
    ban(&daemon, ATTACKER_V4);
    let dropped = |least: u64| {
        move |daemon: &Daemon<'_>| {
            daemon.json(&["status"])["verdicts"]["blocked"]["packets"].as_u64() >= Some(least)
        }
    };
    // Two looks of who would be dropped, a second apart: long enough for sockets to be closed.
    for (word, least) in [("two", 1), ("three", 2)] {
        assert!(session.echoes(word, PATIENCE));
        eventually(PATIENCE, "its packets would be dropped", || dropped(least)(&daemon));
    }
    assert!(session.echoes("four", PATIENCE));
    assert_eq!(closed(&daemon), 0);
}

#[test]
fn what_is_listed_is_closed_when_the_list_is_loaded_and_when_a_daemon_starts_with_it() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    // Whoever logs in under a daemon would pass banned networks.
    let mut session = hold(&lab, &sshd, ATTACKER_V4);
    let mut in_network = hold(&lab, &sshd, "198.18.5.5");
    let mut later = [OTHER_V4, ATTACKER_V6].map(|address| hold(&lab, &sshd, address));
    let mut daemon = Daemon::start(lab.server(), &reading(sshd.log_file()));
    let list = daemon.site().folder().join("list");
    // More than the guard writes at once, and what counts comes last.
    let mut lines: Vec<String> = (0..5000).map(|n| format!("10.9.{}.{}", n / 250, n % 250)).collect();
    lines.extend([ATTACKER_V4, "198.18.0.0/15"].map(str::to_owned));
    std::fs::write(&list, lines.join("\n")).unwrap();
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    ends(&mut session, "a listed source");
    ends(&mut in_network, "a listed network");
    wait_for_closed(&daemon, 2);

    daemon.kill9();
    let block = "block.networks = ['198.51.100.0/24', '2001:db8:7::/64']";
    daemon.configure(&format!("{block}\n{}", reading(sshd.log_file())));
    daemon.start_again();
    for session in &mut later {
        ends(session, "who is listed in the configuration");
    }
}

#[test]
fn a_socket_of_both_families_closes_for_ipv4_and_its_listener_stays() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.server().within(|| TcpListener::bind("[::]:2222")).unwrap();
    let daemon = Daemon::start_at(Site::with_log("guard.ports = [22, 2222]"), lab.server(), &[]);
    let connect = |address: &str| {
        let stream = lab.client(address).open(2222, PATIENCE).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        (stream, server)
    };
    let unguarded = lab.server().within(|| TcpListener::bind("[::]:80")).unwrap();
    let _web = lab.client(ATTACKER_V4).open(80, PATIENCE).unwrap();
    let (mut web, _) = unguarded.accept().unwrap();
    let mut attacked = [ATTACKER_V4, ATTACKER_V6].map(connect);
    let mut other = connect(OTHER_V4);
    assert_eq!(daemon.cli(&["ban", ATTACKER_V4, ATTACKER_V6]).code, 0);
    for (_client, server) in &mut attacked {
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }
    wait_for_closed(&daemon, 2);
    for stream in [&mut other.1, &mut web] {
        stream.set_nonblocking(true).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "others are left alone");
    }
    let _again = connect("198.51.100.9");
}

#[test]
fn many_bans_at_once_close_all_their_sessions() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log("limits.new-sessions-per-minute = 0"), lab.server(), &[]);
    let addresses: Vec<String> = (1..=200).map(|n| format!("198.18.7.{n}")).collect();
    let sessions: Vec<(TcpStream, TcpStream)> = addresses
        .iter()
        .map(|address| (lab.client(address).open(22, PATIENCE).unwrap(), listener.accept().unwrap().0))
        .collect();
    let (kept, banned) = addresses.split_at(50);
    for some in banned.chunks(10) {
        let args: Vec<&str> = ["ban"].into_iter().chain(some.iter().map(String::as_str)).collect();
        assert_eq!(daemon.cli(&args).code, 0);
    }
    eventually(PATIENCE, "all are closed", || closed(&daemon) == 150);
    let left = lab.server().within(|| Sockets::open().unwrap().list(&[22])).unwrap();
    let mut left: Vec<String> = left.iter().map(|socket| socket.remote().ip().to_string()).collect();
    left.sort_by_key(|address| kept.iter().position(|other| other == address));
    assert_eq!(left, kept);
    drop(sessions);
}

#[test]
fn half_open_and_open_sockets_of_both_families_are_listed_and_destroyed_but_never_a_listener() {
    needs!(ALL[0], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let list = |ports: &[u16]| lab.server().within(|| Sockets::open().unwrap().list(ports)).unwrap();
    // Nobody has these addresses, and so nobody answers what the server answers.
    let wire = Wire::new(&lab);
    wire.send(&packet::v4("100.64.0.7").tcp(22).syn().to_bytes());
    wire.send(&packet::v6("2001:db9::7").tcp(22).syn().to_bytes());
    let clients = [ATTACKER_V4, ATTACKER_V6].map(|address| lab.client(address).open(22, PATIENCE).unwrap());
    let shown = |socket: &Socket| (socket.remote().ip().to_string(), socket.stage());
    eventually(PATIENCE, "all four are there", || list(&[22]).len() == 4);
    let found = list(&[22]);
    let mut told: Vec<_> = found.iter().map(shown).collect();
    told.sort_by_key(|(address, _)| address.clone());
    let expected = [
        ("100.64.0.7", Stage::HalfOpen),
        ("2001:db8:7::7", Stage::Open),
        ("2001:db9::7", Stage::HalfOpen),
        ("203.0.113.7", Stage::Open),
    ];
    assert_eq!(told, expected.map(|(address, stage)| (address.to_owned(), stage)));
    assert_eq!(list(&[23, 2222]), []);

    lab.server().within(|| {
        let mut sockets = Sockets::open().unwrap();
        for socket in &found {
            assert!(sockets.destroy(socket).unwrap(), "{socket:?}");
        }
        for socket in &found {
            assert!(!sockets.destroy(socket).unwrap(), "it is gone, and its listener is not it: {socket:?}");
        }
    });
    assert_eq!(list(&[22]), []);
    drop(clients);
    assert_eq!(lab.client(OTHER_V4).connect(22, PATIENCE), Connect::Open);
    drop(listener);
}

/// A server that takes no part in it: what a client has closed is gone by itself.
#[test]
fn what_has_ended_is_no_socket_of_a_session() {
    needs!(ALL[0], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let list = || lab.server().within(|| Sockets::open().unwrap().list(&[22])).unwrap();
    let client = lab.client(ATTACKER_V4).open(22, PATIENCE).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(client);
    // The server has not hung up: it is a session still.
    eventually(PATIENCE, "the client has hung up", || {
        server.set_nonblocking(true).unwrap();
        matches!((&server).read(&mut [0]), Ok(0))
    });
    assert_eq!(list().iter().map(Socket::stage).collect::<Vec<_>>(), [Stage::Open]);
    drop(server);
    eventually(Duration::from_secs(20), "both have hung up", || list().is_empty());
}
