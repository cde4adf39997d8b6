//! Cuts a stream of bytes into lines, in bounded memory.

use std::ops::Range;

/// How much is read at once, in bytes.
const BLOCK: usize = 128 * 1024;

/// A buffer that is read into and gives complete lines. A line over the limit is skipped up to its newline and
/// counted; it is never cut into two. Allocates once.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: Box<[u8]>,
    /// Where the first line not yet given begins.
    start: usize,
    /// Up to where no newline stands.
    searched: usize,
    end: usize,
    limit: usize,
    /// The line being read is over the limit and was counted.
    skipping: bool,
    too_long: u64,
}

impl Lines {
    /// Makes a buffer for lines of up to `limit` bytes, their end not counted.
    pub(crate) fn new(limit: usize) -> Self {
        // One more for a `\r` whose `\n` is not there yet.
        let buffer = vec![0; limit + 1 + BLOCK].into_boxed_slice();
        Self { buffer, start: 0, searched: 0, end: 0, limit, skipping: false, too_long: 0 }
    }

    /// Where the next bytes go, at least 128 KiB once [`Lines::next`] has said `None`.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Takes the first `count` bytes of what [`Lines::space`] gave.
    pub(crate) fn filled(&mut self, count: usize) {
        debug_assert!(
            self.start == 0 && self.end + count <= self.buffer.len(),
            "more than there was space for"
        );
        self.end += count;
    }

    /// Gives the next complete line without its `\n` or `\r\n`; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let line = self.find_next()?;
        Some(self.at(line))
    }

    /// Gives what stands behind the last newline, as far as it has been read: at the end of a stream that is a line too.
    pub(crate) fn rest(&mut self) -> Option<&[u8]> {
        let rest = self.start..self.end;
        if self.skipping || rest.is_empty() {
            return None;
        }
        if rest.len() > self.limit {
            self.skip();
            return None;
        }
        self.clear();
        Some(self.at(rest))
    }

    /// Says where the next complete line stands, until [`Lines::space`] is called; `None` when more bytes are needed.
    pub(crate) fn find_next(&mut self) -> Option<Range<usize>> {
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.searched..self.end]) {
            let from = self.start;
            let newline = self.searched + length;
            self.start = newline + 1;
            self.searched = self.start;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            let to = newline - usize::from(newline > from && self.buffer[newline - 1] == b'\r');
            if to - from > self.limit {
                self.too_long += 1;
                continue;
            }
            return Some(from..to);
        }
        self.searched = self.end;
        if self.skipping {
            self.start = self.end;
        } else if self.end - self.start > self.limit + 1 {
            self.skip();
        }
        None
    }

    /// Gives what stands there.
    pub(crate) fn at(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// Drops the line being read up to its newline, and counts it as too long.
    pub(crate) fn skip(&mut self) {
        self.start = self.end;
        self.searched = self.end;
        self.skipping = true;
        self.too_long += 1;
    }

    /// Goes on in the middle of a line that was counted as too long before.
    pub(crate) fn skip_on(&mut self) {
        self.skip();
        self.too_long -= 1;
    }

    /// Whether the line being read is over the limit.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// How many bytes of a line without an end are kept.
    pub(crate) fn pending(&self) -> usize {
        self.end - self.start
    }

    /// Forgets what was read of a line whose end will never come.
    pub(crate) fn clear(&mut self) {
        self.start = self.end;
        self.searched = self.end;
        self.skipping = false;
    }

    /// How many lines were over the limit since this was last asked.
    pub(crate) fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `step` bytes.
    fn cut(limit: usize, bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, u64) {
        let mut lines = Lines::new(limit);
        let mut got = Vec::new();
        for piece in bytes.chunks(step) {
            lines.space()[..piece.len()].copy_from_slice(piece);
            lines.filled(piece.len());
            while let Some(line) = lines.next() {
                got.push(line.to_vec());
            }
        }
        (got, lines.take_too_long())
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let bytes = b"one\r\n\ntwo\0\xff\nover the limit\nfour\r\r\nexactly8\r\nexactly8\nnine_is_9\nlate";
        let expected: Vec<Vec<u8>> =
            [&b"one"[..], b"", b"two\0\xff", b"four\r", b"exactly8", b"exactly8"].map(<[u8]>::to_vec).into();
        for step in 1..=bytes.len() {
            assert_eq!(cut(8, bytes, step), (expected.clone(), 2), "in pieces of {step}");
        }
    }

    #[test]
    fn a_line_larger_than_the_buffer_is_counted_once_and_the_next_is_whole() {
        let mut bytes = vec![b'x'; 3 * BLOCK];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(cut(8192, &bytes, BLOCK), (vec![b"next".to_vec()], 1));
    }

    #[test]
    fn a_run_of_nul_bytes_is_one_line() {
        assert_eq!(cut(8192, &[&[0; 100][..], b"\n"].concat(), 7), (vec![vec![0; 100]], 0));
    }

    #[test]
    fn what_is_forgotten_does_not_come_back() {
        let mut lines = Lines::new(8);
        for (piece, expected) in [(&b"far too long a line"[..], None), (b"new\n", Some(&b"new"[..]))] {
            lines.space()[..piece.len()].copy_from_slice(piece);
            lines.filled(piece.len());
            assert_eq!(lines.next(), expected);
            lines.clear();
        }
    }

    #[test]
    fn the_last_line_needs_no_newline_where_the_stream_ends() {
        for (piece, expected, too_long) in [
            (&b"late"[..], Some(&b"late"[..]), 0),
            (b"", None, 0),
            (b"nine_is_9", None, 1),
            (b"much too long", None, 1),
        ] {
            let mut lines = Lines::new(8);
            lines.space()[..piece.len()].copy_from_slice(piece);
            lines.filled(piece.len());
            assert_eq!(lines.next(), None);
            assert_eq!(lines.rest(), expected);
            assert_eq!(lines.rest(), None);
            assert_eq!(lines.take_too_long(), too_long);
        }
    }

    #[test]
    fn there_is_always_space_for_a_block() {
        let mut lines = Lines::new(10);
        for _ in 0..50 {
            let space = lines.space();
            assert!(space.len() >= BLOCK, "{}", space.len());
            space[..BLOCK].fill(b'y');
            lines.filled(BLOCK);
            assert_eq!(lines.next(), None);
        }
        assert_eq!(lines.take_too_long(), 1);
    }
}
