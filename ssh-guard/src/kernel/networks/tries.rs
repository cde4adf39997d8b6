//! The tries that networks stand in.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::Pod;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Map, MapData, MapError};
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;

use super::super::is_missing;
use super::super::walk::{TrieKey, again, keys_after};
use crate::fault::{Exit, Fault};
use crate::network::Network;

/// A trie for each family: in one for both, `::/0` would hold all of IPv4.
pub(super) trait Tries {
    /// The block of a network that stands there; for another one it may be that of a network around it.
    fn get(&self, network: Network) -> Result<Option<Block>, Fault>;
    /// Writes a network's block; readers see the old one or the new.
    fn put(&mut self, network: Network, block: Block) -> Result<(), Fault>;
    /// Takes a network's block out, if it is there.
    fn take(&mut self, network: Network) -> Result<(), Fault>;
    /// At most `count` networks of a family that stand there, behind another one, or the first ones. If that one is
    /// gone, it begins again.
    fn after(&self, family: Family, after: Option<Mark>, count: usize)
    -> Result<Vec<(Mark, Network)>, Fault>;
}

/// A key as it stands in a trie, which for what somebody else wrote may not be how its network is written here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) struct Mark(pub(in crate::kernel) TrieKey<16>);

/// Which trie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kernel) enum Family {
    V4,
    V6,
}

/// The tries in the kernel.
pub(super) struct KernelTries {
    v4: LpmTrie<MapData, [u8; 4], Block>,
    v6: LpmTrie<MapData, [u8; 16], Block>,
    /// To go through their keys.
    walks: [OwnedFd; 2],
}

impl KernelTries {
    pub(super) fn new(v4: Map, v6: Map) -> Result<Self, Fault> {
        let wrong = |error: MapError| {
            Fault::new(Exit::Failure, "a trie of banned networks is not what it should be").because(error)
        };
        let walks = [again(&v4)?, again(&v6)?];
        Ok(Self {
            v4: LpmTrie::try_from(v4).map_err(wrong)?,
            v6: LpmTrie::try_from(v6).map_err(wrong)?,
            walks,
        })
    }
}

impl Tries for KernelTries {
    fn get(&self, network: Network) -> Result<Option<Block>, Fault> {
        if network.is_v4() { get(&self.v4, &key_v4(network)) } else { get(&self.v6, &key_v6(network)) }
    }

    fn put(&mut self, network: Network, block: Block) -> Result<(), Fault> {
        let put = if network.is_v4() {
            self.v4.insert(&key_v4(network), block, 0)
        } else {
            self.v6.insert(&key_v6(network), block, 0)
        };
        put.map_err(|error| {
            Fault::new(Exit::Failure, format!("the kernel does not block {network}")).because(error)
        })
    }

    fn take(&mut self, network: Network) -> Result<(), Fault> {
        let taken =
            if network.is_v4() { self.v4.remove(&key_v4(network)) } else { self.v6.remove(&key_v6(network)) };
        match taken {
            Err(error) if !is_missing(&error) => {
                Err(Fault::new(Exit::Failure, format!("the kernel does not unblock {network}"))
                    .because(error))
            }
            _ => Ok(()),
        }
    }

    fn after(
        &self,
        family: Family,
        after: Option<Mark>,
        count: usize,
    ) -> Result<Vec<(Mark, Network)>, Fault> {
        let [v4, v6] = &self.walks;
        let unreadable =
            |error| Fault::new(Exit::Failure, "cannot look through the banned networks").because(error);
        let prefix = |prefix: u32| u8::try_from(prefix).unwrap_or(u8::MAX);
        match family {
            Family::V4 => {
                let after = after.map(|Mark(TrieKey { prefix, address: [a, b, c, d, ..] })| TrieKey {
                    prefix,
                    address: [a, b, c, d],
                });
                let keys = keys_after(v4.as_fd(), after, count).map_err(unreadable)?;
                let told = |key: TrieKey<4>| {
                    let mut address = [0; 16];
                    address[..4].copy_from_slice(&key.address);
                    let source = Ipv4Addr::from(key.address).into();
                    (Mark(TrieKey { prefix: key.prefix, address }), Network::new(source, prefix(key.prefix)))
                };
                Ok(keys.into_iter().map(told).collect())
            }
            Family::V6 => {
                let keys = keys_after(v6.as_fd(), after.map(|Mark(key)| key), count).map_err(unreadable)?;
                let told = |key: TrieKey<16>| {
                    (
                        Mark(key),
                        Network::new(Source::from_words(bytemuck::cast(key.address)), prefix(key.prefix)),
                    )
                };
                Ok(keys.into_iter().map(told).collect())
            }
        }
    }
}

fn get<K: Pod>(trie: &LpmTrie<MapData, K, Block>, key: &Key<K>) -> Result<Option<Block>, Fault> {
    match trie.get(key, 0) {
        Ok(block) => Ok(Some(block)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Fault::new(Exit::Failure, "cannot read the banned networks").because(error)),
    }
}

fn key_v4(network: Network) -> Key<[u8; 4]> {
    let [.., a, b, c, d] = network.first().bytes();
    Key::new(network.prefix().into(), [a, b, c, d])
}

fn key_v6(network: Network) -> Key<[u8; 16]> {
    Key::new(network.prefix().into(), network.first().bytes())
}
