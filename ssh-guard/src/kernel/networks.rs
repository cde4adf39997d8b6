//! The banned networks in the kernel. Whoever holds this is their only writer.
//!
//! A lookup finds the narrowest network around an address and no other. So that a network which ends early opens no hole in
//! one around it, also while no daemon runs, each entry ends when the last of the banned networks that hold it does.

mod mend;
mod nest;
mod states;
mod tries;
mod writer;

use std::os::fd::AsFd as _;

use aya::maps::Map;
use ssh_guard_common::flat::{Shape, V4};
use ssh_guard_common::networks::CELLS;
use ssh_guard_common::records::{Block, Settings};
use ssh_guard_common::time::Ticks;

use super::Drift;
use super::flat::Table;
use super::memory::Memory;
use crate::fault::{Exit, Fault};
use crate::network::Network;
pub use mend::Look;
use nest::{Ban, Nest};
pub(super) use states::Stretch;
use tries::KernelTries;
use writer::{Change, Writer};

/// The banned networks.
pub struct Networks {
    writer: Writer<KernelTries>,
    capacity: u32,
}

/// The maps of the banned networks, as they were loaded.
pub(super) struct Maps {
    /// The bits of each /24.
    pub(super) states: Map,
    /// The flat table of /24s.
    pub(super) table: Map,
    pub(super) trie_v4: Map,
    pub(super) trie_v6: Map,
}

impl Networks {
    /// Takes the maps for so many networks.
    pub(super) fn new(maps: Maps, shape: Shape, capacity: u32) -> Result<Self, Fault> {
        let Maps { states, table, trie_v4, trie_v6 } = maps;
        let writer = Writer::new(
            memory(&states, CELLS)?,
            Table::new(memory(&table, shape.cells::<V4>())?, shape),
            KernelTries::new(trie_v4, trie_v6)?,
        );
        Ok(Self { writer, capacity })
    }

    /// The flag of [`Settings::in_use`] to set before the first network of this one's family is blocked.
    #[must_use]
    pub fn flag_of(network: Network) -> u32 {
        if network.is_v4() { Settings::NETWORKS_V4 } else { Settings::NETWORKS_V6 }
    }

    /// The flags of [`Settings::in_use`] for the families that have a network here.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        let (v4, v6) = self.writer.nest().families();
        let flag = |used, flag| if used { flag } else { 0 };
        flag(v4, Settings::NETWORKS_V4) | flag(v6, Settings::NETWORKS_V6)
    }

    /// Drops every packet from the network from now on, until `until`, which is
    /// cut to what [fits](ssh_guard_common::flat::fitting). What was counted for a network that is already there
    /// is kept. `overlaps`: addresses of the network that are excepted pass. A network around this one has them too, so it
    /// needs the flag as well.
    ///
    /// # Errors
    /// If there is no room, or the kernel refuses to write; nothing has changed then.
    pub fn block(&mut self, network: Network, until: Ticks, overlaps: bool) -> Result<(), Fault> {
        self.block_all([(network, until, overlaps)])
    }

    /// As [`Networks::block`], for many at once: all of them or, on an error, none. Of several entries for the same
    /// network the last one counts.
    ///
    /// # Errors
    /// As [`Networks::block`].
    pub fn block_all(
        &mut self,
        networks: impl IntoIterator<Item = (Network, Ticks, bool)>,
    ) -> Result<(), Fault> {
        let ban = |(network, until, overlaps)| (network, Some(Ban { until, overlaps }));
        let changes: Vec<Change> = networks.into_iter().map(ban).collect();
        let capacity = self.capacity;
        let asked = changes.len();
        self.writer.change(changes, |nest: &Nest| {
            if nest.len() <= capacity as usize {
                return Ok(());
            }
            let what = match asked {
                1 => "one more network".to_owned(),
                more => format!("{more} more networks"),
            };
            Err(Fault::new(Exit::Failure, format!("there is no room for {what}: {capacity} can be banned"))
                .hint("raise 'limits.networks', or ban a few wide networks in place of many narrow ones"))
        })
    }

    /// Lets the network's packets pass again, unless another one around or in it is blocked; one that is not blocked
    /// stays so.
    ///
    /// # Errors
    /// If the kernel refuses to write; the network is still blocked then.
    pub fn unblock(&mut self, network: Network) -> Result<(), Fault> {
        self.unblock_all([network])
    }

    /// As [`Networks::unblock`], for many at once: all of them or, on an error, none.
    ///
    /// # Errors
    /// As [`Networks::unblock`].
    pub fn unblock_all(&mut self, networks: impl IntoIterator<Item = Network>) -> Result<(), Fault> {
        let changes = networks.into_iter().map(|network| (network, None)).collect();
        self.writer.change(changes, |_| Ok(()))
    }

    /// The block of exactly this network, whether it is over or not, as it stands in the kernel: it ends when the last
    /// of the blocked networks that hold it does. A packet counts for the narrowest network around its source.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn block_of(&self, network: Network) -> Result<Option<Block>, Fault> {
        self.writer.block_of(network)
    }

    /// The end of exactly this network's block, as it was asked for last, and whether addresses of it are excepted.
    #[must_use]
    pub fn asked_for(&self, network: Network) -> Option<(Ticks, bool)> {
        self.writer.nest().get(network).map(|entry| (entry.ban.until, entry.ban.overlaps))
    }

    /// At most `count` blocked networks after another one, or the first ones.
    #[must_use]
    pub fn after(&self, after: Option<Network>, count: usize) -> Vec<Network> {
        self.writer.nest().after(after).take(count).map(|(network, _)| network).collect()
    }

    /// Looks at the next part of the maps, about `count` entries, and writes again what another writer has changed. Says what
    /// that was, and where to go on.
    ///
    /// # Errors
    /// If the kernel refuses to read or write.
    pub fn mend(&mut self, look: Look, count: usize) -> Result<(Drift, Option<Look>), Fault> {
        self.writer.mend(look, count)
    }

    /// How many networks are blocked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writer.nest().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn memory(map: &Map, cells: u32) -> Result<Memory, Fault> {
    let Map::Array(data) = map else {
        return Err(Fault::new(Exit::Failure, "a map of banned networks is not what it should be"));
    };
    Memory::of_map(data.fd().as_fd(), cells)
        .map_err(|error| Fault::new(Exit::Failure, "cannot map the banned networks").because(error))
}
