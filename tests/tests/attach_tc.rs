//! Mode tc, and how auto and a restart come to it.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::packet;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};
use ssh_guard_tests::wire::Wire;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);
const BANNED: &str = "203.0.113.7";

fn eth0(daemon: &Daemon<'_>) -> Value {
    daemon.json(&["status"])["interfaces"][0].clone()
}

fn xdp_on(namespace: &Namespace) -> bool {
    namespace.said_by("ip", &["-details", "link", "show", "dev", "eth0"]).contains("prog/xdp")
}

fn assert_guarded(lab: &Lab, what: &str) {
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "{what}: who is banned");
    assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open, "{what}: who is not");
}

#[test]
fn in_mode_tc_bans_hold_through_a_crash_and_a_restart() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log("guard.mode = 'tc'"), lab.server(), &[]);
    let told = eth0(&daemon);
    assert_eq!(
        (&told["mode"], &told["attached"], &told["witness"]),
        (&"tc".into(), &true.into(), &true.into())
    );
    assert!(!xdp_on(lab.server()));
    assert_eq!(daemon.cli(&["ban", BANNED, "2001:db8::7"]).code, 0);
    assert_guarded(&lab, "banned");
    assert_eq!(lab.client("2001:db8::7").connect(22, SHORT), Connect::TimedOut);
    assert_eq!(daemon.cli(&["allow", BANNED]).code, 0);
    assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open, "who is allowed");
    assert_eq!(daemon.cli(&["allow", "--remove", BANNED]).code, 0);
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    daemon.kill9();
    assert_guarded(&lab, "without a daemon");
    daemon.start_again();
    assert!(daemon.output().contains("took the place of an earlier daemon's program"), "{}", daemon.output());
    assert_guarded(&lab, "after a restart");
    assert_eq!((&eth0(&daemon)["degraded"], &eth0(&daemon)["witness"]), (&Value::Null, &true.into()));
    let blocked = daemon.json(&["status"])["verdicts"]["blocked"]["packets"].as_u64().unwrap();
    assert!(blocked >= 1, "the new program counts");
    drop(listener);
}

#[test]
fn auto_takes_tc_where_another_xdp_program_is_and_says_why() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let other = Daemon::start_at(Site::with_log("guard.mode = 'native'"), lab.server(), &[]);
    let config = "observe.listen = '127.0.0.1:9823'";
    let daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    let told = eth0(&daemon);
    assert_eq!((&told["mode"], &told["attached"]), (&"tc".into(), &true.into()));
    assert!(
        daemon.output().contains("not native: another XDP program is attached (id "),
        "{}",
        daemon.output()
    );
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    assert_guarded(&lab, "behind another program");
    assert_eq!(eth0(&other)["attached"], true, "the other program stays");
    drop(listener);
}

#[test]
fn a_restart_changes_between_native_and_tc_and_no_packet_of_the_banned_passes() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(eth0(&daemon)["mode"], "native");
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    let log = daemon.site().folder().join("auth.log");
    let wire = Wire::new(&lab);
    let frame = packet::v4(BANNED).tcp(22).syn().to_bytes();
    let before = segments(lab.server());
    let sent = wire.send_during(&[frame], || {
        for mode in ["tc", "native", "tc", "auto"] {
            daemon.kill9();
            let input =
                format!("guard.mode = '{mode}'\n[[input]]\nkind = 'file'\npath = '{}'\n", log.display());
            daemon.configure(&input);
            daemon.start_again();
            let obtained = if mode == "auto" { "native" } else { mode };
            assert_eq!(
                (&eth0(&daemon)["mode"], &eth0(&daemon)["attached"]),
                (&obtained.into(), &true.into())
            );
            assert_eq!(xdp_on(lab.server()), obtained == "native", "{mode}: one place alone is used");
        }
    });
    assert!(sent > 1000, "{sent} frames were sent");
    assert_eq!(segments(lab.server()), before, "segments of the banned came as far as TCP");
    assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open);
    assert!(segments(lab.server()) > before, "those of others do");
    drop(listener);
}

/// How many segments have come as far as TCP.
fn segments(namespace: &Namespace) -> u64 {
    let snmp = namespace.within(|| std::fs::read_to_string("/proc/thread-self/net/snmp")).unwrap();
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let place = lines.next().unwrap().split(' ').position(|name| name == "InSegs").unwrap();
    lines.next().unwrap().split(' ').nth(place).unwrap().parse().unwrap()
}

#[test]
fn two_guards_behind_traffic_control_leave_each_other_alone() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let first = Daemon::start_at(Site::with_log("guard.mode = 'tc'"), lab.server(), &[]);
    let config = "guard.mode = 'tc'\nobserve.listen = '127.0.0.1:9823'";
    let second = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    assert_eq!(first.cli(&["ban", BANNED]).code, 0);
    assert_eq!(second.cli(&["ban", "203.0.113.9"]).code, 0);
    for banned in [BANNED, "203.0.113.9"] {
        assert_eq!(lab.client(banned).connect(22, SHORT), Connect::TimedOut, "{banned}");
    }
    assert_eq!(second.cli(&["detach"]).code, 0);
    assert_eq!(lab.client("203.0.113.9").connect(22, PATIENCE), Connect::Open);
    assert_guarded(&lab, "the first one goes on");
    assert_eq!((&eth0(&first)["attached"], &eth0(&first)["witness"]), (&true.into(), &true.into()));
    drop(listener);
}

#[test]
fn an_interface_without_an_ethernet_header_is_guarded_in_mode_tc() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("perl"));
    let lab = Lab::new();
    lab.server().ip("tuntap add mode tun tun0\naddr add 10.99.0.1/24 dev tun0\nlink set tun0 up");
    let config = "guard.interfaces = ['eth0', 'tun0']";
    let daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    let interfaces = daemon.json(&["status"])["interfaces"].clone();
    assert_eq!((&interfaces[0]["mode"], &interfaces[1]["mode"]), (&"native".into(), &"tc".into()));
    assert_eq!(daemon.cli(&["ban", "10.99.0.7", "10.99.0.8"]).code, 0);
    let mut command = Command::new("perl");
    command.args(["-e", TUN]);
    let mut tun = lab.server().start(command);
    tun.wait_for_output("ready", PATIENCE);
    for client in ["10.99.0.7", "10.99.0.9"] {
        let packet = packet::v4(client).tcp(22).syn().without_ethernet().to_bytes();
        let hex: Vec<String> = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        tun.write_line(&hex.concat()).unwrap();
    }
    eventually(PATIENCE, "the packet of who is banned is dropped, and the other one passes", || {
        let verdicts = daemon.json(&["status"])["verdicts"].clone();
        (&verdicts["blocked"]["packets"], &verdicts["passed"]["packets"]) == (&1.into(), &1.into())
    });
}

/// Writes packets into tun0 as if they had come in by it: `TUNSETIFF` with `IFF_TUN` and `IFF_NO_PI` (`linux/if_tun.h`), then a
/// packet a line, in hexadecimal.
const TUN: &str = r#"
    open(my $tun, "+<", "/dev/net/tun") or die "no tun: $!";
    my $request = pack("a16 s x22", "tun0", 0x1001);
    ioctl($tun, 0x400454ca, $request) or die "no tun0: $!";
    $| = 1;
    print "ready\n";
    while (<STDIN>) { chomp; syswrite($tun, pack("H*", $_)) or die "not taken: $!" }
"#;
