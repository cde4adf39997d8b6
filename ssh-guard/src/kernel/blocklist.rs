//! The blocks in the kernel. Whoever holds this is their only writer.

use aya::maps::{HashMap, Map, MapData, MapError};
use nix::errno::Errno;
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::errno;
use crate::fault::{Exit, Fault};

/// The map `BLOCKLIST`.
pub struct Blocklist(HashMap<MapData, Source, Block>);

impl Blocklist {
    pub(super) fn new(map: Map) -> Result<Self, Fault> {
        HashMap::try_from(map).map(Self).map_err(|error| {
            Fault::new(Exit::Failure, "the blocklist is not what it should be").because(error)
        })
    }

    /// Drops every packet of the source from now on, until `until`. `overlaps`: addresses of the source that are in
    /// the allowlist pass. What was counted for a block that is already there is kept.
    ///
    /// # Errors
    /// If the map is full, or the kernel refuses to write it; nothing has changed then.
    pub fn block(&mut self, source: Source, until: Ticks, overlaps: bool) -> Result<(), Fault> {
        let counted = self.block_of(source)?.unwrap_or_default();
        let flags = if overlaps { Block::OVERLAPS } else { 0 };
        self.0.insert(source, Block { until, flags, ..counted }, 0).map_err(|error| {
            if errno(&error) == Some(Errno::E2BIG) {
                Fault::new(Exit::Failure, format!("the blocklist is full: {source} is not blocked"))
                    .hint("raise 'limits.blocklist'")
            } else {
                Fault::new(Exit::Failure, format!("the kernel does not block {source}")).because(error)
            }
        })
    }

    /// Lets the source's packets pass again; one that is not blocked stays so.
    ///
    /// # Errors
    /// If the kernel refuses to write the map; the source is still blocked then.
    pub fn unblock(&mut self, source: Source) -> Result<(), Fault> {
        match self.0.remove(&source) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(error) if errno(&error) == Some(Errno::ENOENT) => Ok(()),
            Err(error) => {
                Err(Fault::new(Exit::Failure, format!("the kernel does not unblock {source}")).because(error))
            }
        }
    }

    /// The source's block, whether it is over or not.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn block_of(&self, source: Source) -> Result<Option<Block>, Fault> {
        match self.0.get(&source, 0) {
            Ok(block) => Ok(Some(block)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(Fault::new(Exit::Failure, "cannot read the blocklist").because(error)),
        }
    }
}
