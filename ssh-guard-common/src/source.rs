//! The key that everything about a remote address is kept under.

use core::cmp::Ordering;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A remote address that is judged: 16 bytes in network order, an IPv4 address in its mapped form
/// (`::ffff:a.b.c.d`, RFC 4291 §2.5.5.2), the rest masked to the configured prefix.
///
/// The bytes are held as four words, each as it stands in memory: the programs take words from the packet, mask and
/// compare words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Source([u32; 4]);

impl Source {
    /// Takes an IPv4 address as it stands in the packet.
    #[inline(always)]
    #[must_use]
    pub const fn from_v4(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// Takes an IPv6 address as it stands in the packet. An address that is only an envelope for an IPv4
    /// address (mapped, or NAT64's `64:ff9b::/96` of RFC 6052) becomes that IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn from_v6(words: [u32; 4]) -> Self {
        match words {
            [NAT64, 0, 0, word] => Self::from_v4(word),
            _ => Self(words),
        }
    }

    /// Whether the address is an IPv4 one.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        matches!(self.0, [0, 0, MAPPED, _])
    }

    /// Takes the four words of a source, as [`Source::words`] gave them.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The four words, as they stand in memory.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    /// The two halves: the first of a half's words is its upper one.
    #[inline(always)]
    #[must_use]
    pub fn halves(&self) -> [u64; 2] {
        let [a, b, c, d] = self.0.map(u64::from);
        [a << 32 | b, c << 32 | d]
    }

    /// Takes the two halves of a source, as [`Source::halves`] gave them.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "halves of the halves are meant")]
    pub const fn from_halves([high, low]: [u64; 2]) -> Self {
        Self([(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32])
    }

    /// The same in other memory: a key whose address is given to the kernel has to lie there, and the compiler would keep
    /// every word of it there from the beginning.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self) -> Self {
        let [a, b, c, d] = self.0;
        Self::from_words([a, b, c, d])
    }

    /// The 16 bytes, in network order.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        bytemuck::must_cast(self.0)
    }

    /// The address, or the first one of its prefix.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        Ipv6Addr::from(self.bytes()).to_canonical()
    }
}

/// `0:ffff` of a mapped IPv4 address.
const MAPPED: u32 = 0x0000_ffff_u32.to_be();
/// `64:ff9b` of NAT64.
const NAT64: u32 = 0x0064_ff9b_u32.to_be();

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Ipv4Addr> for Source {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4(u32::from_ne_bytes(address.octets()))
    }
}

impl From<Ipv6Addr> for Source {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_v6(bytemuck::must_cast(address.octets()))
    }
}

/// In the order of the addresses, IPv4 among the mapped ones.
impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(&other.bytes())
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// How much of an address makes a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct SourceMask {
    v4: u32,
    v6: [u32; 4],
}

impl Default for SourceMask {
    fn default() -> Self {
        Self::FULL
    }
}

impl SourceMask {
    /// Keeps the whole address of both families.
    pub const FULL: Self = Self::new(32, 128);

    /// Keeps `v4` bits (up to 32) of an IPv4 address and `v6` bits (up to 128) of an IPv6 address; more than
    /// that many bits count as all of them.
    #[must_use]
    pub const fn new(v4: u8, v6: u8) -> Self {
        let v4 = if v4 >= 32 { u32::MAX } else { !(u32::MAX >> v4) };
        let v6 = if v6 >= 128 { u128::MAX } else { !(u128::MAX >> v6) };
        Self { v4: v4.to_be(), v6: bytemuck::must_cast(v6.to_be_bytes()) }
    }

    /// Masks an address to its source. Relays that put the client into the address are never masked below the
    /// client: 6to4 (`2002::/16`, RFC 3056) keeps 48 bits, Teredo (`2001::/32`, RFC 4380) all.
    #[inline(always)]
    #[must_use]
    pub const fn apply(&self, address: Source) -> Source {
        let [a, b, c, d] = address.0;
        if address.is_v4() {
            return Source::from_v4(d & self.v4);
        }
        let [ma, mb, mc, md] = self.v6_for(a);
        Source([a & ma, b & mb, c & mc, d & md])
    }

    /// How many bits of this source's address count.
    #[must_use]
    pub const fn prefix_of(&self, source: Source) -> u8 {
        let bits = if source.is_v4() {
            self.v4.count_ones()
        } else {
            let [a, b, c, d] = self.v6_for(source.0[0]);
            a.count_ones() + b.count_ones() + c.count_ones() + d.count_ones()
        };
        #[expect(clippy::cast_possible_truncation, reason = "128 at the most")]
        {
            bits as u8
        }
    }

    /// The mask of IPv6 addresses that start with this word.
    #[inline(always)]
    const fn v6_for(&self, first: u32) -> [u32; 4] {
        if first == TEREDO {
            return [u32::MAX; 4];
        }
        if first & SIX_TO_FOUR_BITS == SIX_TO_FOUR {
            let [a, b, c, d] = self.v6;
            return [a | u32::MAX, b | 0xffff_0000_u32.to_be(), c, d];
        }
        self.v6
    }
}

const TEREDO: u32 = 0x2001_0000_u32.to_be();
const SIX_TO_FOUR: u32 = 0x2002_0000_u32.to_be();
const SIX_TO_FOUR_BITS: u32 = 0xffff_0000_u32.to_be();

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(address: &str, mask: SourceMask) -> String {
        mask.apply(address.parse::<IpAddr>().unwrap().into()).to_string()
    }

    #[test]
    fn an_ipv6_source_is_its_prefix_and_an_ipv4_source_the_whole_address() {
        let mask = SourceMask::new(32, 64);
        assert_eq!(masked("203.0.113.7", mask), "203.0.113.7");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", mask), "2001:db8:1:2::");
        assert_eq!(masked("203.0.113.7", SourceMask::new(24, 64)), "203.0.113.0");
        assert_eq!(masked("2001:db8:1:2:3:4:5:6", SourceMask::new(32, 56)), "2001:db8:1::");
    }

    #[test]
    fn an_envelope_is_judged_by_the_ipv4_address_inside() {
        let mask = SourceMask::new(32, 64);
        assert_eq!(masked("::ffff:203.0.113.7", mask), "203.0.113.7");
        assert_eq!(masked("64:ff9b::203.0.113.7", mask), "203.0.113.7");
    }

    #[test]
    fn a_relay_is_never_masked_below_its_client() {
        let mask = SourceMask::new(32, 32);
        assert_eq!(masked("2002:cb00:7107:1::1", mask), "2002:cb00:7107::");
        assert_eq!(
            masked("2001:0:4136:e378:8000:63bf:3fff:fdd2", mask),
            "2001:0:4136:e378:8000:63bf:3fff:fdd2"
        );
    }

    #[test]
    fn the_prefix_that_counts_is_told() {
        let mask = SourceMask::new(32, 64);
        let of = |address: &str| mask.prefix_of(address.parse::<IpAddr>().unwrap().into());
        assert_eq!([of("203.0.113.7"), of("2001:db8::1"), of("2001:0:1::1")], [32, 64, 128]);
        assert_eq!(SourceMask::new(32, 40).prefix_of("2002::".parse::<IpAddr>().unwrap().into()), 48);
    }

    #[test]
    fn a_prefix_of_nothing_and_one_too_long_are_all_and_nothing() {
        assert_eq!(masked("203.0.113.7", SourceMask::new(0, 0)), "0.0.0.0");
        assert_eq!(SourceMask::new(40, 200), SourceMask::FULL);
    }
}
