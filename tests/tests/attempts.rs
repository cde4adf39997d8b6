//! A real server and real clients: what its log says of their attempts counts as many as they made.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ssh_guard::moment::Moment;
use ssh_guard::parse::{Interpreter, Parser, header};
use ssh_guard::policy::{Policy, Rules, Standing};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_tests::client::Login;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::{Need, find_program};
use ssh_guard_tests::sshd::{ACCOUNTS, LOCKED, Logging, PASSWORD, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const SSH: [Need; 4] = [Need::Root, Need::Netns, Need::Program("sshd"), Need::Program("ssh-keygen")];

/// One client's session, and how many attempts that is.
struct Session {
    user: &'static str,
    /// How many keys it offers that the server does not know.
    keys: usize,
    /// The method that follows, and how often a wrong password is typed.
    method: Option<(&'static str, usize)>,
    /// Whether the key that the server knows comes at last.
    succeeds: bool,
    attempts: usize,
}

/// What the server is told.
#[derive(Clone, Copy)]
struct Server {
    pam: bool,
    level: &'static str,
    tries: usize,
    dns: bool,
}

/// Sessions of every kind, with what they are worth at a server.
fn sessions(server: Server) -> Vec<Session> {
    let Server { pam, tries, .. } = server;
    let mut sessions = Vec::new();
    // A locked account is told as not allowed, a denied one as well; PAM says nothing of either.
    for user in ["root", ACCOUNTS[0], "ghost", LOCKED, ACCOUNTS[1]] {
        for prompts in [1, 2, 3, 5] {
            for method in ["password", "keyboard-interactive"] {
                let asked = pam || method == "password";
                // pam_unix has had enough after three passwords (`PAM_MAXTRIES`), and sshd asks for none any more.
                let most = if pam && method == "password" { tries.min(3) } else { tries };
                let attempts = if asked { prompts.min(most) } else { 1 };
                let method = Some((method, prompts));
                sessions.push(Session { user, keys: 0, method, succeeds: false, attempts });
            }
        }
        // An agent holds as many; what the account is makes no difference to more than the first few.
        for keys in 1..=(if user == "root" { 8 } else { 3 }) {
            sessions.push(Session { user, keys, method: None, succeeds: false, attempts: 1 });
        }
        // What is left of MaxAuthTries when the keys have been refused.
        for keys in [1, 4] {
            let attempts = tries.saturating_sub(keys).clamp(1, 2);
            let method = Some(("password", 2));
            sessions.push(Session { user, keys, method, succeeds: false, attempts });
        }
    }
    for keys in 0..tries.min(4) {
        let login = Session { user: ACCOUNTS[0], keys, method: None, succeeds: true, attempts: 0 };
        sessions.push(login);
    }
    sessions
}

/// Where session `number` comes from: of each family one of many.
fn source(number: usize) -> String {
    if number.is_multiple_of(3) { format!("2001:db8:7:{number:x}::7") } else { format!("198.18.7.{number}") }
}

/// Keys that no server knows, and a program that types a wrong password.
struct Tools {
    keys: Vec<PathBuf>,
    askpass: PathBuf,
    _folder: tempfile::TempDir,
}

impl Tools {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::TempDir::new().unwrap();
        let askpass = folder.path().join("askpass");
        std::fs::write(&askpass, "#!/bin/sh\necho wrong horse\n").unwrap();
        std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o755)).unwrap();
        let key = |number: usize| {
            let path = folder.path().join(format!("key{number}"));
            let mut keygen = Command::new(find_program("ssh-keygen").unwrap());
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path);
            assert!(keygen.status().unwrap().success());
            path
        };
        Self { keys: (0..8).map(key).collect(), askpass, _folder: folder }
    }

    fn options(&self, session: &Session, known: &Path) -> Vec<String> {
        let methods = [("publickey", session.keys > 0 || session.succeeds)]
            .into_iter()
            .filter_map(|(name, used)| used.then_some(name))
            .chain(session.method.map(|(name, _)| name))
            .collect::<Vec<_>>()
            .join(",");
        let prompts = session.method.map_or(0, |(_, prompts)| prompts).max(1);
        let mut options = vec![
            format!("PreferredAuthentications={methods}"),
            format!("NumberOfPasswordPrompts={prompts}"),
            "IdentitiesOnly=yes".to_owned(),
            "ConnectTimeout=20".to_owned(),
        ];
        let keys = self.keys.iter().take(session.keys).map(PathBuf::as_path);
        let known = session.succeeds.then_some(known);
        options.extend(keys.chain(known).map(|key| format!("IdentityFile={}", key.display())));
        options
    }
}

/// Has all sessions run, some of them at once, and compares what the log says of each with what was done.
fn compare(server: Server) {
    let lab = Lab::new();
    let tools = Tools::new();
    let yes = |value: bool| if value { "yes" } else { "no" };
    let settings = format!(
        "UsePAM {0}\nKbdInteractiveAuthentication {0}\nUseDNS {1}\nLogLevel {2}\nMaxAuthTries {3}\nDenyUsers {4}",
        yes(server.pam),
        yes(server.dns),
        server.level,
        server.tries,
        ACCOUNTS[1],
    );
    let sessions = sessions(server);
    // A name that looks like somebody else's address.
    let hosts: String =
        (0..sessions.len()).map(|number| source(number) + " 192.0.2.66.evil.example\n").collect();
    let mut sshd =
        Sshd::named(lab.server(), Logging::File, &settings, &format!("{hosts}203.0.113.200 last\n"));
    let key = sshd.key();
    for (chunk, some) in sessions.chunks(AT_ONCE).enumerate() {
        std::thread::scope(|scope| {
            for (index, session) in some.iter().enumerate() {
                let (lab, tools, key) = (&lab, &tools, &key);
                scope.spawn(move || {
                    let client = lab.client(&source(chunk * AT_ONCE + index));
                    let options = tools.options(session, key);
                    let login = client.login_as_told(session.user, &tools.askpass, &options);
                    assert_eq!(matches!(login, Login::Accepted(_)), session.succeeds, "{login:?}");
                });
            }
        });
    }
    eventually(PATIENCE, "all sessions are over", || lab.server().pids() == [sshd.pid()]);
    // What syslog(3) sends stays in order: after this line there is none of theirs.
    let last = lab.client("203.0.113.200");
    assert!(matches!(last.login_with_password(ACCOUNTS[2], PASSWORD), Login::Accepted(_)));
    sshd.wait_for_log("for carol from 203.0.113.200 port ");

    let log = sshd.log();
    assert_eq!(log.contains("from 192.0.2.66.evil.example"), server.dns, "whether names are printed");
    let scores = scores(&log);
    let sources: Vec<Source> = (0..sessions.len()).map(|number| masked(&source(number))).collect();
    let last = masked("203.0.113.200");
    let others: Vec<_> = scores.keys().filter(|found| **found != last && !sources.contains(found)).collect();
    assert!(others.is_empty(), "{others:?} were never there");
    let mut wrong = Vec::new();
    for (number, session) in sessions.iter().enumerate() {
        let score = scores.get(&masked(&source(number))).copied().unwrap_or_default();
        let attempts = f64::from(u32::try_from(session.attempts).unwrap());
        if (score - attempts).abs() > 1e-9 {
            let address = source(number);
            let pids: Vec<_> =
                log.lines().filter(|line| line.contains(&address)).filter_map(pid_of).collect();
            let told: Vec<_> =
                log.lines().filter(|line| pid_of(line).is_some_and(|pid| pids.contains(&pid))).collect();
            wrong.push(format!(
                "{} with {} keys, {:?}: {score}, not {attempts}\n{}",
                session.user,
                session.keys,
                session.method,
                told.join("\n")
            ));
        }
    }
    let Server { pam, level, tries, dns } = server;
    assert!(
        wrong.is_empty(),
        "PAM {pam}, DNS {dns}, {level}, MaxAuthTries {tries}: {} of {}\n\n{}",
        wrong.len(),
        sessions.len(),
        wrong.join("\n\n")
    );
}

fn pid_of(line: &str) -> Option<&str> {
    line.split_once('[')?.1.split_once("]: ").map(|(pid, _)| pid)
}

fn masked(address: &str) -> Source {
    SourceMask::new(32, 64).apply(address.parse::<IpAddr>().unwrap().into())
}

/// The score of every source after all lines of a log.
fn scores(log: &str) -> HashMap<Source, f64> {
    let mut interpreter = Interpreter::new(Parser::Auto);
    let mut policy = Policy::new(Rules { threshold: 1e6, ..Rules::default() });
    let mut scores = HashMap::new();
    for line in log.lines() {
        let record = header::split(line.as_bytes()).unwrap_or_else(|| panic!("no header: {line}"));
        let Some(event) = interpreter.event(&record) else { continue };
        let Some(address) = event.address else { continue };
        let source = SourceMask::new(32, 64).apply(address.into());
        let judgement = policy.observe(&event, source, Moment::default(), || Standing::Exempt);
        scores.insert(source, judgement.score);
    }
    scores
}

/// How many clients log in at the same time.
const AT_ONCE: usize = 12;

#[test]
fn a_server_that_asks_no_pam_tells_of_each_attempt_once() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    for (level, tries) in [("INFO", 6), ("INFO", 2), ("VERBOSE", 4)] {
        compare(Server { pam: false, level, tries, dns: false });
    }
}

#[test]
fn a_server_that_asks_pam_tells_of_each_attempt_once() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    for (level, tries) in [("INFO", 6), ("INFO", 3), ("VERBOSE", 5)] {
        compare(Server { pam: true, level, tries, dns: false });
    }
}

#[test]
fn a_server_that_prints_names_tells_of_each_attempt_once() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3]);
    compare(Server { pam: true, level: "INFO", tries: 6, dns: true });
    compare(Server { pam: false, level: "VERBOSE", tries: 6, dns: true });
}
