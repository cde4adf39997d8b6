//! Reads one entry as `journalctl --output=json` prints it, and judges who wrote it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

/// The programs whose word counts if root runs them. `sshd-session` is OpenSSH's since 9.8, `sshd-auth` since 10.0. The
/// others are root too while they have not let anybody in; what they write as another user later says nothing more.
const PROGRAMS: [&[u8]; 7] =
    [b"sshd", b"sshd-session", b"sshd-auth", b"dropbear", b"proftpd", b"vsftpd", b"pure-ftpd"];

/// The programs whose word counts as whatever user they run, with the units that they run in: `SFTPGo` has a user of its
/// own, and `ProFTPD` writes of a login by SSH as the user who logged in. Nobody else gets into the group of such a unit, as
/// neither server gives its users a shell. Dropbear does, and built without PAM leaves it in its own group.
const IN_UNITS: [(&[u8], &[u8]); 2] = [(b"sftpgo.service", b"sftpgo"), (b"proftpd.service", b"proftpd")];

/// What is asked of `journalctl` beside what it always prints.
pub(super) const FIELDS: &str =
    "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_COMM,_PID,_SYSTEMD_UNIT,_TRANSPORT,_UID";

/// Whose entries count beside those of the known servers, or instead of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Writer {
    /// The name of the program; may be empty if there is a unit.
    pub program: String,
    /// The unit that it runs in, as any user; if it is empty, the program counts if root runs it.
    pub unit: String,
}

impl Writer {
    /// The name as the kernel keeps it (`TASK_COMM_LEN`, include/linux/sched.h).
    fn comm(&self) -> &[u8] {
        let name = self.program.as_bytes();
        &name[..name.len().min(15)]
    }
}

/// What `journalctl` is asked for: more than what counts, as it cannot be told everything.
pub(super) fn matches(writer: Option<&Writer>) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let of_root = |programs: &[String]| {
        let by_program = programs.iter().map(|program| format!("_COMM={program}"));
        // journald may have found no name (see `Entry::process`).
        let by_identifier = programs.iter().map(|program| format!("SYSLOG_IDENTIFIER={program}"));
        let root = || std::iter::once("_UID=0".to_owned());
        let syslog = ["+", "_UID=0", "_TRANSPORT=syslog"].map(str::to_owned);
        root().chain(by_program).chain(syslog).chain(by_identifier).collect::<Vec<_>>()
    };
    match writer {
        None => {
            let mut matches = of_root(&PROGRAMS.map(text));
            matches.push("+".to_owned());
            matches.extend(IN_UNITS.iter().map(|(unit, _)| format!("_SYSTEMD_UNIT={}", text(unit))));
            matches.extend(IN_UNITS.iter().map(|(_, program)| format!("_COMM={}", text(program))));
            matches
        }
        Some(writer) if writer.unit.is_empty() => {
            let mut matches = of_root(std::slice::from_ref(&writer.program));
            matches[1] = format!("_COMM={}", text(writer.comm()));
            matches
        }
        Some(writer) => vec![format!("_SYSTEMD_UNIT={}", writer.unit)],
    }
}

/// The fields that matter (`systemd.journal-fields(7)`). Those with an underscore are written by journald itself;
/// a client that sends them is not heard.
#[derive(Deserialize, Default, Debug)]
pub(crate) struct Entry<'a> {
    #[serde(borrow, rename = "__CURSOR")]
    pub(super) cursor: Cow<'a, str>,
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP")]
    realtime: Value<'a>,
    #[serde(borrow, rename = "_BOOT_ID", default)]
    boot: Value<'a>,
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
    #[serde(borrow, rename = "_SYSTEMD_UNIT", default)]
    unit: Value<'a>,
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
pub(crate) enum Said<'a> {
    /// A message of a program that is vouched for.
    Message { process: &'a [u8], pid: Option<u32>, text: &'a [u8] },
    /// Nothing but the writer's own word says that it comes from a server that is read.
    NotVouched,
    /// The message is too long for `journalctl` to print it.
    TooLong,
    /// There is no message, or several.
    Unreadable,
}

impl<'a> Entry<'a> {
    /// Reads an entry; says why it is none.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Takes the next field of an entry; `None` for a value that is too long. Other fields than those that matter are
    /// ignored.
    pub(crate) fn take(&mut self, name: &[u8], value: Option<&'a [u8]>) {
        let Some(field) = self.field(name) else { return };
        *field = match (&field, value) {
            (Value::Missing, Some(bytes)) => Value::Bytes(Cow::Borrowed(bytes)),
            (Value::Missing, None) => Value::TooLong,
            (Value::Bytes(_) | Value::TooLong | Value::Several, _) => Value::Several,
        };
    }

    /// Whether a field of this name is one of those that matter.
    pub(crate) fn reads(name: &[u8]) -> bool {
        Self::default().field(name).is_some()
    }

    fn field(&mut self, name: &[u8]) -> Option<&mut Value<'a>> {
        Some(match name {
            b"__REALTIME_TIMESTAMP" => &mut self.realtime,
            b"MESSAGE" => &mut self.message,
            b"SYSLOG_IDENTIFIER" => &mut self.identifier,
            b"SYSLOG_PID" => &mut self.syslog_pid,
            b"_BOOT_ID" => &mut self.boot,
            b"_COMM" => &mut self.program,
            b"_PID" => &mut self.pid,
            b"_SYSTEMD_UNIT" => &mut self.unit,
            b"_TRANSPORT" => &mut self.transport,
            b"_UID" => &mut self.uid,
            _ => return None,
        })
    }

    /// When journald took it, in microseconds since 1970.
    pub(crate) fn realtime(&self) -> Option<u64> {
        self.realtime.number()
    }

    /// The boot that it is of.
    pub(super) fn boot(&self) -> Option<&str> {
        str::from_utf8(self.boot.bytes()?).ok()
    }

    /// What the entry says, if it is known that `writer` says it, or where none is given, a known server.
    pub(crate) fn said<'e>(&'e self, writer: Option<&'e Writer>) -> Said<'e> {
        let process = match writer {
            None => self.known(),
            Some(writer) => self.is_by(writer),
        };
        let Some(process) = process else { return Said::NotVouched };
        match &self.message {
            Value::Bytes(text) => {
                let pid = self.pid.number().and_then(|pid| pid.try_into().ok());
                Said::Message { process, pid, text }
            }
            Value::TooLong => Said::TooLong,
            Value::Several | Value::Missing => Said::Unreadable,
        }
    }

    /// The known server's program that wrote the entry.
    fn known(&self) -> Option<&[u8]> {
        let of_root = || {
            let name = self.of_root()?;
            PROGRAMS.into_iter().find(|program| *program == name)
        };
        let in_unit = || {
            let (unit, program) = (self.unit.bytes()?, self.program.bytes()?);
            IN_UNITS.contains(&(unit, program)).then_some(program)
        };
        of_root().or_else(in_unit)
    }

    /// The name of `writer`'s program, if it wrote the entry.
    fn is_by<'e>(&'e self, writer: &'e Writer) -> Option<&'e [u8]> {
        let program = writer.program.as_bytes();
        if writer.unit.is_empty() {
            let name = self.of_root()?;
            return (name == writer.comm() || name == program).then_some(program);
        }
        (self.unit.bytes()? == writer.unit.as_bytes()).then_some(())?;
        let name = self.program.bytes().unwrap_or_default();
        match program {
            b"" => Some(name),
            _ => (name == writer.comm()).then_some(program),
        }
    }

    /// The program that wrote the entry, if root ran it.
    ///
    /// journald knows the user for certain (the kernel tells it with the message), but looks the program's name up
    /// under the process id, and finds nothing when the process has ended meanwhile: one in thirty sessions that
    /// come and go on an idle machine (systemd 252), more while it has a backlog. Then what the message
    /// calls itself is believed if it is root's, came through syslog(3), and carries the true process id in this
    /// journal's numbering, as sshd's does.
    fn of_root(&self) -> Option<&[u8]> {
        if self.uid.bytes() != Some(b"0") {
            return None;
        }
        match &self.program {
            Value::Bytes(program) => Some(program),
            Value::TooLong | Value::Several => None,
            Value::Missing => {
                let own_pid = self.syslog_pid.bytes().filter(|pid| self.pid.bytes() == Some(pid));
                own_pid.filter(|_| self.transport.bytes() == Some(b"syslog"))?;
                self.identifier.bytes()
            }
        }
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
