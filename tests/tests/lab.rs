//! The harness itself: real servers and clients in a lab, and nothing left of them.

use std::time::Duration;

use ssh_guard_tests::client::{Connect, Login};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{ACCOUNTS, Logging, PASSWORD, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";

const SSH: [Need; 4] = [Need::Root, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];

#[test]
fn a_failed_password_is_logged_with_its_source_in_a_file() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    let lab = Lab::new();
    let mut sshd = Sshd::start(lab.server(), Logging::File);
    for source in [V4, V6] {
        for user in ["root", "alice", "nobody-here"] {
            assert_eq!(lab.client(source).fail_password(user), Login::Denied, "{user}");
        }
        for user in ["root", "alice", "invalid user nobody-here"] {
            let line = sshd.wait_for_log(&format!("Failed password for {user} from {source} port "));
            let (header, message) = line.split_once(": ").unwrap();
            assert!(message.ends_with(" ssh2"), "{line}");
            assert!(header.split(' ').next_back().unwrap().starts_with("sshd"), "{line}");
            assert_eq!(header[15..].split(' ').nth(1), Some("lab"), "{line}");
        }
    }
}

#[test]
fn a_failed_password_is_logged_with_its_source_in_a_journal() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3], Need::Program("systemd-journald"), Need::Program("journalctl"));
    let lab = Lab::new();
    let mut sshd = Sshd::start(lab.server(), Logging::Journal);
    for source in [V4, V6] {
        assert_eq!(lab.client(source).fail_password("root"), Login::Denied);
        let message = sshd.wait_for_log(&format!("Failed password for root from {source} port "));
        let entries = sshd.journal().entries(&["_UID=0", &format!("MESSAGE={message}")]);
        assert_eq!(entries.len(), 1, "{message}");
        assert!(entries[0]["_COMM"].as_str().unwrap().starts_with("sshd"), "{}", entries[0]);
        assert!(entries[0]["SYSLOG_IDENTIFIER"].as_str().unwrap().starts_with("sshd"), "{}", entries[0]);
    }
}

#[test]
fn the_right_key_and_the_right_password_log_in() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    let lab = Lab::new();
    let mut sshd = Sshd::start(lab.server(), Logging::File);
    for source in [V4, V6] {
        let client = lab.client(source);
        for user in ["root", ACCOUNTS[0]] {
            let login = client.login_with_key(user, &sshd.key(), "id -un; echo $SSH_CONNECTION");
            let Login::Accepted(output) = login else { panic!("{login:?}") };
            assert!(output.starts_with(&format!("{user}\n{source} ")), "{output}");
            sshd.wait_for_log(&format!("Accepted publickey for {user} from {source} port "));
        }
        assert_eq!(client.login_with_password("bob", PASSWORD), Login::Accepted("welcome\n".into()));
        sshd.wait_for_log(&format!("Accepted password for bob from {source} port "));
    }
}

#[test]
fn a_held_session_echoes_until_its_packets_are_lost() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let mut session = lab.client(V4).hold_session("alice", &sshd.key());
    assert!(session.echoes("one", PATIENCE));
    lab.server().ip(&format!("route add blackhole {V4}"));
    assert!(!session.echoes("two", Duration::from_millis(500)));
    assert!(!session.has_ended(), "lost packets alone end no session");
    lab.server().ip(&format!("route del blackhole {V4}"));
    assert!(session.echoes("three", PATIENCE));
}

#[test]
fn an_open_a_closed_and_a_silent_port_are_told_apart() {
    needs!(Need::Root, Need::Netns);
    let lab = Lab::new();
    let listener = lab.listen();
    for source in ["10.100.3.4", "198.18.5.6", "fd00:100:5::7", "2001:db8:1:2::3"] {
        let client = lab.client(source);
        assert_eq!(client.connect(22, PATIENCE), Connect::Open);
        assert_eq!(client.connect(23, PATIENCE), Connect::Refused);
        let seen = listener.accept().unwrap().1.ip().to_canonical();
        assert_eq!(seen, client.address());
    }
    lab.server().ip(&format!("route add blackhole {V4}"));
    assert_eq!(lab.client(V4).connect(22, Duration::from_millis(300)), Connect::TimedOut);
}

#[test]
fn each_client_namespace_has_its_own_interface_and_addresses() {
    needs!(Need::Root, Need::Netns);
    let lab = Lab::with_clients(3);
    let listener = lab.listen();
    for source in ["10.77.2.2", "10.102.9.9", "fd00:102:1::9", "10.101.0.1", V4] {
        assert_eq!(lab.client(source).connect(22, PATIENCE), Connect::Open, "{source}");
        assert_eq!(listener.accept().unwrap().1.ip().to_canonical(), lab.client(source).address());
    }
}

#[test]
fn nothing_is_left_of_a_lab_even_after_a_panic() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3], Need::Program("systemd-journald"));
    let (sent, received) = std::sync::mpsc::channel();
    let panicked = std::panic::catch_unwind(move || {
        let lab = Lab::new();
        let sshd = Sshd::start(lab.server(), Logging::Journal);
        let mut session = lab.client(V4).hold_session("alice", &sshd.key());
        assert!(session.echoes("one", PATIENCE));
        let pids = [lab.server().pids(), lab.client_namespace(0).pids()].concat();
        assert!(pids.len() >= 4, "sshd, its session and shell, journald and ssh: {pids:?}");
        let numbers = [lab.server().number(), lab.client_namespace(0).number()];
        sent.send((numbers, sshd.key())).unwrap();
        panic!("on purpose");
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
    let (numbers, key) = received.recv().unwrap();
    eventually(PATIENCE, "no process is in the namespaces any more", || {
        numbers.iter().all(|number| namespaces_in_use().iter().all(|used| used != number))
    });
    assert!(!key.parent().unwrap().exists(), "the server's folder is still there");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(key.parent().unwrap().to_str().unwrap()), "a private mount has leaked");
}

/// Lists the network namespaces that any process, thread of this one, or open file of this one keeps.
fn namespaces_in_use() -> Vec<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let entries =
        |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let processes = entries("/proc").map(|path| path.join("ns/net"));
    let threads = entries("/proc/self/task").map(|path| path.join("ns/net"));
    let files = entries("/proc/self/fd");
    processes.chain(threads).chain(files).filter_map(|path| Some(path.metadata().ok()?.ino())).collect()
}
