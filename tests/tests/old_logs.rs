//! Old logs, as somebody has them lying about: packed, rotated, exported from a journal, damaged.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use ssh_guard_tests::daemon::Site;
use ssh_guard_tests::journald::{DEV_LOG, Journald};
use ssh_guard_tests::mounts::PrivateFiles;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::skip::{Need, find_program};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 2] = [Need::Root, Need::Netns];

/// A line of a failure from 203.0.113.`host`.
fn line(host: u8) -> String {
    format!(
        "Nov 23 03:12:02 gate sshd[{host}]: Failed password for root from 203.0.113.{host} port 41022 ssh2\n"
    )
}

fn write(site: &Site, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let file = site.folder().join(name);
    fs::write(&file, content).unwrap();
    file
}

/// Packs a file as logrotate does; the unpacked one goes.
fn pack(file: &Path) -> PathBuf {
    assert!(Command::new("gzip").arg(file).status().unwrap().success());
    PathBuf::from(format!("{}.gz", file.display()))
}

fn sources(answer: &str) -> Vec<Option<String>> {
    let objects = answer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.map(|object| object["source"].as_str().map(str::to_owned)).collect()
}

fn known(hosts: &[u8]) -> Vec<Option<String>> {
    hosts.iter().map(|host| Some(format!("203.0.113.{host}"))).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_rotated_log_is_read_in_the_order_of_time_packed_or_not() {
    needs!(ALL[0], ALL[1]);
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    let current = write(&site, "auth.log", line(4));
    let first = write(&site, "auth.log.1", line(3));
    let second = pack(&write(&site, "auth.log.2", line(2)));
    let tenth = pack(&write(&site, "auth.log.10", line(1)));
    // As a shell sorts them.
    let files = [text(&current), text(&first), text(&tenth), text(&second)];
    let answer = site.run(&namespace, &[&["explain", "--json"], &files[..]].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(sources(&answer.stdout), known(&[1, 2, 3, 4]));
    let first_object: Value = serde_json::from_str(answer.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first_object["file"], &first_object["line"]), (&text(&tenth).into(), &1.into()));

    let summed_up = site.run(&namespace, &[&["replay", "--json"], &files[..]].concat()).json();
    assert_eq!((&summed_up["lines"], &summed_up["understood"]), (&4.into(), &4.into()));
    assert_eq!(summed_up["files"][0]["compression"], "gzip");
    assert_eq!(summed_up["files"][3]["compression"], Value::Null);
    // The year of the last 23rd of November is not told, and this machine's zone is anybody's guess.
    assert!(summed_up["since"].as_str().unwrap().ends_with(":12:02Z"), "{summed_up}");
    assert_eq!(summed_up["since"], summed_up["until"]);
    let mut found: Vec<_> = summed_up.as_object().unwrap().keys().map(String::as_str).collect();
    found.sort_unstable();
    let mut expected = [
        "decisions",
        "files",
        "since",
        "until",
        "lines",
        "bytes",
        "understood",
        "events",
        "services",
        "sources",
        "accounts",
        "not_understood",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_log_that_is_damaged_forbidden_or_missing_leaves_the_others_to_be_read() {
    needs!(ALL[0], ALL[1]);
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    let whole = write(&site, "whole", line(1));
    let mut many = Vec::new();
    for number in 0..5000_u32 {
        let (a, b) = (number / 250, number * 7919 % 250);
        let address = format!("198.18.{a}.{b}");
        writeln!(many, "Nov 23 03:12:02 gate sshd[7]: Failed password for root from {address} port 1 ssh2")
            .unwrap();
    }
    let packed = fs::read(pack(&write(&site, "cut", many))).unwrap();
    let cut = write(&site, "cut.gz", &packed[..packed.len() / 2]);
    let foreign = write(&site, "foreign", b"\xfd7zXZ\0\0");

    let answer = site.run(&namespace, &["explain", "--json", text(&cut), text(&whole)]);
    answer.assert_refused(1, &["cut.gz' is cut short, ", "hint: what stood before was read"]);
    let told = sources(&answer.stdout);
    assert!(told.len() > 500 && told.len() < 5000, "{}", told.len());
    assert!(told.iter().all(Option::is_some), "no line is told that is not whole");
    assert_eq!(told.last(), known(&[1]).last());

    let answer = site.run(&namespace, &["replay", text(&foreign), "/nowhere", text(&whole)]);
    answer.assert_refused(
        1,
        &["foreign': it is packed by xz", "| ssh-guard replay -\n", "cannot read '/nowhere': No such file"],
    );
    assert!(answer.stdout.contains("failures of 203.0.113.1\n"), "{answer:?}");

    for (path, mode) in [(site.folder(), 0o755), (&whole, 0o600), (&cut, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    site.run_as_nobody(&namespace, &["replay", text(&whole)]).assert_refused(77, &["hint: run as root"]);
    site.run(&namespace, &["replay", text(site.folder())]).assert_refused(1, &["hint: name a file in it"]);
    assert_eq!(site.run(&namespace, &["replay"]).code, 2);
}

#[test]
fn a_line_that_is_piped_in_is_told_before_the_next_one_comes() {
    needs!(ALL[0]);
    let site = Site::with_log("");
    let mut command = site.command(&["explain", "--json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for host in [1, 2] {
        input.write_all(line(host).as_bytes()).unwrap();
        let mut told = String::new();
        output.read_line(&mut told).unwrap();
        assert_eq!(sources(&told), known(&[host]));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_journalctl_exports_is_read_and_only_what_the_kernel_vouches_for_is_believed() {
    needs!(
        ALL[0],
        ALL[1],
        Need::Program("systemd-journald"),
        Need::Program("journalctl"),
        Need::Program("logger")
    );
    let (namespace, site) = (Namespace::new(), Site::with_log(""));
    let files = PrivateFiles::new(Path::new(DEV_LOG));
    let journald = Journald::start(&files, &namespace);
    let sshd = files.path().join("sshd");
    fs::copy(find_program("logger").unwrap(), &sshd).unwrap();
    for (program, host) in [(&sshd, 1), (&find_program("logger").unwrap(), 66), (&sshd, 2)] {
        let text = format!("Failed password for root from 203.0.113.{host} port 41022 ssh2");
        let mut command = Command::new(program);
        command.args(["--id", "--tag", "sshd"]);
        let mut process = files.start(&namespace, command);
        process.write_line(&text).unwrap();
        // journald looks for the process that wrote it.
        eventually(PATIENCE, "the journal has the entry", || {
            journald.entries(&[]).iter().any(|entry| entry["MESSAGE"] == text.as_str())
        });
        process.close_input();
        assert!(process.wait(PATIENCE).success());
    }
    let explained = |form: &str| {
        let mut command = Command::new(find_program("journalctl").unwrap());
        command.arg("--directory").arg(journald.directory()).arg(format!("--output={form}"));
        let export = pack(&write(&site, form, command.output().unwrap().stdout));
        let answer = site.run(&namespace, &["explain", "--json", text(&export)]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{form}");
        let summed_up = site.run(&namespace, &["replay", "--json", text(&export)]).json();
        assert!(summed_up["since"].is_string() && summed_up["understood"] == 2, "{summed_up}");
        assert!(summed_up["not_understood"]["not_vouched"].as_u64().unwrap() >= 1, "{summed_up}");
        answer.stdout
    };
    let export = explained("export");
    let told: Vec<_> = sources(&export).into_iter().flatten().collect();
    assert_eq!(told, ["203.0.113.1", "203.0.113.2"]);
    for form in ["json", "json-seq"] {
        assert_eq!(explained(form), export, "{form}");
    }
    let mut command = Command::new(find_program("journalctl").unwrap());
    command.arg("--directory").arg(journald.directory()).arg("--output=json-pretty");
    let pretty = write(&site, "pretty", command.output().unwrap().stdout);
    site.run(&namespace, &["explain", text(&pretty)])
        .assert_refused(1, &["hint: have journalctl print it: "]);
}

#[test]
fn logs_are_read_by_the_parser_that_is_named_as_an_input_s_would_be() {
    needs!(ALL[0], ALL[1]);
    let pattern = "[[pattern]]\nname = 'acme'\nunit = 'acme.service'\n\
                   json = { event = 'event', failure = ['failed'], source = 'ip' }\n\
                   samples = [{ line = '{\"event\":\"failed\",\"ip\":\"203.0.113.7\"}', event = 'failure', source = '203.0.113.7' }]\n\
                   [[pattern]]\nname = 'anybody'\nfailure = ['^failed (?<source>\\S+)$']\n\
                   samples = [{ line = 'failed 203.0.113.7', event = 'failure', source = '203.0.113.7' }]\n";
    let (namespace, site) = (Namespace::new(), Site::with_log(pattern));
    let vsftpd = write(
        &site,
        "vsftpd.log",
        "Mon Nov 23 12:58:29 2026 [pid 7] [bob] FAIL LOGIN: Client \"::ffff:203.0.113.1\"\n",
    );
    let acme = write(&site, "acme.log", "{\"event\":\"failed\",\"ip\":\"203.0.113.2\"}\n");
    // The entries of its unit, whoever it runs as, and of nobody else.
    let journal = write(
        &site,
        "journal",
        [("acme.service", 3), ("other.service", 66)]
            .map(|(unit, host)| {
                format!(
                    "__CURSOR=c\n_UID=999\n_COMM=acmed\n_SYSTEMD_UNIT={unit}\n\
                     MESSAGE={{\"event\":\"failed\",\"ip\":\"203.0.113.{host}\"}}\n\n"
                )
            })
            .concat(),
    );
    let bare = write(&site, "bare", "failed 203.0.113.4\n");
    for (arguments, file, expected) in [
        (&["--parser", "vsftpd"][..], &vsftpd, known(&[1])),
        (&["--parser", "acme"], &acme, known(&[2])),
        (&["--parser", "acme"], &journal, [known(&[3]), vec![None]].concat()),
        (&["--parser", "anybody", "--bare"], &bare, known(&[4])),
        (&[], &vsftpd, vec![None]),
        (&[], &acme, vec![None]),
        (&[], &journal, vec![None, None]),
        (&["--parser", "auto"], &bare, vec![None]),
    ] {
        let explained = site.run(&namespace, &[&["explain", "--json", text(file)], arguments].concat());
        assert_eq!((explained.code, sources(&explained.stdout)), (0, expected.clone()), "{arguments:?}");
        let summed_up = site.run(&namespace, &[&["replay", "--json", text(file)], arguments].concat()).json();
        assert_eq!(summed_up["understood"], expected.iter().flatten().count(), "{arguments:?}");
    }
    for verb in ["explain", "replay"] {
        let refused = |arguments: &[&str], words: &[&str]| {
            site.run(&namespace, &[&[verb, text(&bare)], arguments].concat()).assert_refused(2, words);
        };
        refused(
            &["--parser", "sshd"],
            &[
                "there is no parser 'sshd'",
                "hint: use auto, openssh, dropbear, ",
                "pure-ftpd, acme, anybody;",
            ],
        );
        refused(&["--parser", "vsftpd", "--bare"], &["what 'vsftpd' writes is read without --bare"]);
        refused(&["--parser", "anybody"], &["'anybody' does not say whose lines it reads", "use --bare"]);
    }
}
