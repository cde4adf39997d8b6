//! Lines that are sent: by syslog over UDP, TCP and a Unix socket, and to standard input.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use serde_json::Value;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// What sshd writes for one wrong password of an attempt of its own, as a syslog daemon sends it on.
fn failure(source: &str, number: usize) -> String {
    let (pid, port) = (1000 + number, 20_000 + number);
    format!("<38>Nov 23 03:12:02 lab sshd[{pid}]: Failed password for root from {source} port {port} ssh2")
}

fn assert_lives(daemon: &Daemon<'_>) {
    assert!(!daemon.output().contains("panicked"), "{}", daemon.output());
}

const UDP: &str = "[[input]]\nkind = 'syslog'\nname = 'udp'\nlisten = 'udp://127.0.0.1:5514'\n";
const TCP: &str = "[[input]]\nkind = 'syslog'\nname = 'tcp'\nlisten = 'tcp://127.0.0.1:5514'\n";

#[test]
fn six_failures_over_udp_ban_and_a_newline_in_a_datagram_makes_no_second_line() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), UDP);
    let socket = lab.server().within(|| UdpSocket::bind("127.0.0.1:0")).unwrap();
    let send = |text: &str| socket.send_to(text.as_bytes(), "127.0.0.1:5514").unwrap();
    for number in 0..6 {
        send(&failure("203.0.113.7", number));
        let forged = failure("192.0.2.1", number);
        send(&format!("<38>Nov 23 03:12:02 lab sshd[9]: Invalid user a\n{forged}"));
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
    eventually(PATIENCE, "all is read", || daemon.input("udp")["lines"] == 12);
    assert_eq!(daemon.banned(), ["203.0.113.7"], "nobody of whom a client's own line told");
    let bans = daemon.json(&["bans"]);
    assert_eq!(bans["bans"][0]["in_kernel"], true);
    assert_lives(&daemon);
}

#[test]
fn six_failures_over_tcp_ban_in_either_framing() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), TCP);
    let connect = || lab.server().within(|| TcpStream::connect("127.0.0.1:5514")).unwrap();
    let (mut counted, mut ended) = (connect(), connect());
    for number in 0..6 {
        let line = failure("203.0.113.7", number);
        counted.write_all(format!("{} {line}", line.len()).as_bytes()).unwrap();
        ended.write_all(format!("{}\n", failure("2001:db8::7", number)).as_bytes()).unwrap();
    }
    eventually(PATIENCE, "both are banned", || daemon.banned() == ["203.0.113.7", "2001:db8::/64"]);
    assert_lives(&daemon);
}

#[test]
fn six_failures_through_a_unix_socket_ban_and_a_user_who_is_not_named_may_not_send() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("logger"), Need::Program("setpriv"));
    let lab = Lab::new();
    let site = Site::new("");
    let path = site.folder().join("log.sock");
    site.configure(&format!(
        "[[input]]\nkind = 'syslog'\nname = 'local'\nlisten = 'unix://{}'\nusers = ['root']\n",
        path.display()
    ));
    // Whoever may not enter the folder cannot send to what lies in it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(site.folder(), open).unwrap();
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let stranger = [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "logger",
        "--socket",
        path.to_str().unwrap(),
        "--tag",
        "sshd",
        "Failed password for root from 192.0.2.1 port 22 ssh2",
    ];
    let said = lab.server().said_by("setpriv", &stranger);
    assert_eq!(said, "", "the stranger can send");
    let socket = UnixDatagram::unbound().unwrap();
    for number in 0..6 {
        socket.send_to(failure("203.0.113.7", number).as_bytes(), &path).unwrap();
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
    assert_eq!(daemon.input("local")["lines"], 6, "what a stranger sends is no line");
    let refused = "ssh_guard_input_refused_total{input=\"local\",reason=\"stranger\"} 1";
    assert!(daemon.metrics().lines().any(|line| line == refused), "{}", daemon.metrics());
    assert!(daemon.output().contains("none of its 'users'"), "{}", daemon.output());
}

#[test]
fn what_strangers_and_liars_send_is_told_and_the_other_inputs_go_on() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    // Somebody has the address of one of them.
    let taken = lab.server().within(|| UdpSocket::bind("127.0.0.1:5516")).unwrap();
    let config = format!(
        "[[input]]\nkind = 'syslog'\nname = 'net'\nlisten = 'udp://0.0.0.0:5515'\nsenders = ['10.77.0.2']\n\
         [[input]]\nkind = 'syslog'\nname = 'taken'\nlisten = 'udp://127.0.0.1:5516'\n{TCP}"
    );
    let daemon = Daemon::start(lab.server(), &config);
    let client = lab.client_namespace(0);
    let stranger = client.within(|| UdpSocket::bind("203.0.113.99:0")).unwrap();
    let sender = client.within(|| UdpSocket::bind("10.77.0.2:0")).unwrap();
    let mut liar = lab.server().within(|| TcpStream::connect("127.0.0.1:5514")).unwrap();
    for number in 0..100 {
        stranger.send_to(failure("192.0.2.1", number).as_bytes(), "10.77.0.1:5515").unwrap();
    }
    liar.write_all(b"12 <38>Nov 23 garbage").unwrap();
    for number in 0..6 {
        sender.send_to(failure("203.0.113.7", number).as_bytes(), "10.77.0.1:5515").unwrap();
    }
    eventually(PATIENCE, "the sender is heard", || daemon.banned() == ["203.0.113.7"]);
    let refused = |input: &str, reason: &str, count: u32| {
        let series =
            format!("ssh_guard_input_refused_total{{input=\"{input}\",reason=\"{reason}\"}} {count}");
        eventually(PATIENCE, &series, || daemon.metrics().lines().any(|line| line == series));
    };
    refused("net", "stranger", 100);
    refused("tcp", "framing", 1);
    let output = daemon.output();
    assert_eq!(output.matches("none of its 'senders'").count(), 1, "a stranger is told once: {output}");
    assert!(output.contains("203.0.113.99"), "{output}");
    assert!(output.contains("cannot be told apart"), "{output}");
    let fault = daemon.input("taken")["error"].clone();
    assert!(fault.as_str().is_some_and(|fault| fault.contains("udp://127.0.0.1:5516")), "{fault}");
    assert_eq!(daemon.input("net")["error"], Value::Null);
    drop(taken);
    eventually(PATIENCE, "it listens once it can", || daemon.input("taken")["error"] == Value::Null);
    assert_lives(&daemon);
}

#[test]
fn six_lines_on_standard_input_ban_and_its_end_ends_nothing_else() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::new("");
    let log = site.folder().join("auth.log");
    std::fs::write(&log, "").unwrap();
    site.configure(&format!(
        "[[input]]\nkind = 'stdin'\n[[input]]\nkind = 'file'\nname = 'log'\npath = '{}'\n",
        log.display()
    ));
    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    for number in 0..6 {
        daemon.write_line(&failure("203.0.113.7", number));
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
    assert_eq!(daemon.input("stdin")["error"], Value::Null);
    daemon.close_input();
    eventually(PATIENCE, "the end is told", || {
        daemon.input("stdin")["error"].as_str().is_some_and(|told| told.contains("has ended"))
    });
    let lines: Vec<String> = (0..6).map(|number| failure("203.0.113.8", number)).collect();
    std::fs::write(&log, lines.join("\n") + "\n").unwrap();
    eventually(PATIENCE, "the log is read still", || daemon.banned().contains(&"203.0.113.8".to_owned()));
    assert_eq!(daemon.terminate(), 0);
}
