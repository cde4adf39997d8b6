//! What can go wrong with an old log.

use std::io;

use super::form::Packing;

/// Why an old log cannot be read, or no further.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be opened, or the kernel gives no more of it.
    #[error("cannot read '{name}'")]
    Unreadable {
        /// How it was called.
        name: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// It is packed by a program whose work is not undone here.
    #[error("cannot read '{name}': it is packed by {packer}")]
    Packed {
        /// How it was called.
        name: String,
        /// The program.
        packer: &'static str,
    },
    /// It is no log.
    #[error("cannot read '{name}': {what}")]
    Foreign {
        /// How it was called.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// It is damaged, or cut short.
    #[error("'{name}' is {}, {items} lines and {bytes} bytes into it", state(source))]
    Damaged {
        /// How it was called.
        name: String,
        /// How it is packed.
        packing: Packing,
        /// How many lines or entries had been read.
        items: u64,
        /// How many bytes had been read, unpacked.
        bytes: u64,
        /// What is wrong.
        source: io::Error,
    },
}

impl ArchiveError {
    /// What the operator can do about it, who called `verb`.
    #[must_use]
    pub fn hint(&self, verb: &str) -> String {
        match self {
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "run as root, or join the group of the log".to_owned(),
                io::ErrorKind::IsADirectory => "name a file in it".to_owned(),
                _ => "check the path; '-' is standard input".to_owned(),
            },
            Self::Packed { name, packer } => {
                format!("pipe it in: {packer} -dc '{name}' | ssh-guard {verb} -")
            }
            Self::Foreign { .. } => {
                format!(
                    "have journalctl print it: journalctl --file FILE --output=export | ssh-guard {verb} -"
                )
            }
            Self::Damaged { packing: Packing::Gzip, .. } => {
                format!(
                    "what stood before was read; if more follows, 'gzip -dc FILE | ssh-guard {verb} -' may reach it"
                )
            }
            Self::Damaged { .. } => "what stood before was read; export the journal again".to_owned(),
        }
    }

    /// Whether a permission lacks.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn state(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::UnexpectedEof { "cut short" } else { "damaged" }
}
