//! Opens log files, and nothing else that may have their name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::input::InputError;

/// Opens a regular file for reading.
pub(super) fn open(path: &Path) -> Result<File, InputError> {
    // Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| cannot_open(path, error))?;
    let metadata = file.metadata().map_err(|error| cannot_open(path, error))?;
    if metadata.is_file() { Ok(file) } else { Err(InputError::NotAFile { path: path.to_owned() }) }
}

/// Tells a file that is not there from one that cannot be opened.
pub(super) fn cannot_open(path: &Path, source: io::Error) -> InputError {
    let path = path.to_owned();
    if is_missing(&source) { InputError::Missing { path } } else { InputError::Open { path, source } }
}

pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
