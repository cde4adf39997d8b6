//! Sessions as the daemon tells them, against a real server: the counts are those of tcpdump and of `ss`.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::path::Path;
use std::process::Command;

use ssh_guard_tests::capture::Capture;
use ssh_guard_tests::client::Login;
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::{Lab, server_address};
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::{Need, find_program};
use ssh_guard_tests::sshd::PASSWORD;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 6] = [
    Need::Root,
    Need::Bpf,
    Need::Netns,
    Need::Program("sshd"),
    Need::Program("tcpdump"),
    Need::Program("ss"),
];

/// The client's own address, which no ban is for, as it is the server's gateway.
const OWN: &str = "10.77.0.2";
const V4: &str = "203.0.113.7";
const V6: &str = "2001:db8:7::7";
const SOURCE_V6: &str = "2001:db8:7::/64";

/// Waits until the daemon has counted what tcpdump saw of a source, beyond what it had `before`.
#[track_caller]
fn agrees_with_tcpdump(guarded: &Guarded<'_>, capture: Capture, of: (&str, &str), before: (u64, u64)) {
    let (address, source) = of;
    guarded.wait_for(source, "sessions_open", 0);
    let mut counted = (0, 0);
    let agrees = ssh_guard_tests::wait::poll(PATIENCE, || {
        let now = guarded.sent(source);
        counted = (now.0 - before.0, now.1 - before.1);
        (counted == capture.so_far().sent_by(address)).then_some(())
    });
    let captured = capture.end();
    assert!(agrees.is_some(), "counted {counted:?}, captured {:?}", captured.sent_by(address));
    assert_eq!(counted, captured.sent_by(address));
    // One is from before.
    assert_eq!(guarded.count(source, "sessions_opened"), captured.sessions_of(address) as u64 + 1);
}

#[test]
fn what_hydra_tries_is_counted_as_tcpdump_sees_it() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5], Need::Program("hydra"));
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "limits.new-sessions-per-minute = 0");
    let before = guarded.introduce(OWN, OWN);
    let capture = Capture::start(lab.client_namespace(0));
    let words = guarded.daemon.site().folder().join("words");
    let wrong: Vec<String> = (0..20).map(|number| format!("wrong {number}")).collect();
    std::fs::write(&words, [&wrong[..], &[PASSWORD.to_owned()]].concat().join("\n")).unwrap();
    let mut hydra = Command::new(find_program("hydra").unwrap());
    hydra
        .current_dir(guarded.daemon.site().folder())
        .args(["-I", "-t", "4", "-l", "alice", "-P"])
        .arg(&words);
    hydra.arg(format!("ssh://{}", server_address(0, true)));
    let output = lab.client_namespace(0).within(|| hydra.output()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("login: alice"), "{said}\n{output:?}");
    agrees_with_tcpdump(&guarded, capture, (OWN, OWN), before);
    guarded.agrees_with_ss(OWN, OWN);
    let accepted = guarded.sshd.log().matches("Accepted password for alice").count() as u64;
    guarded.wait_for(OWN, "sessions_authenticated", accepted);
    assert!(guarded.count(OWN, "sessions_opened") > 5, "{:?}", guarded.source(OWN));
}

/// A script that answers every question for a password.
fn asked_for_a_password(folder: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let script = folder.join("askpass");
    std::fs::write(&script, "#!/bin/sh\necho wrong horse\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn ssh(options: &[&str]) -> Command {
    let mut ssh = Command::new(find_program("ssh").unwrap());
    ssh.args(["-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    ssh.args(["-o", "IdentityAgent=none", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=9"]).args(options);
    ssh
}

#[test]
fn several_attempts_in_one_session_are_one_session() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let before = guarded.introduce(V4, V4);
    let capture = Capture::start(lab.client_namespace(0));
    let mut attempts = ssh(&["-b", V4, "-l", "alice", "-o", "NumberOfPasswordPrompts=3"]);
    attempts.args(["-o", "PreferredAuthentications=password", "-o", "PubkeyAuthentication=no"]);
    attempts.env("SSH_ASKPASS", asked_for_a_password(guarded.daemon.site().folder()));
    attempts.env("SSH_ASKPASS_REQUIRE", "force").arg(server_address(0, true).to_string()).arg("true");
    assert!(!lab.client_namespace(0).within(|| attempts.output()).unwrap().status.success());
    assert_eq!(guarded.sshd.log().matches("Failed password for alice").count(), 3, "{}", guarded.sshd.log());
    agrees_with_tcpdump(&guarded, capture, (V4, V4), before);
    assert_eq!(guarded.count(V4, "sessions_opened"), 2);
    assert_eq!(guarded.count(V4, "sessions_authenticated"), 0);
}

#[test]
fn a_bulk_transfer_is_counted_packet_by_packet() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5], Need::Program("sftp"));
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    for (address, source, ipv4) in [(V4, V4, true), (V6, SOURCE_V6, false)] {
        let before = guarded.introduce(address, source);
        let capture = Capture::start(lab.client_namespace(0));
        let file = guarded.daemon.site().folder().join("bulk");
        std::fs::write(&file, vec![7; 12 << 20]).unwrap();
        let batch = guarded.daemon.site().folder().join("batch");
        let (up, down) = (file.with_extension("up"), file.with_extension("down"));
        let commands = [(&file, "put", &up), (&up, "get", &down)];
        let lines = commands.map(|(from, verb, to)| format!("{verb} {} {}\n", from.display(), to.display()));
        std::fs::write(&batch, lines.concat()).unwrap();
        let mut sftp = Command::new(find_program("sftp").unwrap());
        sftp.args(["-F", "none", "-q", "-b"]).arg(&batch).arg("-i").arg(guarded.sshd.key());
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"] {
            sftp.args(["-o", option]);
        }
        sftp.arg("-o").arg(format!("BindAddress={address}"));
        sftp.arg(if ipv4 { "root@10.77.0.1" } else { "root@[fd00:77::1]" });
        let output = lab.client_namespace(0).within(|| sftp.output()).unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::metadata(&down).unwrap().len(), 12 << 20);
        agrees_with_tcpdump(&guarded, capture, (address, source), before);
        assert!(guarded.count(source, "bytes") > 12 << 20, "{:?}", guarded.source(source));
        guarded.wait_for(source, "sessions_authenticated", 1);
    }
}

#[test]
fn several_logins_over_one_connection_are_one_session() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let path = format!("ControlPath={}/mux", guarded.daemon.site().folder().display());
    let key = guarded.sshd.key();
    let run = |more: &[&str]| {
        let mut command = ssh(&["-n", "-b", V4, "-l", "alice", "-o", "BatchMode=yes", "-o", &path]);
        command.arg("-i").arg(&key).args(more);
        lab.client_namespace(0).within(|| command.output()).unwrap()
    };
    let server = server_address(0, true).to_string();
    for number in ["one", "two", "three"] {
        let output = run(&["-o", "ControlMaster=auto", "-o", "ControlPersist=60", &server, "echo", number]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{number}\n"), "{output:?}");
    }
    guarded.wait_for(V4, "sessions_authenticated", 1);
    guarded.agrees_with_ss(V4, V4);
    assert_eq!((guarded.count(V4, "sessions_opened"), guarded.count(V4, "sessions_open")), (1, 1));
    let sessions = guarded.sessions(V4);
    assert_eq!((&sessions[0]["stage"], &sessions[0]["account"]), (&"authenticated".into(), &"alice".into()));
    assert!(run(&["-O", "exit", &server]).status.success());
    guarded.wait_for(V4, "sessions_open", 0);
}

#[test]
fn a_session_that_only_keeps_alive_stays_open_and_its_packets_are_counted() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let mut command = ssh(&["-n", "-N", "-b", V6, "-l", "bob", "-o", "ServerAliveInterval=1"]);
    command.arg("-i").arg(guarded.sshd.key()).arg(server_address(0, false).to_string());
    let mut idle = lab.client_namespace(0).start(command);
    guarded.wait_for(SOURCE_V6, "sessions_authenticated", 1);
    let packets = || guarded.sessions(V6)[0]["packets"].as_u64().unwrap();
    let before = packets();
    eventually(PATIENCE, "three times it is alive", || packets() >= before + 6);
    let session = &guarded.sessions(V6)[0];
    assert_eq!((&session["stage"], &session["account"]), (&"authenticated".into(), &"bob".into()));
    assert_eq!((&session["closing"], &session["unproven"]), (&false.into(), &false.into()));
    assert_eq!((&session["address"], &session["source"]), (&V6.into(), &SOURCE_V6.into()));
    assert_eq!((&session["server"], &session["server_port"]), (&"fd00:77::1".into(), &22.into()));
    guarded.agrees_with_ss(V6, SOURCE_V6);
    idle.kill();
    guarded.wait_for(SOURCE_V6, "sessions_open", 0);
}

#[test]
fn a_session_that_is_over_before_anybody_looked_is_counted_as_authenticated() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    for address in [V4, V6] {
        let login = lab.client(address).login_with_key("carol", &guarded.sshd.key(), "true");
        assert_eq!(login, Login::Accepted(String::new()));
    }
    for source in [V4, SOURCE_V6] {
        guarded.wait_for(source, "sessions_authenticated", 1);
        assert_eq!(guarded.count(source, "sessions_opened"), 1);
        guarded.wait_for(source, "sessions_open", 0);
        let session = &guarded.sessions(source)[0];
        assert_eq!(
            (&session["stage"], &session["account"]),
            (&"closed".into(), &"carol".into()),
            "{session}"
        );
    }
    let metrics = guarded.daemon.metrics();
    assert!(metrics.contains("ssh_guard_sessions{stage=\"closed\"} 2\n"), "{metrics}");
    assert!(metrics.contains("ssh_guard_logins_lost_total 0\n"), "{metrics}");
}

#[test]
fn an_allowlisted_source_is_counted_like_any_other() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "allow.sources = ['203.0.113.0/24']\nlimits.open-sessions = 2");
    let before = guarded.introduce(V4, V4);
    let capture = Capture::start(lab.client_namespace(0));
    let held: Vec<_> = (0..5).map(|_| guarded.greeted(V4)).collect();
    guarded.agrees_with_ss(V4, V4);
    assert_eq!(guarded.count(V4, "sessions_open"), 5);
    // It is over its limit for long: more than one census has passed.
    eventually(PATIENCE, "that is seen", || guarded.source(V4).is_some_and(|told| told["allowed"] == true));
    drop((guarded.greeted(V4), held));
    agrees_with_tcpdump(&guarded, capture, (V4, V4), before);
    let status = guarded.daemon.json(&["status"]);
    assert_eq!(status["verdicts"]["session_limited"]["packets"], 0, "{status}");
}

#[test]
fn sessions_are_told_as_a_table_and_of_one_source_alone() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], ALL[5]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let daemon = &guarded.daemon;
    assert_eq!(daemon.cli(&["sessions"]).stdout, "no session is followed\n");
    let (_one, _other) = (guarded.greeted(V4), guarded.greeted(V6));
    let mut operator = lab.client("198.51.100.1").hold_session("alice", &guarded.sshd.key());
    assert!(operator.echoes("hello", PATIENCE));
    guarded.wait_for("198.51.100.1", "sessions_authenticated", 1);
    guarded.wait_for(SOURCE_V6, "sessions_open", 1);

    let told = daemon.cli(&["sessions"]).stdout;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0].starts_with("CLIENT") && lines[0].contains("ACCOUNT"), "{told}");
    // The busiest one first.
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert!(words[0].starts_with("198.51.100.1:"), "{told}");
    assert_eq!(words[1..4], ["10.77.0.1:22", "authenticated", "alice"], "{told}");
    assert!(told.contains(&format!("[{V6}]:")) && told.contains("[fd00:77::1]:22"), "{told}");

    for (source, count) in [(V4, 1), (SOURCE_V6, 1), ("2001:db8::/32", 1), ("0.0.0.0/0", 2), ("192.0.2.1", 0)]
    {
        assert_eq!(guarded.sessions(source).len(), count, "{source}");
    }
    let one = daemon.cli(&["sessions", "--top", "1"]).stdout;
    assert!(one.ends_with("2 more are not shown: --top N\n"), "{one}");
    let refused = daemon.cli(&["sessions", "--source", "root&limit=0"]);
    refused.assert_refused(2, &["'root&limit=0' is neither an address nor a network"]);

    let sources = daemon.cli(&["sources"]).stdout;
    let line = sources.lines().find(|line| line.starts_with("198.51.100.1 ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[1..3], ["1", "(1)"], "{sources}");
    let head = sources.lines().next().unwrap();
    assert!(head.contains("SESSIONS (OPEN)") && head.contains("AUTHENTICATED"), "{sources}");
}
