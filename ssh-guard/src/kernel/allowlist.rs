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
        self.0.insert(&key(network), until, 0).map_err(|error| {
            if errno(&error) == Some(Errno::ENOSPC) {
                Fault::new(Exit::Failure, format!("the allowlist is full: {network} is not allowed"))
                    .hint("name larger networks in place of many small ones")
            } else {
                Fault::new(Exit::Failure, format!("the kernel does not allow {network}")).because(error)
            }
        })
    }

    /// Judges a network's packets like any other's again.
    ///
    /// # Errors
    /// If the kernel refuses to write the map; the network is still allowed then.
    pub fn disallow(&mut self, network: Network) -> Result<(), Fault> {
        match self.0.remove(&key(network)) {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => {
                Err(Fault::new(Exit::Failure, format!("the kernel still allows {network}")).because(error))
            }
        }
    }
}

/// A network as the trie has it: IPv4 below `::ffff:0:0/96`.
fn key(network: Network) -> Key<[u8; 16]> {
    let mapped = if network.is_v4() { 96 } else { 0 };
    Key::new(mapped + u32::from(network.prefix()), network.first().bytes())
}
