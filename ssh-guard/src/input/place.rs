//! How far an input has been read, in a form that outlives the daemon.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How far an input has been read: everything before it was handed on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In a file that is followed.
    File(FilePlace),
    /// In the journal.
    Journal(JournalPlace),
}

/// The places in the files that a path names, and named a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FilePlace {
    /// The path that is followed.
    pub path: PathBuf,
    /// The files that were renamed and are read on, oldest first.
    pub retired: Vec<Mark>,
    /// The file that the path names; none where there was none.
    pub current: Option<Mark>,
    /// When nothing was left to read: what lies behind the marks was written after that. Microseconds since 1970; none
    /// if it never was so.
    pub idle_at: Option<u64>,
    /// What was rotated away and written last before this is known, in nanoseconds since 1970.
    pub seen: u64,
}

/// A file, and a place in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// The device that it lies on.
    pub device: u64,
    /// Its number there, which another file may have once it is deleted.
    pub inode: u64,
    /// Where the first line begins that was not handed on, in bytes.
    pub offset: u64,
    /// Whether that is in the middle of a line that is over the limit.
    pub skipping: bool,
    /// How it begins.
    pub head: Head,
}

/// The first bytes of a file, which tell it from others, and a copy of it from those: log lines begin with the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// How many they are, at most [`Head::MOST`].
    pub bytes: usize,
    /// Their hash.
    pub hash: u64,
}

/// A place in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JournalPlace {
    /// The folder of its files; none for the journal of this machine.
    pub directory: Option<PathBuf>,
    /// The entry that was read last, as `journalctl` names it; none if there was none.
    pub cursor: Option<String>,
    /// The boot it is of.
    pub boot: Option<String>,
    /// No entry before this is wanted, in microseconds since 1970.
    pub realtime: u64,
}

impl Head {
    /// How many bytes tell a file from others.
    pub const MOST: usize = 256;

    /// Takes the first bytes of a file; what is beyond the first [`Head::MOST`] makes no difference.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(Self::MOST)];
        // FNV-1a: the same in every version and on every machine, which a hasher of the standard library is not.
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { bytes: bytes.len(), hash }
    }

    /// Whether a file that begins with `bytes` begins so.
    #[must_use]
    pub fn fits(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.bytes).is_some_and(|bytes| Self::of(bytes) == *self)
    }

    /// Whether it tells a file from all others by itself: a time and some more.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.bytes >= 32
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::of(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_grown_still_begins_as_it_did() {
        let head = Head::of(b"Nov 23 03:12:01 lab sshd[1]: one\n");
        assert!(head.tells());
        assert!(head.fits(b"Nov 23 03:12:01 lab sshd[1]: one\nNov 23 03:12:02 lab sshd[1]: two\n"));
        assert!(!head.fits(b"Nov 23 03:12:01 lab sshd[1]: on"));
        assert!(!head.fits(b"Nov 23 03:12:02 lab sshd[1]: one\n"));
        assert_eq!(Head::of(&[b'x'; 300]), Head::of(&[b'x'; 256]));
        assert!(Head::default().fits(b"") && !Head::of(b"").tells());
    }

    #[test]
    fn a_hash_is_the_same_in_every_version() {
        assert_eq!(Head::of(b"foobar").hash, 0x8594_4171_f739_67e8);
    }
}
