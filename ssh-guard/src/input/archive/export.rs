//! Reads the journal export format, as `journalctl --output=export` prints it, in bounded memory.
//!
//! An entry is a number of fields and an empty line. A field is `NAME=VALUE` and a newline or, where the value holds bytes
//! that are no text, `NAME`, a newline, the value's length as eight bytes (little-endian), the value and a newline
//! (<https://systemd.io/JOURNAL_EXPORT_FORMATS/>). What clients write stands in values only, whose ends are told beforehand
//! or are the end of the line, so no value can look like a field, or like an entry's end. Where bytes fit no field all that
//! follows could be anybody's: the stream is read no further.

use std::io;
use std::ops::Range;

use super::Entry;

/// How much is read at once, in bytes.
const BLOCK: usize = 128 * 1024;

/// The longest name of a field (`journald`, `journal_field_valid`), its `=` or newline included.
const LONGEST_NAME: usize = 64 + 1;

/// The longest value that systemd takes (`journal-importer.h`, `DATA_SIZE_MAX`): a longer one is no length.
const LONGEST_VALUE: u64 = 768 << 20;

/// Journald's own fields, and those that say who wrote an entry, are never longer; `journalctl` prints no longer ones in JSON.
const LEAST_LIMIT: usize = 4096;

/// A buffer that is read into and gives complete entries.
pub(super) struct Export {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    limit: usize,
    /// What of the value being read is still to be left out.
    skipping: Skipping,
    /// Whether the entry being read has a field yet.
    begun: bool,
    kept: Vec<u8>,
    /// The fields that matter, in `kept`: names, and values unless they are too long.
    fields: Vec<(Range<usize>, Option<Range<usize>>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Skipping {
    Nothing,
    /// So many bytes, and the newline behind them.
    Bytes(u64),
    /// All up to a newline.
    Line,
}

/// What stands next in the buffer.
enum Next {
    /// A field, and where it ends.
    Field { name: Range<usize>, value: Option<Range<usize>>, end: usize },
    /// An empty line.
    End,
    /// Not enough to tell.
    Incomplete,
}

impl Export {
    /// Makes a buffer for messages of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let limit = limit.max(LEAST_LIMIT);
        Self {
            buffer: vec![0; limit + LONGEST_NAME + LENGTH + 2 + BLOCK].into_boxed_slice(),
            start: 0,
            end: 0,
            limit,
            skipping: Skipping::Nothing,
            begun: false,
            kept: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Where the next bytes go; never empty once [`Export::take`] has returned.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Takes the first `read` bytes of the space and gives the entries that are complete with them; none read is the
    /// end.
    ///
    /// # Errors
    /// Of kind `InvalidData` if they are no entries, `UnexpectedEof` if the last one has no end.
    pub(super) fn take(&mut self, read: usize, mut each: impl FnMut(&Entry<'_>)) -> io::Result<()> {
        self.end += read;
        while self.skip().map_err(damaged)? {
            match self.next().map_err(damaged)? {
                Next::Incomplete => break,
                Next::Field { name, value, end } => {
                    self.begun = true;
                    self.keep(name, value);
                    self.start = end;
                }
                Next::End => {
                    self.start += 1;
                    if std::mem::take(&mut self.begun) {
                        each(&self.entry());
                    }
                    self.kept.clear();
                    self.fields.clear();
                }
            }
        }
        let cut_short =
            read == 0 && (self.begun || self.start < self.end || self.skipping != Skipping::Nothing);
        if cut_short {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the last entry has no end"));
        }
        Ok(())
    }

    /// How many bytes were read that stand behind the last complete field.
    pub(super) fn pending(&self) -> usize {
        self.end - self.start
    }

    /// Leaves out what is to be left out; whether all of that was there.
    fn skip(&mut self) -> Result<bool, &'static str> {
        let there = &self.buffer[self.start..self.end];
        match self.skipping {
            Skipping::Nothing => return Ok(true),
            Skipping::Bytes(count) => {
                let skipped = usize::try_from(count).map_or(there.len(), |count| count.min(there.len()));
                self.start += skipped;
                self.skipping = Skipping::Bytes(count - skipped as u64);
                match there.get(skipped) {
                    Some(b'\n') => self.start += 1,
                    Some(_) => return Err(NO_END),
                    None => return Ok(false),
                }
            }
            Skipping::Line => {
                let Some(newline) = memchr::memchr(b'\n', there) else {
                    self.start = self.end;
                    return Ok(false);
                };
                self.start += newline + 1;
            }
        }
        self.skipping = Skipping::Nothing;
        Ok(true)
    }

    fn next(&mut self) -> Result<Next, &'static str> {
        let (start, there) = (self.start, &self.buffer[self.start..self.end]);
        match there.first() {
            None => return Ok(Next::Incomplete),
            Some(b'\n') => return Ok(Next::End),
            Some(_) => {}
        }
        let name = there.iter().take(LONGEST_NAME).position(|byte| matches!(byte, b'=' | b'\n'));
        let Some(name) = name else {
            return if there.len() < LONGEST_NAME {
                Ok(Next::Incomplete)
            } else {
                Err("a field has no name")
            };
        };
        if !there[..name].iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_')) || name == 0 {
            return Err("a field's name is none");
        }
        let value = start + name + 1;
        let name = start..start + name;
        if there[name.len()] == b'=' {
            return Ok(match memchr::memchr(b'\n', &self.buffer[value..self.end]) {
                Some(length) if length <= self.limit => {
                    Next::Field { name, value: Some(value..value + length), end: value + length + 1 }
                }
                Some(length) => Next::Field { name, value: None, end: value + length + 1 },
                None if self.end - value > self.limit => {
                    self.skipping = Skipping::Line;
                    Next::Field { name, value: None, end: self.end }
                }
                None => Next::Incomplete,
            });
        }
        let Some(length) = self.buffer[value..self.end].first_chunk::<LENGTH>() else {
            return Ok(Next::Incomplete);
        };
        let length = u64::from_le_bytes(*length);
        if length > LONGEST_VALUE {
            return Err("a field's length is none");
        }
        let value = value + LENGTH;
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => match self.buffer[value..self.end].get(length) {
                Some(b'\n') => {
                    Ok(Next::Field { name, value: Some(value..value + length), end: value + length + 1 })
                }
                Some(_) => Err(NO_END),
                None => Ok(Next::Incomplete),
            },
            _ => {
                self.skipping = Skipping::Bytes(length);
                Ok(Next::Field { name, value: None, end: value })
            }
        }
    }

    fn keep(&mut self, name: Range<usize>, value: Option<Range<usize>>) {
        // A field that is given again and again is given several times, whatever it says.
        if !Entry::reads(&self.buffer[name.clone()]) || self.fields.len() >= MOST_FIELDS {
            return;
        }
        let mut copy = |range: Range<usize>| {
            let from = self.kept.len();
            self.kept.extend_from_slice(&self.buffer[range]);
            from..self.kept.len()
        };
        let name = copy(name);
        let value = value.map(copy);
        self.fields.push((name, value));
    }

    fn entry(&self) -> Entry<'_> {
        let mut entry = Entry::default();
        for (name, value) in &self.fields {
            entry.take(&self.kept[name.clone()], value.clone().map(|value| &self.kept[value]));
        }
        entry
    }
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const NO_END: &str = "a field does not end where it says";

/// Bytes of a value's length.
const LENGTH: usize = 8;

/// More fields of an entry than this are not kept: each that matters comes once.
const MOST_FIELDS: usize = 32;
