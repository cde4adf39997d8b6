//! The file of a Unix socket: it is in the way of the next daemon, so it goes with the one that made it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tracing::warn;

/// A socket's file, which goes when this is dropped, unless another daemon's has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

impl SocketFile {
    /// The socket that lies at `path` now.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), inode: inode(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Self { path, inode: ours } = self;
        if ours.is_none() || inode(path) != *ours {
            return;
        }
        if let Err(error) = fs::remove_file(&path) {
            warn!(?path, %error, "cannot remove the socket");
        }
    }
}

/// Why a socket cannot be made at a path.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Something else lies there.
    NoSocket,
    /// Somebody answers there.
    Answered,
    /// What was left there cannot be removed.
    Kept(io::Error),
}

/// Removes a socket that somebody left behind who ended without a word; `answers` tries it.
pub(crate) fn make_room(path: &Path, answers: impl FnOnce(&Path) -> bool) -> Result<(), Taken> {
    if look(path, answers)? { fs::remove_file(path).map_err(Taken::Kept) } else { Ok(()) }
}

/// Whether a socket lies there that nobody answers at.
pub(crate) fn look(path: &Path, answers: impl FnOnce(&Path) -> bool) -> Result<bool, Taken> {
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(false) };
    if !there.file_type().is_socket() {
        return Err(Taken::NoSocket);
    }
    if answers(path) { Err(Taken::Answered) } else { Ok(true) }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|file| file.ino())
}
