//! Attaching: to the right interfaces, to all of them or none, never in another program's place; and what is seen
//! when the program is gone from where it was put.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::programs::Programs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

fn interfaces(daemon: &Daemon<'_>) -> Vec<Value> {
    daemon.json(&["status"])["interfaces"].as_array().unwrap().clone()
}

fn mode_of(namespace: &Namespace, interface: &str) -> Option<String> {
    let mut command = std::process::Command::new("ip");
    command.args(["-json", "-details", "link", "show", "dev", interface]);
    let output = namespace.within(|| command.output()).unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    // From iproute2's ip/iplink_xdp.c: 1 is native, 2 generic.
    shown[0]["xdp"]["mode"].as_u64().map(|mode| if mode == 1 { "native" } else { "generic" }.to_owned())
}

fn program_on(namespace: &Namespace, interface: &str) -> Option<u64> {
    let mut command = std::process::Command::new("ip");
    command.args(["-json", "-details", "link", "show", "dev", interface]);
    let output = namespace.within(|| command.output()).unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    shown[0]["xdp"]["prog"]["id"].as_u64()
}

fn assert_nothing_is_left(site: &Site) {
    assert!(!site.socket().exists(), "the socket is left");
    assert!(!site.pin_path().exists(), "pins are left");
}

#[test]
fn an_interface_that_is_not_there_is_answered_with_the_nearest_one() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("");
    let answer = site.run(lab.server(), &["run", "--interface", "eht0"]);
    assert_eq!(answer.code, 78, "{answer:?}");
    assert!(
        answer.stderr.ends_with("ssh-guard: no interface 'eht0'\nhint: did you mean 'eth0'?\n"),
        "{answer:?}"
    );
    assert_nothing_is_left(&site);
}

#[test]
fn auto_is_the_interface_with_the_default_route() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    lab.server().ip("route del default\nroute add default via 10.77.1.2");
    let daemon = Daemon::start_at(Site::with_log("guard.interfaces = ['auto']"), lab.server(), &[]);
    let interfaces = interfaces(&daemon);
    assert_eq!((interfaces.len(), &interfaces[0]["name"]), (1, &"eth1".into()));
    assert_eq!(program_on(lab.server(), "eth0"), None);
    assert!(program_on(lab.server(), "eth1").is_some());
}

#[test]
fn without_a_default_route_auto_says_what_to_do() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let namespace = Namespace::new();
    let answer = Site::with_log("guard.interfaces = ['auto']").run(&namespace, &["run"]);
    assert_eq!(answer.code, 78, "{answer:?}");
    assert!(answer.stderr.contains("ssh-guard: no default route"), "{answer:?}");
    assert!(answer.stderr.contains("hint: name it: --interface NAME"), "{answer:?}");
}

#[test]
fn another_xdp_program_stays_and_nothing_is_left_of_the_attempt() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let other = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let id = program_on(lab.server(), "eth0").unwrap();
    for mode in ["native", "generic"] {
        let site = Site::with_log("observe.listen = '127.0.0.1:9823'");
        let answer = site.run(lab.server(), &["run", "--mode", mode]);
        assert_eq!(answer.code, 1, "{answer:?}");
        let told = format!("cannot attach to eth0: another XDP program is attached (id {id})\nhint: ");
        assert!(answer.stderr.contains(&told), "{answer:?}");
        assert_nothing_is_left(&site);
    }
    assert_eq!(program_on(lab.server(), "eth0"), Some(id));
    assert_eq!(interfaces(&other)[0]["attached"], true);
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let second = Site::with_log("guard.interfaces = ['eth1']\nobserve.listen = '127.0.0.1:9823'");
    let socket = daemon.socket();
    let answer = second.run(lab.server(), &["--socket", socket.to_str().unwrap(), "run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("ssh-guard: another daemon answers on '"), "{answer:?}");
    assert!(answer.stderr.contains("hint: stop it first"), "{answer:?}");
    assert_nothing_is_left(&second);
    assert_eq!(daemon.json(&["status"])["interfaces"][0]["attached"], true, "the first one goes on");
}

#[test]
fn a_second_daemon_on_the_same_pins_is_refused_and_may_start_once_the_first_is_dead() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let pins = daemon.pin_path().display().to_string();
    let config = format!("guard.pin-path = '{pins}'\nobserve.listen = '127.0.0.1:9823'");
    let second = Site::with_log(&config);
    let id = program_on(lab.server(), "eth0");
    let answer = second.run(lab.server(), &["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told = format!("ssh-guard: another daemon keeps its pins in '{pins}'\nhint: stop it first");
    assert!(answer.stderr.contains(&told), "{answer:?}");
    assert!(!second.socket().exists());
    assert_eq!(program_on(lab.server(), "eth0"), id, "the first one's program stays");
    daemon.kill9();
    let second = Daemon::start_at(second, lab.server(), &[]);
    assert_eq!(interfaces(&second)[0]["attached"], true);
}

#[test]
fn a_daemon_that_is_told_to_end_leaves_its_program_and_a_new_one_takes_its_place() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    let first = program_on(lab.server(), "eth0");
    assert_eq!(daemon.terminate(), 0, "{}", daemon.output());
    assert!(!daemon.socket().exists(), "the socket goes");
    assert!(daemon.pin_path().join("v1/maps/BLOCKED_V4").exists(), "the pins stay");
    assert_eq!(program_on(lab.server(), "eth0"), first, "the program stays");
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut, "the block stays");
    assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open);
    daemon.start_again();
    assert!(daemon.output().contains("took the place"), "{}", daemon.output());
    let second = program_on(lab.server(), "eth0");
    assert!(second.is_some() && second != first);
    assert_eq!(interfaces(&daemon)[0]["degraded"], Value::Null);
    drop(listener);
}

#[test]
fn another_mode_than_an_earlier_daemons_is_refused_and_its_guard_stays_in_force() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &["--mode", "generic"]);
    assert_eq!(interfaces(&daemon)[0]["mode"], "generic");
    assert_eq!(mode_of(lab.server(), "eth0").as_deref(), Some("generic"));
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    assert_eq!(daemon.terminate(), 0, "{}", daemon.output());
    let answer = daemon.site().run(lab.server(), &["run", "--mode", "native"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let told = "ssh-guard: eth0 has an earlier daemon's program, attached in mode generic\nhint: keep to it: --mode generic; \
                or take it off first: ssh-guard detach";
    assert!(answer.stderr.contains(told), "{answer:?}");
    assert_eq!(mode_of(lab.server(), "eth0").as_deref(), Some("generic"));
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut, "the block stays");
    // Left to choose, it takes the place beside.
    daemon.start_again();
    assert_eq!(interfaces(&daemon)[0]["mode"], "tc");
    assert_eq!(mode_of(lab.server(), "eth0"), None);
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut, "the block stays");
    drop(listener);
}

#[test]
fn several_interfaces_share_the_bans_and_one_that_is_no_longer_named_is_let_go() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let listener = lab.listen();
    let mut daemon =
        Daemon::start_at(Site::with_log("guard.interfaces = ['eth0', 'eth1']"), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "10.101.0.7"]).code, 0);
    for source in ["203.0.113.7", "10.101.0.7"] {
        assert_eq!(lab.client(source).connect(22, SHORT), Connect::TimedOut, "{source}");
    }
    assert_eq!(interfaces(&daemon).len(), 2);
    assert_eq!(daemon.terminate(), 0);
    let log = daemon.site().folder().join("auth.log");
    daemon.configure(&format!("[[input]]\nkind = 'file'\npath = '{}'", log.display()));
    daemon.start_again();
    eventually(PATIENCE, "the other interface is let go", || program_on(lab.server(), "eth1").is_none());
    assert!(program_on(lab.server(), "eth0").is_some());
    assert_eq!(lab.client("10.101.0.7").connect(22, PATIENCE), Connect::Open);
    drop(listener);
}

#[test]
fn a_failure_on_the_second_interface_takes_the_first_back() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let _other = Daemon::start_at(Site::with_log("guard.interfaces = ['eth1']"), lab.server(), &[]);
    let both = Site::with_log("guard.interfaces = ['eth0', 'eth1']\nobserve.listen = '127.0.0.1:9823'");
    let answer = both.run(lab.server(), &["run", "--mode", "native"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("cannot attach to eth1: another XDP program"), "{answer:?}");
    eventually(PATIENCE, "the first is taken back", || program_on(lab.server(), "eth0").is_none());
    assert_nothing_is_left(&both);
}

#[test]
fn programs_that_were_taken_off_are_put_back_and_the_log_says_so() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "203.0.113.7"]).code, 0);
    let links = daemon.pin_path().join("v1/links");
    let pins: Vec<_> = std::fs::read_dir(&links).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(pins.len(), 2, "the judge and the witness: {pins:?}");
    for pin in &pins {
        std::fs::remove_file(pin).unwrap();
    }
    eventually(PATIENCE, "the log says it", || daemon.output().contains("the program is no longer attached"));
    eventually(PATIENCE, "it is attached again", || program_on(lab.server(), "eth0").is_some());
    eventually(PATIENCE, "status says so", || {
        let eth0 = &interfaces(&daemon)[0];
        eth0["attached"] == true && eth0["degraded"] == Value::Null && eth0["witness"] == true
    });
    assert_eq!(lab.client("203.0.113.7").connect(22, SHORT), Connect::TimedOut);
    let metrics = daemon.metrics();
    assert!(metrics.contains("ssh_guard_attached{interface=\"eth0\"} 1\n"), "{metrics}");
    let modes = "ssh_guard_attach_mode{interface=\"eth0\",mode=\"native\"} 1\n\
                 ssh_guard_attach_mode{interface=\"eth0\",mode=\"tc\"} 0\n";
    assert!(metrics.contains(modes), "{metrics}");
    drop(listener);
}

#[test]
fn an_interface_that_is_gone_is_told_while_the_others_stay_guarded() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let daemon = Daemon::start_at(Site::with_log("guard.interfaces = ['eth0', 'eth1']"), lab.server(), &[]);
    lab.server().ip("link del eth1");
    eventually(PATIENCE, "it is noticed", || interfaces(&daemon)[1]["attached"] == false);
    let both = interfaces(&daemon);
    assert_eq!((&both[1]["name"], &both[1]["degraded"]), (&"eth1".into(), &"the interface is gone".into()));
    assert_eq!((&both[0]["attached"], &both[1]["witness"]), (&true.into(), &false.into()));
    assert!(daemon.cli(&["status"]).stdout.contains("DEGRADED: the interface is gone"));
    assert!(daemon.metrics().contains("ssh_guard_attached{interface=\"eth1\"} 0\n"));
}

#[test]
fn an_address_that_becomes_the_hosts_own_is_banned_no_longer() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "10.77.0.55", "10.77.0.56"]).code, 0);
    lab.server().ip("addr add 10.77.0.55/24 dev eth0");
    eventually(PATIENCE, "it is noticed", || daemon.json(&["bans"])["bans"].as_array().unwrap().len() == 1);
    assert_eq!(daemon.json(&["bans"])["bans"][0]["source"], "10.77.0.56");
    daemon.cli(&["ban", "10.77.0.55"]).assert_refused(2, &["is never banned: it is an address of this host"]);
}

#[test]
fn native_mode_takes_jumbo_frames_where_the_kernel_does_and_says_what_to_do_where_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    lab.server().ip("link set eth0 mtu 9000");
    lab.client_namespace(0).ip("link set eth0 mtu 9000");
    let (site, mode) = (Site::with_log(""), if takes_several_buffers() { "native" } else { "generic" });
    if mode == "generic" {
        let answer = site.run(lab.server(), &["run", "--mode", "native"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        let told = "cannot attach to eth0: its driver refuses native XDP as it is set up (MTU";
        assert!(answer.stderr.contains(told) && answer.stderr.contains("--mode auto"), "{answer:?}");
        assert_nothing_is_left(&site);
    }
    let daemon = Daemon::start_at(site, lab.server(), &["--mode", mode]);
    assert_eq!(mode_of(lab.server(), "eth0").as_deref(), Some(mode));
    let listener = lab.listen();
    let sent = vec![7; 100_000];
    let mut stream = lab.client("203.0.113.7").open(22, PATIENCE).unwrap();
    let received = std::thread::spawn(move || {
        let mut received = Vec::new();
        std::io::Read::read_to_end(&mut listener.accept().unwrap().0, &mut received).unwrap();
        received
    });
    std::io::Write::write_all(&mut stream, &sent).unwrap();
    drop(stream);
    assert!(received.join().unwrap() == sent, "large segments arrive whole");
    assert_eq!(interfaces(&daemon)[0]["attached"], true);
}

/// Whether the kernel has XDP for packets of several buffers (Linux 5.18 and later).
fn takes_several_buffers() -> bool {
    Programs::new().loaded.program_name() == ssh_guard_common::names::PROGRAM_FRAGS
}

#[test]
fn pins_outside_of_a_bpf_file_system_are_refused_and_no_folder_is_made() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let wrong = format!("/run/ssh-guard-test-no-pins-{}", std::process::id());
    let site = Site::with_log(&format!("guard.pin-path = '{wrong}'"));
    let answer = site.run(lab.server(), &["run"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("is not in a BPF file system\nhint: mount one"), "{answer:?}");
    assert!(!Path::new(&wrong).exists());
    assert!(!site.socket().exists());
}
