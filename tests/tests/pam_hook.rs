//! The hook for PAM, with names that a client chose.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use ssh_guard::control::events::{Batch, Form};
use ssh_guard::event::{Kind, Outcome, Service};
use ssh_guard_tests::daemon::{Daemon, Site};
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::mounts::PrivateFiles;
use ssh_guard_tests::needs;
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

fn hook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("dist/pam/ssh-guard-event")
}

/// Runs the hook as `pam_exec` does, with these variables alone.
fn command(socket: &Path, variables: &[(&str, &[u8])]) -> Command {
    let mut command = Command::new(hook());
    command.arg(socket).env_clear();
    for (name, value) in variables {
        command.env(name, std::ffi::OsStr::from_bytes(value));
    }
    command
}

/// Answers one request, and returns its head and body.
fn answer(listener: &UnixListener) -> (String, Vec<u8>) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.to_ascii_lowercase();
    let length =
        length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").unwrap();
    (head, body)
}

/// Names that would do something in a shell, in JSON, in a form, or to curl.
const HOSTILE: [&[u8]; 14] = [
    b"root",
    b"a\"b\\c",
    b"a\nb\r\n\tc",
    b"$(touch /tmp/ssh-guard-pwned)`id`;reboot|cat&",
    b"' --upload-file /etc/shadow '",
    b"x&event=success&source=192.0.2.1",
    b"a=b%00%22+c",
    b"@/etc/shadow",
    b"--data-binary @/etc/shadow",
    b"\xff\xfe\xc0\x80",
    b"{\"source\":\"192.0.2.1\"}",
    b"\x1b[2J\x07",
    "b\u{fc}cherwurm \u{202e}".as_bytes(),
    b"*",
];

#[test]
fn whatever_a_client_calls_itself_arrives_as_its_name_and_as_nothing_else() {
    needs!(Need::Program("curl"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("events.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let long = vec![b'x'; 100_000];
    for name in HOSTILE.into_iter().chain([&long[..]]) {
        let variables: [(&str, &[u8]); 6] = [
            ("PAM_TYPE", b"auth"),
            ("PAM_USER", name),
            ("PAM_RHOST", b"2001:db8::7"),
            ("PAM_SERVICE", b"vsftpd"),
            // What a user may put there: none of it is to be heard.
            ("http_proxy", b"http://192.0.2.1:1"),
            ("CURL_HOME", b"/nonexistent"),
        ];
        let mut hook = command(&socket, &variables).spawn().unwrap();
        let (head, body) = answer(&listener);
        assert!(hook.wait().unwrap().success());
        assert!(head.starts_with("POST /v1/events "), "{head}");
        let mut batch = Batch::parse(Form::Urlencoded, &body, 1 << 20);
        assert_eq!(batch.refused, 0, "{batch:?}");
        let event = batch.events.pop().unwrap().event;
        assert_eq!(event.user.as_deref(), Some(&*String::from_utf8_lossy(name)));
        assert_eq!((event.outcome, event.kind), (Outcome::Failure, Kind::Password));
        assert_eq!((event.address, event.port), (Some("2001:db8::7".parse().unwrap()), None));
        assert_eq!(event.service, Service::Named("vsftpd".into()));
    }
    assert!(!Path::new("/tmp/ssh-guard-pwned").exists());
}

#[test]
fn a_session_is_a_success_and_what_is_neither_is_not_told() {
    needs!(Need::Program("curl"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("events.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let of = |pam_type: &'static [u8], host: &'static [u8]| {
        let variables = [("PAM_TYPE", pam_type), ("PAM_USER", b"bob"), ("PAM_RHOST", host)];
        command(&socket, &variables)
    };
    for (pam_type, host) in [
        (&b"close_session"[..], &b"203.0.113.7"[..]),
        (b"account", b"203.0.113.7"),
        (b"auth", b""),
        (b"", b"x"),
    ] {
        assert!(of(pam_type, host).status().unwrap().success());
    }
    // The first that connects is the one that has something to tell.
    let mut hook = of(b"open_session", b"203.0.113.7").spawn().unwrap();
    let (_, body) = answer(&listener);
    assert!(hook.wait().unwrap().success());
    let fields: BTreeMap<String, String> = String::from_utf8(body)
        .unwrap()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    assert_eq!((fields["event"].as_str(), fields["source"].as_str()), ("success", "203.0.113.7"));
}

#[test]
fn a_login_does_not_fail_for_want_of_a_daemon_an_answer_or_curl() {
    needs!(Need::Root, Need::Netns, Need::Program("curl"));
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("events.sock");
    let variables: [(&str, &[u8]); 3] =
        [("PAM_TYPE", b"auth"), ("PAM_USER", b"x"), ("PAM_RHOST", b"203.0.113.7")];
    let succeeds = || command(&socket, &variables).output().unwrap();
    let nobody = succeeds();
    assert!(nobody.status.success() && nobody.stdout.is_empty() && nobody.stderr.is_empty(), "{nobody:?}");
    // Somebody who never answers.
    let _silent = UnixListener::bind(&socket).unwrap();
    assert!(succeeds().status.success());

    let mut files = PrivateFiles::new(Path::new("/run/some-socket"));
    let curl = files.write("curl", 0o644, "");
    files.replace("/usr/bin/curl", curl);
    let mut without = files.start(&Namespace::new(), command(&socket, &variables));
    assert!(without.wait(PATIENCE).success(), "{}", without.output());
    assert_eq!(without.output(), "");
}

/// Where the README has the hook lie.
const INSTALLED: &str = "/usr/local/libexec/ssh-guard-event";

/// The lines that the README has one put into a service's file.
fn stack() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let of_stack = |line: &&str| ["    auth  ", "    session  "].iter().any(|begin| line.starts_with(begin));
    let lines: Vec<&str> = readme.lines().filter(of_stack).collect();
    assert!(
        lines.len() == 5 && lines.iter().filter(|line| line.ends_with(INSTALLED)).count() == 2,
        "{lines:?}"
    );
    lines.join("\n") + "\n"
}

/// PAM with services of the test's own.
struct Pam {
    files: PrivateFiles,
}

impl Pam {
    fn new(socket: &Path) -> Self {
        let mut files = PrivateFiles::new(Path::new("/run/some-socket"));
        let folder = files.path().join("pam.d");
        std::fs::create_dir(&folder).unwrap();
        let exec = format!("{} {}", hook().display(), socket.display());
        for (service, password) in [("refuses", "pam_deny.so"), ("admits", "pam_permit.so")] {
            let stack = stack().replace("pam_unix.so", password).replace(INSTALLED, &exec);
            std::fs::write(folder.join(service), stack + "account required pam_permit.so\n").unwrap();
        }
        files.replace("/etc/pam.d", folder);
        Self { files }
    }

    /// Has somebody log in; returns whether they may.
    fn log_in(&self, namespace: &Namespace, service: &str, user: &[u8], from: &str) -> bool {
        let mut command = Command::new("pamtester");
        command.args(["--item", &format!("rhost={from}"), service]).arg(std::ffi::OsStr::from_bytes(user));
        command.arg("authenticate");
        if service == "admits" {
            command.arg("open_session");
        }
        self.files.start(namespace, command).wait(PATIENCE).success()
    }
}

#[test]
fn six_passwords_that_pam_refuses_ban_whatever_the_names_are() {
    needs!(Need::Root, Need::Bpf, Need::Netns, Need::Program("curl"), Need::Program("pamtester"));
    let lab = Lab::new();
    let site = Site::new("control.events-group = 'games'\n[[input]]\nkind = 'socket'\n");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    let pam = Pam::new(&daemon.events_socket());
    let names: Vec<&[u8]> = HOSTILE.into_iter().filter(|name| !name.starts_with(b"-")).take(6).collect();
    for (number, name) in names.iter().enumerate() {
        assert!(daemon.banned().is_empty(), "after {number}");
        assert!(!pam.log_in(lab.server(), "refuses", name, "203.0.113.7"));
        eventually(PATIENCE, "it is posted", || daemon.input("socket")["understood"] == number + 1);
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);

    assert!(pam.log_in(lab.server(), "admits", b"bob", "203.0.113.8"));
    let successes = "ssh_guard_auth_events_total{event=\"success\",kind=\"accepted\"} 1";
    eventually(PATIENCE, "a success is told", || daemon.metrics().lines().any(|line| line == successes));
    assert!(!pam.log_in(lab.server(), "refuses", b"bob", "203.0.113.9.evil.example"));
    eventually(PATIENCE, "a name of a host is refused", || daemon.input("socket")["lines"] == 8);
    assert_eq!(daemon.input("socket")["understood"], 7);
}
