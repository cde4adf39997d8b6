//! Reads a real journal: a journald of its own, in a namespace of its own, with lines from programs that really are,
//! or only say that they are, sshd.

#![expect(
    clippy::unwrap_used,
    reason = "a test panics where it fails; the helpers of this file are tests too"
)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ssh_guard::input::{
    Candidates, Journal, Line, Origin, Place, Resume, Sink, Spec, Stats, Writer, Written, auto, follow,
};
use ssh_guard_tests::wait::PATIENCE;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// A journald in a namespace; its sockets lie in `/run/systemd/journal.<name>`, its files in
/// `/var/log/journal/<machine-id>.<name>` (`journald.conf(5)`: those of a namespace are persistent).
struct Journald {
    name: String,
    child: Child,
    files: PathBuf,
    /// Programs that go by another name.
    programs: tempfile::TempDir,
}

impl Journald {
    fn start(test: &str) -> Self {
        let name = format!("sg-{test}-{}", std::process::id());
        let programs = tempfile::tempdir().unwrap();
        for program in ["sshd", "sshd-session", "dropbear", "vsftpd", "sftpgo", "acme-file-transferd"] {
            fs::copy("/usr/bin/logger", programs.path().join(program)).unwrap();
        }
        // Others than root run them as well.
        Command::new("chmod").arg("a+rx").arg(programs.path()).status().unwrap();
        let machine = fs::read_to_string("/etc/machine-id").expect("journald needs a machine-id");
        let files = Path::new("/var/log/journal").join(format!("{}.{name}", machine.trim()));
        let child = Self::spawn(&name);
        let journald = Self { name, child, files, programs };
        // It reads its sockets from the moment that it has its files.
        eventually("journald reads its socket", || {
            UnixDatagram::unbound().unwrap().connect(journald.socket()).is_ok() && journald.files.exists()
        });
        // `journalctl --follow` fails in a directory that has no entry of this boot.
        journald.log("logger", "test", "journald runs");
        journald
    }

    fn spawn(name: &str) -> Child {
        Command::new(JOURNALD).arg(name).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Kills journald, and starts it again.
    fn start_again(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.name);
        eventually("journald reads its socket", || {
            UnixDatagram::unbound().unwrap().connect(self.socket()).is_ok()
        });
    }

    /// Has journald begin new files, and takes away all others.
    fn vacuum(&self) {
        let files = || fs::read_dir(&self.files).unwrap().count();
        let before = files();
        self.signal(nix::sys::signal::Signal::SIGUSR2);
        eventually("journald has rotated", || files() > before);
        let vacuum = Command::new("journalctl")
            .args(["--quiet", "--vacuum-files=1", "--directory"])
            .arg(&self.files)
            .status()
            .unwrap();
        assert!(vacuum.success());
        eventually("the old files are gone", || files() <= 2);
    }

    fn socket(&self) -> PathBuf {
        Path::new("/run/systemd").join(format!("journal.{}", self.name)).join("dev-log")
    }

    /// Logs `text` from a process named `program` that is still there when journald looks for it.
    fn log(&self, program: &str, tag: &str, text: &str) {
        self.log_as(program, "root", tag, text);
    }

    fn log_as(&self, program: &str, user: &str, tag: &str, text: &str) {
        let program = match program {
            "logger" => PathBuf::from("/usr/bin/logger"),
            other => self.programs.path().join(other),
        };
        let mut logger = Command::new("setpriv")
            .args([format!("--reuid={user}"), "--clear-groups".into(), "--".into()])
            .arg(program)
            .args(["--id", "--tag", tag, "--socket"])
            .arg(self.socket())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(logger.stdin.as_mut().unwrap(), format!("{text}\n").as_bytes()).unwrap();
        // By its process id: a count of all entries falls for a moment while journald rotates its files.
        let own = format!("_PID={}", logger.id());
        eventually("the entry is in the journal", || self.entries(&own) > 0);
        drop(logger.stdin.take());
        assert!(logger.wait().unwrap().success());
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    fn entries(&self, matching: &str) -> usize {
        let journalctl = ["--quiet", "--output=cat", matching];
        let output =
            Command::new("journalctl").args(journalctl).arg("--directory").arg(&self.files).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().count()
    }

    fn journal(&self) -> Journal {
        Journal { directory: Some(self.files.clone()), ..Journal::default() }
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        fs::remove_dir_all(&self.files).unwrap();
        fs::remove_dir_all(self.socket().parent().unwrap()).unwrap();
    }
}

fn eventually(what: &str, condition: impl FnMut() -> bool) {
    ssh_guard_tests::wait::eventually(PATIENCE, what, condition);
}

#[derive(PartialEq, Eq, Debug)]
struct Seen {
    process: String,
    text: String,
}

struct Channel {
    /// Lines of the block that is being read: by the time they are handed on, they have been counted.
    read: Vec<Seen>,
    sender: mpsc::UnboundedSender<Seen>,
    place: Arc<Mutex<Option<Place>>>,
    /// Lines that lay in the journal while nobody read.
    late: Arc<AtomicUsize>,
}

impl Sink for Channel {
    fn line(&mut self, line: &Line<'_>) {
        assert!(line.pid.is_some());
        let process = String::from_utf8_lossy(line.process.unwrap()).into_owned();
        let text = String::from_utf8_lossy(line.text).into_owned();
        self.late.fetch_add(usize::from(line.written != Written::Now), Ordering::Relaxed);
        self.read.push(Seen { process, text });
    }

    fn reached(&mut self, place: Place) {
        *self.place.lock().unwrap() = Some(place);
    }

    async fn flush(&mut self) {
        for line in self.read.drain(..) {
            self.sender.send(line).unwrap();
        }
    }
}

struct Followed {
    runtime: tokio::runtime::Runtime,
    lines: mpsc::UnboundedReceiver<Seen>,
    stats: Arc<Stats>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    place: Arc<Mutex<Option<Place>>>,
    late: Arc<AtomicUsize>,
}

impl Followed {
    fn new(journal: Journal) -> Self {
        Self::from(journal, None)
    }

    /// Goes on where another one has ended.
    fn from(journal: Journal, place: Option<Place>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let stats = Arc::new(Stats::default());
        let stop = CancellationToken::new();
        let resume = place.map(|place| Resume { place, reach: Duration::from_hours(1) });
        let spec =
            Spec { name: "journal".into(), origin: Origin::Journal(journal), line_bytes: 8192, resume };
        let (place, late) = (Arc::default(), Arc::default());
        let channel =
            Channel { read: Vec::new(), sender, place: Arc::clone(&place), late: Arc::clone(&late) };
        let task = runtime.spawn(follow(spec, channel, stats.clone(), stop.clone()));
        Self { runtime, lines, stats, stop, task, place, late }
    }

    fn next(&mut self) -> Seen {
        let next = async { tokio::time::timeout(PATIENCE, self.lines.recv()).await };
        self.runtime.block_on(next).expect("a line").unwrap()
    }

    /// Ends it, and says how far it came.
    fn end(self) -> Option<Place> {
        self.stop.cancel();
        self.runtime.block_on(self.task).unwrap();
        self.place.lock().unwrap().take()
    }

    /// The children that read this journal.
    fn children(journal: &Path) -> Vec<nix::unistd::Pid> {
        let is_ours = |pid: &i32| {
            let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let arguments = read("cmdline");
            let named =
                arguments.split(|byte| *byte == 0).any(|word| word == journal.as_os_str().as_encoded_bytes());
            let parent = String::from_utf8_lossy(&read("stat")).rsplit(") ").next().map(str::to_owned);
            let parent = parent.and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
            named && parent == Some(std::process::id())
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_ours).map(nix::unistd::Pid::from_raw).collect()
    }
}

fn seen(process: &str, text: &str) -> Seen {
    Seen { process: process.into(), text: text.into() }
}

#[test]
fn only_lines_that_sshd_really_wrote_are_read() {
    let journald = Journald::start("trust");
    journald.log("sshd", "sshd", "before the input began");
    // The input reads from the microsecond on in which it begins.
    let mut followed = Followed::new(journald.journal());
    eventually("journalctl runs", || {
        journald.log("sshd", "sshd", "begin");
        followed.stats.lines() > 0
    });
    journald.log("logger", "sshd", "forged by root");
    journald.log_as("logger", "65534", "sshd", "forged by nobody");
    journald.log_as("sshd", "65534", "sshd", "forged by nobody under the program's name");
    journald.log("sshd-session", "whatever", "Failed password for caf\u{e9} from 192.0.2.1 port 2 ssh2");
    journald.log("sshd", "sshd", &"x".repeat(900));
    let mut lines = std::iter::from_fn(|| Some(followed.next())).skip_while(|line| line.text == "begin");
    assert_eq!(
        lines.next().unwrap(),
        seen("sshd-session", "Failed password for caf\u{e9} from 192.0.2.1 port 2 ssh2")
    );
    assert_eq!(lines.next().unwrap(), seen("sshd", &"x".repeat(900)));
    // Those of others than root are left out by journalctl.
    eventually("the forged one by root is counted", || followed.stats.not_vouched() == 1);
    assert_eq!(followed.stats.fault(), None);
    followed.end();
}

#[test]
fn sshd_is_heard_though_it_ended_before_journald_looked() {
    let journald = Journald::start("gone");
    let mut followed = Followed::new(journald.journal());
    let run = |arguments: &[&str], text: &str| {
        let mut program = Command::new(journald.programs.path().join("sshd"));
        program.args(arguments).arg("--socket").arg(journald.socket()).arg(text);
        assert!(program.status().unwrap().success());
    };
    journald.signal(nix::sys::signal::Signal::SIGSTOP);
    run(&["--tag", "sshd"], "forged: no process id");
    run(&["--tag", "sshd[1]"], "forged: the process id of another");
    run(&["--id", "--tag", "sudo"], "somebody else");
    run(&["--id", "--tag", "sshd"], "Connection closed by 192.0.2.1 port 2 [preauth]");
    journald.signal(nix::sys::signal::Signal::SIGCONT);
    assert_eq!(followed.next(), seen("sshd", "Connection closed by 192.0.2.1 port 2 [preauth]"));
    eventually("the forged ones are counted", || followed.stats.not_vouched() == 2);
    followed.end();
}

#[test]
fn the_journal_is_followed_through_its_rotation() {
    let journald = Journald::start("rotate");
    let mut followed = Followed::new(journald.journal());
    for number in 0..4 {
        journald.log("sshd", "sshd", &format!("line {number}"));
        assert_eq!(followed.next().text, format!("line {number}"));
        let files = fs::read_dir(&journald.files).unwrap().count();
        // As `journalctl --rotate` asks for.
        journald.signal(nix::sys::signal::Signal::SIGUSR2);
        eventually("journald has rotated", || fs::read_dir(&journald.files).unwrap().count() > files);
    }
    assert_eq!(followed.stats.restarts(), 0);
    followed.end();
}

#[test]
fn the_journal_is_chosen_once_sshd_has_written_to_it() {
    let journald = Journald::start("auto");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = journald.programs.path().join("auth.log");
    fs::write(&log, "").unwrap();
    let choose = || {
        let candidates =
            Candidates { journal: journald.journal(), logs: vec![log.clone()], ..Candidates::default() };
        runtime.block_on(auto(candidates)).unwrap()
    };
    journald.log("logger", "sshd", "forged");
    assert_eq!(choose().origin, Origin::File(log.clone()));
    journald.log("sshd", "sshd", "Server listening on 0.0.0.0 port 22.");
    assert_eq!(choose().origin, Origin::Journal(journald.journal()));
}

/// Logs lines, and reads them as the next of the journal.
fn log_and_read(journald: &Journald, followed: &mut Followed, texts: &[&str]) {
    for text in texts {
        journald.log("sshd", "sshd", text);
        assert_eq!(followed.next().text, *text);
    }
}

/// An input that reads the journal from its first line on.
fn begun(journald: &Journald) -> Followed {
    let mut followed = Followed::new(journald.journal());
    eventually("journalctl runs", || {
        journald.log("sshd", "sshd", "begin");
        followed.stats.lines() > 0
    });
    journald.log("sshd", "sshd", "begun");
    while followed.next().text != "begun" {}
    followed
}

#[test]
fn what_is_logged_while_nobody_reads_is_read_once() {
    let journald = Journald::start("resume");
    let mut followed = begun(&journald);
    log_and_read(&journald, &mut followed, &["one", "two"]);
    let place = followed.end();
    let Some(Place::Journal(reached)) = &place else { panic!("{place:?}") };
    assert!(reached.cursor.is_some() && reached.boot.is_some(), "{reached:?}");

    journald.log("sshd", "sshd", "three");
    journald.signal(nix::sys::signal::Signal::SIGUSR2);
    journald.log("logger", "sshd", "forged by root");
    journald.log("sshd", "sshd", "four");
    let mut followed = Followed::from(journald.journal(), place);
    assert_eq!((followed.next().text, followed.next().text), ("three".to_owned(), "four".to_owned()));
    log_and_read(&journald, &mut followed, &["five"]);
    assert_eq!((followed.stats.restarts(), followed.stats.lines()), (0, 3));

    // Nothing was logged meanwhile.
    let mut followed = Followed::from(journald.journal(), followed.end());
    log_and_read(&journald, &mut followed, &["six"]);
    assert_eq!(followed.stats.lines(), 1);
    followed.end();
}

#[test]
fn a_journal_that_was_vacuumed_is_read_on_by_time() {
    let journald = Journald::start("vacuum");
    let mut followed = begun(&journald);
    log_and_read(&journald, &mut followed, &["one"]);
    let place = followed.end();
    journald.log("sshd", "sshd", "vacuumed unread");
    journald.vacuum();
    journald.log("sshd", "sshd", "two");
    let mut followed = Followed::from(journald.journal(), place);
    assert_eq!(followed.next().text, "two");

    // Also while it is read.
    journald.vacuum();
    log_and_read(&journald, &mut followed, &["three"]);

    // And with nothing logged since.
    let place = followed.end();
    journald.vacuum();
    let mut followed = Followed::from(journald.journal(), place);
    log_and_read(&journald, &mut followed, &["four"]);
    assert_eq!(followed.stats.lines(), 1);
    followed.end();
}

#[test]
fn the_journal_is_followed_through_the_end_of_journald_and_of_journalctl() {
    let mut journald = Journald::start("killed");
    let mut followed = begun(&journald);
    log_and_read(&journald, &mut followed, &["one"]);
    journald.start_again();
    log_and_read(&journald, &mut followed, &["two"]);

    let children = Followed::children(&journald.files);
    assert_eq!(children.len(), 1, "{children:?}");
    nix::sys::signal::kill(children[0], nix::sys::signal::Signal::SIGKILL).unwrap();
    log_and_read(&journald, &mut followed, &["three", "four"]);
    assert_eq!(followed.stats.restarts(), 1);
    assert_eq!(followed.stats.fault(), None);
    assert_eq!(followed.late.load(Ordering::Relaxed), 0);
    followed.end();
}

#[test]
fn only_lines_that_other_servers_really_wrote_are_read() {
    let journald = Journald::start("others");
    let mut followed = Followed::new(journald.journal());
    let acme = Writer { program: "acme-file-transferd".to_owned(), unit: String::new() };
    let mut described = Followed::new(Journal { writer: Some(acme), ..journald.journal() });
    eventually("journalctl runs twice", || {
        journald.log("dropbear", "dropbear", "begin");
        journald.log("acme-file-transferd", "acme-file-transferd", "begin");
        followed.stats.lines() > 0 && described.stats.lines() > 0
    });
    for (user, program) in [("65534", "dropbear"), ("65534", "sftpgo"), ("65534", "acme-file-transferd")] {
        journald.log_as(program, user, program, "forged by nobody under the program's name");
    }
    // SFTPGo's word counts in its unit, and this is none.
    journald.log("sftpgo", "sftpgo", "forged by root");
    journald.log("vsftpd", "whatever", "[alice] FAIL LOGIN: Client \"203.0.113.7\"");
    journald.log("acme-file-transferd", "whatever", "said");
    let mut lines = std::iter::from_fn(|| Some(followed.next())).skip_while(|line| line.text == "begin");
    assert_eq!(lines.next().unwrap(), seen("vsftpd", "[alice] FAIL LOGIN: Client \"203.0.113.7\""));
    let mut lines = std::iter::from_fn(|| Some(described.next())).skip_while(|line| line.text == "begin");
    // The kernel keeps 15 bytes of the name.
    assert_eq!(lines.next().unwrap(), seen("acme-file-transferd", "said"));
    followed.end();
    described.end();
}
