//! Banned networks and lists, from end to end: what is listed is dropped, what is allowed in it passes, and no ban is lost
//! or made unsaid.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and watches the time"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

fn bans(daemon: &Daemon<'_>) -> Vec<Value> {
    daemon.json(&["bans"])["bans"].as_array().unwrap().clone()
}

fn ban_of(daemon: &Daemon<'_>, source: &str) -> Option<Value> {
    bans(daemon).into_iter().find(|ban| ban["source"] == source)
}

fn counts(daemon: &Daemon<'_>) -> [u64; 3] {
    let status = daemon.json(&["status"]);
    ["ipv4", "ipv6", "networks"].map(|key| status["bans"][key].as_u64().unwrap())
}

fn write(site: &Site, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = site.folder().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A server that listens, and whoever tries to reach it.
struct Door {
    listener: std::net::TcpListener,
}

impl Door {
    fn open(lab: &Lab) -> Self {
        let listener = lab.listen();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    fn knock(&self, lab: &Lab, address: &str) -> Connect {
        // Sessions that nobody accepts would fill the queue, and the next one time out for that.
        while self.listener.accept().is_ok() {}
        lab.client(address).connect(22, SHORT)
    }
}

#[test]
fn a_banned_network_is_dropped_but_for_what_is_allowed_in_it() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let door = Door::open(&lab);
    let site = Site::with_log("allow.sources = ['203.0.113.9', '2001:db8:7:1::9']");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let answer = daemon.cli(&["ban", "203.0.113.0/24", "2001:db8:7::/48", "198.51.100.7/32", "--for", "1h"]);
    assert_eq!((answer.code, answer.stdout.lines().count()), (0, 3), "{answer:?}");
    assert_eq!(counts(&daemon), [1, 0, 2], "a network that is a source is one");
    let ban = ban_of(&daemon, "203.0.113.0/24").unwrap();
    assert_eq!(
        (&ban["reason"], &ban["family"], &ban["in_kernel"]),
        (&"manual".into(), &"ipv4".into(), &true.into())
    );
    for address in ["203.0.113.7", "203.0.113.255", "2001:db8:7:2::7", "198.51.100.7"] {
        assert_eq!(door.knock(&lab, address), Connect::TimedOut, "{address}");
    }
    for address in ["203.0.113.9", "2001:db8:7:1::9", "198.51.100.8", "2001:db8:8::7"] {
        assert_eq!(door.knock(&lab, address), Connect::Open, "{address}");
    }
    assert_eq!(daemon.cli(&["allow", "203.0.113.10"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.10"), Connect::Open, "what is allowed later passes too");
    assert_eq!(daemon.cli(&["allow", "--remove", "203.0.113.10"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.10"), Connect::TimedOut);

    let hint = "hint: lift that: ssh-guard unban 203.0.113.0/24; or let it pass: ssh-guard allow 203.0.113.7";
    daemon.cli(&["unban", "203.0.113.7"]).assert_refused(
        1,
        &[
            "its score is cleared",
            "203.0.113.7 stays blocked: it lies in 203.0.113.0/24, which is banned",
            hint,
        ],
    );
    let answer = daemon.cli(&["unban", "203.0.113.0/25"]);
    answer.assert_refused(1, &["203.0.113.0/25 stays blocked: it lies in 203.0.113.0/24, which is banned"]);
    assert_eq!(daemon.cli(&["unban", "203.0.113.0/24"]).stdout, "unbanned 203.0.113.0/24\n");
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::Open);
    assert_eq!(daemon.cli(&["unban", "--all"]).code, 0);
    assert_eq!(door.knock(&lab, "2001:db8:7:2::7"), Connect::Open);
    assert_eq!(counts(&daemon), [0, 0, 0]);
}

#[test]
fn networks_that_nobody_bans_in_passing_are_refused() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let door = Door::open(&lab);
    let daemon = Daemon::start_at(Site::with_log("allow.sources = ['198.51.100.0/24']"), lab.server(), &[]);
    for (network, why) in [
        ("0.0.0.0/0", "0.0.0.0/0 is never banned: it holds"),
        ("::/0", "::/0 is never banned: it holds"),
        ("127.0.0.0/8", "127.0.0.0/8 is never banned: it is a loopback address"),
        ("127.1.0.0/16", "is never banned: it is a loopback address"),
        ("fe80::/64", "is never banned: it is a link-local address"),
        ("224.0.0.0/4", "is never banned: it is a multicast address"),
        ("10.77.0.1/32", "is never banned: it is an address of this host"),
        ("64.0.0.0/7", "64.0.0.0/7 is wider than a /8"),
        ("2000::/3", "2000::/3 is wider than a /8, or a /16 of IPv6"),
        ("198.51.100.0/25", "is in the allowlist"),
        ("203.0.113.7/24", "is not a network: its address goes on beyond the prefix"),
    ] {
        daemon.cli(&["ban", "192.0.2.7", network]).assert_refused(2, &[why]);
    }
    assert!(bans(&daemon).is_empty(), "nothing is done by halves");
    // The host and its gateway are in it, and excepted.
    assert_eq!(daemon.cli(&["ban", "10.77.0.0/24"]).code, 0);
    assert_eq!(door.knock(&lab, "10.77.0.2"), Connect::Open, "the gateway");
    assert_eq!(daemon.cli(&["ban", "0.0.0.0/0", "--force", "--for", "1h"]).code, 0);
    assert_eq!(door.knock(&lab, "10.77.0.2"), Connect::Open, "the gateway");
    assert_eq!(door.knock(&lab, "198.51.100.7"), Connect::Open, "the allowlist");
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::TimedOut);
    assert_eq!(door.knock(&lab, "2001:db8::7"), Connect::Open, "IPv6 is not IPv4");
    assert_eq!(daemon.cli(&["unban", "0.0.0.0/0"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::Open);
}

#[test]
fn a_list_is_in_force_when_its_command_is_answered_and_tells_what_is_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let door = Door::open(&lab);
    let daemon = Daemon::start_at(Site::with_log("allow.sources = ['203.0.113.9']"), lab.server(), &[]);
    let text = "\u{feff}# a list\r\n203.0.113.7\r\n203.0.113.7\r\n203.0.113.9 ; allowed\n127.0.0.0/8\n\
                198.51.100.0/24 ; SBL1\n198.51.100.0/25\n2001:db8:7::7\t2026-01-01 10:00:00 + 600\n";
    let list = write(daemon.site(), "list.txt", text);
    let answer = daemon.cli(&["ban", "--file", list.to_str().unwrap(), "--reason", "feed"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    for told in [
        "banned 2 sources and 2 networks that are listed in '",
        "', until they are unbanned\n",
        "1 of them pass, as long as they are in the allowlist: 203.0.113.9/32\n",
        "1 of them pass, as they are never banned: 127.0.0.0/8\n",
        "1 entries stand there more than once\n",
        "1 networks lie in others that are listed\n",
    ] {
        assert!(answer.stdout.contains(told), "no '{told}' in {answer:?}");
    }
    for address in ["203.0.113.7", "198.51.100.200", "2001:db8:7::8"] {
        assert_eq!(door.knock(&lab, address), Connect::TimedOut, "{address}");
    }
    assert_eq!(door.knock(&lab, "203.0.113.9"), Connect::Open, "it is in the allowlist");
    let ban = ban_of(&daemon, "203.0.113.7").unwrap();
    assert_eq!((&ban["reason"], &ban["rule"], &ban["until"]), (&"list".into(), &"feed".into(), &Value::Null));
    assert!(bans(&daemon).iter().all(|ban| ban["in_kernel"] == true));
    assert!(
        daemon.metrics().contains("ssh_guard_bans_active{family=\"networks\"} 3\n"),
        "{}",
        daemon.metrics()
    );

    assert_eq!(daemon.cli(&["allow", "--remove", "203.0.113.9"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.9"), Connect::TimedOut, "it is still listed");
    daemon.cli(&["unban", "198.51.100.7"]).assert_refused(
        1,
        &[
            "198.51.100.7 stays blocked: it lies in 198.51.100.0/25, which '",
            ", and it lies in 198.51.100.0/24, which '",
            "hint: lift that: ssh-guard unban 198.51.100.0/24 198.51.100.0/25; or let it pass",
        ],
    );
    assert_eq!(daemon.cli(&["unban", "203.0.113.7"]).stdout, "unbanned 203.0.113.7/32\n");
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::Open);

    // The file has changed: what it lists no more is free.
    write(daemon.site(), "list.txt", "203.0.113.8\n2001:db8:7::7\n");
    let answer = daemon.cli(&["ban", "--file", list.to_str().unwrap(), "--for", "1h"]);
    assert!(answer.stdout.contains("that takes the place of what '"), "{answer:?}");
    assert_eq!(counts(&daemon), [1, 1, 0]);
    assert_eq!(door.knock(&lab, "198.51.100.7"), Connect::Open);
    assert_eq!(door.knock(&lab, "203.0.113.8"), Connect::TimedOut);
    assert_eq!(door.knock(&lab, "2001:db8:7::7"), Connect::TimedOut, "it is listed as before");
    let answer = daemon.cli(&["unban", "--file", list.to_str().unwrap()]);
    assert!(answer.stdout.starts_with("lifted what '"), "{answer:?}");
    assert_eq!(counts(&daemon), [0, 0, 0]);
    assert_eq!(door.knock(&lab, "203.0.113.8"), Connect::Open);
    daemon.cli(&["unban", "--file", "/nowhere"]).assert_refused(1, &["no list '/nowhere' was loaded"]);
}

#[test]
fn a_bad_list_changes_nothing_and_is_told_with_the_reason() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon =
        Daemon::start_at(Site::with_log("limits = { blocklist = 1024, networks = 1024 }"), lab.server(), &[]);
    assert_eq!(daemon.cli(&["ban", "192.0.2.1", "192.0.2.2", "10.0.0.0/8"]).code, 0);
    let many: String = (0..1023).fold(String::new(), |mut text, n| {
        writeln!(text, "198.18.{}.{}", n / 256, n % 256).unwrap();
        text
    });
    let networks: String = (0..1024).fold(String::new(), |mut text, n| {
        writeln!(text, "11.{}.{}.0/24", n / 256, n % 256).unwrap();
        text
    });
    for (text, told) in [
        (
            "203.0.113.7\nbastion.example\n".as_bytes(),
            "line 2: 'bastion.example' is not an address or a network",
        ),
        (b"\x7fELF\x02\x01\x01\0\0\0", "line 1: '\\u{7f}ELF"),
        (b"203.0.113.7\n10.1.2.3/24\n", "line 2: '10.1.2.3/24' is not a network"),
        (
            b"203.0.113.7\n64.0.0.0/7\n",
            "lists networks that are wider than a /8, or a /16 of IPv6: 64.0.0.0/7",
        ),
        (b"# nothing\n", "lists nothing"),
        (
            many.as_bytes(),
            "does not fit: it blocks 1023 sources more, and there is room for 1022 of 1024; nothing is changed\n\
             hint: set 'limits.blocklist' to 1025 or more",
        ),
        (networks.as_bytes(), "hint: set 'limits.networks' to 1025 or more"),
    ] {
        let list = write(daemon.site(), "list.txt", text);
        let answer = daemon.cli(&["ban", "--file", list.to_str().unwrap()]);
        assert!(matches!(answer.code, 1 | 2), "{answer:?}");
        assert!(answer.stderr.contains(told), "no '{told}' in {answer:?}");
        assert_eq!(counts(&daemon), [2, 0, 1]);
    }
    for (path, told) in [
        ("/nonexistent/list", "there is no such file"),
        (daemon.site().folder().to_str().unwrap(), "it is a directory"),
        ("/dev/zero", "it is no file"),
    ] {
        daemon.cli(&["ban", "--file", path]).assert_refused(1, &[told]);
    }
    // What fits to the last place is taken, and then a ban by hand finds no room.
    let list = write(daemon.site(), "list.txt", many.split_once('\n').unwrap().1);
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    assert_eq!(counts(&daemon), [1024, 0, 1]);
    daemon
        .cli(&["ban", "203.0.113.7"])
        .assert_refused(1, &["there is room for 1024 sources, and lists and bans"]);
    // Loaded again it is the same list, and needs no room.
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap()]).code, 0);
    assert_eq!(counts(&daemon), [1024, 0, 1]);
}

#[test]
fn a_ban_and_a_list_hold_beside_each_other() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let door = Door::open(&lab);
    let daemon = Daemon::start_at(Site::with_log(""), lab.server(), &[]);
    let list = write(daemon.site(), "list.txt", "203.0.113.7\n");
    assert_eq!(daemon.cli(&["ban", "203.0.113.7", "--for", "1h"]).code, 0);
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap(), "--for", "1d"]).code, 0);
    assert_eq!(bans(&daemon).len(), 2, "both are told");
    assert_eq!(daemon.cli(&["unban", "--file", list.to_str().unwrap()]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::TimedOut, "the ban holds");
    assert_eq!(daemon.cli(&["ban", "--file", list.to_str().unwrap(), "--for", "3s"]).code, 0);
    ssh_guard_tests::wait::eventually(Duration::from_secs(20), "the list ends", || bans(&daemon).len() == 1);
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::TimedOut, "the ban still holds");
    assert_eq!(daemon.cli(&["unban", "203.0.113.7"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::Open);
}

#[test]
fn configured_lists_are_in_force_from_the_start_and_cannot_be_unbanned() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let door = Door::open(&lab);
    let site = Site::with_log("");
    let log = site.folder().join("auth.log").display().to_string();
    let list = write(&site, "drop.txt", "203.0.113.7\n198.51.100.0/24 ; SBL1\n").display().to_string();
    let config = |files: &str| {
        format!(
            "block = {{ networks = ['192.0.2.0/25'], files = [{files}] }}\n[[input]]\nkind = 'file'\npath = '{log}'\n"
        )
    };
    site.configure(&config("'/nowhere/drop.txt'"));
    let missing = "cannot read '/nowhere/drop.txt': there is no such file";
    site.run(lab.server(), &["run"]).assert_refused(78, &[missing]);
    site.run(lab.server(), &["config", "check"]).assert_refused(78, &[missing]);
    assert!(site.run(lab.server(), &["check"]).stdout.contains(missing));

    site.configure(&config(&format!("'{list}'")));
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    assert_eq!(counts(&daemon), [1, 0, 2]);
    for address in ["203.0.113.7", "198.51.100.7", "192.0.2.7"] {
        assert_eq!(door.knock(&lab, address), Connect::TimedOut, "{address}");
    }
    daemon.cli(&["unban", "203.0.113.7"]).assert_refused(
        1,
        &[
            &format!("203.0.113.7 stays blocked: the configuration lists it in '{list}'"),
            &format!("hint: take it out of '{list}'"),
        ],
    );
    daemon
        .cli(&["unban", "192.0.2.0/25"])
        .assert_refused(1, &["the configuration lists it in 'block.networks'"]);
    let answer = daemon.cli(&["unban", "--all"]);
    assert!(
        answer.stdout.contains(&format!("2 that the configuration lists in '{list}' stay blocked")),
        "{answer:?}"
    );
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::TimedOut);
    assert_eq!(daemon.cli(&["allow", "203.0.113.7"]).code, 0);
    assert_eq!(door.knock(&lab, "203.0.113.7"), Connect::Open, "the allowlist wins");
}

#[test]
fn others_are_answered_while_a_long_list_loads() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start_at(
        Site::with_log("limits = { blocklist = 500000, networks = 65536 }"),
        lab.server(),
        &[],
    );
    let text: String = (0..200_000_u32).fold(String::new(), |mut text, n| {
        writeln!(text, "{}", std::net::Ipv4Addr::from_bits(0x0b00_0000 + n * 7)).unwrap();
        text
    });
    let list = write(daemon.site(), "list.txt", text);
    let daemon = &daemon;
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| daemon.cli(&["ban", "--file", list.to_str().unwrap()]));
        let mut answered = 0;
        while !loading.is_finished() {
            let asked = Instant::now();
            assert_eq!(daemon.cli(&["sources"]).code, 0);
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
            answered += 1;
        }
        let answer = loading.join().unwrap();
        assert_eq!(answer.code, 0, "{answer:?}");
        assert!(answered > 0);
    });
    assert_eq!(counts(daemon), [200_000, 0, 0]);
    assert_eq!(daemon.cli(&["unban", "--all"]).code, 0);
    assert_eq!(counts(daemon), [0, 0, 0]);
}
