//! The main job at servers other than OpenSSH: a real Dropbear, and the logs that others and a described one write.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ssh_guard_tests::client::{Connect, Login};
use ssh_guard_tests::daemon::Daemon;
use ssh_guard_tests::dropbear::Dropbear;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);

fn banned(daemon: &Daemon<'_>) -> Vec<String> {
    let bans = daemon.json(&["bans"])["bans"].as_array().unwrap().clone();
    let mut sources: Vec<String> =
        bans.iter().map(|ban| ban["source"].as_str().unwrap().to_owned()).collect();
    sources.sort();
    sources
}

#[test]
fn the_sixth_failure_at_dropbear_bans_its_source_and_nobody_else() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("dropbear"), Need::Program("sshpass"));
    let lab = Lab::new();
    let server = Dropbear::start(lab.server());
    let daemon = Daemon::start(
        lab.server(),
        &format!("[[input]]\nkind = 'file'\npath = '{}'\n", server.log_file().display()),
    );
    // Some versions write no address into the line about an account that does not exist.
    for (attacker, source, user) in
        [("203.0.113.7", "203.0.113.7", "ghost"), ("2001:db8:7::7", "2001:db8:7::/64", "alice")]
    {
        let client = lab.client(attacker);
        for _ in 0..5 {
            assert_eq!(client.fail_password(user), Login::Denied);
        }
        assert!(!banned(&daemon).contains(&source.to_owned()), "five sessions: {}", server.log());
        // The sixth may be cut off before its refusal arrives.
        assert!(!matches!(client.fail_password(user), Login::Accepted(_)));
        eventually(PATIENCE, &format!("{source} is banned"), || banned(&daemon).contains(&source.to_owned()));
        assert_eq!(client.connect(22, SHORT), Connect::TimedOut);
    }
    assert_eq!(banned(&daemon), ["2001:db8:7::/64", "203.0.113.7"]);
    assert_eq!(lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open);
}

/// Three inputs of one daemon: vsftpd's own log, `SFTPGo`'s, and that of a server that a pattern describes.
const CONFIG: &str = r#"
[[input]]
kind = "file"
path = "DIR/vsftpd.log"
parser = "vsftpd"
[[input]]
kind = "file"
path = "DIR/sftpgo.log"
parser = "sftpgo"
[[input]]
kind = "file"
path = "DIR/acme.log"
parser = "acme"
[[pattern]]
name = "acme"
process = "acmed"
failure = ['^login of "(?<user>.*)" failed, client (?<source>[0-9a-fA-F:.]+)$']
samples = [{ line = 'login of "bob" failed, client 203.0.113.7', event = "failure", source = "203.0.113.7" }]
"#;

fn append(path: &Path, line: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

#[test]
fn servers_that_write_logs_of_their_own_are_read_beside_each_other() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    for name in ["vsftpd.log", "sftpgo.log", "acme.log"] {
        std::fs::write(file(name), "").unwrap();
    }
    let daemon = Daemon::start(lab.server(), &CONFIG.replace("DIR", &folder.path().display().to_string()));
    eventually(PATIENCE, "the daemon answers", || daemon.cli(&["status"]).code == 0);
    for user in ["root", "x] FAIL LOGIN: [y", "x", "y", "z", "root"] {
        append(
            &file("vsftpd.log"),
            &format!(
                r#"Mon Nov 23 03:12:01 2026 [pid 4711] [{user}] FAIL LOGIN: Client "::ffff:203.0.113.7""#
            ),
        );
    }
    for _ in 0..6 {
        append(
            &file("sftpgo.log"),
            r#"{"level":"debug","time":"2026-11-23T03:12:01.123","sender":"connection_failed","client_ip":"203.0.113.8","username":"x\",\"client_ip\":\"192.0.2.66","login_type":"password-over-SSH","protocol":"SSH","error":"invalid credentials"}"#,
        );
        append(
            &file("acme.log"),
            r#"Nov 23 03:12:01 gate acmed[7]: login of "x" failed, client 192.0.2.66" failed, client 203.0.113.9"#,
        );
        append(&file("acme.log"), r#"Nov 23 03:12:01 gate other[7]: login of "x" failed, client 192.0.2.66"#);
    }
    eventually(PATIENCE, "each of the three is banned, and nobody else", || {
        banned(&daemon) == ["203.0.113.7", "203.0.113.8", "203.0.113.9"]
    });
}
