//! What can go wrong with an input.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use super::Listen;

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file is not there.
    #[error("log '{}' does not exist", path.display())]
    Missing {
        /// As configured.
        path: PathBuf,
    },
    /// The file is there and cannot be opened.
    #[error("cannot open log '{}'", path.display())]
    Open {
        /// As configured.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The path names a directory, a pipe or a device.
    #[error("log '{}' is not a regular file", path.display())]
    NotAFile {
        /// As configured.
        path: PathBuf,
    },
    /// The open file cannot be read.
    #[error("cannot read log '{}'", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The command that reads the journal cannot be run.
    #[error("cannot run '{}' to read the journal", command.display())]
    Run {
        /// As configured.
        command: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The command that reads the journal ended; it should not.
    #[error("'{}' ended while following the journal: {why}", command.display())]
    Ended {
        /// As configured.
        command: PathBuf,
        /// Its exit status, and the last it said.
        why: String,
    },
    /// Nothing can be received there.
    #[error("cannot listen at '{listen}'")]
    Listen {
        /// As configured.
        listen: Listen,
        /// What the kernel says.
        source: io::Error,
    },
    /// What was received there until now is received no more.
    #[error("cannot receive at '{listen}'")]
    Receive {
        /// As configured.
        listen: Listen,
        /// What the kernel says.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read standard input")]
    Stdin {
        /// What the kernel says.
        source: io::Error,
    },
    /// Standard input has ended.
    #[error("standard input has ended: nothing more will come")]
    StdinEnded,
    /// Neither a journal nor a log file is there to read.
    #[error("no log of sshd found: {looked}")]
    NothingFound {
        /// Where was looked, and what was found there.
        looked: String,
    },
}

impl InputError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => {
                Some("it is read as soon as it appears; if sshd logs elsewhere, set the input's 'path'")
            }
            Self::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as root, or add the user to group 'adm'")
            }
            Self::NotAFile { .. } => {
                Some("set the input's 'path' to the file that sshd's lines are written to")
            }
            Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(r#"install systemd, or read a file: kind = "file", path = "/var/log/auth.log""#)
            }
            Self::Ended { .. } => Some(
                "run as root, or add the user to group 'systemd-journal'; 'journalctl --verify' checks the files",
            ),
            Self::NothingFound { .. } => {
                Some(r#"add [[input]] with kind = "file" and the path of the log that sshd writes to"#)
            }
            Self::Listen { source, listen } => match source.kind() {
                io::ErrorKind::AddrInUse => Some(
                    "another program, or another daemon, receives there: stop it, or set another 'listen'",
                ),
                io::ErrorKind::AddrNotAvailable => {
                    Some("the machine does not have this address, or not yet: correct 'listen'")
                }
                io::ErrorKind::PermissionDenied if matches!(listen, Listen::Unix(_)) => {
                    Some("the socket must lie in a folder that this user may write")
                }
                io::ErrorKind::PermissionDenied => {
                    Some("ports below 1024 take root or CAP_NET_BIND_SERVICE: set another 'listen'")
                }
                io::ErrorKind::AlreadyExists => Some("remove it, or set another 'listen'"),
                _ => None,
            },
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Run { .. }
            | Self::Receive { .. }
            | Self::Stdin { .. }
            | Self::StdinEnded => None,
        }
    }

    /// The error and everything that led to it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_log_says_why_and_what_to_do() {
        let source = io::Error::from_raw_os_error(libc::EACCES);
        let error = InputError::Open { path: "/var/log/auth.log".into(), source };
        assert_eq!(error.chain(), "cannot open log '/var/log/auth.log': Permission denied (os error 13)");
        assert_eq!(error.hint(), Some("run as root, or add the user to group 'adm'"));
    }
}
