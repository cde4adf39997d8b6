//! Reads lists of addresses and networks, as they are published and exported: one a line, with comments.
//!
//! | line | is |
//! |---|---|
//! | `203.0.113.7`, `198.51.100.0/24`, `2001:db8::/32` | an entry |
//! | empty, or `#` or `;` first | nothing |
//! | `1.2.3.0/24 ; SBL123`, `203.0.113.7 2026-01-02 10:00:00 + 600` | an entry, and text about it |
//! | `203.0.113.7 203.0.113.8` | entries: nothing but addresses and networks stands there |
//! | `1.2.3.0 1.2.3.255 24` | rubbish: two addresses and other text may mean a range |
//! | `10.1.2.3/24` | rubbish: it may mean the network or the address |
//!
//! Lines end with LF or CRLF; a byte order mark at the start is skipped. With a line of rubbish, none of a list is taken:
//! it may be the wrong file, or one that was cut off.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use memchr::memchr;
use ssh_guard_common::source::Source;

use crate::config::network;
use crate::config::quote::shown;
use crate::network::Network;

/// A list as it was read: what stands in it, each once, in order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Listed {
    /// IPv4 addresses that were written without a length.
    pub v4: Vec<u32>,
    /// IPv6 addresses that were written without a length.
    pub v6: Vec<u128>,
    /// What was written with a length.
    pub networks: Vec<Network>,
    /// How many entries were there before.
    pub duplicates: u64,
}

/// Takes a list in pieces of any size. Memory: what is listed, and a line.
#[derive(Debug)]
pub struct Parser {
    listed: Listed,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    lines: u64,
    rubbish: Rubbish,
    most: usize,
    /// Entries of a kind above which duplicates are thrown out.
    crowded: usize,
    begun: bool,
}

/// Why a list is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoList {
    /// Some lines are no entries.
    Rubbish(Rubbish),
    /// It holds more than can be blocked.
    TooLong {
        /// The most that it may hold, of addresses of a family and of networks each.
        most: usize,
    },
}

/// Lines that are no entries.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rubbish {
    /// The numbers of the first of them, from 1, and what is wrong there.
    pub first: Vec<(u64, String)>,
    /// How many there were; reading ends at [`HOPELESS`].
    pub lines: u64,
}

/// The most entries of a kind: the largest 'limits.blocklist'.
pub const MOST: usize = 4_194_304;
/// Lines of rubbish after which a list is not read on.
pub const HOPELESS: u64 = 1000;
/// The longest line, in bytes; all addresses of a list may stand on one.
const LONGEST_LINE: usize = 1 << 20;
/// Lines of rubbish that are told.
const TOLD: usize = 5;

impl Default for Parser {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Parser {
    /// Will take at most `most` entries of a kind.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let (listed, line, rubbish) = (Listed::default(), Vec::new(), Rubbish::default());
        Self { listed, line, lines: 0, rubbish, most, crowded: most.max(1 << 16), begun: false }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is clear that the list is not taken, so that nobody need read on.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), NoList> {
        while let Some(end) = memchr(b'\n', piece) {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            if self.line.is_empty() {
                self.take(line);
            } else {
                self.keep(line);
                self.take_kept();
            }
            piece = rest;
        }
        self.keep(piece);
        self.make_room()?;
        if self.rubbish.lines >= HOPELESS { Err(self.refuse()) } else { Ok(()) }
    }

    /// Says what was listed.
    ///
    /// # Errors
    /// If there was a line of rubbish, or too much.
    pub fn finish(mut self) -> Result<Listed, NoList> {
        if !self.line.is_empty() {
            self.take_kept();
        }
        if self.rubbish.lines > 0 {
            return Err(self.refuse());
        }
        self.listed.compact();
        if self.listed.largest() > self.most {
            return Err(NoList::TooLong { most: self.most });
        }
        Ok(self.listed)
    }

    /// Keeps the beginning of a line; of one that is too long, as much as shows that.
    fn keep(&mut self, piece: &[u8]) {
        let room = (LONGEST_LINE + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn take_kept(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.take(&line);
        self.line = line;
        self.line.clear();
    }

    fn take(&mut self, line: &[u8]) {
        self.lines += 1;
        let mark = if self.begun { None } else { line.strip_prefix(b"\xef\xbb\xbf") };
        self.begun = true;
        let line = mark.unwrap_or(line).trim_ascii();
        // Most lines are this.
        if let Some(address) = ipv4(line) {
            return self.listed.v4.push(address);
        }
        if line.is_empty() || is_comment(line[0]) {
            return;
        }
        if line.len() > LONGEST_LINE {
            return self.throw_out(format!("the line is longer than {LONGEST_LINE} bytes"));
        }
        if let Err(why) = self.listed.take(line) {
            self.throw_out(why);
        }
    }

    fn throw_out(&mut self, why: String) {
        self.rubbish.lines += 1;
        if self.rubbish.first.len() < TOLD {
            self.rubbish.first.push((self.lines, why));
        }
    }

    /// Throws out duplicates before the list takes more memory than it may.
    fn make_room(&mut self) -> Result<(), NoList> {
        if self.listed.largest() <= self.crowded {
            return Ok(());
        }
        self.listed.compact();
        if self.listed.largest() > self.most {
            return Err(NoList::TooLong { most: self.most });
        }
        self.crowded = (self.listed.largest() * 2).max(self.crowded);
        Ok(())
    }

    fn refuse(&self) -> NoList {
        NoList::Rubbish(self.rubbish.clone())
    }
}

impl Listed {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.networks.len()
    }

    /// Whether nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of the networks lie in others.
    #[must_use]
    pub fn nested(&self) -> usize {
        let mut around: Option<Network> = None;
        let nested = |network: &&Network| {
            let inside = around.is_some_and(|around| around.contains(network));
            if !inside {
                around = Some(**network);
            }
            inside
        };
        self.networks.iter().filter(nested).count()
    }

    /// Writes the list so that it is read as the same one.
    ///
    /// # Panics
    /// Never: a vector takes all.
    #[must_use]
    pub fn to_text(&self) -> Vec<u8> {
        use std::io::Write as _;
        let mut text = Vec::with_capacity(16 * self.len());
        let written = || -> std::io::Result<()> {
            for address in &self.v4 {
                let [a, b, c, d] = address.to_be_bytes();
                writeln!(text, "{a}.{b}.{c}.{d}")?;
            }
            for address in &self.v6 {
                writeln!(text, "{}", Ipv6Addr::from_bits(*address))?;
            }
            self.networks.iter().try_for_each(|network| writeln!(text, "{network}"))
        }();
        written.expect("a vector takes all");
        text
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return Ok(()) };
        // Of a word like '1.2.3.4;comment', what stands before the comment.
        let entry = first.split(|byte| is_comment(*byte)).next().unwrap_or_default();
        self.push(entry)?;
        if entry.len() < first.len() {
            return Ok(());
        }
        let mut others = 0;
        for word in words {
            let entry = word.split(|byte| is_comment(*byte)).next().unwrap_or_default();
            if !entry.is_empty() {
                match (self.push(entry), others) {
                    (Ok(()), _) => others += 1,
                    (Err(_), 0) => return Ok(()),
                    (Err(_), _) => {
                        let line = shown(&String::from_utf8_lossy(line));
                        return Err(format!("'{line}' has more than one address, and other text"));
                    }
                }
            }
            if entry.len() < word.len() {
                break;
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: &[u8]) -> Result<(), String> {
        if let Some(address) = ipv4(entry) {
            self.v4.push(address);
            return Ok(());
        }
        let text = String::from_utf8_lossy(entry);
        let network = network::parse(&text).map_err(|error| error.to_string())?;
        if entry.contains(&b'/') {
            self.networks.push(network.into());
            return Ok(());
        }
        match network {
            IpNet::V4(v4) => self.v4.push(v4.addr().to_bits()),
            IpNet::V6(v6) => self.v6.push(v6.addr().to_bits()),
        }
        Ok(())
    }

    fn largest(&self) -> usize {
        self.v4.len().max(self.v6.len()).max(self.networks.len())
    }

    fn compact(&mut self) {
        fn compact<T: Ord>(entries: &mut Vec<T>) -> u64 {
            let before = entries.len();
            // What was published is sorted already, more often than not.
            if !entries.is_sorted() {
                entries.sort_unstable();
            }
            entries.dedup();
            (before - entries.len()) as u64
        }
        self.duplicates += compact(&mut self.v4) + compact(&mut self.v6) + compact(&mut self.networks);
    }
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { most } => write!(f, "it holds more than {most} entries"),
            Self::Rubbish(Rubbish { first, lines }) => {
                for (index, (line, why)) in first.iter().enumerate() {
                    write!(f, "{}line {line}: {why}", if index > 0 { "; " } else { "" })?;
                }
                match lines.saturating_sub(first.len() as u64) {
                    0 => Ok(()),
                    _ if *lines >= HOPELESS => write!(f, "; and a thousand lines more like these"),
                    more => write!(f, "; and {more} lines more like these"),
                }
            }
        }
    }
}

impl std::error::Error for NoList {}

fn is_comment(byte: u8) -> bool {
    matches!(byte, b'#' | b';')
}

/// Reads a dotted quad as `Ipv4Addr` does, in a fraction of the time; nothing else.
fn ipv4(text: &[u8]) -> Option<u32> {
    let (mut address, mut part, mut digits, mut dots) = (0_u32, 0_u32, 0, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && !(digits == 1 && part == 0) => {
                part = part * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && part <= 255 && dots < 3 => {
                address = address << 8 | part;
                (part, digits, dots) = (0, 0, dots + 1);
            }
            _ => return None,
        }
    }
    (dots == 3 && digits > 0 && part <= 255).then_some(address << 8 | part)
}

/// An IPv4 address as a source.
pub(super) fn source_of(address: u32) -> Source {
    Ipv4Addr::from_bits(address).into()
}

#[cfg(test)]
mod tests;
