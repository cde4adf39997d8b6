//! The networks that are never dropped, in the kernel.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData};
use nix::errno::Errno;
use ssh_guard_common::time::Ticks;

use super::{errno, is_missing};
use crate::fault::{Exit, Fault};
use crate::network::Network;

/// The map `ALLOWLIST`.
pub struct Allowlist(LpmTrie<MapData, [u8; 16], Ticks>);

impl Allowlist {
    pub(super) fn new(map: Map) -> Result<Self, Fault> {
        LpmTrie::try_from(map).map(Self).map_err(|error| {
            Fault::new(Exit::Failure, "the allowlist is not what it should be").because(error)
        })
    }

    /// Lets a network's packets pass from now on, whatever else is said of them, until `until`.
    ///
    /// # Errors
    /// If the map is full, or the kernel refuses to write it; nothing has changed then.
    pub fn allow(&mut self, network: Network, until: Ticks) -> Result<(), Fault> {
        for key in keys(network) {
            self.0.insert(&key, until, 0).map_err(|error| {
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
            match self.0.remove(&key) {
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
