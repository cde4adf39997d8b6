//! Writes blocks into the kernel: what it drops follows from the bans, the lists and the allowlist together.

use ssh_guard_common::flat::OVERLAPS;
use ssh_guard_common::records::{Block, Settings};
use ssh_guard_common::time::Ticks;

use super::{Guard, Maps};
use crate::allowlist::{Allowlist, Covered};
use crate::ban::Scope;
use crate::fault::Fault;
use crate::kernel::{self, Networks};
use crate::lists::{Entry, Lists};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::{MapOperation, Metrics};
use crate::policy::bannable::Protected;

/// The blocks in the kernel, and what is excepted from them.
pub(in crate::daemon) struct Enactor<'a> {
    pub(in crate::daemon) blocklist: &'a mut kernel::Blocklist,
    pub(in crate::daemon) networks: &'a mut Networks,
    pub(in crate::daemon) settings: &'a mut kernel::SettingsMap,
    pub(in crate::daemon) clock: &'a kernel::KernelClock,
    pub(in crate::daemon) allowlist: &'a Allowlist,
    pub(in crate::daemon) protected: &'a Protected,
    pub(in crate::daemon) metrics: &'a Metrics,
}

impl Enactor<'_> {
    /// Blocks each until its end, which is not the kernel's business if it has none of its own: then it passes.
    ///
    /// # Errors
    /// If the kernel refuses; some may be written then.
    pub(in crate::daemon) fn write(
        &mut self,
        entries: impl IntoIterator<Item = (Entry, Option<Moment>)>,
    ) -> Result<(), Fault> {
        let (mut block, mut unblock) = (Vec::new(), Vec::new());
        for ((network, scope), until) in entries {
            let Some(until) = until else {
                match scope {
                    Scope::Source => self.unblock(network)?,
                    Scope::Network => unblock.push(network),
                }
                continue;
            };
            let until = self.clock.ticks_at(Some(until).filter(|until| *until != Moment::NEVER));
            let overlaps = self.overlaps(network);
            match scope {
                Scope::Network => block.push((network, until, overlaps)),
                Scope::Source => {
                    self.put_to_use(Settings::BLOCKLIST)?;
                    let written = self.blocklist.block(network.first(), until, overlaps);
                    written.inspect_err(|_| self.metrics.refused(MapOperation::Block))?;
                }
            }
        }
        self.block_networks(block)?;
        if !unblock.is_empty() {
            let written = self.networks.unblock_all(unblock);
            written.inspect_err(|_| self.metrics.refused(MapOperation::UnblockNetwork))?;
        }
        Ok(())
    }

    /// Blocks as an earlier daemon did, until what is listed lets go of it too.
    ///
    /// # Errors
    /// If the kernel refuses; some may be written then.
    pub(in crate::daemon) fn restore(
        &mut self,
        blocked: impl IntoIterator<Item = (Entry, Block)>,
        lists: &Lists,
    ) -> Result<(), Fault> {
        let mut networks = Vec::new();
        for (entry, block) in blocked {
            // What is listed is blocked without an end already.
            if lists.hold(entry) {
                continue;
            }
            let (network, scope) = entry;
            let overlaps = self.overlaps(network);
            match scope {
                Scope::Network => networks.push((network, block.until(), overlaps)),
                Scope::Source => {
                    self.put_to_use(Settings::BLOCKLIST)?;
                    let flag = if overlaps { OVERLAPS } else { 0 };
                    let restored =
                        self.blocklist.restore(network.first(), Block { end: block.until() | flag, ..block });
                    restored.inspect_err(|_| self.metrics.refused(MapOperation::Block))?;
                }
            }
        }
        self.block_networks(networks)
    }

    fn block_networks(&mut self, networks: Vec<(Network, Ticks, bool)>) -> Result<(), Fault> {
        if networks.is_empty() {
            return Ok(());
        }
        for (network, ..) in &networks {
            self.put_to_use(Networks::flag_of(*network))?;
        }
        let written = self.networks.block_all(networks);
        written.inspect_err(|_| self.metrics.refused(MapOperation::BlockNetwork))
    }

    fn overlaps(&self, network: Network) -> bool {
        overlaps(network, self.allowlist, self.protected)
    }

    fn unblock(&mut self, source: Network) -> Result<(), Fault> {
        let written = self.blocklist.unblock(source.first());
        written.inspect_err(|_| self.metrics.refused(MapOperation::Unblock))
    }

    fn put_to_use(&mut self, map: u32) -> Result<(), Fault> {
        let written = self.settings.put_to_use(map, true);
        written.inspect_err(|_| self.metrics.refused(MapOperation::Block))
    }
}

/// Whether some addresses, and not all, are excepted from a block.
pub(super) fn overlaps(network: Network, allowlist: &Allowlist, protected: &Protected) -> bool {
    allowlist.covers(network.first(), network.prefix()) == Covered::Part || protected.is_partly_in(&network)
}

impl Guard {
    /// Blocks each of these until then, or lets it pass.
    pub(super) fn write(
        &mut self,
        entries: impl IntoIterator<Item = (Entry, Option<Moment>)>,
    ) -> Result<(), Fault> {
        let Self { maps, allowlist, protected, metrics, .. } = self;
        let Maps { blocklist, networks, settings, clock, .. } = maps;
        let mut blocks = false;
        let entries = entries.into_iter().inspect(|(_, until)| blocks |= until.is_some());
        let mut enactor = Enactor { blocklist, networks, settings, clock, allowlist, protected, metrics };
        let written = enactor.write(entries);
        if blocks {
            self.blocked.notify_one();
        }
        written
    }

    /// Makes the kernel's blocks of these what the bans and the lists say.
    pub(super) fn settle(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), Fault> {
        let settled: Vec<_> = entries.into_iter().map(|entry| (entry, self.until(entry))).collect();
        self.write(settled)
    }

    /// Until when exactly this source or network is to be blocked.
    pub(super) fn until(&self, entry: Entry) -> Option<Moment> {
        self.ledger.get(entry.0).map(|ban| ban.until).max(self.listed_until(entry))
    }

    /// Until when exactly this source or network is to be blocked because it is listed.
    pub(super) fn listed_until(&self, entry: Entry) -> Option<Moment> {
        self.lists.until(entry).filter(|_| !self.is_exempt(entry.0))
    }

    /// What stands in the kernel of exactly this source or network.
    pub(super) fn block_of(&self, (network, scope): Entry) -> Option<Block> {
        let block = match scope {
            Scope::Source => self.maps.blocklist.block_of(network.first()),
            Scope::Network => self.maps.networks.block_of(network),
        };
        block.unwrap_or_default()
    }
}
