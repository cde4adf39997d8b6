//! A real Dropbear of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::mounts::PrivateFiles;
use crate::netns::Namespace;
use crate::process::Process;
use crate::skip::find_program;
use crate::sshd::ACCOUNTS;
use crate::syslog::Syslog;
use crate::wait::{PATIENCE, eventually};

/// A running server that listens on port 22 of every address of a namespace, and logs through syslog(3) to a file.
///
/// Its accounts, those of [`crate::sshd`], its host key, `/run` and `/dev/log` are its own. No password is right.
#[derive(Debug)]
pub struct Dropbear {
    // Dropped in this order: the server, then what it writes to, then the files.
    process: Process,
    _syslog: Syslog,
    log: PathBuf,
    _files: PrivateFiles,
}

impl Dropbear {
    /// Starts a server.
    ///
    /// # Panics
    /// When it does not listen in time.
    #[must_use]
    pub fn start(namespace: &Namespace) -> Self {
        let mut files = PrivateFiles::new(Path::new("/run/syslog"));
        let key = files.path().join("host");
        let mut keygen = Command::new(find_program("dropbearkey").expect("dropbearkey is installed"));
        let output = keygen.args(["-t", "ed25519", "-f"]).arg(&key).output().expect("dropbearkey starts");
        assert!(output.status.success(), "dropbearkey failed: {output:?}");
        let accounts = ACCOUNTS.iter().zip(60_001..);
        let (passwd, shadow): (Vec<_>, Vec<_>) = accounts
            .map(|(account, id)| {
                // crypt(3) gives no password such a word.
                (
                    format!("{account}:x:{id}:{id}::/:/bin/sh\n"),
                    format!("{account}:$6$x$x:20000:0:99999:7:::\n"),
                )
            })
            .unzip();
        let root = "root:x:0:0::/:/bin/sh\n".to_owned();
        let passwd = files.write("passwd", 0o644, &(root + &passwd.concat()));
        files.replace("/etc/passwd", passwd);
        let shadow = files.write("shadow", 0o600, &shadow.concat());
        files.replace("/etc/shadow", shadow);

        let log = files.path().join("auth.log");
        let syslog = Syslog::start(&files.path().join("run/syslog"), &log);
        let mut command = Command::new(find_program("dropbear").expect("dropbear is installed"));
        command.args(["-F", "-p", "22", "-P"]).arg(files.path().join("run/pid")).arg("-r").arg(&key);
        let process = files.start(namespace, command);
        let mut server = Self { process, _syslog: syslog, log, _files: files };
        eventually(PATIENCE, "dropbear runs", || {
            assert!(!server.process.has_ended(), "dropbear ended: {}", server.process.output());
            server.log().contains("Not backgrounding")
        });
        server
    }

    /// The log file.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// All it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}
