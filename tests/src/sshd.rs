//! A real OpenSSH server of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::journald::{self, Journald};
use crate::mounts::PrivateFiles;
use crate::netns::Namespace;
use crate::process::Process;
use crate::skip::find_program;
use crate::syslog::Syslog;
use crate::wait::{PATIENCE, eventually};

/// The password of every account in [`ACCOUNTS`]; root has none.
pub const PASSWORD: &str = "correct horse";

/// The accounts that the server knows beside root; they exist nowhere else.
pub const ACCOUNTS: [&str; 3] = ["alice", "bob", "carol"];

/// An account that is locked, which the server says where it asks no PAM.
pub const LOCKED: &str = "dave";

/// Where the server's log lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logging {
    /// Through syslog(3) to a file, with the header that rsyslog writes.
    File,
    /// Through syslog(3) to a journal of its own.
    Journal,
}

/// A running server that listens on port 22 of every address of a namespace, IPv4 and IPv6.
///
/// Its accounts, host key, authorized keys, `/run`, `/dev/log` and login records are its own.
#[derive(Debug)]
pub struct Sshd {
    // Dropped in this order: the server, then what it writes to, then the files.
    process: Process,
    log: Log,
    files: PrivateFiles,
}

#[derive(Debug)]
enum Log {
    File { _syslog: Syslog, path: PathBuf },
    Journal(Journald),
}

impl Sshd {
    /// Starts a server.
    ///
    /// # Panics
    /// When it does not listen in time.
    #[must_use]
    pub fn start(namespace: &Namespace, logging: Logging) -> Self {
        Self::configured(namespace, logging, "")
    }

    /// Starts a server with lines of `sshd_config`(5) that go before the harness's own, and so win over them;
    /// no `Match` among them.
    ///
    /// # Panics
    /// When it does not listen in time.
    #[must_use]
    pub fn configured(namespace: &Namespace, logging: Logging, settings: &str) -> Self {
        Self::named(namespace, logging, settings, "")
    }

    /// Starts a configured server that knows clients by the names in `hosts`, lines of `hosts`(5).
    ///
    /// # Panics
    /// When it does not listen in time.
    #[must_use]
    pub fn named(namespace: &Namespace, logging: Logging, settings: &str, hosts: &str) -> Self {
        let dev_log = match logging {
            Logging::File => "/run/syslog",
            Logging::Journal => journald::DEV_LOG,
        };
        let mut files = PrivateFiles::new(Path::new(dev_log));
        furnish(&mut files, settings);
        if !hosts.is_empty() {
            let hosts = files.write("hosts", 0o644, hosts);
            files.replace("/etc/hosts", hosts);
        }
        let log = match logging {
            Logging::File => {
                let path = files.path().join("auth.log");
                Log::File { _syslog: Syslog::start(&files.path().join("run/syslog"), &path), path }
            }
            Logging::Journal => Log::Journal(Journald::start(&files, namespace)),
        };
        let mut command = sshd();
        command.arg("-D").arg("-f").arg(files.path().join("sshd_config"));
        let process = files.start(namespace, command);
        let mut sshd = Self { process, log, files };
        for listening in ["Server listening on 0.0.0.0 port", "Server listening on :: port"] {
            sshd.wait_for_log(listening);
        }
        sshd
    }

    /// The process that listens.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The private key that logs in as root and as every account.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.files.path().join("key")
    }

    /// All it logged: the lines of the file, or the messages in the journal.
    #[must_use]
    pub fn log(&self) -> String {
        match &self.log {
            Log::File { path, .. } => std::fs::read_to_string(path).unwrap_or_default(),
            Log::Journal(journald) => {
                let entries = journald.entries(&["SYSLOG_FACILITY=4"]);
                entries
                    .iter()
                    .filter_map(|entry| entry["MESSAGE"].as_str())
                    .fold(String::new(), |log, message| log + message + "\n")
            }
        }
    }

    /// Waits until the log contains `text`, and returns the first such line.
    ///
    /// # Panics
    /// When it does not come, or the server ends.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        eventually(PATIENCE, &format!("sshd logs '{text}'"), || {
            assert!(!self.process.has_ended(), "sshd ended: {}", self.process.output());
            self.log().contains(text)
        });
        self.log().lines().find(|line| line.contains(text)).expect("it was there").to_owned()
    }

    /// The log file.
    ///
    /// # Panics
    /// When the server logs to a journal.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        match &self.log {
            Log::File { path, .. } => path,
            Log::Journal(_) => panic!("this server logs to a journal"),
        }
    }

    /// The journal.
    ///
    /// # Panics
    /// When the server logs to a file.
    #[must_use]
    pub fn journal(&self) -> &Journald {
        match &self.log {
            Log::File { .. } => panic!("this server logs to a file"),
            Log::Journal(journald) => journald,
        }
    }
}

fn sshd() -> Command {
    // sshd(8) runs itself again for each session, and so must be called by its absolute path.
    Command::new(find_program("sshd").expect("sshd is installed"))
}

/// Puts keys, accounts and configuration in place.
fn furnish(files: &mut PrivateFiles, settings: &str) {
    for name in ["host", "key"] {
        let mut keygen = Command::new(find_program("ssh-keygen").expect("ssh-keygen is installed"));
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(files.path().join(name));
        assert!(keygen.status().expect("ssh-keygen starts").success(), "ssh-keygen failed");
    }
    // Where sshd locks up its unprivileged half.
    std::fs::create_dir(files.path().join("run/sshd")).expect("the private folder can be written");

    let [mut passwd, mut shadow] = [
        vec!["root:x:0:0::/:/bin/sh".to_owned(), "sshd:x:60000:65534::/run/sshd:/bin/false".to_owned()],
        vec!["root:*:20000:0:99999:7:::".to_owned(), "sshd:!:20000::::::".to_owned()],
    ];
    for (account, id) in ACCOUNTS.iter().zip(60_001..) {
        passwd.push(format!("{account}:x:{id}:{id}::/:/bin/sh"));
        shadow.push(format!("{account}:{PASSWORD_HASH}:20000:0:99999:7:::"));
    }
    passwd.push(format!("{LOCKED}:x:60100:60100::/:/bin/sh"));
    shadow.push(format!("{LOCKED}:!:20000:0:99999:7:::"));
    let passwd = files.write("passwd", 0o644, &(passwd.join("\n") + "\n"));
    files.replace("/etc/passwd", passwd);
    let shadow = files.write("shadow", 0o600, &(shadow.join("\n") + "\n"));
    files.replace("/etc/shadow", shadow);
    if Path::new(PAM).exists() {
        let pam = files.write("pam", 0o644, PAM_SETTINGS);
        files.replace(PAM, pam);
    }

    // Of most keywords the first line wins, of `MaxStartups` the last one (OpenSSH 9.2).
    let named = |line: &&str| {
        let keyword = line.split(' ').next();
        settings.lines().any(|own| own.split(' ').next() == keyword)
    };
    let rest: Vec<&str> = SETTINGS.lines().filter(|line| !named(line)).collect();
    let config = format!(
        "{settings}\n{rest}\nHostKey {0}/host\nAuthorizedKeysFile {0}/key.pub\n",
        files.path().display(),
        rest = rest.join("\n"),
    );
    let path = files.write("sshd_config", 0o600, &config);
    // On by default since OpenSSH 9.8, unknown before; `-G`, which only reads the configuration, is there since 9.3.
    let penalties = format!("{config}PerSourcePenalties no\n");
    let candidate = files.write("candidate_config", 0o600, &penalties);
    let known = sshd().arg("-G").arg("-f").arg(&candidate).output().expect("sshd starts").status.success();
    if known {
        std::fs::rename(candidate, path).expect("both are in the private folder");
    }
}

const SETTINGS: &str = "\
Port 22
AddressFamily any
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 100:30:200
LoginGraceTime 20
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
";

/// What PAM does for sshd, where the server asks it.
const PAM: &str = "/etc/pam.d/sshd";

const PAM_SETTINGS: &str = "\
auth required pam_unix.so nodelay
account required pam_unix.so
session required pam_permit.so
";

/// crypt(5) of [`PASSWORD`].
const PASSWORD_HASH: &str = "$6$guardguard$tMmG4kDrlOmCmzeAatuvHhkIglNcYRqDMPPCwdCukjUCd.\
                             pZA3qTjQaQJqBY5gJb4UBnxRvZhx9tu/9KwY9cJ0";
