//! Sources that many stand behind are not banned: a session that fails there is closed, by a real server's socket.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use ssh_guard_tests::client::{Connect, Login};
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 4] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd")];

/// The proxy that everybody comes through.
const PROXY: &str = "203.0.113.7";

/// A failure on an account, in the session from a port, so many times.
fn fail(guarded: &Guarded<'_>, port: u16, user: &str, count: u32) {
    let event = format!(
        "{{\"source\":\"{PROXY}\",\"port\":{port},\"event\":\"failure\",\"user\":\"{user}\",\"count\":{count}}}"
    );
    let answer = guarded.daemon.post_events("application/json", &event);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn port(stream: &TcpStream) -> u16 {
    stream.local_addr().unwrap().port()
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    matches!(stream.read(&mut [0; 4096]), Err(why) if why.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn behind_a_proxy_the_session_that_fails_is_closed_and_nobody_is_banned() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "policy = { threshold = 3, shared = { accounts = 2 } }");
    for user in ["bob", "carol"] {
        let login = lab.client(PROXY).login_with_key(user, &guarded.sshd.key(), "echo in");
        assert_eq!(login, Login::Accepted("in\n".to_owned()));
    }
    let mut alice = lab.client(PROXY).hold_session("alice", &guarded.sshd.key());
    guarded.wait_for(PROXY, "sessions_authenticated", 3);
    let sessions = guarded.sessions(PROXY);
    let of_alice = sessions.iter().find(|session| session["account"] == "alice").unwrap();
    let port_of_alice = u16::try_from(of_alice["port"].as_u64().unwrap()).unwrap();
    let mut failing = guarded.greeted(PROXY);
    let mut other = guarded.greeted(PROXY);
    // Most of all sessions come from there, and it fails more often than any other source may.
    fail(&guarded, port(&failing), "root", 40);
    fail(&guarded, port_of_alice, "root", 9);
    eventually(PATIENCE, "the session that failed is closed", || is_closed(&mut failing));
    assert!(alice.echoes("still", PATIENCE), "nobody who has logged in is put out");
    assert!(!is_closed(&mut other), "it has not failed");
    assert!(guarded.daemon.banned().is_empty());
    assert_eq!(lab.client(PROXY).connect(22, PATIENCE), Connect::Open);

    // Another one that fails there on the same account is closed at once, and one on another account is not.
    fail(&guarded, port(&other), "backup", 1);
    let mut next = guarded.greeted(PROXY);
    fail(&guarded, port(&next), "root", 1);
    eventually(PATIENCE, "it is closed", || is_closed(&mut next));
    assert!(!is_closed(&mut other));
    assert_eq!(guarded.daemon.json(&["status"])["sockets_closed"], 2);
    assert!(guarded.daemon.metrics().contains("ssh_guard_sockets_closed_total 2\n"));
    let output = guarded.daemon.output();
    assert_eq!(output.matches("the real source is hidden behind this address").count(), 1, "{output}");
    assert!(output.contains("PROXY protocol"), "{output}");
    assert!(alice.echoes("and still", PATIENCE));
}

#[test]
fn in_a_dry_run_no_session_is_closed() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    let lab = Lab::new();
    let guarded =
        Guarded::start(&lab, "guard.dry-run = true\npolicy = { threshold = 3, shared = { accounts = 2 } }");
    for user in ["bob", "carol"] {
        let login = lab.client(PROXY).login_with_key(user, &guarded.sshd.key(), "echo in");
        assert_eq!(login, Login::Accepted("in\n".to_owned()));
    }
    guarded.wait_for(PROXY, "sessions_authenticated", 2);
    let mut failing = guarded.greeted(PROXY);
    let uptime = || guarded.daemon.json(&["status"])["uptime"].as_u64().unwrap();
    fail(&guarded, port(&failing), "root", 40);
    eventually(PATIENCE, "it is told", || guarded.daemon.output().contains("the real source is hidden"));
    let told = uptime();
    eventually(PATIENCE, "it would have been closed", || uptime() > told + 3);
    assert!(!is_closed(&mut failing));
    assert_eq!(guarded.daemon.json(&["status"])["sockets_closed"], 0);
}
