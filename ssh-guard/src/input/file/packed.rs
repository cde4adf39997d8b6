//! Reads a log file that was compressed when it was rotated.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;

use flate2::bufread::MultiGzDecoder;

use crate::input::lines::Lines;
use crate::input::{Head, Mark, Written};
use crate::moment::Moment;

/// A log file in the form of gzip, and the place reached in what it holds.
pub(super) struct Packed {
    content: MultiGzDecoder<BufReader<File>>,
    mark: Mark,
    /// How much is to be passed over first.
    skip: u64,
    lines: Lines,
    since: Option<Moment>,
    lost: u64,
}

impl Packed {
    /// Reads on from `mark`, which is one in what the file holds; that was written after `since`.
    pub(super) fn at_mark(file: File, limit: usize, mark: &Mark, since: Option<Moment>) -> Self {
        let mut lines = Lines::new(limit);
        if mark.skipping {
            lines.skip_on();
        }
        let content = MultiGzDecoder::new(BufReader::new(file));
        Self { content, mark: *mark, skip: mark.offset, lines, since, lost: 0 }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            offset: self.mark.offset - self.lines.pending() as u64,
            skipping: self.lines.is_skipping(),
            ..self.mark
        }
    }

    pub(super) fn take_too_long(&mut self) -> u64 {
        self.lines.take_too_long()
    }

    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Reads one block and gives its complete lines. Says whether there may be more.
    pub(super) fn read(&mut self, on_line: &mut impl FnMut(&[u8], Written)) -> io::Result<bool> {
        let space = self.lines.space();
        if self.skip > 0 {
            let most = usize::try_from(self.skip).unwrap_or(usize::MAX).min(space.len());
            let count = self.content.read(&mut space[..most])?;
            self.skip -= count as u64;
            return Ok(count > 0);
        }
        let count = self.content.read(space)?;
        if count == 0 {
            self.lost += u64::from(self.lines.pending() > 0);
            return Ok(false);
        }
        self.mark.offset += count as u64;
        self.lines.filled(count);
        while let Some(line) = self.lines.next() {
            on_line(line, Written::Before { told: None, since: self.since });
        }
        Ok(true)
    }
}

/// The beginning of a file.
pub(super) fn mark_of(metadata: &Metadata, head: Head) -> Mark {
    Mark { device: metadata.dev(), inode: metadata.ino(), offset: 0, skipping: false, head }
}

/// The first bytes of what a file holds.
pub(super) fn head_of(file: &File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let read = MultiGzDecoder::new(BufReader::new(file)).take(Head::MOST as u64).read_to_end(&mut head);
    // What is damaged further on begins as it did.
    if head.is_empty() { read.map(|_| head) } else { Ok(head) }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("mark", &self.mark).finish_non_exhaustive()
    }
}
