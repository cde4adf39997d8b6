//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

use super::says_broken;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages show")]
pub enum StoreError {
    /// The file or its folder cannot be made.
    #[error("cannot make the store '{}'", path.display())]
    Make { path: PathBuf, source: io::Error },
    /// It cannot be read.
    #[error("cannot read the store '{}'", path.display())]
    Read { path: PathBuf, source: rusqlite::Error },
    /// It cannot be written.
    #[error("cannot write the store '{}'", path.display())]
    Write { path: PathBuf, source: rusqlite::Error },
    /// What is to be written has no form.
    #[error("cannot put a place into words")]
    Form { source: serde_json::Error },
    /// It was damaged.
    #[error("the store '{}' is broken: {why}", path.display())]
    Broken { path: PathBuf, why: String },
    /// A later version has made it.
    #[error("the store '{}' is of a newer version of ssh-guard (tables of version {version})", path.display())]
    Newer { path: PathBuf, version: i64 },
    /// It is the database of another program.
    #[error("'{}' is not a database of ssh-guard", path.display())]
    Strange { path: PathBuf },
    /// Another daemon has it.
    #[error("another daemon has the store '{}'", path.display())]
    Taken { path: PathBuf },
}

impl StoreError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Make { .. } => "let 'store.path' name a file in a folder that the daemon may write to",
            Self::Write { source, .. }
                if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
            {
                "make room on its disk; nothing but where the inputs were read to is lost meanwhile"
            }
            Self::Read { .. } | Self::Write { .. } => {
                "look at its permissions and its disk; 'store.path' can name another file"
            }
            Self::Form { .. } => "report this",
            Self::Broken { .. } => "it is moved aside when the daemon starts",
            Self::Newer { .. } => "install that version, or let 'store.path' name another file",
            Self::Strange { .. } => "let 'store.path' name another file",
            Self::Taken { .. } => "give each daemon a 'store.path' of its own",
        }
    }

    /// Whether the file is no database any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Read { source, .. } | Self::Write { source, .. } => says_broken(source),
            _ => false,
        }
    }
}
