//! The daemon as a user of its own, with three capabilities and no way to more.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use ssh_guard_tests::client::Connect;
use ssh_guard_tests::daemon::Site;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::process::Process;
use ssh_guard_tests::site::{Answer, NOBODY};
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 4] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("setpriv")];
/// Long enough for a SYN and its first repetition.
const SHORT: Duration = Duration::from_millis(1500);
const TAKEN: [&str; 3] = ["bpf", "net_admin", "perfmon"];
const BANNED: &str = "203.0.113.7";

/// A site that belongs to nobody, and the program where they can reach it.
fn site(config: &str) -> Site {
    let site = Site::with_log(config);
    std::fs::create_dir_all(site.pin_path()).unwrap();
    std::fs::copy(site.program(), site.folder().join("ssh-guard")).unwrap();
    for path in [site.folder(), site.pin_path(), &site.folder().join("auth.log")] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::fs::set_permissions(site.pin_path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    site
}

/// A command of that program, by nobody with these capabilities alone.
fn by_nobody(site: &Site, capabilities: &[&str], args: &[&str]) -> Command {
    let set = capabilities.iter().fold("-all".to_owned(), |set, capability| format!("{set},+{capability}"));
    let id = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs"]);
    command.args(["--inh-caps", &set, "--ambient-caps", &set, "--bounding-set", &set]);
    command.arg(site.folder().join("ssh-guard")).arg("--config").arg(site.config()).args(args);
    command
}

struct Daemon<'a> {
    process: Process,
    lab: &'a Lab,
    site: &'a Site,
}

impl<'a> Daemon<'a> {
    fn start(lab: &'a Lab, site: &'a Site) -> Self {
        let process = lab.server().start(by_nobody(site, &TAKEN, &["run"]));
        let mut daemon = Self { process, lab, site };
        eventually(PATIENCE, "the daemon answers", || {
            assert!(!daemon.process.has_ended(), "it ended:\n{}", daemon.process.output());
            daemon.cli(&["status"]).code == 0
        });
        daemon
    }

    fn cli(&self, args: &[&str]) -> Answer {
        Answer::of(self.lab.server(), by_nobody(self.site, &TAKEN, args))
    }

    fn eth0(&self) -> Value {
        self.cli(&["status", "--json"]).json()["interfaces"][0].clone()
    }

    fn assert_guarded(&self, mode: &str) {
        let eth0 = self.eth0();
        let told = (&eth0["mode"], &eth0["attached"], &eth0["witness"]);
        assert_eq!(told, (&mode.into(), &true.into(), &true.into()), "{}", self.process.output());
        assert_eq!(self.lab.client(BANNED).connect(22, SHORT), Connect::TimedOut);
        assert_eq!(self.lab.client("203.0.113.8").connect(22, PATIENCE), Connect::Open);
    }
}

#[test]
fn three_capabilities_are_enough_for_all_that_the_daemon_does() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    for mode in ["native", "tc"] {
        let lab = Lab::new();
        let listener = lab.listen();
        let site = site(&format!("guard.mode = '{mode}'"));
        let mut daemon = Daemon::start(&lab, &site);
        assert_eq!(daemon.cli(&["ban", BANNED]).code, 0);
        daemon.assert_guarded(mode);
        // Deleted and made again.
        lab.server().ip("link del eth0");
        eventually(PATIENCE, "it is gone", || daemon.eth0()["attached"] == false);
        lab.connect_again(0);
        eventually(PATIENCE, "it is guarded again", || daemon.eth0()["witness"] == true);
        daemon.assert_guarded(mode);
        // Killed, and taken over.
        daemon.process.signal(Signal::SIGKILL);
        daemon.process.kill();
        assert_eq!(lab.client(BANNED).connect(22, SHORT), Connect::TimedOut);
        daemon = Daemon::start(&lab, &site);
        assert!(daemon.process.output().contains("took the place"), "{}", daemon.process.output());
        daemon.assert_guarded(mode);
        // Let go, with a daemon and without one.
        assert!(daemon.cli(&["detach"]).stdout.starts_with("detached from eth0\n"));
        assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open);
        daemon.process.kill();
        daemon = Daemon::start(&lab, &site);
        daemon.process.kill();
        assert_eq!(daemon.cli(&["unban", BANNED]).code, 0);
        assert_eq!(lab.client(BANNED).connect(22, PATIENCE), Connect::Open);
        assert!(daemon.cli(&["detach"]).stdout.starts_with("detached from eth0\n"));
        drop(listener);
    }
}

#[test]
fn a_capability_that_is_missing_is_named() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3]);
    let lab = Lab::new();
    for missing in TAKEN {
        let site = site("");
        let others: Vec<_> = TAKEN.into_iter().filter(|capability| *capability != missing).collect();
        let answer = Answer::of(lab.server(), by_nobody(&site, &others, &["run"]));
        let named = format!("; here is no CAP_{}\n", missing.to_uppercase());
        answer_refused(&answer, &["ssh-guard: cannot load BPF programs: not permitted\nhint: ", &named]);
    }
    let site = site("");
    let answer = Answer::of(lab.server(), by_nobody(&site, &[], &["run"]));
    answer_refused(&answer, &["here is no CAP_NET_ADMIN, no CAP_PERFMON, no CAP_BPF\n"]);
}

/// As [`Answer::assert_refused`], of a daemon, which has written to its log before.
fn answer_refused(answer: &Answer, told: &[&str]) {
    assert_eq!(answer.code, 77, "{answer:?}");
    for text in told {
        assert!(answer.stderr.contains(text), "no '{text}' in {answer:?}");
    }
}
