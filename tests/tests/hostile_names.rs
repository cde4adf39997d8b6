//! A real server whose clients choose names that look like its own messages: each is counted, and nobody else.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ssh_guard::parse::{Interpreter, Parser, Record, header};
use ssh_guard_tests::client::Login;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{ACCOUNTS, Logging, PASSWORD, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

/// What would be somebody else's address, in every place where a message of sshd has the client's.
const NAMES: [&str; 16] = [
    "x from 192.0.2.66 port 22 ssh2",
    "invalid user root from 192.0.2.66 port 22 ssh2",
    "root from 192.0.2.66 port 22 ssh2: RSA SHA256:abc",
    "x#012Failed password for root from 192.0.2.66 port 22 ssh2",
    "x\\nFailed password for root from 192.0.2.66 port 22 ssh2",
    "\u{1b}[2K\u{1b}[1GFailed password for root from 192.0.2.66 port 22 ssh2",
    "\u{202e}2hss 22 trop 66.2.0.291 morf x",
    "root 192.0.2.66 port 22 [preauth]",
    "authenticating user root 192.0.2.66 port 22: Too many authentication failures [preauth]",
    "x not allowed because account is locked",
    "user=root rhost=192.0.2.66",
    "message repeated 9 times: [ Failed password for root from 192.0.2.66 port 22 ssh2]",
    "192.0.2.66",
    "192.0.2.66 port 22 timed out",
    " ",
    "' from 192.0.2.66 port 22",
];

/// Names of the lengths at which messages are cut, which end like a message.
fn long_names() -> Vec<String> {
    let end = " from 192.0.2.66 port 22 ssh2";
    let fill = |unit: &str, count: usize| format!("{}{end}", unit.repeat(count));
    vec![
        fill("a", 71),
        fill("a", 100),
        fill("a", 171),
        fill("é", 40),
        fill("\\", 50),
        fill("a", 100_000 - end.len()),
    ]
}

#[test]
fn names_that_look_like_messages_credit_their_senders_and_nobody_else() {
    needs!(Need::Root, Need::Netns, Need::Program("sshd"), Need::Program("ssh-keygen"));
    let lab = Lab::new();
    let settings = "UsePAM yes\nKbdInteractiveAuthentication yes\nUseDNS yes\nLogLevel VERBOSE";
    let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).chain(long_names()).collect();
    let source = |number: usize| format!("198.18.9.{}", number + 1);
    let hosts: String =
        (0..names.len()).map(|number| source(number) + " 192.0.2.66.evil.example\n").collect();
    let mut sshd =
        Sshd::named(lab.server(), Logging::File, settings, &format!("{hosts}203.0.113.200 last\n"));
    let folder = tempfile::TempDir::new().unwrap();
    let askpass = folder.path().join("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho wrong horse\n").unwrap();
    std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (number, name) in names.iter().enumerate() {
        let method = ["password", "keyboard-interactive"][number % 2];
        // A name on the command line is looked at more closely than one in a file.
        let config = folder.path().join("config");
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        std::fs::write(&config, format!("User \"{quoted}\"\nPreferredAuthentications {method}\n")).unwrap();
        let login = lab.client(&source(number)).login_as_configured(&config, &askpass);
        assert!(!matches!(login, Login::Accepted(_)), "{name:.200}: {login:?}");
    }
    eventually(PATIENCE, "all sessions are over", || lab.server().pids() == [sshd.pid()]);
    let last = lab.client("203.0.113.200");
    assert!(matches!(last.login_with_password(ACCOUNTS[2], PASSWORD), Login::Accepted(_)));
    sshd.wait_for_log("for carol from 203.0.113.200 port ");

    let mut credited = BTreeMap::<IpAddr, u32>::new();
    let mut interpreter = Interpreter::new(Parser::Auto);
    let log = std::fs::read(sshd.log_file()).unwrap();
    let text = String::from_utf8_lossy(&log);
    for name in [NAMES[0], NAMES[3], NAMES[7], NAMES[10]] {
        assert!(text.contains(&format!("invalid user {name} from 198.18.9.")), "{name} came through: {text}");
    }
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Record<'_> = header::split(line).unwrap_or_else(|| panic!("{}", line.escape_ascii()));
        if let Some(address) = interpreter.event(&record).and_then(|event| event.address) {
            *credited.entry(address).or_default() += 1;
        }
    }
    assert_eq!(credited.remove(&"203.0.113.200".parse().unwrap()), Some(1));
    let expected: Vec<IpAddr> = (0..names.len()).map(|number| source(number).parse().unwrap()).collect();
    let found: Vec<IpAddr> = credited.keys().copied().collect();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(found, sorted, "{text}");
}
