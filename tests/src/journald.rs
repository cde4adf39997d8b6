//! A systemd-journald of the test's own, which needs no systemd to run.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::mounts::PrivateFiles;
use crate::netns::Namespace;
use crate::process::Process;
use crate::skip::find_program;
use crate::wait::{PATIENCE, eventually, poll};

/// Where [`PrivateFiles`] must point `/dev/log` so that syslog(3) reaches the journal.
pub const DEV_LOG: &str = "/run/systemd/journal.lab/dev-log";

/// A running journald whose sockets and journal lie in a test's private `/run`, and go with it.
///
/// It runs as the journal namespace `lab` (systemd-journald.service(8)), which reads neither the kernel's log nor
/// the audit log.
#[derive(Debug)]
pub struct Journald {
    _process: Process,
    directory: PathBuf,
}

impl Journald {
    /// Starts it with `files` as its view of the file system.
    ///
    /// # Panics
    /// When it does not listen in time.
    #[must_use]
    pub fn start(files: &PrivateFiles, namespace: &Namespace) -> Self {
        let run = files.path().join("run");
        // A namespace's journald reads drop-ins only below /run, and ends after 30 idle seconds unless it has
        // entries to age out (systemd 252, src/journal/journald-server.c, `server_is_idle`).
        let settings = run.join("systemd/journald@lab.conf.d");
        std::fs::create_dir_all(&settings).expect("the private folder can be written");
        let text = "[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\nMaxRetentionSec=1day\n\
                    RateLimitIntervalSec=0\n";
        std::fs::write(settings.join("lab.conf"), text).expect("the private folder can be written");

        let mut command = Command::new(find_program("systemd-journald").expect("journald is installed"));
        command.arg("lab");
        let mut process = files.start(namespace, command);
        let socket = files.path().join(DEV_LOG.trim_start_matches('/'));
        let place = run.join("log/journal");
        let found = poll(PATIENCE, || {
            assert!(!process.has_ended(), "journald ended:\n{}", process.output());
            socket.exists().then(|| only_folder_in(&place)).flatten()
        });
        let directory = found.unwrap_or_else(|| panic!("journald makes no journal:\n{}", process.output()));
        let journald = Self { _process: process, directory };
        eventually(PATIENCE, "the journal holds its first entry", || !journald.entries(&[]).is_empty());
        journald
    }

    /// The folder that `journalctl --directory` reads.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Lists the entries that match all of `matches` (such as `_COMM=sshd`), as journalctl's JSON.
    ///
    /// # Panics
    /// When journalctl fails.
    #[must_use]
    pub fn entries(&self, matches: &[&str]) -> Vec<Value> {
        let mut command = Command::new(find_program("journalctl").expect("journalctl is installed"));
        command.args(["--output=json", "--quiet", "--directory"]).arg(&self.directory).args(matches);
        let output = command.output().expect("journalctl starts");
        let said = String::from_utf8_lossy(&output.stderr);
        // While the journal is being made there is a file without entries, or none.
        assert!(output.status.success() || matches.is_empty(), "journalctl failed: {said}");
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.lines().map(|line| serde_json::from_str(line).expect("journalctl writes JSON")).collect()
    }
}

fn only_folder_in(folder: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(folder).ok()?;
    Some(entries.next()?.ok()?.path())
}
