//! The blocks in the kernel. Whoever holds this is their only writer.

use std::os::fd::AsFd as _;

use aya::maps::{HashMap, Map, MapData};
use nix::errno::Errno;
use ssh_guard_common::flat::{Entry, Family, Found, LAST_END, OVERLAPS, Shape, V4, V6};
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::flat::{Counted, Put, Table};
use super::memory::Memory;
use super::{errno, is_missing};
use crate::fault::{Exit, Fault};

/// A flat table for each family, and the hash for what their buckets have no room for.
pub struct Blocklist {
    v4: Table<V4>,
    v6: Table<V6>,
    beside: HashMap<MapData, Source, Block>,
    /// Programs that are loaded from the same object later name the maps by these descriptors.
    _tables: [Map; 2],
}

/// The maps of a blocklist, as they were loaded.
pub(super) struct Maps {
    pub(super) v4: Map,
    pub(super) v6: Map,
    pub(super) beside: Map,
}

/// The shapes of a blocklist's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shapes {
    pub(super) v4: Shape,
    pub(super) v6: Shape,
}

/// Calls the table of a source's family.
macro_rules! of_family {
    ($blocklist:ident, $source:ident, $method:ident($($argument:expr),*)) => {
        if $source.is_v4() { $blocklist.v4.$method($($argument),*) } else { $blocklist.v6.$method($($argument),*) }
    };
}

impl Blocklist {
    pub(super) fn new(maps: Maps, shapes: Shapes) -> Result<Self, Fault> {
        let Maps { v4, v6, beside } = maps;
        let beside = HashMap::try_from(beside).map_err(|error| {
            Fault::new(Exit::Failure, "the blocklist is not what it should be").because(error)
        })?;
        Ok(Self { v4: table(&v4, shapes.v4)?, v6: table(&v6, shapes.v6)?, beside, _tables: [v4, v6] })
    }

    /// Drops every packet of the source from now on, until `until`, which is [`LAST_END`] at the latest. `overlaps`:
    /// addresses of the source that are in the allowlist pass. What was counted for a block that is already there is
    /// kept.
    ///
    /// # Errors
    /// If there is no room, or the kernel refuses to write; nothing has changed then.
    pub fn block(&mut self, source: Source, until: Ticks, overlaps: bool) -> Result<(), Fault> {
        let end = until.min(LAST_END) | if overlaps { OVERLAPS } else { 0 };
        match of_family!(self, source, put(source, end)) {
            Put::InTable => Ok(()),
            Put::Beside => self.block_beside(source, end),
        }
    }

    /// Blocks a source as [`Blocklist::block`] does, with what was counted for its block elsewhere.
    ///
    /// # Errors
    /// As [`Blocklist::block`].
    pub fn restore(&mut self, source: Source, block: Block) -> Result<(), Fault> {
        self.block(source, block.until(), block.overlaps())?;
        match self.find(source) {
            Found::Absent => {}
            Found::Entry(entry) => {
                let counted = Counted { hits: block.hits, last_hit: block.last_hit };
                of_family!(self, source, recount(&entry, counted));
            }
            Found::Beside => {
                let block = Block { end: block.end, ..block };
                self.beside.insert(source, block, 0).map_err(|error| {
                    Fault::new(Exit::Failure, format!("the kernel does not block {source}")).because(error)
                })?;
            }
        }
        Ok(())
    }

    /// Lets the source's packets pass again; one that is not blocked stays so.
    ///
    /// # Errors
    /// If the kernel refuses to write; the source is still blocked then.
    pub fn unblock(&mut self, source: Source) -> Result<(), Fault> {
        let taken = of_family!(self, source, take(source));
        if taken || self.find(source) != Found::Beside {
            return Ok(());
        }
        match self.beside.remove(&source) {
            Ok(()) => {
                of_family!(self, source, note_gone(source));
                Ok(())
            }
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => {
                Err(Fault::new(Exit::Failure, format!("the kernel does not unblock {source}")).because(error))
            }
        }
    }

    /// The source's block, whether it is over or not.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn block_of(&self, source: Source) -> Result<Option<Block>, Fault> {
        match self.find(source) {
            Found::Absent => Ok(None),
            Found::Entry(entry) => Ok(Some(self.counted(source, &entry))),
            Found::Beside => match self.beside.get(&source, 0) {
                Ok(block) => Ok(Some(block)),
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(Fault::new(Exit::Failure, "cannot read the blocklist").because(error)),
            },
        }
    }

    fn find(&self, source: Source) -> Found {
        of_family!(self, source, find(source))
    }

    fn counted(&self, source: Source, entry: &Entry) -> Block {
        let Counted { hits, last_hit } = of_family!(self, source, counted(entry));
        Block { end: entry.end, last_hit, hits }
    }

    fn block_beside(&mut self, source: Source, end: u32) -> Result<(), Fault> {
        let known = self.block_of(source)?;
        let block = Block { end, ..known.unwrap_or_default() };
        self.beside.insert(source, block, 0).map_err(|error| {
            if errno(&error) == Some(Errno::E2BIG) {
                Fault::new(Exit::Failure, format!("the blocklist is full: {source} is not blocked"))
                    .hint("raise 'limits.blocklist'")
            } else {
                Fault::new(Exit::Failure, format!("the kernel does not block {source}")).because(error)
            }
        })?;
        if known.is_none() {
            of_family!(self, source, note_beside(source));
        }
        Ok(())
    }
}

fn table<F: Family>(map: &Map, shape: Shape) -> Result<Table<F>, Fault> {
    let Map::Array(data) = map else {
        return Err(Fault::new(Exit::Failure, "a table of the blocklist is not what it should be"));
    };
    let memory = Memory::of_map(data.fd().as_fd(), shape.cells::<F>())
        .map_err(|error| Fault::new(Exit::Failure, "cannot map a table of the blocklist").because(error))?;
    Ok(Table::new(memory, shape))
}
