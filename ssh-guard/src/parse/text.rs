//! Reads addresses, ports and words at the ends of a message.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a session came from, as far as a message says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Origin {
    pub(super) address: Option<IpAddr>,
    /// Known only together with the address.
    pub(super) port: Option<u16>,
}

impl Origin {
    /// The origin of a message that names none, or not in a way that can be trusted.
    pub(super) const UNKNOWN: Self = Self { address: None, port: None };

    fn new(word: &[u8], port: Option<u16>) -> Self {
        let address = address(word);
        Self { address, port: address.and(port) }
    }

    /// Reads a text that is nothing but `ADDR` or `ADDR port N`.
    pub(super) fn whole(text: &[u8]) -> Option<Self> {
        match Self::at_start(text) {
            Some((origin, b"")) => Some(origin),
            Some(_) => None,
            None => is_word(text).then(|| Self::new(text, None)),
        }
    }

    /// Reads `ADDR port N` at the start; returns what follows as well.
    pub(super) fn at_start(text: &[u8]) -> Option<(Self, &[u8])> {
        let end = text.iter().take(LONGEST_WORD).position(|&byte| byte == b' ')?;
        let (word, rest) = text.split_at(end);
        let rest = rest.strip_prefix(b" port ")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let port = port(&rest[..digits])?;
        is_word(word).then(|| (Self::new(word, Some(port)), &rest[digits..]))
    }

    /// Reads `ADDR port N` or `ADDR` at the start, and `mark` behind it; returns what follows as well.
    pub(super) fn at_start_before<'a>(text: &'a [u8], mark: &[u8]) -> Option<(Self, &'a [u8])> {
        if let Some((origin, rest)) = Self::at_start(text) {
            return Some((origin, rest.strip_prefix(mark)?));
        }
        // An IPv6 address holds colons, and no space.
        let end = text.iter().take(LONGEST_WORD).position(|&byte| byte == b' ')?;
        let last = mark.iter().position(|&byte| byte == b' ').unwrap_or(mark.len());
        let word = text[..end].strip_suffix(&mark[..last])?;
        let rest = text[word.len()..].strip_prefix(mark)?;
        is_word(word).then(|| (Self::new(word, None), rest))
    }

    /// Reads ` ADDR port N` at the end; returns what stands before it as well.
    pub(super) fn at_end(text: &[u8]) -> Option<(&[u8], Self)> {
        let (rest, number) = last_word(text)?;
        let port = port(number)?;
        let (before, word) = last_word(rest.strip_suffix(b" port")?)?;
        is_word(word).then(|| (before, Self::new(word, Some(port))))
    }

    /// Reads ` from ADDR port N` at the end; returns what stands before it as well.
    pub(super) fn from_port_at_end(text: &[u8]) -> Option<(&[u8], Self)> {
        let (before, origin) = Self::at_end(text)?;
        Some((before.strip_suffix(b" from")?, origin))
    }

    /// Reads ` from ADDR` at the end; returns what stands before it as well.
    pub(super) fn from_host_at_end(text: &[u8]) -> Option<(&[u8], Self)> {
        let (before, word) = last_word(text)?;
        is_word(word).then_some(())?;
        Some((before.strip_suffix(b" from")?, Self::word(word)))
    }

    /// Reads ` from ADDR` or ` from ADDR port N` at the end; returns what stands before it as well.
    pub(super) fn from_at_end(text: &[u8]) -> Option<(&[u8], Self)> {
        Self::from_port_at_end(text).or_else(|| Self::from_host_at_end(text))
    }

    /// Reads a text that is nothing but `ADDR:N`. The port stands behind the last colon: an IPv6 address has no brackets
    /// in this form, and would be another address with the port read as its end.
    pub(super) fn with_port_behind_colon(text: &[u8]) -> Option<Self> {
        let colon = text.iter().rposition(|&byte| byte == b':')?;
        let (word, number) = (&text[..colon], &text[colon + 1..]);
        let port = port(number)?;
        is_word(word).then(|| Self::new(word, Some(port)))
    }

    /// Reads a single word as an address.
    pub(super) fn word(word: &[u8]) -> Self {
        Self::new(word, None)
    }
}

/// How often an origin is found in a text that has words of the client's on both sides of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found<'a> {
    Nowhere,
    Once {
        before: &'a [u8],
        origin: Origin,
        after: &'a [u8],
    },
    /// The true one and one that the client wrote: nothing tells which is which.
    Often,
}

/// Looks for `LEAD ADDR port N TRAIL` (no spaces added) everywhere in the text.
pub(super) fn find<'a>(text: &'a [u8], lead: &[u8], trail: &[u8]) -> Found<'a> {
    let mut found = Found::Nowhere;
    for (at, window) in text.windows(PORT.len()).enumerate() {
        if window != PORT {
            continue;
        }
        let rest = &text[at + PORT.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(port) = port(&rest[..digits]) else { continue };
        let Some(after) = rest[digits..].strip_prefix(trail) else { continue };
        let Some((_, word)) = last_word(&text[..at]) else { continue };
        let Some(before) = text[..at - word.len()].strip_suffix(lead) else { continue };
        if word.is_empty() {
            continue;
        }
        if found != Found::Nowhere {
            return Found::Often;
        }
        found = Found::Once { before, origin: Origin::new(word, Some(port)), after };
    }
    found
}

/// Splits at the last space; nothing if there is none.
pub(super) fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().rposition(|&byte| byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

/// Splits at the first space; nothing if there is none.
pub(super) fn first_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().position(|&byte| byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

/// Reads decimal digits, at least one and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    let mut number = 0u32;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    (!digits.is_empty()).then_some(number)
}

pub(super) fn port(digits: &[u8]) -> Option<u16> {
    u16::try_from(number(digits)?).ok()
}

/// Reads an address; never a part of a name (`203.0.113.66.evil.example`). An IPv4-mapped address becomes the IPv4
/// one (sshd does the same, canohost.c), a zone (`fe80::1%eth0`) is left out.
pub(crate) fn address(word: &[u8]) -> Option<IpAddr> {
    if word.len() >= LONGEST_WORD {
        return None;
    }
    let text = str::from_utf8(word).ok()?;
    if !text.contains(':') {
        return text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let text = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _zone)) => address,
        None => text,
    };
    text.parse::<Ipv6Addr>().ok().map(|address| address.to_canonical())
}

/// Whether the text is one word: an address, a host name, or sshd's `UNKNOWN`.
fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && !text.contains(&b' ')
}

const PORT: &[u8] = b" port ";

/// No address, host name or zone is longer (`NI_MAXHOST` of netdb.h).
const LONGEST_WORD: usize = 1025;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_a_whole_word() {
        assert_eq!(address(b"203.0.113.7"), Some(ip("203.0.113.7")));
        assert_eq!(address(b"::ffff:203.0.113.7"), Some(ip("203.0.113.7")));
        assert_eq!(address(b"2001:db8::7"), Some(ip("2001:db8::7")));
        assert_eq!(address(b"fe80::1%eth0"), Some(ip("fe80::1")));
        let not_addresses: [&[u8]; 10] = [
            b"203.0.113.66.evil.example",
            b"203.0.113.7%eth0",
            b"203.0.113",
            b"203.0.113.007",
            b"203.0.113.7,",
            b"fe80::1%",
            b"[2001:db8::7]",
            b"UNKNOWN",
            b"",
            b"\xff",
        ];
        for word in not_addresses {
            assert_eq!(address(word), None, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn a_port_is_known_only_with_its_address() {
        assert_eq!(Origin::whole(b"host.example port 22"), Some(Origin::UNKNOWN));
        assert_eq!(Origin::whole(b"203.0.113.7 port 65536"), None);
        assert_eq!(Origin::whole(b"203.0.113.7 port "), None);
        assert_eq!(Origin::whole(b"203.0.113.7 port 22 "), None);
    }

    #[test]
    fn a_port_behind_a_colon_is_no_part_of_an_address() {
        let read = |text: &[u8]| Origin::with_port_behind_colon(text);
        let origin = |address: &str, port| Some(Origin { address: Some(ip(address)), port: Some(port) });
        assert_eq!(read(b"203.0.113.7:41022"), origin("203.0.113.7", 41022));
        // Both readings are addresses.
        assert_eq!(read(b"fd77::8:4548"), origin("fd77::8", 4548));
        assert_eq!(read(b"2001:db8:1:2:3:4:5:6:59257"), origin("2001:db8:1:2:3:4:5:6", 59257));
        for none in [&b"203.0.113.7"[..], b"203.0.113.7:", b"203.0.113.7:x", b":22", b"", b"a b:22"] {
            assert_eq!(read(none), None, "{}", none.escape_ascii());
        }
        assert_eq!(read(b"host.example:22"), Some(Origin::UNKNOWN));
    }

    #[test]
    fn an_origin_that_stands_twice_is_nobodys() {
        let text = b"x 192.0.2.66 port 22: 203.0.113.7 port 5: bye";
        assert_eq!(find(text, b" ", b": "), Found::Often);
        let origin = Origin { address: Some(ip("203.0.113.7")), port: Some(5) };
        let once = Found::Once { before: b"", origin, after: b"bye" };
        assert_eq!(find(b" 203.0.113.7 port 5: bye", b" ", b": "), once);
        // What is in the place of an address need not be one to make the text ambiguous.
        assert_eq!(find(b"x UNKNOWN port 65535: 203.0.113.7 port 5: bye", b" ", b": "), Found::Often);
        assert_eq!(find(b"203.0.113.7 port 5: bye", b" ", b": "), Found::Nowhere);
    }
}
