//! Lifts blocks of an earlier daemon while none runs, in its own maps. Whoever holds this has the lock on the pins, so it is
//! the only writer; the programs look on meanwhile.

use std::cmp::Reverse;
use std::path::Path;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError};
use ssh_guard_common::flat::LAST_END;
use ssh_guard_common::names;
use ssh_guard_common::networks::{CELLS, State};
use ssh_guard_common::records::Block;
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::{Ticks, is_over};

use super::super::is_missing;
use super::super::memory::Memory;
use super::super::networks::Stretch;
use super::super::{KernelClock, Pins};
use super::{Earlier, cells, open, strange};
use crate::fault::{Exit, Fault};
use crate::network::Network;

/// What an earlier daemon has in force, to be lifted.
pub struct Rescue {
    earlier: Earlier,
    beside: HashMap<MapData, Source, Block>,
    allowlist: LpmTrie<MapData, [u8; 16], Ticks>,
    /// The bits of each /24.
    states: Memory,
    now: Ticks,
    _pins: Pins,
}

/// What became of a block that was to be lifted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifted {
    /// It was in force, and is no more.
    Yes,
    /// It was not there.
    Absent,
    /// The configuration has it in force, and stays so.
    Configured,
}

impl Rescue {
    /// Opens what is pinned; none if nothing is.
    ///
    /// # Errors
    /// If a daemon has the lock, what is pinned is of another kind, or the caller may not.
    pub fn open(path: &Path) -> Result<Option<Self>, Fault> {
        let pins = Pins::find(path)?;
        let Some(earlier) = Earlier::find(&pins)? else { return Ok(None) };
        if !pins.is_ours() {
            let what = format!("a daemon that does not answer keeps its pins in '{}'", path.display());
            return Err(Fault::new(Exit::Failure, what)
                .hint("end that daemon first; or take the guard off: ssh-guard detach"));
        }
        let folder = pins.maps();
        let beside = HashMap::try_from(open(&folder, names::BLOCKED_BESIDE)?)
            .map_err(|error| strange(&folder, names::BLOCKED_BESIDE).because(error))?;
        let allowlist = LpmTrie::try_from(open(&folder, names::ALLOWLIST)?)
            .map_err(|error| strange(&folder, names::ALLOWLIST).because(error))?;
        let (states, found) = cells(&folder, names::BLOCKED_NETS)?;
        if found != CELLS {
            return Err(strange(&folder, names::BLOCKED_NETS).because("it has another number of entries"));
        }
        let now = KernelClock::alone(earlier.base())?.now();
        Ok(Some(Self { earlier, beside, allowlist, states, now, _pins: pins }))
    }

    /// How much of an address makes a source.
    #[must_use]
    pub fn mask(&self) -> SourceMask {
        self.earlier.mask()
    }

    /// Lifts the block of a source.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn lift_source(&mut self, source: Source) -> Result<Lifted, Fault> {
        let mut lifted = Lifted::Absent;
        let meant = |other: Source, block: &Block| {
            if other == source {
                lifted = if block.until() == LAST_END { Lifted::Configured } else { Lifted::Yes };
            }
            other == source && block.until() != LAST_END
        };
        if source.is_v4() {
            self.earlier.v4.take_each(meant);
        } else {
            self.earlier.v6.take_each(meant);
        }
        if lifted != Lifted::Absent {
            return Ok(lifted);
        }
        match self.beside.get(&source, 0) {
            Ok(block) if block.until() == LAST_END => Ok(Lifted::Configured),
            Ok(_) => self.beside.remove(&source).map(|()| Lifted::Yes).map_err(unwritable),
            Err(error) if is_missing(&error) => Ok(Lifted::Absent),
            Err(error) => Err(unwritable(error)),
        }
    }

    /// Lifts the block of exactly this network; those in it and around it stay.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn lift_network(&mut self, network: Network) -> Result<Lifted, Fault> {
        let block = self.earlier.networks()?.into_iter().find(|(other, _)| *other == network);
        let Some((_, block)) = block else { return Ok(Lifted::Absent) };
        if block.until() == LAST_END {
            return Ok(Lifted::Configured);
        }
        self.take_network(network)?;
        Ok(Lifted::Yes)
    }

    fn take_network(&mut self, network: Network) -> Result<(), Fault> {
        if network.is_v4() && network.prefix() == 24 {
            // The trie has the networks around it; the bits point there before the entry goes.
            Stretch::of(network, State::Trie).store(&self.states);
            self.earlier.nets_24.take_each(|first, _| first == network.first());
        }
        let bits = u32::from(network.prefix());
        let bytes = network.first().bytes();
        let taken = if network.is_v4() {
            let [.., a, b, c, d] = bytes;
            self.earlier.nets_v4.remove(&Key::new(bits, [a, b, c, d]))
        } else {
            self.earlier.nets_v6.remove(&Key::new(bits, bytes))
        };
        match taken {
            Err(error) if !is_missing(&error) => Err(unwritable(error)),
            _ => Ok(()),
        }
    }

    /// Lifts every block but those that are configured; says how many were lifted, and how many stay.
    ///
    /// # Errors
    /// If the kernel refuses; some may be lifted then.
    pub fn lift_all(&mut self) -> Result<(usize, usize), Fault> {
        let stays = |block: &Block| block.until() == LAST_END;
        let sources = self.earlier.blocks()?;
        let networks = self.earlier.networks()?;
        let kept = sources.iter().filter(|(_, block)| stays(block)).count()
            + networks.iter().filter(|(_, block)| stays(block)).count();
        let all = sources.len() + networks.len();
        self.earlier.v4.take_each(|_, block| !stays(block));
        self.earlier.v6.take_each(|_, block| !stays(block));
        for source in self.beside.keys().collect::<Result<Vec<_>, _>>().map_err(unwritable)? {
            match self.beside.get(&source, 0) {
                Ok(block) if !stays(&block) => self.beside.remove(&source).map_err(unwritable)?,
                Err(error) if !is_missing(&error) => return Err(unwritable(error)),
                _ => {}
            }
        }
        for (network, _) in networks.into_iter().filter(|(_, block)| !stays(block)) {
            self.take_network(network)?;
        }
        Ok((all - kept, kept))
    }

    /// The networks whose block still holds all of this one, the narrowest first; none if it is allowed.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn holders(&self, network: Network) -> Result<Vec<Network>, Fault> {
        if self.is_allowed(network)? {
            return Ok(Vec::new());
        }
        let mut holders: Vec<Network> = self
            .earlier
            .networks()?
            .into_iter()
            .filter(|(other, block)| other.contains(&network) && !is_over(block.until(), self.now))
            .map(|(other, _)| other)
            .collect();
        holders.sort_by_key(|holder| Reverse(holder.prefix()));
        holders.dedup();
        Ok(holders)
    }

    fn is_allowed(&self, network: Network) -> Result<bool, Fault> {
        let bits = u32::from(network.prefix()) + if network.is_v4() { 96 } else { 0 };
        match self.allowlist.get(&Key::new(bits, network.first().bytes()), 0) {
            Ok(until) => Ok(!is_over(until, self.now)),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(unwritable(error)),
        }
    }
}

fn unwritable(error: MapError) -> Fault {
    Fault::new(Exit::Failure, "cannot change an earlier daemon's blocks").because(error)
}
