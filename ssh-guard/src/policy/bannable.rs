//! What is never banned, whatever it does.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use crate::allowlist::{Allowlist, Covered};
use crate::network::Network;

/// The addresses that this host cannot do without.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Protected {
    /// The host's own addresses.
    pub own: Vec<IpAddr>,
    /// Its default gateways.
    pub gateways: Vec<IpAddr>,
}

/// Why a source or network is never banned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NeverBanned {
    /// 0.0.0.0/8 or `::`, which stand for this host (RFC 1122 §3.2.1.3, RFC 4291 §2.5.2).
    Unspecified,
    /// 127.0.0.0/8 or `::1`.
    Loopback,
    /// 169.254.0.0/16 or `fe80::/10`: routers and neighbours speak from there.
    LinkLocal,
    /// 224.0.0.0/4 or `ff00::/8`, which no packet comes from.
    Multicast,
    /// 255.255.255.255, which no packet comes from.
    Broadcast,
    /// One of the host's own addresses.
    Own,
    /// One of its default gateways.
    Gateway,
}

impl Protected {
    /// Says why `network`, a source with its prefix, is never banned: it is an address that never is, or lies among
    /// such; nothing if it may be banned, though perhaps not [whole](Self::is_partly_in).
    #[must_use]
    pub fn why_not(&self, network: &Network) -> Option<NeverBanned> {
        let special = special().iter().find(|(special, _)| special.overlaps(network));
        let is = |addresses: &[IpAddr]| addresses.iter().any(|own| *network == Network::from(*own));
        match special {
            Some((_, why)) => Some(*why),
            None if is(&self.own) => Some(NeverBanned::Own),
            None if is(&self.gateways) => Some(NeverBanned::Gateway),
            None => None,
        }
    }

    /// Whether some of a network's addresses, and not all, are the host's own or a gateway's: the neighbours in the
    /// host's own /64 are banned like anybody, and those addresses excepted.
    #[must_use]
    pub fn is_partly_in(&self, network: &Network) -> bool {
        self.addresses().any(|own| own != *network && network.contains(&own))
    }

    /// The networks inside `network` that no client's address is in.
    pub fn special_in(network: Network) -> impl Iterator<Item = Network> {
        special().iter().map(|(special, _)| *special).filter(move |special| network.contains(special))
    }

    /// All of them, each a network by itself.
    pub fn addresses(&self) -> impl Iterator<Item = Network> {
        self.own.iter().chain(&self.gateways).map(|address| Network::from(*address))
    }
}

/// Whether no ban may stand for a whole network.
#[must_use]
pub fn is_exempt(network: Network, protected: &Protected, allowlist: &Allowlist) -> bool {
    protected.why_not(&network).is_some()
        || allowlist.covers(network.first(), network.prefix()) == Covered::Whole
}

/// Whether somebody in a network is never banned, or allowed: then no rule bans it whole.
#[must_use]
pub fn holds_exempt(network: Network, protected: &Protected, allowlist: &Allowlist) -> bool {
    protected.why_not(&network).is_some()
        || protected.is_partly_in(&network)
        || allowlist.covers(network.first(), network.prefix()) != Covered::No
}

/// Whether a network holds so much of the internet that nobody bans it in passing: it is wider than a /8, or a /16 of
/// IPv6.
#[must_use]
pub fn is_wide(network: Network) -> bool {
    network.prefix() < if network.is_v4() { 8 } else { 16 }
}

impl NeverBanned {
    /// What it is, in words that fit after "it is" or "it holds".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Own => "an address of this host",
            Self::Gateway => "the default gateway",
        }
    }
}

impl fmt::Display for NeverBanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const SPECIAL: [(IpAddr, u8, NeverBanned); 9] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8, NeverBanned::Unspecified),
    (IpAddr::V4(Ipv4Addr::LOCALHOST), 8, NeverBanned::Loopback),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16, NeverBanned::LinkLocal),
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4, NeverBanned::Multicast),
    (IpAddr::V4(Ipv4Addr::BROADCAST), 32, NeverBanned::Broadcast),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128, NeverBanned::Loopback),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128, NeverBanned::Unspecified),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10, NeverBanned::LinkLocal),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8, NeverBanned::Multicast),
];

/// The same as networks, made once: every failure is held against them.
fn special() -> &'static [(Network, NeverBanned); SPECIAL.len()] {
    static NETWORKS: LazyLock<[(Network, NeverBanned); SPECIAL.len()]> =
        LazyLock::new(|| SPECIAL.map(|(address, prefix, why)| (Network::new(address.into(), prefix), why)));
    &NETWORKS
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    fn protected() -> Protected {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        Protected {
            own: vec![address("203.0.113.10"), address("2001:db8:1:2::10"), address("::ffff:203.0.113.11")],
            gateways: vec![address("203.0.113.1"), address("2001:db8:9::1")],
        }
    }

    fn why_not(network: &str) -> Option<NeverBanned> {
        protected().why_not(&network.parse::<IpNet>().unwrap().into())
    }

    fn is_partly_in(network: &str) -> bool {
        protected().is_partly_in(&network.parse::<IpNet>().unwrap().into())
    }

    #[test]
    fn addresses_that_no_client_has_are_never_banned() {
        use NeverBanned::{Broadcast, LinkLocal, Loopback, Multicast, Unspecified};
        for (network, why) in [
            ("0.0.0.0/32", Unspecified),
            ("127.0.0.1/32", Loopback),
            ("127.255.255.255/32", Loopback),
            ("169.254.7.7/32", LinkLocal),
            ("224.0.0.1/32", Multicast),
            ("239.255.255.255/32", Multicast),
            ("255.255.255.255/32", Broadcast),
            ("::/128", Unspecified),
            ("::1/128", Loopback),
            ("::/64", Loopback),
            ("fe80::/64", LinkLocal),
            ("febf::/64", LinkLocal),
            ("ff02::/64", Multicast),
            ("::ffff:127.0.0.1/128", Loopback),
            ("64:ff9b::127.0.0.1/128", Loopback),
        ] {
            assert_eq!(why_not(network), Some(why), "{network}");
        }
    }

    #[test]
    fn the_neighbours_of_such_addresses_may_be_banned() {
        for network in [
            "1.0.0.1/32",
            "126.255.255.255/32",
            "128.0.0.1/32",
            "169.253.255.255/32",
            "169.255.0.0/32",
            "223.255.255.255/32",
            "240.0.0.1/32",
            "192.0.2.1/32",
            "10.0.0.1/32",
            "203.0.113.12/32",
            "2001:db8:1:3::/64",
            "fe00::/64",
            "fec0::/64",
            "fd00::/64",
        ] {
            assert_eq!(why_not(network), None, "{network}");
        }
    }

    #[test]
    fn the_host_and_its_gateway_are_never_banned_and_excepted_where_their_neighbours_are() {
        for (address, why) in [
            ("203.0.113.10/32", NeverBanned::Own),
            ("203.0.113.11/32", NeverBanned::Own),
            ("203.0.113.1/32", NeverBanned::Gateway),
            ("2001:db8:9::1/128", NeverBanned::Gateway),
        ] {
            assert_eq!((why_not(address), is_partly_in(address)), (Some(why), false), "{address}");
        }
        for network in ["203.0.113.0/24", "2001:db8:1:2::/64", "2001:db8:9::/64"] {
            assert_eq!((why_not(network), is_partly_in(network)), (None, true), "{network}");
        }
        assert!(!is_partly_in("203.0.112.0/24") && !is_partly_in("203.0.113.12/32"));
    }

    #[test]
    fn the_whole_internet_is_never_banned() {
        assert!(why_not("0.0.0.0/0").is_some());
        assert!(why_not("128.0.0.0/1").is_some());
        assert!(why_not("::/0").is_some());
    }
}
