//! Turns log lines into auth events.
//!
//! A line is first split into who wrote it and what it says ([`Record`]); then the parser of that server reads
//! the message, and what it does not say is taken from earlier lines of the same session ([`join`]). All of it is pure:
//! no clock, no look-up, and no allocation but for the user names of lines that were understood.

pub mod header;
pub mod join;
pub mod openssh;
mod text;

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
}

/// Understands the lines of one input, one after the other.
#[derive(Debug, Default)]
pub struct Interpreter {
    parser: Parser,
    sessions: Join,
}

impl Interpreter {
    /// Makes one that has read nothing yet.
    #[must_use]
    pub fn new(parser: Parser) -> Self {
        Self { parser, sessions: Join::default() }
    }

    /// Whether it is a server's process, whose messages are read.
    #[must_use]
    pub fn knows(&self, process: &[u8]) -> bool {
        match self.parser {
            Parser::Auto | Parser::Openssh => openssh::PROCESSES.contains(&process),
        }
    }

    /// Reads the next message; nothing if it says nothing about a login, or not in a way that can be trusted.
    pub fn event(&mut self, record: &Record<'_>) -> Option<AuthEvent> {
        match self.parser {
            Parser::Auto | Parser::Openssh => self.sessions.settle(record, openssh::read(record)?),
        }
    }
}
