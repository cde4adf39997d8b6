//! The header of RFC 5424 §6, behind `<PRI>1 `.

use super::{after_rfc3339, number};
use crate::parse::Record;

/// Splits `TIME HOST APP PROCID MSGID SD[ MESSAGE]`; what is not known is `-`.
pub(super) fn split(text: &[u8]) -> Option<Record<'_>> {
    let (stamp, rest) = if let Some(rest) = text.strip_prefix(b"- ") {
        (&b""[..], rest)
    } else {
        let rest = after_rfc3339(text)?;
        (&text[..text.len() - rest.len() - 1], rest)
    };
    let (host, rest) = field(rest)?;
    let (process, rest) = field(rest)?;
    let (pid, rest) = field(rest)?;
    let (_kind, rest) = field(rest)?;
    Some(Record { stamp, host, process, pid: number(pid), ..without_data(rest)? })
}

/// Splits `APP PROCID - SD[ MESSAGE]`, where the process is a number or not known and the kind of the message is not:
/// anything else may be words of a message that has no tag.
pub(super) fn untagged(text: &[u8]) -> Option<Record<'_>> {
    let (process, rest) = field(text)?;
    let (pid, rest) = field(rest)?;
    if !pid.is_empty() && number(pid).is_none() {
        return None;
    }
    Some(Record { process, pid: number(pid), ..without_data(rest.strip_prefix(b"- ")?)? })
}

/// Takes a word of printable characters (§6: `PRINTUSASCII`) and the space behind it; the empty one for `-`.
fn field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().take(LONGEST_FIELD + 1).position(|&byte| byte == b' ')?;
    let (word, rest) = (&text[..end], &text[end + 1..]);
    if word.is_empty() || !word.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    Some((if word == b"-" { b"" } else { word }, rest))
}

/// Strips the structured data (§6.3); what follows is the message, which may begin with a byte order mark (§6.4).
fn without_data(text: &[u8]) -> Option<Record<'_>> {
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(b"-") {
        rest = after;
    } else {
        while rest.starts_with(b"[") {
            rest = after_element(&rest[1..])?;
        }
        if rest.len() == text.len() {
            return None;
        }
    }
    let message = match rest {
        b"" => b"",
        // rsyslog sends the space that stands before the message of RFC 3164 as a part of it.
        [b' ', b' ', message @ ..] | [b' ', message @ ..] => message,
        _ => return None,
    };
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    Some(Record { message, ..Record::default() })
}

/// Strips `ID[ NAME="VALUE"]...]`; in a value `"`, `\` and `]` stand behind a `\`.
fn after_element(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.get(name(text)?..)?;
    loop {
        match rest {
            [b']', rest @ ..] => return Some(rest),
            [b' ', parameter @ ..] => {
                let value = parameter.get(name(parameter)?..)?.strip_prefix(b"=\"")?;
                rest = after_value(value)?;
            }
            _ => return None,
        }
    }
}

/// The length of the name at the start (§6: `SD-NAME`).
fn name(text: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b']' | b'"');
    let length = text.iter().take_while(|byte| is_part(byte)).count();
    (length > 0).then_some(length)
}

fn after_value(text: &[u8]) -> Option<&[u8]> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return text.get(at + 1..),
            // It should have been escaped: where the value ends is not sure.
            b']' => return None,
            _ => {}
        }
    }
    None
}

/// §6: no field is longer than a host's name.
const LONGEST_FIELD: usize = 255;
