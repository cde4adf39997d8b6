//! Turns log lines into auth events.
//!
//! A line is first split into who wrote it and what it says ([`Record`]); then the parser of that server reads
//! the message. Both halves are pure: no clock, no look-up, and no allocation but for the user name of a line that
//! was understood.

pub mod header;
pub mod openssh;
mod text;

use serde::{Deserialize, Serialize};

use crate::event::AuthEvent;

/// Who wrote a line, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// The name of the process that wrote it; only a journal can vouch for that.
    pub process: &'a [u8],
    /// The process's number, if the line names it.
    pub pid: Option<u32>,
    /// What it wrote, without header and line end.
    pub message: &'a [u8],
}

/// The servers whose messages can be read, as the configuration names them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parser {
    /// OpenSSH's sshd, versions 6 to 10.
    #[default]
    Openssh,
}

impl Parser {
    /// Reads one message; nothing if it says nothing about a login, or not in a way that can be trusted.
    #[must_use]
    pub fn parse(self, record: &Record<'_>) -> Option<AuthEvent> {
        match self {
            Self::Openssh => openssh::parse(record),
        }
    }
}
