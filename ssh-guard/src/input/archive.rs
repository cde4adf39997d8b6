//! Reads old logs from their beginning to their end: lines, or exports of the journal, packed by gzip or not.
//!
//! What a stream holds is told by its first bytes, never by its name. Memory is bounded, whatever it holds: by the longest
//! line that is wanted, and by what unpacking takes.

mod error;
mod export;
mod form;
mod order;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

pub use self::error::ArchiveError;
use self::export::Export;
pub use self::form::{Form, Packing};
pub use self::order::oldest_first;
use super::journal::entry::{Entry, Said, Writer};
use super::lines::Lines;

/// An old log that is being read.
pub struct Archive {
    name: String,
    from: Box<dyn Read>,
    packing: Packing,
    cutter: Cutter,
    /// The longest line or message that is given, in bytes.
    line_bytes: usize,
    /// Whose entries of a journal are given; none for the known servers'.
    writer: Option<Writer>,
    items: u64,
    bytes: u64,
}

/// What a log holds next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// A line, with the header that a syslog daemon put there, without its end.
    Line(&'a [u8]),
    /// What a journal's entry says, where it is known who says it.
    Message {
        /// The program that wrote it.
        process: &'a [u8],
        /// The process that wrote it.
        pid: Option<u32>,
        /// The message alone, which may hold newlines.
        text: &'a [u8],
        /// When journald took it, in microseconds since 1970.
        realtime: Option<u64>,
    },
    /// A line, or an entry's message, that is over the limit.
    TooLong,
    /// An entry of which only the writer's own word says that a server wrote it, or of another program.
    NotVouched,
    /// An entry that is none, or has no message, or several.
    Unreadable,
}

/// Cuts a stream into what it holds.
enum Cutter {
    Lines(Lines),
    Json(Lines),
    Export(Box<Export>),
}

impl Archive {
    /// Opens the log at `path`, or the standard input for `-`; lines longer than `line_bytes` are not given.
    ///
    /// # Errors
    /// If it cannot be read, or is of a kind that is not understood.
    pub fn open(path: &Path, line_bytes: usize) -> Result<Self, ArchiveError> {
        if path == Path::new("-") {
            return Self::new("standard input".to_owned(), io::stdin(), line_bytes);
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(name, file, line_bytes),
            Err(source) => Err(ArchiveError::Unreadable { name, source }),
        }
    }

    /// Reads a log from what is open already; errors call it `name`.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn new(name: String, from: impl Read + 'static, line_bytes: usize) -> Result<Self, ArchiveError> {
        let unreadable = |source| ArchiveError::Unreadable { name: name.clone(), source };
        let (packing, mut from) = Packing::open(from).map_err(unreadable)?;
        if let Packing::Foreign(packer) = packing {
            return Err(ArchiveError::Packed { name, packer });
        }
        // A byte of a message that is not UTF-8 takes up to four in JSON, a control character six.
        let json_bytes = 6 * line_bytes + 4096;
        let head = match form::first_line(&mut from, json_bytes) {
            Ok(head) => head,
            Err(source) => return Err(broken(name, packing, (0, 0), source)),
        };
        let cutter = match Form::of(&head) {
            Form::Lines => Cutter::Lines(Lines::new(line_bytes)),
            Form::JournalJson => Cutter::Json(Lines::new(json_bytes)),
            Form::JournalExport => Cutter::Export(Box::new(Export::new(line_bytes))),
            Form::Foreign(what) => return Err(ArchiveError::Foreign { name, what }),
        };
        let from = Box::new(Cursor::new(head).chain(from));
        Ok(Self { name, from, packing, cutter, line_bytes, writer: None, items: 0, bytes: 0 })
    }

    /// Gives, of a journal, the entries of `writer`; without one those of the servers that are known.
    #[must_use]
    pub fn with_entries_of(self, writer: Option<Writer>) -> Self {
        Self { writer, ..self }
    }

    /// How it is packed.
    #[must_use]
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// What it holds.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.cutter {
            Cutter::Lines(_) => Form::Lines,
            Cutter::Json(_) => Form::JournalJson,
            Cutter::Export(_) => Form::JournalExport,
        }
    }

    /// How many bytes have been read, unpacked.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a block and gives what is complete with it, in order; `false` at the end.
    ///
    /// # Errors
    /// If it can be read no further; all that stood before has been given.
    pub fn read(&mut self, mut each: impl FnMut(Item<'_>)) -> Result<bool, ArchiveError> {
        let read = loop {
            match self.from.read(self.cutter.space()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return Err(self.broken(error)),
        };
        self.bytes += read as u64;
        let items = &mut self.items;
        let each = &mut |item: Item<'_>| {
            *items += 1;
            each(item);
        };
        let (limit, writer) = (self.line_bytes, self.writer.as_ref());
        let whole = match &mut self.cutter {
            Cutter::Lines(lines) => {
                cut(lines, read, |line| each(line.map_or(Item::TooLong, Item::Line)));
                Ok(())
            }
            Cutter::Json(lines) => {
                cut(lines, read, |line| each_of_json(line, (writer, limit), each));
                Ok(())
            }
            Cutter::Export(export) => export.take(read, |entry| each(judged(entry, (writer, limit)))),
        };
        whole.map_err(|error| self.broken(error))?;
        Ok(read > 0)
    }

    fn broken(&self, source: io::Error) -> ArchiveError {
        let behind = match &self.cutter {
            Cutter::Lines(_) | Cutter::Json(_) => 0,
            Cutter::Export(export) => export.pending() as u64,
        };
        broken(self.name.clone(), self.packing, (self.items, self.bytes - behind), source)
    }
}

impl Cutter {
    fn space(&mut self) -> &mut [u8] {
        match self {
            Self::Lines(lines) | Self::Json(lines) => lines.space(),
            Self::Export(export) => export.space(),
        }
    }
}

/// Cuts what was read into lines; nothing read is the end. `None` stands for a line that is too long.
fn cut(lines: &mut Lines, read: usize, mut each: impl FnMut(Option<&[u8]>)) {
    lines.filled(read);
    loop {
        let line = lines.find_next();
        (0..lines.take_too_long()).for_each(|_| each(None));
        match line {
            Some(line) => each(Some(lines.at(line))),
            None => break,
        }
    }
    if read == 0 {
        if let Some(rest) = lines.rest() {
            each(Some(rest));
        }
        (0..lines.take_too_long()).for_each(|_| each(None));
    }
}

fn each_of_json(line: Option<&[u8]>, wanted: (Option<&Writer>, usize), each: &mut impl FnMut(Item<'_>)) {
    // `--output=json-seq` puts a separator in front of each entry (RFC 7464).
    let line = line.map(|line| line.strip_prefix(b"\x1e").unwrap_or(line));
    match line.map(Entry::parse) {
        None => each(Item::TooLong),
        Some(Ok(entry)) => each(judged(&entry, wanted)),
        Some(Err(_)) => each(Item::Unreadable),
    }
}

fn judged<'a>(entry: &'a Entry<'_>, (writer, limit): (Option<&'a Writer>, usize)) -> Item<'a> {
    match entry.said(writer) {
        Said::Message { text, .. } if text.len() > limit => Item::TooLong,
        Said::Message { process, pid, text } => {
            Item::Message { process, pid, text, realtime: entry.realtime() }
        }
        Said::NotVouched => Item::NotVouched,
        Said::TooLong => Item::TooLong,
        Said::Unreadable => Item::Unreadable,
    }
}

fn broken(name: String, packing: Packing, (items, bytes): (u64, u64), source: io::Error) -> ArchiveError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    // What the kernel says comes with a number; what does not was said about the bytes.
    let told_of_bytes = source.raw_os_error().is_none()
        && matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
    if told_of_bytes {
        ArchiveError::Damaged { name, packing, items, bytes, source }
    } else {
        ArchiveError::Unreadable { name, source }
    }
}

/// Reads through a buffer, which unpacking needs.
fn unpacked(from: impl Read + 'static) -> Box<dyn Read> {
    Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, from)))
}

/// How much of what is packed is read at once, in bytes.
const PIECE: usize = 64 * 1024;
