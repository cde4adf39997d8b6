//! Reading a text file whose size and content nobody vouches for.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::problem::Problem;

/// The largest file that is read, in bytes: no configuration and no allowlist comes near it, and a log file named by
/// mistake is not read into memory.
pub const MAX_BYTES: u64 = 1 << 20;

/// Why a file was not read.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refuses.
    #[error("cannot read '{}': {}", .path.display(), reason(.source))]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is larger than `MAX_BYTES`.
    #[error("cannot read '{}': it is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    /// It is not text.
    #[error("{}:{line}: this is not UTF-8 text", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is not UTF-8, from 1.
        line: usize,
    },
}

/// Reads a text file of at most `MAX_BYTES`.
///
/// # Errors
/// Fails if the system refuses, if the file is larger, and if it is not UTF-8.
pub fn read(path: &Path) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| FileError::System { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        FileError::NotText { path: path.to_owned(), line }
    })
}

impl FileError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind() == Some(io::ErrorKind::NotFound)
    }

    /// Whether the caller may not read the file.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.kind() == Some(io::ErrorKind::PermissionDenied)
    }

    /// Says it to the operator, with what can be done.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let hint = match self {
            Self::System { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("check the path, or leave it out to run with the defaults"),
                io::ErrorKind::PermissionDenied => {
                    Some("run the command as root, or let your user read the file")
                }
                io::ErrorKind::IsADirectory => Some("name a file in it"),
                _ => None,
            },
            Self::TooLarge(_) => Some("check that the path names the file that was meant"),
            Self::NotText { .. } => Some("save the file as UTF-8"),
        };
        Problem { message: self.to_string(), hint: hint.map(str::to_owned) }
    }

    fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::System { source, .. } => Some(source.kind()),
            Self::TooLarge(_) | Self::NotText { .. } => None,
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> (String, Option<String>) {
        let Problem { message, hint } = read(path).unwrap_err().problem();
        (message, hint)
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent");
        let name = path.display();
        assert_eq!(
            refused(&path),
            (
                format!("cannot read '{name}': there is no such file"),
                Some("check the path, or leave it out to run with the defaults".to_owned())
            )
        );
        let name = directory.path().display();
        assert_eq!(
            refused(directory.path()),
            (format!("cannot read '{name}': it is a directory"), Some("name a file in it".to_owned()))
        );
    }

    #[test]
    fn a_file_is_read_up_to_its_bound_and_no_further() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large");
        let bound = usize::try_from(MAX_BYTES).unwrap();
        std::fs::write(&path, vec![b'#'; bound]).unwrap();
        assert_eq!(read(&path).unwrap().len(), bound);
        // A sparse file of 1 GiB, which takes no room.
        File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(
            refused(&path),
            (
                format!("cannot read '{}': it is larger than 1 MiB", path.display()),
                Some("check that the path names the file that was meant".to_owned())
            )
        );
    }

    #[test]
    fn a_file_that_is_not_text_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("latin1");
        std::fs::write(&path, b"# one\n# two\n# caf\xe9\n").unwrap();
        assert_eq!(
            refused(&path),
            (
                format!("{}:3: this is not UTF-8 text", path.display()),
                Some("save the file as UTF-8".to_owned())
            )
        );
    }

    #[test]
    fn a_file_of_others_is_told_from_one_that_is_missing() {
        let denied = FileError::System {
            path: PathBuf::from("/etc/x"),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        assert!(denied.is_denied() && !denied.is_missing());
        assert_eq!(
            denied.problem(),
            Problem {
                message: "cannot read '/etc/x': permission denied".to_owned(),
                hint: Some("run the command as root, or let your user read the file".to_owned())
            }
        );
        assert!(read(Path::new("/nonexistent/x")).unwrap_err().is_missing());
    }
}
