//! Reads the old logs that a verb names, one after the other, and has each line understood.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
    /// Reads them; the files of one rotated log in the order of time.
    ///
    /// # Errors
    /// As [`Unread`] says.
    pub fn read(&self, reader: &mut impl Reader) -> Result<(), Unread> {
        let mut fault: Option<Fault> = None;
        let mut understanding = self.understanding();
        for (file, goes_on) in oldest_first(self.files.clone()) {
            if !goes_on {
                understanding = self.understanding();
            }
            let broken = match Archive::open(&file, self.line_bytes) {
                Ok(archive) => {
                    let archive = archive.with_entries_of(inputs::writer(&self.parser));
                    read_one(&file, archive, &mut understanding, reader).map_err(Unread::Out)?
                }
                Err(error) => {
                    reader.end(&file, 0, Some(&error));
                    Some(error)
                }
            };
            if let Some(error) = broken {
                let next = self.fault(error);
                fault = Some(match fault {
                    Some(fault) => fault.and(next),
                    None => next,
                });
            }
        }
        fault.map_or(Ok(()), |fault| Err(Unread::In(fault)))
    }

    fn understanding(&self) -> Understanding<'_> {
        Understanding {
            interpreter: Interpreter::new(self.parser.clone()),
            times: Times::new(self.zone.clone()),
            today: Timestamp::MIN,
            last: Moment::EARLIEST,
            logs: self,
        }
    }

    fn fault(&self, error: ArchiveError) -> Fault {
        let exit = if error.is_forbidden() { Exit::NotPermitted } else { Exit::Failure };
        let hint = error.hint(self.verb);
        Fault::new(exit, error.to_string()).because(error).hint(hint)
    }
}

fn read_one(
    file: &Path,
    mut archive: Archive,
    understanding: &mut Understanding<'_>,
    reader: &mut impl Reader,
) -> io::Result<Option<ArchiveError>> {
    reader.begin(file, &archive);
    let mut line = 0;
    let broken = loop {
        reader.pause()?;
        let read = archive.read(|item| {
            line += 1;
            reader.take(&understanding.understand(line, item));
        });
        // What somebody is still writing to may tell of a time after the first look at the clock.
        understanding.today = Timestamp::MIN;
        match read {
            Ok(true) => {}
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    reader.end(file, archive.bytes(), broken.as_ref());
    Ok(broken)
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

impl Understanding<'_> {
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

/// The moment of a time; those before 1970 are one.
fn moment(at: Timestamp) -> Moment {
    let since_epoch = at.duration_since(Timestamp::UNIX_EPOCH);
    Moment::from_start(Duration::try_from(since_epoch).unwrap_or(Duration::ZERO))
}
