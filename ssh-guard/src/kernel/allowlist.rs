//! The networks that are never dropped, in the kernel.

use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use nix::errno::Errno;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::walk::{TrieKey, again, keys_after};
use super::{errno, is_missing};
use crate::fault::{Exit, Fault};
use crate::network::Network;

/// The map `ALLOWLIST`.
pub struct Allowlist {
    trie: LpmTrie<MapData, [u8; 16], Ticks>,
    /// To go through its keys.
    walk: OwnedFd,
}

/// A key as it stands there: an address and how many bits of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowed(TrieKey<16>);

impl Allowlist {
    pub(super) fn new(map: Map) -> Result<Self, Fault> {
        let walk = again(&map)?;
        let trie = LpmTrie::try_from(map).map_err(|error| {
            Fault::new(Exit::Failure, "the allowlist is not what it should be").because(error)
        })?;
        Ok(Self { trie, walk })
    }

    /// Whether a network's packets pass until one of these ticks, to one more or less.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn passes(&self, network: Network, until: &[Ticks]) -> Result<bool, Fault> {
        for key in keys(network) {
            let there = match self.trie.get(&key, 0) {
                Ok(there) => Some(there),
                Err(error) if is_missing(&error) => None,
                Err(error) => return Err(unreadable(error)),
            };
            if !there.is_some_and(|there| until.iter().any(|until| there.abs_diff(*until) <= 1)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// At most `count` of what stands there, behind another one, or the first ones; should that be gone, it begins again.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn after(&self, after: Option<Allowed>, count: usize) -> Result<Vec<Allowed>, Fault> {
        let keys = keys_after(self.walk.as_fd(), after.map(|Allowed(key)| key), count).map_err(unreadable)?;
        Ok(keys.into_iter().map(Allowed).collect())
    }

    /// Takes out what stands there.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn take(&mut self, Allowed(TrieKey { prefix, address }): Allowed) -> Result<(), Fault> {
        match self.trie.remove(&Key::new(prefix, address)) {
            Err(error) if !is_missing(&error) => {
                Err(Fault::new(Exit::Failure, "the kernel still allows what nobody does").because(error))
            }
            _ => Ok(()),
        }
    }

    /// Lets a network's packets pass from now on, whatever else is said of them, until `until`.
    ///
    /// # Errors
    /// If the map is full, or the kernel refuses to write it; nothing has changed then.
    pub fn allow(&mut self, network: Network, until: Ticks) -> Result<(), Fault> {
        for key in keys(network) {
            self.trie.insert(&key, until, 0).map_err(|error| {
                if errno(&error) == Some(Errno::ENOSPC) {
                    Fault::new(Exit::Failure, format!("the allowlist is full: {network} is not allowed"))
                        .hint("name larger networks in place of many small ones")
                } else {
                    Fault::new(Exit::Failure, format!("the kernel does not allow {network}")).because(error)
                }
            })?;
        }
        Ok(())
    }

    /// Judges a network's packets like any other's again.
    ///
    /// # Errors
    /// If the kernel refuses to write the map; the network is still allowed then.
    pub fn disallow(&mut self, network: Network) -> Result<(), Fault> {
        for key in keys(network) {
            match self.trie.remove(&key) {
                Err(error) if !is_missing(&error) => {
                    let what = format!("the kernel still allows {network}");
                    return Err(Fault::new(Exit::Failure, what).because(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Allowed {
    /// Whether a network is written so, or partly so.
    #[must_use]
    pub fn is_of(self, network: Network) -> bool {
        let Self(TrieKey { prefix, address }) = self;
        keys(network).iter().any(|key| (key.prefix_len(), key.data()) == (prefix, address))
    }

    /// The network that it is, and those around it: one of them that holds `::ffff:0:0/96` is written in parts.
    pub fn meant(self) -> impl Iterator<Item = Network> {
        let Self(TrieKey { prefix, address }) = self;
        let source = Source::from_words(bytemuck::cast(address));
        let bits = u8::try_from(prefix).unwrap_or(u8::MAX);
        let own = Network::new(source, if source.is_v4() { bits.saturating_sub(96) } else { bits });
        let around = (0..bits.min(96)).map(move |wide| Network::new(own.first(), wide));
        std::iter::once(own).chain(around.filter(move |_| !own.is_v4()))
    }
}

fn unreadable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::new(Exit::Failure, "cannot look through the allowlist").because(error)
}

/// A network as the trie has it, IPv4 below `::ffff:0:0/96`: what holds that, such as `::/0`, is taken apart into all the
/// networks beside it, since no IPv4 address is meant.
fn keys(network: Network) -> Vec<Key<[u8; 16]>> {
    let (prefix, first) = (u32::from(network.prefix()), u128::from_be_bytes(network.first().bytes()));
    if network.is_v4() {
        return vec![Key::new(MAPPED_BITS + prefix, first.to_be_bytes())];
    }
    let bit = |length: u32| 1_u128 << (u128::BITS - length);
    let holds = |length: u32| length == 0 || (first ^ MAPPED) & !(bit(length) - 1) == 0;
    if prefix > MAPPED_BITS || !holds(prefix) {
        return vec![Key::new(prefix, first.to_be_bytes())];
    }
    let beside = |length: u32| (MAPPED ^ bit(length)) & !(bit(length) - 1);
    (prefix + 1..=MAPPED_BITS).map(|length| Key::new(length, beside(length).to_be_bytes())).collect()
}

/// `::ffff:0:0/96`, where IPv4 stands (RFC 4291 §2.5.5.2).
const MAPPED: u128 = 0xffff << 32;
const MAPPED_BITS: u32 = 96;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn written(text: &str) -> Vec<(String, u32)> {
        let network = text.parse::<ipnet::IpNet>().unwrap().into();
        keys(network)
            .into_iter()
            .map(|key| (Ipv6Addr::from(key.data()).to_string(), key.prefix_len()))
            .collect()
    }

    #[test]
    fn a_network_is_written_as_it_is_and_ipv4_where_it_is_mapped() {
        assert_eq!(written("10.0.0.0/8"), [("::ffff:10.0.0.0".to_owned(), 104)]);
        assert_eq!(written("0.0.0.0/0"), [("::ffff:0.0.0.0".to_owned(), 96)]);
        assert_eq!(written("2001:db8::/32"), [("2001:db8::".to_owned(), 32)]);
        assert_eq!(written("::1/128"), [("::1".to_owned(), 128)]);
    }

    #[test]
    fn all_of_ipv6_is_written_so_that_no_ipv4_address_is_in_it_and_every_other_one_once() {
        let keys = keys("::/0".parse::<ipnet::IpNet>().unwrap().into());
        assert_eq!(keys.len(), 96);
        let holding = |address: u128| {
            let holds = |key: &&Key<[u8; 16]>| {
                let shift = u128::BITS - key.prefix_len();
                u128::from_be_bytes(key.data()) >> shift == address >> shift
            };
            keys.iter().filter(holds).count()
        };
        for v4 in [0_u32, 1, 0x0a00_0001, u32::MAX] {
            assert_eq!(holding(MAPPED | u128::from(v4)), 0);
        }
        for v6 in [0, 1, MAPPED - 1, MAPPED + (1 << 32), 0x2001_0db8_u128 << 96, u128::MAX] {
            assert_eq!(holding(v6), 1, "{}", Ipv6Addr::from(v6));
        }
    }
}
