//! Reads the old logs that a verb names, one after the other, and has each line understood.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock::moment;
use crate::event::AuthEvent;
use crate::fault::{Exit, Fault};
use crate::input::archive::{Archive, ArchiveError, Item, oldest_first};
use crate::inputs;
use crate::moment::Moment;
use crate::parse::time::Times;
use crate::parse::{Interpreter, Parser, Record};

/// Old logs, and how they are to be read.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Their files; `-` for the standard input.
    pub files: Vec<PathBuf>,
    /// Whose lines they hold.
    pub parser: Parser,
    /// Lines have no header of a transport's.
    pub bare: bool,
    /// The zone of times that name none.
    pub zone: TimeZone,
    /// Says what time it is: no line without a year is of later.
    pub now: fn() -> Timestamp,
    /// The longest line that is read, in bytes.
    pub line_bytes: usize,
    /// What the person typed who wants them read, for hints.
    pub verb: &'static str,
}

/// What a log holds next, and what it was understood as.
#[derive(Debug)]
pub struct Told<'a> {
    /// Its number in its file, from 1.
    pub line: u64,
    /// What it is.
    pub item: Item<'a>,
    /// When it was written, where it says so.
    pub at: Option<Timestamp>,
    /// Who wrote it and what, where that is known.
    pub record: Option<Record<'a>>,
    /// Whether a server wrote it whose messages are read.
    pub of_a_server: bool,
    /// What it says about a login.
    pub event: Option<AuthEvent>,
}

/// Takes what logs hold.
pub trait Reader {
    /// Hears that a file can be read, and is next.
    fn begin(&mut self, file: &Path, archive: &Archive);

    /// Takes what the file holds next.
    fn take(&mut self, told: &Told<'_>);

    /// Hears that more has to be waited for.
    ///
    /// # Errors
    /// If nobody wants more.
    fn pause(&mut self) -> io::Result<()>;

    /// Hears that a file ends, after so many bytes, or why no more of it can be read.
    fn end(&mut self, file: &Path, bytes: u64, broken: Option<&ArchiveError>);
}

/// Why logs were not read to their end.
#[derive(Debug)]
pub enum Unread {
    /// A file could not be read, or not to its end; all others were.
    In(Fault),
    /// Nobody wants more.
    Out(io::Error),
}

impl Logs {
    /// Reads them one after the other; the files of one rotated log in the order of time.
    ///
    /// # Errors
    /// As [`Unread`] says.
    pub fn read(&self, reader: &mut impl Reader) -> Result<(), Unread> {
        let mut fault: Option<Fault> = None;
        for mut log in self.each() {
            while log.read_some(reader).map_err(Unread::Out)? {}
            fault = together(fault, log.fault);
        }
        fault.map_or(Ok(()), |fault| Err(Unread::In(fault)))
    }

    /// Each log, which may lie in several files.
    #[must_use]
    pub fn each(&self) -> Vec<Log<'_>> {
        let mut logs: Vec<Log<'_>> = Vec::new();
        for (file, goes_on) in oldest_first(self.files.clone()) {
            match logs.last_mut().filter(|_| goes_on) {
                Some(log) => log.files.push_back(file),
                None => logs.push(Log {
                    files: [file].into(),
                    open: None,
                    understanding: Understanding::new(self),
                    fault: None,
                }),
            }
        }
        logs
    }

    fn fault(&self, error: ArchiveError) -> Fault {
        let exit = if error.is_forbidden() { Exit::NotPermitted } else { Exit::Failure };
        let hint = error.hint(self.verb);
        Fault::new(exit, error.to_string()).because(error).hint(hint)
    }
}

/// One log, some of which has been read.
pub struct Log<'l> {
    /// The files that come next.
    files: VecDeque<PathBuf>,
    open: Option<Open>,
    understanding: Understanding<'l>,
    /// Why files of it could not be read, or not to their end.
    pub fault: Option<Fault>,
}

/// A file that is being read.
struct Open {
    file: PathBuf,
    archive: Archive,
    line: u64,
}

impl Log<'_> {
    /// Reads a block more; `false` at the end.
    ///
    /// # Errors
    /// If nobody wants more.
    pub fn read_some(&mut self, reader: &mut impl Reader) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(self.open_next(reader)) };
        reader.pause()?;
        let Open { archive, line, .. } = open;
        let read = archive.read(|item| {
            *line += 1;
            reader.take(&self.understanding.understand(*line, item));
        });
        // What somebody is still writing to may tell of a time after the first look at the clock.
        self.understanding.today = Timestamp::MIN;
        let broken = match read {
            Ok(true) => return Ok(true),
            Ok(false) => None,
            Err(error) => Some(error),
        };
        reader.end(&open.file, open.archive.bytes(), broken.as_ref());
        self.open = None;
        self.note(broken);
        Ok(true)
    }

    /// Opens the next file; `false` if there is none.
    fn open_next(&mut self, reader: &mut impl Reader) -> bool {
        let Some(file) = self.files.pop_front() else { return false };
        let logs = self.understanding.logs;
        match Archive::open(&file, logs.line_bytes) {
            Ok(archive) => {
                let archive = archive.with_entries_of(inputs::writer(&logs.parser));
                reader.begin(&file, &archive);
                self.open = Some(Open { file, archive, line: 0 });
            }
            Err(error) => {
                reader.end(&file, 0, Some(&error));
                self.note(Some(error));
            }
        }
        true
    }

    fn note(&mut self, broken: Option<ArchiveError>) {
        let next = broken.map(|error| self.understanding.logs.fault(error));
        self.fault = together(self.fault.take(), next);
    }
}

/// Both faults, the first one first.
pub(super) fn together(fault: Option<Fault>, next: Option<Fault>) -> Option<Fault> {
    match (fault, next) {
        (Some(fault), Some(next)) => Some(fault.and(next)),
        (fault, next) => fault.or(next),
    }
}

/// Understands one log, which may lie in several files.
#[derive(Debug)]
struct Understanding<'l> {
    interpreter: Interpreter,
    times: Times,
    /// What time it was when the block was read that is read; [`Timestamp::MIN`] if nobody has looked yet.
    today: Timestamp,
    /// When the last line was written that said so: one that does not follows it.
    last: Moment,
    logs: &'l Logs,
}

impl<'l> Understanding<'l> {
    fn new(logs: &'l Logs) -> Self {
        Self {
            interpreter: Interpreter::new(logs.parser.clone()),
            times: Times::new(logs.zone.clone()),
            today: Timestamp::MIN,
            last: Moment::EARLIEST,
            logs,
        }
    }

    fn understand<'a>(&mut self, line: u64, item: Item<'a>) -> Told<'a> {
        let record = match item {
            Item::Line(text) => self.interpreter.record(text, self.logs.bare),
            Item::Message { process, pid, text, .. } => {
                Some(Record { process, pid, message: text, ..Record::default() })
            }
            Item::TooLong | Item::NotVouched | Item::Unreadable => None,
        };
        let at = match item {
            Item::Message { realtime, .. } => realtime.and_then(of_realtime),
            _ => record.and_then(|record| self.of_header(record.stamp)),
        };
        self.last = at.map_or(self.last, moment);
        // Old logs are read at once: what belongs together is told by when it was written.
        let record = record.map(|record| Record { read_at: self.last, ..record });
        let of_a_server = record.is_some_and(|record| self.interpreter.knows(record.process));
        let event = record.and_then(|record| self.interpreter.event(&record));
        Told { line, item, at, record, of_a_server, event }
    }

    fn of_header(&mut self, stamp: &[u8]) -> Option<Timestamp> {
        if self.today == Timestamp::MIN {
            self.today = (self.logs.now)();
        }
        self.times.read(stamp, self.today)
    }
}

/// The time that a journal tells, in microseconds since 1970.
fn of_realtime(realtime: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(realtime).ok()?).ok()
}
