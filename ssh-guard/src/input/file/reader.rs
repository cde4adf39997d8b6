//! Reads one open log file, and notices when it was cut off and written anew.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::input::lines::Lines;

/// How many of the first bytes of a file tell it from what is written into it after it was cut off: log lines
/// begin with the time.
const HEAD: usize = 256;

/// One open file, the place reached in it, and the line begun there.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    id: FileId,
    position: u64,
    head: Vec<u8>,
    lines: Lines,
    /// Nothing but NUL bytes so far.
    leading: bool,
}

/// What makes a file the same file under any name, as long as somebody holds it open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Reader {
    /// Reads `file` from its beginning.
    pub(super) fn at_start(file: File, limit: usize) -> io::Result<Self> {
        let id = FileId::from(&file.metadata()?);
        Ok(Self { file, id, position: 0, head: Vec::new(), lines: Lines::new(limit), leading: true })
    }

    /// Reads `file` from its last line on, if that has no newline yet, else from its end.
    pub(super) fn at_end(file: File, limit: usize) -> io::Result<Self> {
        let mut reader = Self::at_start(file, limit)?;
        let size = reader.file.metadata()?.len();
        // Only to know its head.
        reader.written_anew()?;
        reader.leading = false;
        let mut last = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(limit + 2)];
        let begin = size - last.len() as u64;
        reader.file.read_exact_at(&mut last, begin)?;
        reader.position = match memchr::memrchr(b'\n', &last) {
            Some(newline) => begin + newline as u64 + 1,
            None if begin == 0 => 0,
            None => {
                reader.lines.skip();
                size
            }
        };
        Ok(reader)
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Goes on with another descriptor of the same file.
    pub(super) fn replace(&mut self, file: File) {
        self.file = file;
    }

    pub(super) fn take_too_long(&mut self) -> u64 {
        self.lines.take_too_long()
    }

    /// Reads one block and gives its complete lines. Says whether there may be more.
    pub(super) fn read(&mut self, on_line: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let space = self.lines.space();
        let count = self.file.read_at(space, self.position)?;
        if self.position == 0 {
            self.head.clear();
            self.head.extend_from_slice(&space[..count.min(HEAD)]);
        }
        let nuls =
            if self.leading { space[..count].iter().take_while(|byte| **byte == 0).count() } else { 0 };
        // Looked at after the reading, so that what was read is known to follow what was read before.
        if self.written_anew()? {
            self.position = 0;
            self.head.clear();
            self.lines.clear();
            self.leading = true;
            return Ok(true);
        }
        if nuls > 0 {
            // Somebody who does not append went on at his old place after the file was cut off.
            self.position += nuls as u64;
            return Ok(true);
        }
        if count == 0 {
            return Ok(false);
        }
        self.leading = false;
        self.position += count as u64;
        self.lines.filled(count);
        while let Some(line) = self.lines.next() {
            on_line(line);
        }
        Ok(true)
    }

    /// Whether the file is shorter than what was read of it, or begins differently.
    fn written_anew(&mut self) -> io::Result<bool> {
        let mut head = [0; HEAD];
        let count = self.file.read_at(&mut head, 0)?;
        if !head[..count].starts_with(&self.head) || self.file.metadata()?.len() < self.position {
            return Ok(true);
        }
        self.head.extend_from_slice(&head[self.head.len()..count]);
        Ok(false)
    }
}
