//! Reads one open log file, and notices when it was cut off and written anew.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::siblings;
use crate::input::lines::Lines;
use crate::input::{Head, Mark, Written};
use crate::moment::Moment;

/// How many of the first bytes of a file tell it from what is written into it after it was cut off.
const HEAD: usize = Head::MOST;

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
    /// Up to here lay there while nobody read.
    late_until: u64,
    /// What lies there was written after this.
    since: Option<Moment>,
    /// Lines begun whose end will never come.
    lost: u64,
    /// It was cut off, and begins anew.
    cut_off: bool,
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

impl From<&Mark> for FileId {
    fn from(mark: &Mark) -> Self {
        Self { device: mark.device, inode: mark.inode }
    }
}

impl Reader {
    /// Reads `file` from its beginning.
    pub(super) fn at_start(file: File, limit: usize) -> io::Result<Self> {
        let id = FileId::from(&file.metadata()?);
        Ok(Self {
            file,
            id,
            position: 0,
            head: Vec::new(),
            lines: Lines::new(limit),
            leading: true,
            late_until: 0,
            since: None,
            lost: 0,
            cut_off: false,
        })
    }

    /// Reads `file` on from a place that was reached in it; what lies behind it was written after `since`.
    pub(super) fn at_mark(file: File, limit: usize, mark: &Mark, since: Option<Moment>) -> io::Result<Self> {
        let mut reader = Self::at_start(file, limit)?;
        reader.note_head()?;
        reader.position = mark.offset;
        reader.leading = mark.offset == 0;
        if mark.skipping {
            reader.lines.skip_on();
        }
        reader.since = since;
        reader.was_away(since)?;
        Ok(reader)
    }

    /// Reads `file` from its last line on, if that has no newline yet, else from its end.
    pub(super) fn at_end(file: File, limit: usize) -> io::Result<Self> {
        let mut reader = Self::at_start(file, limit)?;
        let size = reader.file.metadata()?.len();
        reader.note_head()?;
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

    /// How many lines were lost since this was last asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Whether it was cut off since this was last asked.
    pub(super) fn take_cut_off(&mut self) -> bool {
        std::mem::take(&mut self.cut_off)
    }

    /// Where the first line begins that was not given.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            device: self.id.device,
            inode: self.id.inode,
            offset: self.position - self.lines.pending() as u64,
            skipping: self.lines.is_skipping(),
            head: Head::of(&self.head),
        }
    }

    /// Notes that nobody has read for a while: what lies there now was written before, though after `since`.
    pub(super) fn was_away(&mut self, since: Option<Moment>) -> io::Result<()> {
        self.late_until = self.file.metadata()?.len();
        self.since = since;
        Ok(())
    }

    /// When it was written last, in nanoseconds since 1970.
    pub(super) fn written(&self) -> io::Result<i128> {
        Ok(siblings::written(&self.file.metadata()?))
    }

    /// Lets go what was read of a line without an end, and counts it.
    pub(super) fn give_up(&mut self) -> u64 {
        self.lost += u64::from(self.lines.pending() > 0);
        self.lines.clear();
        self.take_lost()
    }

    /// Reads one block and gives its complete lines. Says whether there may be more.
    pub(super) fn read(&mut self, on_line: &mut impl FnMut(&[u8], Written)) -> io::Result<bool> {
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
            self.lost += u64::from(self.lines.pending() > 0);
            self.lines.clear();
            self.leading = true;
            self.late_until = 0;
            self.cut_off = true;
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
        let written = if self.position < self.late_until {
            Written::Before { told: None, since: self.since }
        } else {
            Written::Now
        };
        self.leading = false;
        self.position += count as u64;
        self.lines.filled(count);
        while let Some(line) = self.lines.next() {
            on_line(line, written);
        }
        Ok(true)
    }

    /// Takes note of how the file begins.
    fn note_head(&mut self) -> io::Result<()> {
        self.written_anew().map(drop)
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
