//! Reads the old logs that a verb names, one after the other, and has each line understood.

use std::io;
use std::path::{Path, PathBuf};

use crate::event::AuthEvent;
use crate::fault::{Exit, Fault};
use crate::input::archive::{Archive, ArchiveError, Item, oldest_first};
use crate::parse::{Interpreter, Parser, Record, header};

/// Old logs, and how they are to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Logs {
    /// Their files; `-` for the standard input.
    pub files: Vec<PathBuf>,
    /// Lines have no header of a transport's.
    pub bare: bool,
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
        let mut interpreter = self.interpreter();
        for (file, goes_on) in oldest_first(self.files.clone()) {
            if !goes_on {
                interpreter = self.interpreter();
            }
            let broken = match Archive::open(&file, self.line_bytes) {
                Ok(archive) => {
                    self.read_one(&file, archive, &mut interpreter, reader).map_err(Unread::Out)?
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

    fn read_one(
        &self,
        file: &Path,
        mut archive: Archive,
        interpreter: &mut Interpreter,
        reader: &mut impl Reader,
    ) -> io::Result<Option<ArchiveError>> {
        reader.begin(file, &archive);
        let mut line = 0;
        let broken = loop {
            reader.pause()?;
            let read = archive.read(|item| {
                line += 1;
                let record = self.record(item);
                let of_a_server = record.is_some_and(|record| interpreter.knows(record.process));
                let event = record.and_then(|record| interpreter.event(&record));
                reader.take(&Told { line, item, record, of_a_server, event });
            });
            match read {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        reader.end(file, archive.bytes(), broken.as_ref());
        Ok(broken)
    }

    fn record<'a>(&self, item: Item<'a>) -> Option<Record<'a>> {
        match item {
            Item::Line(line) if self.bare => header::bare(line),
            Item::Line(line) => header::split(line),
            Item::Message { process, pid, text, .. } => {
                Some(Record { process, pid, message: text, ..Record::default() })
            }
            Item::TooLong | Item::NotVouched | Item::Unreadable => None,
        }
    }

    fn interpreter(&self) -> Interpreter {
        Interpreter::new(if self.bare { Parser::Openssh } else { Parser::Auto })
    }

    fn fault(&self, error: ArchiveError) -> Fault {
        let exit = if error.is_forbidden() { Exit::NotPermitted } else { Exit::Failure };
        let hint = error.hint(self.verb);
        Fault::new(exit, error.to_string()).because(error).hint(hint)
    }
}
