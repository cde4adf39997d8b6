//! Splits a line of a log file into who wrote it and what it says.

mod rfc5424;

use super::Record;

/// Splits a line that a syslog daemon wrote or that one was sent:
///
/// | form | written by |
/// |---|---|
/// | `[<PRI>]TIME HOST TAG[PID]: MESSAGE` | RFC 3164, and most files |
/// | `[<PRI>]TIME TAG[PID]: MESSAGE` | syslog(3) to a local socket, BSD |
/// | `TIME HOST FACILITY.LEVEL TAG[PID]: MESSAGE` | `BusyBox` |
/// | `<PRI>1 TIME HOST APP PROCID MSGID SD MESSAGE` | RFC 5424 |
/// | `TIME HOST APP PROCID - SD MESSAGE` | RFC 5424 without its beginning, as syslog-ng and templates have it |
///
/// The time is that of RFC 3164 (`Nov 23 03:12:01`, the day padded or not, perhaps with the year behind it) or of RFC 3339
/// (`2026-11-23T03:12:01.123456+00:00`, the zone perhaps without its colon). Nothing is looked for: each part is taken
/// from its place, so that no message can lend one to the header. What could be read in two ways is nothing.
#[must_use]
pub fn split(line: &[u8]) -> Option<Record<'_>> {
    let line = without_line_end(line);
    let unprefixed = without_priority(line)?;
    if unprefixed.len() < line.len()
        && let Some(text) = unprefixed.strip_prefix(b"1 ")
    {
        return rfc5424::split(text);
    }
    let line = unprefixed;
    let (rest, iso) = match line.first()? {
        b'0'..=b'9' => (after_rfc3339(line)?, true),
        _ => (after_rfc3164(line)?, false),
    };
    let stamp = &line[..line.len() - rest.len() - 1];
    let (host, after) = rest.split_at(rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len()));
    // An empty host would let the tag be taken from what stands before it.
    if host.is_empty() {
        return None;
    }
    if is_tag(host) {
        return Some(Record { stamp, ..tagged(rest)? });
    }
    let text = after.strip_prefix(b" ")?;
    let text = without_level(text).unwrap_or(text);
    let record = match tagged(text) {
        None if iso => rfc5424::untagged(text)?,
        record => record?,
    };
    Some(Record { stamp, host, ..record })
}

/// Takes a whole line as the message of an sshd that writes to a file or to standard error (`sshd -E`, `-e`), where
/// no header says who wrote it.
///
/// Any client can forge such lines: OpenSSH writes line ends that a client chose through to such a stream (log.c,
/// `LOG_STDERR_VIS`). Only an operator who asked for it may have it read.
#[must_use]
pub fn bare(line: &[u8]) -> Option<Record<'_>> {
    let line = without_line_end(line);
    for process in [&b"sshd"[..], b"sshd-session", b"sshd-auth"] {
        // log.c, do_log: `PROGRAM: ` stands first where standard error is shared with others.
        if let Some(message) = line.strip_prefix(process).and_then(|rest| rest.strip_prefix(b": ")) {
            return Some(Record { process, message, ..Record::default() });
        }
    }
    (!line.is_empty()).then_some(Record { process: b"sshd", message: line, ..Record::default() })
}

pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Strips `<N>` of up to three digits (RFC 3164 §4.1.1); a line may do without.
fn without_priority(line: &[u8]) -> Option<&[u8]> {
    let Some(rest) = line.strip_prefix(b"<") else { return Some(line) };
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if (1..=3).contains(&digits) { rest[digits..].strip_prefix(b">") } else { None }
}

/// Strips `Mmm dd hh:mm:ss ` or `Mmm dd yyyy hh:mm:ss `.
fn after_rfc3164(line: &[u8]) -> Option<&[u8]> {
    let (month, rest) = line.split_first_chunk::<4>()?;
    if !MONTHS.contains(month) {
        return None;
    }
    let ([b' ' | b'0', b'1'..=b'9', rest @ ..]
    | [b'1'..=b'3', b'0'..=b'9', rest @ ..]
    | [b'1'..=b'9', rest @ ..]) = rest
    else {
        return None;
    };
    shaped(rest, b" 00:00:00 ").or_else(|| shaped(rest, b" 0000 00:00:00 "))
}

/// Strips `yyyy-mm-ddThh:mm:ss[.fraction](Z|±hh:mm|±hhmm) `.
fn after_rfc3339(line: &[u8]) -> Option<&[u8]> {
    let rest = shaped(line, b"0000-00-00T00:00:00")?;
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
            // RFC 3339 sets no limit; no writer of logs knows less than a nanosecond.
            if !(1..=9).contains(&digits) {
                return None;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    match rest {
        [b'Z', b' ', rest @ ..] => Some(rest),
        [b'+' | b'-', rest @ ..] => shaped(rest, b"00:00 ").or_else(|| shaped(rest, b"0000 ")),
        _ => None,
    }
}

/// Strips `FACILITY.LEVEL `.
fn without_level(text: &[u8]) -> Option<&[u8]> {
    let dot = text.iter().take(LONGEST_NAME).position(|&byte| byte == b'.')?;
    let rest = &text[dot + 1..];
    let space = rest.iter().take(LONGEST_NAME).position(|&byte| byte == b' ')?;
    let known = FACILITIES.contains(&&text[..dot]) && LEVELS.contains(&&rest[..space]);
    known.then_some(&rest[space + 1..])
}

/// Strips text of the given shape, where `0` stands for any digit and all else for itself.
fn shaped<'a>(text: &'a [u8], shape: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(shape.len())?;
    let fits = head.iter().zip(shape).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    fits.then_some(rest)
}

/// Whether a word is `TAG[PID]:` or `TAG:`, which no name of a host is; an IPv6 address may end with a colon as well.
fn is_tag(word: &[u8]) -> bool {
    let Some(name) = word.strip_suffix(b":") else { return false };
    let name = match name.strip_suffix(b"]") {
        Some(rest) => without_digits(rest).strip_suffix(b"[").unwrap_or(b""),
        None => name,
    };
    !name.is_empty() && !name.iter().any(|byte| matches!(byte, b':' | b'[' | b']'))
}

fn without_digits(text: &[u8]) -> &[u8] {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    &text[..text.len() - digits]
}

/// Splits `TAG[PID]: MESSAGE` or `TAG: MESSAGE`.
fn tagged(text: &[u8]) -> Option<Record<'_>> {
    let end = text.iter().position(|byte| matches!(byte, b'[' | b':' | b' '))?;
    let (process, rest) = text.split_at(end);
    if process.is_empty() {
        return None;
    }
    let (pid, rest) = match rest.strip_prefix(b"[") {
        Some(rest) => {
            let close = rest.iter().take(11).position(|&byte| byte == b']')?;
            (Some(number(&rest[..close])?), &rest[close + 1..])
        }
        None => (None, rest),
    };
    let message = match rest {
        b":" => b"",
        [b':', b' ', message @ ..] => message,
        _ => return None,
    };
    Some(Record { process, pid, message, ..Record::default() })
}

fn number(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

const MONTHS: [[u8; 4]; 12] = [
    *b"Jan ", *b"Feb ", *b"Mar ", *b"Apr ", *b"May ", *b"Jun ", *b"Jul ", *b"Aug ", *b"Sep ", *b"Oct ",
    *b"Nov ", *b"Dec ",
];

/// The names of syslog(3)'s facilities and levels (sys/syslog.h); `BusyBox` writes them behind the host's.
const FACILITIES: [&[u8]; 20] = [
    b"kern",
    b"user",
    b"mail",
    b"daemon",
    b"auth",
    b"syslog",
    b"lpr",
    b"news",
    b"uucp",
    b"cron",
    b"authpriv",
    b"ftp",
    b"local0",
    b"local1",
    b"local2",
    b"local3",
    b"local4",
    b"local5",
    b"local6",
    b"local7",
];

const LEVELS: [&[u8]; 8] = [b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug"];

/// No name of a facility or level is longer.
const LONGEST_NAME: usize = 9;

#[cfg(test)]
mod tests;
