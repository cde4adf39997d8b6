//! Addresses in no visible order, none of them twice, the same in every run.

use std::net::Ipv4Addr;

use ssh_guard_common::source::Source;

/// IPv4 addresses that a router on the internet would forward, none of `10.0.0.0/8`: that is this side.
pub fn strangers_v4() -> impl Iterator<Item = Ipv4Addr> {
    (0..=u32::MAX).map(scatter).map(Ipv4Addr::from_bits).filter(|address| is_on_the_internet(*address))
}

/// IPv6 addresses, each of a /64 of its own.
pub fn strangers_v6() -> impl Iterator<Item = Source> {
    (0..=u32::MAX).map(|number| {
        let [word, interface] = [scatter(number), scatter(!number)];
        Source::from_v6([0x2400_0000_u32.to_be(), word.to_be(), 0, interface.to_be()])
    })
}

/// Addresses in `10.0.0.0/8`, in `networks` (up to 65,536) different /24 of it, over and over again.
pub fn friends_v4(networks: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..=u32::MAX).map(move |number| friend(scatter(number) % networks, scatter(!number)))
}

/// The networks that [`friends_v4`] come from, by their first address.
pub fn networks_of_friends(networks: u32) -> impl Iterator<Item = Ipv4Addr> {
    (0..networks).map(|network| friend(network, 0))
}

fn friend(network: u32, host: u32) -> Ipv4Addr {
    // An odd factor: 16 bits of the product are as different as the networks are.
    let scattered = network.wrapping_mul(0x9e37) & 0xffff;
    Ipv4Addr::from_bits(10 << 24 | scattered << 8 | host & 0xff)
}

fn is_on_the_internet(address: Ipv4Addr) -> bool {
    // From 224 on it is multicast, or reserved (RFC 6890); the kernel would throw 0 and 127 away by itself.
    !matches!(address.octets()[0], 0 | 10 | 127 | 224..)
}

/// Gives each number another one, in no visible order: each step can be undone, so that no two can meet.
const fn scatter(number: u32) -> u32 {
    let mut bits = number;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MANY: usize = 200_000;

    #[test]
    fn no_source_comes_twice() {
        assert_eq!(strangers_v4().take(MANY).collect::<HashSet<_>>().len(), MANY);
        assert_eq!(
            strangers_v6().take(MANY).map(|source| source.words()[1]).collect::<HashSet<_>>().len(),
            MANY
        );
    }

    #[test]
    fn no_source_is_one_that_the_kernel_throws_away_by_itself() {
        for address in strangers_v4().take(MANY) {
            let odd = address.is_loopback() || address.is_multicast() || address.is_broadcast();
            assert!(!odd && address.octets()[0] != 0, "{address}");
        }
    }

    #[test]
    fn friends_are_in_their_networks_and_strangers_are_not() {
        let networks: HashSet<_> = networks_of_friends(256).map(|first| first.to_bits() >> 8).collect();
        assert_eq!(networks.len(), 256);
        let friends: Vec<_> = friends_v4(256).take(10_000).collect();
        assert!(friends.iter().all(|friend| networks.contains(&(friend.to_bits() >> 8))));
        let met: HashSet<_> = friends.iter().map(|friend| friend.to_bits() >> 8).collect();
        assert_eq!(met, networks, "some network has no friend");
        assert!(strangers_v4().take(MANY).all(|stranger| !networks.contains(&(stranger.to_bits() >> 8))));
    }

    #[test]
    fn ipv6_sources_differ_in_their_first_64_bits() {
        let first = strangers_v6().next().unwrap();
        assert!(!first.is_v4());
        assert!(first.to_string().starts_with("2400:"), "{first}");
    }
}
