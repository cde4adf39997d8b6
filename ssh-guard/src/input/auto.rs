//! Finds out where the lines of SSH servers are on this machine.

use std::path::PathBuf;
use std::time::Duration;

use super::{InputError, Journal, Origin, file};

/// Where to look, best first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidates {
    /// Taken if it holds a line of a server known here.
    pub journal: Journal,
    /// Otherwise the first of these that exists is taken.
    pub logs: Vec<PathBuf>,
    /// How long the journal may take to answer.
    pub patience: Duration,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            journal: Journal::default(),
            // Debian and its kin; Red Hat, SUSE and theirs.
            logs: ["/var/log/auth.log", "/var/log/secure"].map(PathBuf::from).into(),
            patience: Duration::from_secs(10),
        }
    }
}

/// What is to be read, and why that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// What is to be read.
    pub origin: Origin,
    /// Why, for the operator: `'/var/log/auth.log' is read, as the journal holds no line of a server known here`.
    pub why: String,
}

/// Takes the journal if it holds a line of a server known here, else the distribution's log.
///
/// # Errors
///
/// [`InputError::NothingFound`] if there is neither; another if the log is there and cannot be opened.
pub async fn auto(candidates: Candidates) -> Result<Choice, InputError> {
    let Candidates { journal, logs, patience } = candidates;
    let no_journal = match tokio::time::timeout(patience, journal.holds_lines()).await {
        Ok(Ok(true)) => {
            let why = "the journal is read, as it holds lines of a server known here".to_owned();
            return Ok(Choice { origin: Origin::Journal(journal), why });
        }
        Ok(Ok(false)) => "the journal holds no line of a server known here".to_owned(),
        Ok(Err(error)) => error.chain(),
        Err(_) => format!("the journal did not answer within {} s", patience.as_secs()),
    };
    let mut looked = no_journal;
    for path in logs {
        match file::check(&path) {
            Err(error @ (InputError::Missing { .. } | InputError::NotAFile { .. })) => {
                looked.push_str(", ");
                looked.push_str(&error.chain());
            }
            // A log that is there and may not be read is the one; looking further would hide that.
            Err(error) => return Err(error),
            Ok(()) => {
                let why = format!("'{}' is read, as {looked}", path.display());
                return Ok(Choice { origin: Origin::File(path), why });
            }
        }
    }
    Err(InputError::NothingFound { looked })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    const ENTRY: &str = r#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"5","_UID":"0","_PID":"7","_COMM":"sshd","MESSAGE":"Server listening on 0.0.0.0 port 22."}"#;

    /// Tries with a `journalctl` that is `script`, if one is given.
    fn choose(directory: &Path, script: Option<&str>) -> Result<Choice, InputError> {
        let command = directory.join("journalctl");
        if let Some(script) = script {
            fs::write(&command, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let candidates = Candidates {
            journal: Journal { command, ..Journal::default() },
            logs: vec![directory.join("auth.log"), directory.join("secure")],
            patience: Duration::from_secs(10),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(auto(candidates))
    }

    #[test]
    fn the_journal_is_taken_only_if_it_holds_a_line_of_sshd() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("secure"), "").unwrap();
        let choice = choose(directory.path(), Some(&format!("echo '{ENTRY}'"))).unwrap();
        assert!(matches!(choice.origin, Origin::Journal(_)));
        assert_eq!(choice.why, "the journal is read, as it holds lines of a server known here");

        for (script, why) in [
            ("true".to_owned(), "the journal holds no line of a server known here"),
            (
                format!("echo '{}'", ENTRY.replace("sshd", "logger")),
                "the journal holds no line of a server known here",
            ),
            ("echo 'no such directory' >&2; exit 1".to_owned(), "exit status: 1, 'no such directory'"),
        ] {
            let choice = choose(directory.path(), Some(&script)).unwrap();
            assert_eq!(choice.origin, Origin::File(directory.path().join("secure")));
            assert!(choice.why.contains(why), "{}", choice.why);
            assert!(choice.why.contains("auth.log' does not exist"), "{}", choice.why);
        }
    }

    #[test]
    fn the_first_log_that_exists_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        for log in ["secure", "auth.log"] {
            fs::write(directory.path().join(log), "").unwrap();
            let choice = choose(directory.path(), None).unwrap();
            assert_eq!(choice.origin, Origin::File(directory.path().join(log)));
            assert!(choice.why.contains("cannot run"), "{}", choice.why);
        }
    }

    #[test]
    fn nothing_to_read_is_an_error_that_says_what_to_configure() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("secure")).unwrap();
        let error = choose(directory.path(), Some("true")).unwrap_err();
        let text = error.to_string();
        for part in ["the journal holds no line", "auth.log' does not exist", "secure' is not a regular file"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(error.hint().unwrap().contains("[[input]]"));
    }
}
