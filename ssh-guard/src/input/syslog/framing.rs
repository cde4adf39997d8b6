//! Cuts a TCP connection of syslog into messages, as RFC 6587 has them and as senders do it; pure, in bounded memory.
//!
//! Octet counting (`LEN SP MSG`, §3.4.1) begins with a digit; anything else (a message begins with `<`) is text that a byte
//! ends, a newline or a NUL (§3.4.2): whichever comes first holds for the connection, so that a NUL in a message between
//! newlines makes no second one, nor the other way round.

/// How much is read at once, in bytes.
const BLOCK: usize = 16 * 1024;

/// Digits of the longest length that is believed: 10 MB. Whoever announces more is not speaking this protocol.
const MAX_DIGITS: usize = 7;

/// What [`trimmed`] takes off at most.
const TAIL: usize = 3;

/// A buffer that is read into and gives complete messages. One over the limit is skipped and counted, never cut in two.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Empty until something comes: a connection on which nothing does takes no room.
    buffer: Vec<u8>,
    /// Where what was not given yet begins.
    start: usize,
    /// Up to where no end stands.
    searched: usize,
    end: usize,
    limit: usize,
    form: Form,
    skip: Skip,
    too_long: u64,
}

/// How messages are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Unknown,
    Counted,
    /// By a byte; it is not known yet which.
    Ended,
    EndedBy(u8),
}

/// What is left of a message that is over the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Skip {
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// All up to its end.
    ToEnd,
}

/// Where a length should stand, there is none: from here on no message can be told from the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message does not begin with its length")]
pub(crate) struct BadLength;

impl Frames {
    /// Makes a buffer for messages of up to `limit` bytes, their end not counted.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            end: 0,
            limit,
            form: Form::Unknown,
            skip: Skip::Nothing,
            too_long: 0,
        }
    }

    /// Where the next bytes go, at least 16 KiB once [`Frames::next`] has said `None`.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.buffer.resize(MAX_DIGITS + 1 + self.limit + TAIL + BLOCK, 0);
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// Takes the first `count` bytes of what [`Frames::space`] gave.
    pub(crate) fn filled(&mut self, count: usize) {
        debug_assert!(self.start == 0 && self.end + count <= self.buffer.len(), "there was less space");
        self.end += count;
    }

    /// Gives the next complete message without what ends it; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// If no message begins where one should; nothing more will come then.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, BadLength> {
        loop {
            if self.form == Form::Unknown && self.start < self.end {
                let counted = matches!(self.buffer[self.start], b'1'..=b'9');
                self.form = if counted { Form::Counted } else { Form::Ended };
            }
            let found = match self.form {
                Form::Unknown => None,
                Form::Counted => self.next_counted()?,
                Form::Ended | Form::EndedBy(_) => self.next_ended(),
            };
            match found {
                Some((from, to)) if from == to => {}
                Some((from, to)) => return Ok(Some(&self.buffer[from..to])),
                None => return Ok(None),
            }
        }
    }

    /// Whether a message has begun whose end is not there yet.
    pub(crate) fn is_in_one(&self) -> bool {
        self.start < self.end || self.skip != Skip::Nothing
    }

    /// How many messages were over the limit since this was last asked.
    pub(crate) fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }

    fn next_counted(&mut self) -> Result<Option<(usize, usize)>, BadLength> {
        loop {
            if let Skip::Bytes(left) = self.skip {
                let there = left.min(self.end - self.start);
                self.start += there;
                self.searched = self.start;
                self.skip = if there == left { Skip::Nothing } else { Skip::Bytes(left - there) };
                if self.skip != Skip::Nothing {
                    return Ok(None);
                }
            }
            let Some((digits, length)) = length(&self.buffer[self.start..self.end])? else { return Ok(None) };
            let from = self.start + digits + 1;
            if length > self.limit + TAIL {
                self.too_long += 1;
                self.start = from;
                self.skip = Skip::Bytes(length);
                continue;
            }
            if self.end - from < length {
                return Ok(None);
            }
            self.start = from + length;
            self.searched = self.start;
            let text = trimmed(&self.buffer[from..from + length]);
            if text.len() > self.limit {
                self.too_long += 1;
                continue;
            }
            return Ok(Some((from, from + text.len())));
        }
    }

    fn next_ended(&mut self) -> Option<(usize, usize)> {
        loop {
            let unread = &self.buffer[self.searched..self.end];
            let found = match self.form {
                Form::EndedBy(byte) => memchr::memchr(byte, unread),
                _ => memchr::memchr2(b'\n', 0, unread),
            };
            let Some(length) = found else { break };
            let (from, at) = (self.start, self.searched + length);
            self.form = Form::EndedBy(self.buffer[at]);
            self.start = at + 1;
            self.searched = self.start;
            if std::mem::replace(&mut self.skip, Skip::Nothing) != Skip::Nothing {
                continue;
            }
            let to = from + trimmed(&self.buffer[from..at]).len();
            if to - from > self.limit {
                self.too_long += 1;
                continue;
            }
            return Some((from, to));
        }
        self.searched = self.end;
        if self.skip != Skip::Nothing {
            self.start = self.end;
        } else if self.end - self.start > self.limit + TAIL {
            self.too_long += 1;
            self.start = self.end;
            self.skip = Skip::ToEnd;
        }
        None
    }
}

/// A message without the line end, or the NUL, that some senders put behind it, inside the length or the datagram.
pub(super) fn trimmed(message: &[u8]) -> &[u8] {
    let message = message.strip_suffix(b"\0").unwrap_or(message);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    message.strip_suffix(b"\r").unwrap_or(message)
}

/// Reads `LEN SP`: how many digits there are, and what they say; nothing if there are more to come.
fn length(text: &[u8]) -> Result<Option<(usize, usize)>, BadLength> {
    let digits = text.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > MAX_DIGITS || text.first() == Some(&b'0') {
        return Err(BadLength);
    }
    match text.get(digits) {
        None => Ok(None),
        Some(b' ') if digits > 0 => {
            let value = text[..digits].iter().fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
            Ok(Some((digits, value)))
        }
        Some(_) => Err(BadLength),
    }
}

#[cfg(test)]
mod tests;
