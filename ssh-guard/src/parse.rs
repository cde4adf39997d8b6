//! Turns log lines into auth events.
//!
//! A line is first split into who wrote it and what it says ([`Record`]); then the parser of that server reads
//! the message, and what it does not say is taken from earlier lines of the same session ([`join`]). All of it is pure:
//! no clock, no look-up, and no allocation but for the user names of lines that were understood.

pub mod dropbear;
pub mod header;
pub mod join;
pub mod openssh;
mod pam;
pub mod pattern;
pub mod proftpd;
pub mod pure_ftpd;
mod reading;
pub mod sftpgo;
pub mod shape;
pub(crate) mod text;
pub mod time;
pub mod vsftpd;

use std::sync::Arc;

use self::pattern::Pattern;
use crate::event::AuthEvent;
use crate::moment::Moment;
use join::Join;

/// Who wrote a line, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record<'a> {
    /// When it was written, as the line's header says it; empty where none does.
    pub stamp: &'a [u8],
    /// The machine it was written on, likewise.
    pub host: &'a [u8],
    /// The name of the process that wrote it; only a journal can vouch for that.
    pub process: &'a [u8],
    /// The process's number, if the line names it.
    pub pid: Option<u32>,
    /// What it wrote, without header and line end.
    pub message: &'a [u8],
    /// When it was read; what was read long before belongs to no session of now.
    pub read_at: Moment,
}

/// Whose messages are read, as the configuration names them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Parser {
    /// Every server known here, each by the name of the process that wrote the line.
    #[default]
    Auto,
    /// OpenSSH's sshd, versions 6 to 10.
    Openssh,
    /// Dropbear, versions 2012 to 2025.
    Dropbear,
    /// `ProFTPD`, by SSH (`mod_sftp`) and FTP.
    Proftpd,
    /// `SFTPGo`, by SSH and FTP.
    Sftpgo,
    /// vsftpd.
    Vsftpd,
    /// Pure-FTPd.
    PureFtpd,
    /// A server that the configuration describes.
    Pattern(Arc<Pattern>),
}

impl Parser {
    /// Every parser that needs no description.
    pub const KNOWN: [Self; 7] = [
        Self::Auto,
        Self::Openssh,
        Self::Dropbear,
        Self::Proftpd,
        Self::Sftpgo,
        Self::Vsftpd,
        Self::PureFtpd,
    ];

    /// Finds the parser by its word in the configuration, which has these `patterns`.
    #[must_use]
    pub fn named(word: &str, patterns: &[Arc<Pattern>]) -> Option<Self> {
        let known = Self::KNOWN.into_iter().find(|parser| parser.as_str() == word);
        let pattern = || patterns.iter().find(|pattern| pattern.name() == word);
        known.or_else(|| Some(Self::Pattern(Arc::clone(pattern()?))))
    }

    /// The word for it, in the configuration.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::Openssh => "openssh",
            Self::Dropbear => "dropbear",
            Self::Proftpd => "proftpd",
            Self::Sftpgo => "sftpgo",
            Self::Vsftpd => "vsftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Pattern(pattern) => pattern.name(),
        }
    }

    /// The parser of the server known here that writes under this name of a process.
    fn of(process: &[u8]) -> Option<&'static Self> {
        Some(match process {
            _ if openssh::PROCESSES.contains(&process) => &Self::Openssh,
            b"dropbear" => &Self::Dropbear,
            b"proftpd" => &Self::Proftpd,
            b"sftpgo" => &Self::Sftpgo,
            b"vsftpd" => &Self::Vsftpd,
            b"pure-ftpd" => &Self::PureFtpd,
            _ => return None,
        })
    }

    /// Whether both may read the same line.
    #[must_use]
    pub fn shares_lines(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pattern(one), Self::Pattern(other)) => one == other,
            (Self::Pattern(pattern), known) | (known, Self::Pattern(pattern)) => {
                let of = Self::of(pattern.process().as_bytes());
                of.is_some_and(|of| *known == Self::Auto || known == of)
            }
            (one, other) => *one == Self::Auto || *other == Self::Auto || one == other,
        }
    }

    /// Whether lines without a transport's header are read if the operator asks for it.
    #[must_use]
    pub fn may_be_bare(&self) -> bool {
        match self {
            Self::Auto | Self::Openssh | Self::Proftpd => true,
            Self::Pattern(pattern) => !pattern.is_json(),
            // The logs of SFTPGo and vsftpd are read as they are; Dropbear and Pure-FTPd have syslog.
            Self::Dropbear | Self::Sftpgo | Self::Vsftpd | Self::PureFtpd => false,
        }
    }

    /// Splits a line of a file into who wrote it and what it says. `bare`: the operator asked for lines without a
    /// transport's header.
    ///
    /// A server's own log needs no such word if no client can begin a line there: that of vsftpd, and JSON.
    #[must_use]
    pub fn record<'a>(&self, line: &'a [u8], bare: bool) -> Option<Record<'a>> {
        let text = header::without_line_end(line);
        let whole = |process| Record { process, message: text, ..Record::default() };
        match self {
            Self::Sftpgo if text.starts_with(b"{") => Some(whole(b"sftpgo")),
            Self::Pattern(pattern) if pattern.is_json() && text.starts_with(b"{") => Some(whole(b"")),
            Self::Pattern(_) if bare => (!text.is_empty()).then(|| whole(b"")),
            // Lines with headers are many processes'.
            Self::Pattern(pattern) if pattern.process().is_empty() => None,
            Self::Vsftpd => vsftpd::own_log(text).or_else(|| header::split(line)),
            Self::Proftpd if bare => proftpd::system_log(text),
            Self::Auto | Self::Openssh if bare => header::bare(line),
            _ => header::split(line),
        }
    }
}

/// Understands the lines of one input, one after the other.
#[derive(Debug)]
pub struct Interpreter {
    parser: Parser,
    openssh: Join,
    dropbear: Join,
}

impl Default for Interpreter {
    fn default() -> Self {
        Self::new(Parser::default())
    }
}

impl Interpreter {
    /// Makes one that has read nothing yet.
    #[must_use]
    pub fn new(parser: Parser) -> Self {
        Self { parser, openssh: Join::new(join::LIFE), dropbear: Join::new(join::DROPBEAR_LIFE) }
    }

    /// Splits a line of a file into who wrote it and what it says; `bare` as for [`Parser::record`].
    #[must_use]
    pub fn record<'a>(&self, line: &'a [u8], bare: bool) -> Option<Record<'a>> {
        self.parser.record(line, bare)
    }

    /// Whether it is a server's process, whose messages are read.
    #[must_use]
    pub fn knows(&self, process: &[u8]) -> bool {
        match &self.parser {
            Parser::Auto => Parser::of(process).is_some(),
            Parser::Pattern(pattern) => pattern.is_of(process),
            known => Parser::of(process) == Some(known),
        }
    }

    /// Reads the next message; nothing if it says nothing about a login, or not in a way that can be trusted.
    pub fn event(&mut self, record: &Record<'_>) -> Option<AuthEvent> {
        let parser = match &self.parser {
            Parser::Auto => Parser::of(record.process)?,
            own => own,
        };
        match parser {
            // No process is its own.
            Parser::Auto => None,
            Parser::Openssh => self.openssh.settle(record, openssh::read(record)?),
            Parser::Dropbear => self.dropbear.settle(record, dropbear::read(record)?),
            Parser::Proftpd => proftpd::parse(record),
            Parser::Sftpgo => sftpgo::parse(record),
            Parser::Vsftpd => vsftpd::parse(record),
            Parser::PureFtpd => pure_ftpd::parse(record),
            Parser::Pattern(pattern) => pattern.event(record),
        }
    }
}

#[cfg(test)]
mod tests;
