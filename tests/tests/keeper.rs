//! What is attached stays so: interfaces that go and come back, that are renamed; and what is let go by hand stays let go.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::time::Duration;

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);
const BANNED: &str = "203.0.113.7";

fn interface(daemon: &Daemon<'_>, at: usize) -> Value {
    daemon.json(&["status"])["interfaces"][at].clone()
}

fn links(daemon: &Daemon<'_>) -> Vec<String> {
    let folder = std::fs::read_dir(daemon.pin_path().join("v1/links")).unwrap();
    let mut names: Vec<String> =
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_guarded_again() {
    needs!(ALL[0], ALL[1], ALL[2]);
    for mode in ["native", "tc"] {
        let lab = Lab::with_clients(2);
        let listener = lab.listen();
        let config = format!("guard.interfaces = ['eth0', 'eth1']\nguard.mode = '{mode}'");
        let daemon = Daemon::start_at(Site::with_log(&config), lab.server(), &[]);
        assert_eq!(daemon.cli(&["ban", BANNED, "10.101.0.7"]).code, 0);
        lab.server().ip("link del eth0");
        eventually(PATIENCE, "status tells it", || interface(&daemon, 0)["attached"] == false);
        assert_eq!(interface(&daemon, 0)["degraded"], "the interface is gone");
        assert_eq!(
            lab.client("10.101.0.7").connect(22, SHORT),
            Connect::TimedOut,
            "the other one is guarded"
        );
        lab.connect_again(0);
        eventually(PATIENCE, "it is guarded again", || interface(&daemon, 0)["attached"] == true);
        assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "{mode}");
        assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open);
        eventually(PATIENCE, "with its witness", || interface(&daemon, 0)["witness"] == true);
        assert_eq!(interface(&daemon, 0)["mode"], mode);
        assert!(daemon.output().contains("guarded again"), "{}", daemon.output());
        drop(listener);
    }
}

#[test]
fn an_interface_that_comes_back_under_another_number_leaves_no_pin_of_the_old_one() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let daemon = Daemon::start_at(Site::with_log("guard.interfaces = ['eth0', 'eth1']"), lab.server(), &[]);
    assert_eq!(links(&daemon), ["if100-witness", "if100-xdp", "if101-witness", "if101-xdp"]);
    lab.server().ip("link del eth1\nlink add eth1 index 777 type veth peer name other");
    eventually(PATIENCE, "the old pins go and the new ones come", || {
        links(&daemon) == ["if100-witness", "if100-xdp", "if777-witness", "if777-xdp"]
    });
    eventually(PATIENCE, "status says so", || interface(&daemon, 1)["attached"] == true);
}

#[test]
fn an_interface_that_is_renamed_stays_guarded() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let before = links(&daemon);
    lab.server().ip("link set eth0 down\nlink set eth0 name wan0\nlink set wan0 up");
    eventually(PATIENCE, "its new name is told", || interface(&daemon, 0)["name"] == "wan0");
    assert_eq!((&interface(&daemon, 0)["attached"], links(&daemon)), (&true.into(), before));
    assert!(!daemon.output().contains("nothing is blocked"), "{}", daemon.output());
}

#[test]
fn another_interface_that_takes_the_name_of_a_renamed_one_is_guarded_too() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let listener = lab.listen();
    assert_eq!(daemon.cli(&["ban", BANNED, "10.101.0.7"]).code, 0);
    assert_eq!(lab.client("10.101.0.7").connect(22, PATIENCE), Connect::Open, "nobody guards eth1");
    lab.server().ip("link set eth0 down\nlink set eth0 name wan0\nlink set wan0 up");
    eventually(PATIENCE, "its new name is told", || interface(&daemon, 0)["name"] == "wan0");
    lab.server().ip("link set eth1 down\nlink set eth1 name eth0\nlink set eth0 up");
    eventually(PATIENCE, "the other one is guarded", || interface(&daemon, 1)["attached"] == true);
    assert_eq!(interface(&daemon, 1)["name"], "eth0");
    assert_eq!(interface(&daemon, 0)["attached"], true);
    lab.server().ip("route add 10.101.0.0/16 via 10.77.1.2");
    assert_eq!(lab.client("10.101.0.7").connect(22, SHORT), Connect::TimedOut);
    assert!(daemon.output().contains("both are guarded"), "{}", daemon.output());
    drop(listener);
}

#[test]
fn pins_that_somebody_removes_are_made_again_and_no_ban_is_lost() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let listener = lab.listen();
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    let folder = daemon.pin_path().join("v1");
    std::fs::remove_dir_all(folder.join("maps")).unwrap();
    eventually(PATIENCE, "the maps are pinned again", || folder.join("maps/SETTINGS").exists());
    std::fs::remove_dir_all(&folder).unwrap();
    eventually(PATIENCE, "all is pinned again", || {
        folder.join("maps/VERDICTS").exists() && folder.join("links").is_dir() && links(&daemon).len() == 2
    });
    eventually(PATIENCE, "it is guarded again", || interface(&daemon, 0)["attached"] == true);
    daemon.kill9();
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "without a daemon");
    daemon.start_again();
    assert_eq!(daemon.json(&["status"])["bans"]["ipv4"], 1);
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut);
    drop(listener);
}

#[test]
fn sessions_that_a_banned_source_began_while_nothing_was_attached_are_closed() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let listener = lab.listen();
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    let mut open = None;
    eventually(PATIENCE, "it gets in while the program is off", || {
        for pin in std::fs::read_dir(daemon.pin_path().join("v1/links")).unwrap() {
            // Another one may be made in between.
            let _gone = std::fs::remove_file(pin.unwrap().path());
        }
        open = lab.client(BANNED).open(22, Duration::from_millis(50)).ok();
        open.is_some()
    });
    let closed = || daemon.json(&["status"])["sockets_closed"].as_u64().unwrap();
    eventually(PATIENCE, "its session is closed", || closed() > 0);
    drop((open, listener));
}

#[test]
fn what_cannot_be_attached_again_is_told_once_and_tried_until_it_can() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::with_clients(2);
    let config = "guard.interfaces = ['eth0', 'eth1']\nguard.mode = 'native'";
    let daemon = Daemon::start_at(Site::with_log(config), lab.server(), &[]);
    // A driver without native XDP.
    lab.server().ip("link del eth1\ntuntap add mode tun eth1");
    let why = "cannot attach to eth1: its driver has no native XDP";
    eventually(PATIENCE, "status says why", || interface(&daemon, 1)["degraded"] == why);
    assert_eq!(interface(&daemon, 0)["attached"], true);
    lab.server().ip("link del eth1\nlink add eth1 index 778 type veth peer name other");
    eventually(PATIENCE, "it is guarded", || interface(&daemon, 1)["attached"] == true);
    assert_eq!(daemon.output().matches(why).count(), 1, "{}", daemon.output());
}

#[test]
fn a_daemon_that_is_told_to_detach_lets_go_and_leaves_it_at_that_until_it_is_restarted() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    let mut daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut);
    let answer = daemon.cli(&["detach"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.starts_with("detached from eth0\n"), "{answer:?}");
    assert_eq!(interface(&daemon, 0)["degraded"], "detached by hand");
    assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open);
    // A change makes it look.
    lab.server().ip("link set eth0 down\nlink set eth0 up");
    let again = daemon.cli(&["detach"]);
    assert!(again.stdout.starts_with("nothing is attached\n"), "{again:?}");
    assert_eq!((interface(&daemon, 0)["attached"].clone(), links(&daemon).len()), (false.into(), 0));
    assert_eq!(daemon.json(&["bans"])["bans"][0]["source"], BANNED);
    assert_eq!(daemon.terminate(), 0);
    daemon.start_again();
    assert_eq!(interface(&daemon, 0)["attached"], true);
    assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "the ban was taken over");
    drop(listener);
}

#[test]
fn without_a_daemon_detach_takes_the_programs_off_and_the_next_daemon_takes_the_bans_over() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let listener = lab.listen();
    for mode in ["native", "tc"] {
        let config = format!("guard.mode = '{mode}'");
        let mut daemon = Daemon::start_at(Site::with_log(&config), lab.server(), &[]);
        assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
        daemon.kill9();
        assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut);
        let answer = daemon.site().run(lab.server(), &["detach"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
        let told = "detached from eth0\nbans stay in the kernel's maps: the next daemon takes them over\n";
        assert_eq!(answer.stdout, told);
        assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open);
        assert_eq!(daemon.site().run(lab.server(), &["detach"]).stdout, "nothing is attached\n");
        daemon.start_again();
        assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut, "{mode}");
        assert_eq!(daemon.cli(&["detach"]).code, 0);
    }
    let nobody = Site::with_log("").run(lab.server(), &["detach"]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (0, "nothing is attached\n"));
    drop(listener);
}

#[test]
fn detach_takes_off_what_a_daemon_that_hangs_has_attached() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    // Nothing answers there.
    let socket = daemon.site().folder().join("nobody.sock");
    let answer = daemon.site().run(lab.server(), &["--socket", socket.to_str().unwrap(), "detach"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("detached from eth0\n"), "{answer:?}");
    assert!(answer.stdout.contains("a daemon that does not answer still runs"), "{answer:?}");
    eventually(PATIENCE, "the daemon, which goes on, attaches again", || {
        daemon.output().contains("guarded again") && interface(&daemon, 0)["attached"] == true
    });
}
