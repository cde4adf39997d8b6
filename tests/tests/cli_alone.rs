//! The command line where there is no daemon: what it refuses, `explain`, help, and outputs that nobody reads.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use ssh_guard_tests::daemon::Site;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::skip::Need;

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn without_a_daemon_each_verb_that_asks_it_says_so() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    for args in [
        &["status"][..],
        &["bans"],
        &["sources"],
        &["sessions"],
        &["ban", "203.0.113.7"],
        &["unban", "203.0.113.7"],
        &["unban", "--all"],
        &["allow", "203.0.113.7"],
    ] {
        let answer = site.run(&namespace, args);
        answer.assert_refused(69, &["no daemon answers on '", "hint: start it: ssh-guard run"]);
        assert_eq!(answer.stdout, "");
    }
}

#[test]
fn wrong_usage_is_answered_with_2_and_a_wrong_configuration_with_78() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    for args in [
        &[][..],
        &["bna"],
        &["ban"],
        &["unban"],
        &["unban", "--all", "203.0.113.7"],
        &["ban", "203.0.113.7", "--for", "0s"],
        &["ban", "203.0.113.7", "--for", "1y"],
        &["ban", "203.0.113.7", "--for", "99999999999999999999d"],
        &["ban", "203.0.113.7", "--for", "-1h"],
        &["allow"],
        &["allow", "203.0.113.0/33"],
        &["allow", "203.0.113.7/24"],
        &["run", "--port", "0"],
        &["run", "--port", "65536"],
        &["run", "--mode", "natvie"],
        &["run", "--interface", ""],
        &["run", "--interface", "auto", "--interface", "eth0"],
        &["ban", "300.1.2.3"],
        &["ban", "203.0.113.7/24"],
        &["ban", "203.0.113.7", "--file", "list.txt"],
        &["unban", "203.0.113.7", "--file", "list.txt"],
        &["ban", "203.0.113.07"],
        &["ban", ""],
    ] {
        let answer = site.run(&namespace, args);
        assert_eq!(answer.code, 2, "{args:?}: {answer:?}");
        assert!(!answer.stderr.is_empty() && answer.stdout.is_empty(), "{args:?}: {answer:?}");
    }
    for args in [
        &["run"][..],
        &["status"],
        &["check"],
        &["config", "check"],
        &["config", "show"],
        &["explain"],
        &["replay", "-"],
    ] {
        std::fs::write(site.config(), "[policy]\ntreshold = 3\n").unwrap();
        let answer = site.run(&namespace, args);
        assert_eq!(answer.code, 78, "{args:?}: {answer:?}");
        let said = answer.stdout + &answer.stderr;
        assert!(said.contains("config.toml:2: unknown key 'policy.treshold'"), "{args:?}: {said}");
        assert!(said.contains("hint: did you mean 'policy.threshold'?"), "{args:?}: {said}");
    }
    std::fs::remove_file(site.config()).unwrap();
    site.run(&namespace, &["status"]).assert_refused(78, &["cannot read '", "hint: "]);
    std::fs::write(site.config(), [0xff, 0xfe, 0]).unwrap();
    site.run(&namespace, &["status"]).assert_refused(78, &["is not UTF-8 text"]);
    std::fs::write(site.config(), "x".repeat(2 << 20)).unwrap();
    site.run(&namespace, &["status"]).assert_refused(78, &["larger than 1 MiB"]);
}

#[test]
fn the_configuration_is_printed_shown_and_checked() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let (namespace, site) = (Namespace::new(), Site::with_log("policy.threshold = 3"));
    let sample = site.run(&namespace, &["config", "default"]);
    assert!(sample.code == 0 && sample.stdout.starts_with('#'), "{sample:?}");
    let shown = site.run(&namespace, &["config", "show", "--json"]);
    assert_eq!(shown.json()["policy"]["threshold"], 3.0);
    let checked = site.run(&namespace, &["config", "check"]);
    assert!(checked.code == 0 && checked.stdout.contains("config.toml' is right"), "{checked:?}");
    std::fs::write(site.config(), &sample.stdout).unwrap();
    assert_eq!(site.run(&namespace, &["config", "check"]).code, 0);
}

const LINE: &str =
    "Nov 23 03:12:02 host sshd[123]: Failed password for root from 203.0.113.7 port 41022 ssh2";

#[test]
fn explain_takes_whatever_it_is_given() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    let file = site.folder().join("log");
    let path = file.to_str().unwrap();
    let mut log = vec![b'x'; 10 << 20];
    log.extend_from_slice(format!("\n{LINE}\n\0\0{LINE}\n").as_bytes());
    log.extend_from_slice(b"\xff\n");
    std::fs::write(&file, &log).unwrap();
    let answer = site.run(&namespace, &["explain", path, "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let told: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sources: Vec<_> = told.iter().map(|line| line["source"].as_str()).collect();
    assert_eq!(sources, [None, Some("203.0.113.7"), None, None]);
    let mut found = keys(&told[1]);
    found.sort_unstable();
    assert_eq!(found, ["count", "event", "kind", "line", "port", "service", "source", "user", "weight"]);
    assert_eq!((&told[1]["line"], &told[1]["weight"]), (&2.into(), &1.0.into()));

    let mut random = vec![0; 1 << 20];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    std::fs::write(&file, &random).unwrap();
    let answer = site.run(&namespace, &["explain", path]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert!(!answer.stdout.bytes().any(|byte| byte < b' ' && byte != b'\n'), "no control character gets out");

    site.run(&namespace, &["explain", "/nowhere"]).assert_refused(1, &["cannot read '/nowhere'", "hint: "]);
    let folder = site.folder().to_str().unwrap();
    site.run(&namespace, &["explain", folder]).assert_refused(1, &["cannot read '", "directory"]);
    std::fs::set_permissions(site.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    site.run_as_nobody(&namespace, &["explain", path]).assert_refused(77, &["cannot read '", "hint: "]);

    let mut command = site.command(&["explain"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(LINE.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("failure password, source 203.0.113.7"));
}

#[test]
fn nobody_complains_when_the_output_is_not_read_to_its_end() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let site = Site::with_log("");
    let log = site.folder().join("log");
    std::fs::write(&log, format!("{LINE}\n").repeat(20_000)).unwrap();
    for args in [&["explain", log.to_str().unwrap()][..], &["config", "default"], &["-h"], &["--help"]] {
        let mut child = site.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = site.command(&["config", "default"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("ssh-guard: cannot write the output: "));
}

#[test]
fn the_short_help_takes_one_line_for_each_option() {
    needs!(ALL[0]);
    let help = |args: &[&str]| {
        let output = Command::new(ssh_guard_tests::daemon::program())
            .args(args)
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for verb in [
        "run", "status", "bans", "sources", "sessions", "ban", "unban", "allow", "confirm", "why", "explain",
        "replay", "check", "config",
    ] {
        let short = help(&[verb, "-h"]);
        let options = short.split_once("Options:\n").unwrap().1;
        for line in options.lines() {
            assert!(line.trim_start().starts_with('-'), "'{verb} -h' wraps: {short}");
            assert!(line.len() <= 100, "'{verb} -h' is wide: {short}");
        }
    }
    assert!(help(&["--help"]).contains("ssh-guard ban 203.0.113.7"), "the long help has an example");
}
