//! Tells by its first bytes what a stream holds.

use std::io::{self, Cursor, Read};

use super::unpacked;
use crate::input::journal::entry::Entry;

/// How a stream is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// By gzip, in one member or several.
    Gzip,
    /// By the program named, which is not understood.
    Foreign(&'static str),
}

/// What a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Lines.
    Lines,
    /// Entries of a journal, as `journalctl --output=export` prints them.
    JournalExport,
    /// Entries of a journal, as `journalctl --output=json` prints them.
    JournalJson,
    /// Something else, which is not understood.
    Foreign(&'static str),
}

impl Packing {
    /// Looks at the first bytes and undoes the packing.
    pub(super) fn open(mut from: impl Read + 'static) -> io::Result<(Self, Box<dyn Read>)> {
        let mut head = Vec::new();
        // A terminal may give a line that is shorter.
        while head.len() < LONGEST_MAGIC && !head.contains(&b'\n') {
            if more(&mut from, &mut head, LONGEST_MAGIC)? == 0 {
                break;
            }
        }
        let packing = Self::of(&head);
        let from = Cursor::new(head).chain(from);
        Ok((packing, if packing == Self::Gzip { unpacked(from) } else { Box::new(from) }))
    }

    fn of(head: &[u8]) -> Self {
        let starts = |magic: &[u8]| head.starts_with(magic);
        match () {
            // RFC 1952: the two bytes of every member, and the one method there is.
            () if starts(b"\x1f\x8b\x08") => Self::Gzip,
            () if starts(b"\xfd7zXZ\0") => Self::Foreign("xz"),
            () if starts(b"\x28\xb5\x2f\xfd") => Self::Foreign("zstd"),
            () if starts(b"BZh") => Self::Foreign("bzip2"),
            () if starts(b"\x04\x22\x4d\x18") => Self::Foreign("lz4"),
            () => Self::Plain,
        }
    }

    /// The word for it, in JSON.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Foreign(packer) => Some(packer),
        }
    }
}

impl Form {
    /// Tells it by the first line, or by as much of it as was read.
    pub(super) fn of(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match line {
            // journalctl begins each entry with its cursor, and systemd-journal-remote with what it likes.
            _ if [&b"__CURSOR="[..], b"__REALTIME_TIMESTAMP=", b"__MONOTONIC_TIMESTAMP="]
                .iter()
                .any(|field| line.starts_with(field)) =>
            {
                Self::JournalExport
            }
            [b'\x1e', json @ ..] | json if Entry::parse(json).is_ok() => Self::JournalJson,
            // The beginning of a long entry; before systemd 254 the cursor always comes first.
            _ if line.starts_with(b"{ \"__CURSOR\" :") || line.starts_with(b"{\"__CURSOR\":") => {
                Self::JournalJson
            }
            b"{" => Self::Foreign("it is JSON of several lines an entry"),
            // journal-def.h, HEADER_SIGNATURE.
            _ if line.starts_with(b"LPKSHHRH") => Self::Foreign("it is a file of the journal"),
            _ => Self::Lines,
        }
    }

    /// The word for it, in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::JournalExport => "journal-export",
            Self::JournalJson => "journal-json",
            Self::Foreign(what) => what,
        }
    }
}

/// Reads until there is a line, or `limit` bytes of it.
pub(super) fn first_line(from: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut searched = 0;
    while !head[searched..].contains(&b'\n') && head.len() < limit {
        searched = head.len();
        match more(from, &mut head, limit) {
            Ok(0) => break,
            Ok(_) => {}
            // What stands before is to be read; the error comes again behind it.
            Err(_) if !head.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(head)
}

/// Reads once, up to `limit` bytes in all.
fn more(from: &mut impl Read, head: &mut Vec<u8>, limit: usize) -> io::Result<usize> {
    let before = head.len();
    head.resize((before + 4096).min(limit), 0);
    loop {
        match from.read(&mut head[before..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                head.truncate(before + read.as_ref().unwrap_or(&0));
                return read;
            }
        }
    }
}

const LONGEST_MAGIC: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stream_holds_is_told_by_its_first_line() {
        for (line, form) in [
            (&b"__CURSOR=s=e2;i=9\n__REALTIME_TIMESTAMP=1\n"[..], Form::JournalExport),
            (b"{\"_UID\":\"0\",\"__CURSOR\":\"s=e2\",\"__REALTIME_TIMESTAMP\":\"1\"}\n", Form::JournalJson),
            (b"\x1e{\"__CURSOR\":\"s=e2\",\"__REALTIME_TIMESTAMP\":\"1\"}\n", Form::JournalJson),
            (b"{ \"__CURSOR\" : \"s=e2\", \"MESSAGE\" : \"xxxxxxxx", Form::JournalJson),
            // Other programs write JSON too, in which a client may have written.
            (b"{\"sender\":\"sftpd\",\"username\":\"\\\"__CURSOR\\\":\\\"s\\\"\"}\n", Form::Lines),
            (b"Nov 23 03:12:01 host sshd[1]: __CURSOR=s\n", Form::Lines),
            (b"", Form::Lines),
            (b"\n__CURSOR=s\n", Form::Lines),
        ] {
            assert_eq!(Form::of(line), form, "{}", line.escape_ascii());
        }
        assert!(matches!(Form::of(b"{\n\t\"__CURSOR\" : \"s\",\n"), Form::Foreign(_)));
        assert!(matches!(Form::of(b"LPKSHHRH\0\0\0\0\n"), Form::Foreign(_)));
    }

    #[test]
    fn packing_is_told_by_its_magic() {
        for (head, packing) in [
            (&b"\x1f\x8b\x08\0\0\0"[..], Packing::Gzip),
            (b"\xfd7zXZ\0", Packing::Foreign("xz")),
            (b"\x28\xb5\x2f\xfd\x24\x05", Packing::Foreign("zstd")),
            (b"BZh91A", Packing::Foreign("bzip2")),
            (b"Nov 23", Packing::Plain),
            (b"\x1f\x8b", Packing::Plain),
            (b"", Packing::Plain),
        ] {
            assert_eq!(Packing::of(head), packing, "{}", head.escape_ascii());
        }
    }
}
