//! Makes the maps say what the bans mean.

use std::collections::BTreeMap;

use ssh_guard_common::flat::{Found, V4};
use ssh_guard_common::networks::State;
use ssh_guard_common::records::Block;

use super::super::flat::{Counted, Put, Table};
use super::super::memory::Memory;
use super::nest::{Ban, Due, Entry, Nest, Place, Written};
use super::states::Stretch;
use super::tries::Tries;
use crate::fault::Fault;
use crate::network::Network;

/// A network's ban from now on, or none.
pub(super) type Change = (Network, Option<Ban>);

/// The only writer of the maps.
pub(super) struct Writer<T> {
    nest: Nest,
    /// What stands in the kernel for networks that are banned no more.
    gone: BTreeMap<Network, Written>,
    /// The /24s that stand in their trie by now, and in the table still.
    moved: Vec<Network>,
    states: Memory,
    table: Table<V4>,
    tries: T,
}

impl<T: Tries> Writer<T> {
    /// Takes maps that hold nothing.
    pub(super) fn new(states: Memory, table: Table<V4>, tries: T) -> Self {
        Self { nest: Nest::default(), gone: BTreeMap::new(), moved: Vec::new(), states, table, tries }
    }

    pub(super) fn nest(&self) -> &Nest {
        &self.nest
    }

    /// Changes bans, if what they come to `fits`: all of them or, on an error, none. What is banned before and after is
    /// banned all the while.
    pub(super) fn change(
        &mut self,
        changes: Vec<Change>,
        fits: impl FnOnce(&Nest) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let many = changes.len() >= MANY && changes.len() * MANY > self.nest.len();
        let roots =
            roots(changes.iter().map(|(network, _)| if many { network.widened(0) } else { *network }));
        let undo = self.note(changes);
        if let Err(fault) = fits(&self.nest) {
            self.note(undo);
            return Err(fault);
        }
        self.write(&roots).map_err(|fault| {
            self.note(undo);
            match self.write(&roots) {
                Ok(()) => fault,
                Err(other) => fault.and(other),
            }
        })
    }

    /// What stands in the kernel for a network.
    pub(super) fn block_of(&self, network: Network) -> Result<Option<Block>, Fault> {
        match self.nest.get(network).and_then(|entry| entry.written) {
            Some(Written { place: Place::Trie, .. }) => self.tries.get(network),
            Some(Written { place: Place::Table, .. }) => Ok(self.in_table(network)),
            None => Ok(None),
        }
    }

    /// Writes a network as if nothing stood there for it. What was counted for it may be lost.
    pub(super) fn write_again(&mut self, network: Network) -> Result<(), Fault> {
        if let Some(entry) = self.nest.get_mut(network) {
            entry.written = None;
        }
        self.write(&roots([network].into_iter()))
    }

    /// Writes the bits of the /24s in a network again; says how many were others.
    pub(super) fn mend_states(&self, root: Network) -> usize {
        let stretch = self.stretch(root);
        let other = stretch.differs(&self.states);
        if other > 0 {
            stretch.store(&self.states);
        }
        other
    }

    /// Where a network was written.
    pub(super) fn place_of(&self, network: Network) -> Option<Place> {
        let written = self.nest.get(network).and_then(|entry| entry.written);
        written.or(self.gone.get(&network).copied()).map(|written| written.place)
    }

    pub(super) fn table(&mut self) -> &mut Table<V4> {
        &mut self.table
    }

    pub(super) fn tries(&mut self) -> &mut T {
        &mut self.tries
    }

    /// Notes the bans, and returns what takes that back.
    fn note(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let mut undo = Vec::with_capacity(changes.len());
        for (network, ban) in changes {
            let before = if let Some(ban) = ban {
                let written = match self.nest.get(network) {
                    Some(entry) => entry.written,
                    None => self.gone.remove(&network),
                };
                self.nest.insert(network, Entry { ban, written })
            } else {
                let entry = self.nest.remove(network);
                if let Some(Entry { written: Some(written), .. }) = entry {
                    self.gone.insert(network, written);
                }
                entry
            };
            undo.push((network, before.map(|entry| entry.ban)));
        }
        undo.reverse();
        undo
    }

    /// Writes what the bans in `roots` come to: entries first, then the bits that point at them, and only then is
    /// taken out what nothing points at any more.
    fn write(&mut self, roots: &[Network]) -> Result<(), Fault> {
        for root in roots {
            for due in self.nest.due(*root) {
                self.put(due)?;
            }
        }
        for root in roots.iter().filter(|root| root.is_v4()) {
            self.stretch(*root).store(&self.states);
        }
        for network in self.moved.drain(..) {
            self.table.take(network.first());
        }
        while let Some((network, Written { place, .. })) = self.gone.pop_first() {
            match place {
                Place::Table => {
                    self.table.take(network.first());
                }
                Place::Trie => self.tries.take(network).inspect_err(|_| {
                    self.gone.insert(network, Written { end: 0, place });
                })?,
            }
        }
        Ok(())
    }

    /// Writes an entry, if it does not stand there already. A /24 moves from the table into the trie, never back while
    /// it is banned.
    fn put(&mut self, Due { network, end, is_plain_24 }: Due) -> Result<(), Fault> {
        let before = self.nest.get(network).and_then(|entry| entry.written);
        let in_trie = before.is_some_and(|written| written.place == Place::Trie);
        let place = if is_plain_24 && !in_trie { Place::Table } else { Place::Trie };
        if before == Some(Written { end, place }) {
            return Ok(());
        }
        let place = match place {
            Place::Table if self.table.put(network.first(), end) != Put::Beside => Place::Table,
            _ => {
                let counted = match before {
                    Some(_) => self.block_of(network)?.unwrap_or_default(),
                    None => Block::default(),
                };
                self.tries.put(network, Block { end, ..counted })?;
                if before.is_some_and(|written| written.place == Place::Table) {
                    self.moved.push(network);
                }
                Place::Trie
            }
        };
        if let Some(entry) = self.nest.get_mut(network) {
            entry.written = Some(Written { end, place });
        }
        Ok(())
    }

    /// What the bits of the /24s in `root` have to say.
    fn stretch(&self, root: Network) -> Stretch {
        let beyond = if self.nest.around(root).is_some() { State::Trie } else { State::Nothing };
        let mut stretch = Stretch::of(root, beyond);
        for (network, entry) in self.nest.inside(root) {
            let in_table = entry.written.is_some_and(|written| written.place == Place::Table);
            stretch.fill(network, if in_table { State::Table } else { State::Trie });
        }
        stretch
    }

    fn in_table(&self, network: Network) -> Option<Block> {
        let Found::Entry(entry) = self.table.find(network.first()) else { return None };
        let Counted { hits, last_hit } = self.table.counted(&entry);
        Some(Block { end: entry.end, last_hit, hits })
    }
}

/// So many changes at once, and not fewer than one for so many banned networks, are written faster by looking through all
/// networks of their family once than by finding for each what is around it.
const MANY: usize = 16;

/// The networks that have to be looked through when these change, none in another: what lies in a /24 says where that
/// stands.
fn roots(networks: impl Iterator<Item = Network>) -> Vec<Network> {
    let mut roots: Vec<Network> =
        networks.map(|network| if network.is_v4() { network.widened(24) } else { network }).collect();
    roots.sort_unstable();
    // Behind a network all those in it stand before any other.
    roots.dedup_by(|next, kept| kept.contains(next));
    roots
}

#[cfg(test)]
#[path = "tests.rs"]
pub(super) mod tests;
