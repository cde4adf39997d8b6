use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::config::settings::{EventsSettings, InputSettings};
use crate::parse::Parser;

mod refused;

#[test]
fn every_value_arrives_as_what_it_means() {
    let settings = understood(
        r#"
        allow.sources = ["203.0.113.7", "::ffff:203.0.113.7", "10.0.0.0/8"]
        limits = { blocklist = 1024, networks = 1_048_576, sources = 4_194_304, new-sessions-per-minute = 6000, sessions = 4_194_303, open-sessions = 0, unauthenticated-sessions = 1_000_000, line-bytes = 0x400 }
        observe.listen = "[::1]:0"
        control = { socket = "/run/x", group = "adm", events-group = "ftp" }
        [guard]
        interfaces = ["eth0", "eth1"]
        ports = [22, 2222]
        mode = "generic"
        dry-run = true
        ipv4-prefix = 24
        ipv6-prefix = 56
        operators = ["alice", "%wheel", "%domain users", 'EXAMPLE\bob']
        pin-path = "/sys/fs/bpf/x"
        [policy]
        threshold = 2
        window = "1h30m"
        ladder = ["1m", "2m"]
        forget = "2w"
        known-good = "1d"
        known-good-weight = 0.5
        weights = { password = 2, pre-auth = 0 }
        [[input]]
        kind = "journal"
        [[input]]
        kind = "file"
        path = "/var/log/auth.log"
        bare = true
        "#,
    );
    let guard = &settings.guard;
    assert_eq!(guard.interfaces, Interfaces::Named(vec!["eth0".to_owned(), "eth1".to_owned()]));
    assert_eq!(guard.ports.as_slice(), [22, 2222].map(|port| NonZeroU16::new(port).unwrap()));
    assert_eq!(
        (guard.mode, guard.dry_run, guard.ipv4_prefix, guard.ipv6_prefix),
        (Mode::Generic, true, 24, 56)
    );
    assert_eq!(guard.mask(), ssh_guard_common::source::SourceMask::new(24, 56));
    assert_eq!(guard.operators.accounts, ["alice", "EXAMPLE\\bob"]);
    assert_eq!(guard.operators.groups, ["wheel", "domain users"]);
    assert_eq!(guard.pin_path, PathBuf::from("/sys/fs/bpf/x"));
    let allow: Vec<_> = settings.allow.networks().iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["10.0.0.0/8", "203.0.113.7/32"]);
    let limits = &settings.limits;
    assert_eq!(
        (
            limits.blocklist.get(),
            limits.networks.get(),
            limits.sources.get(),
            limits.new_sessions_per_minute,
            limits.line_bytes.get()
        ),
        (1_024, 1_048_576, 4_194_304, 6_000, 1_024)
    );
    assert_eq!(
        (limits.sessions.get(), limits.open_sessions, limits.unauthenticated_sessions),
        (4_194_303, 0, 1_000_000)
    );
    assert_eq!(settings.listen.to_string(), "[::1]:0");
    let control = &settings.control;
    assert_eq!((control.socket.as_path(), control.group.as_str()), (Path::new("/run/x"), "adm"));
    let events = EventsSettings { socket: PathBuf::from("/run/events.sock"), group: "ftp".to_owned() };
    assert_eq!(control.events.as_ref(), Some(&events));
    let policy = &settings.policy;
    assert_eq!((policy.threshold.to_string().as_str(), policy.window.as_secs()), ("2", 5_400));
    assert_eq!(policy.ladder, [60, 120].map(Duration::from_secs));
    assert_eq!(policy.forget.as_secs(), 14 * 86_400);
    assert_eq!((policy.known_good.as_secs(), policy.known_good_weight.to_string().as_str()), (86_400, "0.5"));
    assert_eq!(policy.weights, Weights { password: 2.0, pre_auth: 0.0, ..Weights::default() });
    let file = InputKind::File { path: PathBuf::from("/var/log/auth.log"), bare: true };
    let input = |name: &str, kind| InputSettings { name: name.to_owned(), kind, parser: Parser::Auto };
    assert_eq!(
        settings.inputs,
        [input("journal", InputKind::Journal { directory: None }), input("auth.log", file),]
    );
}

#[test]
fn inputs_that_are_sent_to_arrive_as_what_they_mean() {
    let settings = understood(
        r#"
        [[input]]
        kind = "syslog"
        listen = "udp://192.0.2.1:514"
        senders = ["198.51.100.0/24", "2001:db8::7"]
        [[input]]
        kind = "syslog"
        name = "local"
        listen = "unix:///run/x.sock"
        users = ["syslog", "104"]
        [[input]]
        kind = "stdin"
        bare = true
        [[input]]
        kind = "socket"
        name = "applications"
        "#,
    );
    let input = |name: &str, kind| InputSettings { name: name.to_owned(), kind, parser: Parser::Auto };
    let syslog = InputKind::Syslog {
        listen: "udp://192.0.2.1:514".parse().unwrap(),
        senders: ["198.51.100.0/24", "2001:db8::7/128"].map(|network| network.parse().unwrap()).to_vec(),
        users: Vec::new(),
    };
    let local = InputKind::Syslog {
        listen: "unix:///run/x.sock".parse().unwrap(),
        senders: Vec::new(),
        users: vec!["syslog".to_owned(), "104".to_owned()],
    };
    assert_eq!(
        settings.inputs,
        [
            input("syslog", syslog),
            input("local", local),
            input("stdin", InputKind::Stdin { bare: true }),
            input("applications", InputKind::Socket),
        ]
    );
    assert_eq!((settings.read_inputs().count(), settings.socket_input()), (3, "applications"));
}

#[test]
fn syslog_is_taken_from_this_machine_alone_unless_senders_are_named() {
    let settings = understood("[[input]]\nkind = 'syslog'\nlisten = 'tcp://[::1]:514'\n");
    let InputKind::Syslog { senders, .. } = &settings.inputs[0].kind else { panic!("{settings:?}") };
    let senders: Vec<_> = senders.iter().map(ToString::to_string).collect();
    assert_eq!(senders, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(settings.socket_input(), "socket");
    assert_eq!(settings.control.events, None);
}

#[test]
fn a_list_is_part_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("partners.txt");
    let text =
        format!("allow = {{ sources = [\"10.0.0.1\"], files = [{:?}] }}\n", list.display().to_string());
    std::fs::write(&list, "10.0.0.1\n198.51.100.0/24\n").unwrap();
    assert_eq!(understood(&text).allow.networks().len(), 2);
    std::fs::write(&list, "10.0.0.1\nx\n").unwrap();
    assert_eq!(
        refused(&text).lines().next().unwrap(),
        format!(
            "ssh-guard: {}:2: 'x' is not an address or a network: names are never resolved",
            list.display()
        )
    );
    let many: Vec<_> = (0..=list::MAX_NETWORKS).map(|n| format!("10.{}.{}.2", n / 256, n % 256)).collect();
    std::fs::write(&list, many.join("\n")).unwrap();
    assert_eq!(
        refused(&text),
        "ssh-guard: c.toml:1: 'allow': 16386 networks, and the allowlist holds at most 16384\n\
         hint: replace addresses by the networks they lie in\n"
    );
}

#[test]
fn what_is_always_blocked_is_listed_here_or_in_files_that_are_read_later() {
    let block = understood(
        "block = { networks = ['203.0.113.7', '198.51.100.0/24', '2001:db8::7'], files = ['/nonexistent/drop.txt'] }",
    )
    .block;
    assert_eq!(block.files, [PathBuf::from("/nonexistent/drop.txt")]);
    assert_eq!(block.listed.to_text(), b"203.0.113.7\n2001:db8::7\n198.51.100.0/24\n");
}
