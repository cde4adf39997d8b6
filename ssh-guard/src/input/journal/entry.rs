//! Reads one entry as `journalctl --output=json` prints it, and judges who wrote it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// The programs of OpenSSH whose word counts; `sshd-session` since 9.8, `sshd-auth` since 10.0.
const PROGRAMS: [&[u8]; 3] = [b"sshd", b"sshd-session", b"sshd-auth"];

/// What is asked of `journalctl` beside what it always prints.
pub(super) const FIELDS: &str = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_COMM,_PID,_TRANSPORT,_UID";

/// Entries of a program named so, that root runs.
pub(super) const BY_PROGRAM: [&str; 4] = ["_UID=0", "_COMM=sshd", "_COMM=sshd-session", "_COMM=sshd-auth"];

/// Entries of root that say to be by one of them; most are the same ones.
pub(super) const BY_IDENTIFIER: [&str; 5] = [
    "_UID=0",
    "_TRANSPORT=syslog",
    "SYSLOG_IDENTIFIER=sshd",
    "SYSLOG_IDENTIFIER=sshd-session",
    "SYSLOG_IDENTIFIER=sshd-auth",
];

/// The fields that matter (`systemd.journal-fields(7)`). Those with an underscore are written by journald itself;
/// a client that sends them is not heard.
#[derive(Deserialize, Debug)]
pub(super) struct Entry<'a> {
    #[serde(borrow, rename = "__CURSOR")]
    pub(super) cursor: Cow<'a, str>,
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP")]
    realtime: Value<'a>,
    #[serde(borrow, rename = "MESSAGE", default)]
    message: Value<'a>,
    #[serde(borrow, rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value<'a>,
    #[serde(borrow, rename = "SYSLOG_PID", default)]
    syslog_pid: Value<'a>,
    #[serde(borrow, rename = "_COMM", default)]
    program: Value<'a>,
    #[serde(borrow, rename = "_PID", default)]
    pid: Value<'a>,
    #[serde(borrow, rename = "_TRANSPORT", default)]
    transport: Value<'a>,
    #[serde(borrow, rename = "_UID", default)]
    uid: Value<'a>,
}

/// A field: text, or bytes where it is not UTF-8.
#[derive(Default, Debug)]
enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    /// Over 4096 bytes, for which `journalctl` prints `null`.
    TooLong,
    /// Given more than once.
    Several,
    #[default]
    Missing,
}

/// What an entry says.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Said<'a> {
    /// A message of a program that is vouched for.
    Message { process: &'a [u8], pid: Option<u32>, text: &'a [u8] },
    /// Nothing but the writer's own word says that it comes from sshd.
    NotVouched,
    /// The message is too long for `journalctl` to print it.
    TooLong,
    /// There is no message, or several.
    Unreadable,
}

impl<'a> Entry<'a> {
    /// Reads an entry; says why it is none.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// When journald took it, in microseconds since 1970.
    pub(super) fn realtime(&self) -> Option<u64> {
        self.realtime.number()
    }

    /// What the entry says, if it is known who says it.
    pub(super) fn said(&self) -> Said<'_> {
        let Some(process) = self.process() else { return Said::NotVouched };
        match &self.message {
            Value::Bytes(text) => {
                let pid = self.pid.number().and_then(|pid| pid.try_into().ok());
                Said::Message { process, pid, text }
            }
            Value::TooLong => Said::TooLong,
            Value::Several | Value::Missing => Said::Unreadable,
        }
    }

    /// The program that wrote the entry.
    ///
    /// journald knows the user for certain (the kernel tells it with the message), but looks the program's name up
    /// under the process id, and finds nothing when the process has ended meanwhile: one in thirty sessions that
    /// come and go on an idle machine (systemd 252), more while it has a backlog. Then what the message
    /// calls itself is believed if it is root's, came through syslog(3), and carries the true process id in this
    /// journal's numbering, as sshd's does.
    fn process(&self) -> Option<&[u8]> {
        if self.uid.bytes() != Some(b"0") {
            return None;
        }
        let name = match &self.program {
            Value::Bytes(program) => program,
            Value::TooLong | Value::Several => return None,
            Value::Missing => {
                let own_pid = self.syslog_pid.bytes().filter(|pid| self.pid.bytes() == Some(pid));
                own_pid.filter(|_| self.transport.bytes() == Some(b"syslog"))?;
                self.identifier.bytes()?
            }
        };
        PROGRAMS.into_iter().find(|program| *program == name)
    }
}

impl Value<'_> {
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::TooLong | Self::Several | Self::Missing => None,
        }
    }

    fn number(&self) -> Option<u64> {
        std::str::from_utf8(self.bytes()?).ok()?.parse().ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of bytes, or null")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Bytes(Cow::Borrowed(text.as_bytes())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Bytes(Cow::Owned(text.as_bytes().to_vec())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::TooLong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(item) = items.next_element::<Item>()? {
            match item {
                Item::Byte(byte) => bytes.push(byte),
                Item::Value => {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Value::Several);
                }
            }
        }
        Ok(Value::Bytes(Cow::Owned(bytes)))
    }
}

/// A member of an array: a byte of the value, or one of several values.
enum Item {
    Byte(u8),
    Value,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte or a value")
    }

    fn visit_u64<E: Error>(self, byte: u64) -> Result<Item, E> {
        u8::try_from(byte).map(Item::Byte).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Item, E> {
        Ok(Item::Value)
    }

    fn visit_unit<E: Error>(self) -> Result<Item, E> {
        Ok(Item::Value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Item, A::Error> {
        while bytes.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Item::Value)
    }
}

#[cfg(test)]
mod tests;
