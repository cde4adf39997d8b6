//! Networks of sources: what the allowlist, protection and masked sources are compared by.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use ssh_guard_common::source::Source;

/// All addresses of one family that share their first bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    first: Source,
    prefix: u8,
}

impl Network {
    /// Makes the network of `prefix` bits around `source`; bits count within the source's own family (IPv4 0 to
    /// 32, IPv6 0 to 128), and more than all of them mean the address alone.
    #[must_use]
    pub fn new(source: Source, prefix: u8) -> Self {
        let offset = offset(source.is_v4());
        let prefix = prefix.min(128 - offset);
        let first = raw(bits(source) & !host_bits(prefix + offset));
        Self { first, prefix }
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> Source {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> Source {
        raw(bits(self.first) | host_bits(self.prefix + offset(self.is_v4())))
    }

    /// How many bits are shared, within the family.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether it is a network of IPv4 addresses.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.first.is_v4()
    }

    /// The network of `prefix` bits that this one lies in, or this one if it is no narrower.
    #[must_use]
    pub fn widened(&self, prefix: u8) -> Self {
        Self::new(self.first, prefix.min(self.prefix))
    }

    /// The narrowest network that holds this one and `other`, which is one of the same family.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let alike = (bits(self.first) ^ bits(other.first)).leading_zeros();
        let alike = u8::try_from(alike).unwrap_or(128) - offset(self.is_v4());
        self.widened(alike.min(other.prefix))
    }

    /// Whether every address of `other` is in it. No IPv6 network contains an IPv4 address.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_v4() == other.is_v4() && self.prefix <= other.prefix && other.widened(self.prefix) == *self
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self::new(address.into(), 128)
    }
}

impl From<IpNet> for Network {
    /// Takes a network as it is written. One that is only an envelope for IPv4 addresses (mapped, NAT64) becomes
    /// the IPv4 network inside.
    fn from(network: IpNet) -> Self {
        match network {
            IpNet::V4(v4) => Self::new(v4.addr().into(), v4.prefix_len()),
            IpNet::V6(v6) => {
                let source = Source::from(v6.addr());
                match v6.prefix_len().checked_sub(96) {
                    Some(prefix) if source.is_v4() => Self::new(source, prefix),
                    _ => {
                        let prefix = v6.prefix_len();
                        Self { first: raw(u128::from(v6.addr()) & !host_bits(prefix)), prefix }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn offset(is_v4: bool) -> u8 {
    if is_v4 { 96 } else { 0 }
}

fn bits(source: Source) -> u128 {
    u128::from_be_bytes(source.bytes())
}

/// Takes the bytes as they are: `Source::from_v6` would read the first address of `64:ff9b::/64` as 0.0.0.0.
fn raw(bits: u128) -> Source {
    bytemuck::cast(bits.to_be_bytes())
}

fn host_bits(prefix: u8) -> u128 {
    u128::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse::<IpNet>().unwrap().into()
    }

    #[test]
    fn a_network_holds_its_own_and_nothing_else() {
        assert!(network("203.0.113.0/24").contains(&network("203.0.113.7/32")));
        assert!(network("203.0.113.0/24").contains(&network("203.0.113.0/24")));
        assert!(!network("203.0.113.0/24").contains(&network("203.0.112.0/23")));
        assert!(network("203.0.112.0/23").overlaps(&network("203.0.113.0/24")));
        assert!(network("203.0.113.0/24").overlaps(&network("203.0.112.0/23")));
        assert!(!network("203.0.113.0/24").overlaps(&network("203.0.114.0/24")));
        assert!(network("2001:db8::/32").contains(&network("2001:db8:1:2::/64")));
    }

    #[test]
    fn all_of_ipv6_holds_no_ipv4_address() {
        assert!(!network("::/0").overlaps(&network("203.0.113.7/32")));
        assert!(network("::/0").contains(&network("2001:db8::1/128")));
        assert!(!network("0.0.0.0/0").overlaps(&network("2001:db8::1/128")));
        assert!(network("0.0.0.0/0").contains(&network("255.255.255.255/32")));
    }

    #[test]
    fn an_envelope_is_the_ipv4_network_inside() {
        assert_eq!(network("::ffff:203.0.113.0/120"), network("203.0.113.0/24"));
        assert_eq!(network("64:ff9b::203.0.113.0/120"), network("203.0.113.0/24"));
        assert_eq!(network("64:ff9b::/64").to_string(), "64:ff9b::/64");
    }

    #[test]
    fn two_networks_are_joined_by_the_narrowest_one_around_both() {
        let joined = |one: &str, other: &str| network(one).joined(&network(other)).to_string();
        assert_eq!(joined("203.0.112.0/24", "203.0.113.7/32"), "203.0.112.0/23");
        assert_eq!(joined("203.0.112.0/20", "203.0.113.7/32"), "203.0.112.0/20");
        assert_eq!(joined("203.0.113.7/32", "203.0.112.0/20"), "203.0.112.0/20");
        assert_eq!(joined("203.0.113.7/32", "203.0.113.7/32"), "203.0.113.7/32");
        assert_eq!(joined("1.0.0.0/8", "203.0.113.7/32"), "0.0.0.0/0");
        assert_eq!(joined("2001:db8::/48", "2001:db8:1::/48"), "2001:db8::/47");
        assert_eq!(joined("::/0", "ff00::/8"), "::/0");
    }

    #[test]
    fn bits_beyond_the_prefix_do_not_count() {
        assert_eq!(network("203.0.113.7/24").to_string(), "203.0.113.0/24");
        assert_eq!(network("203.0.113.7/24").last().to_string(), "203.0.113.255");
        assert_eq!(network("2001:db8::7/64").last().to_string(), "2001:db8::ffff:ffff:ffff:ffff");
        assert_eq!(Network::new("203.0.113.7".parse::<IpAddr>().unwrap().into(), 200).prefix(), 32);
    }
}
