//! The blocks in the kernel. Whoever holds this is their only writer.

use nix::errno::Errno;
use ssh_guard_common::flat::{OVERLAPS, fitting};
use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::flat::{Counted, Put};
use super::tables::{Listed, Maps, Shapes, Tables};
use super::{Drift, errno};
use crate::fault::{Exit, Fault};

/// The tables `BLOCKED_V4` and `BLOCKED_V6`, and what is beside them.
pub struct Blocklist(Tables<Block>);

impl Blocklist {
    pub(super) fn new(maps: Maps, shapes: Shapes) -> Result<Self, Fault> {
        Tables::new(maps, shapes, "the blocklist").map(Self)
    }

    /// Drops every packet of the source from now on, until `until`, which is cut to what [fits](fitting). `overlaps`:
    /// addresses of the source that are in the allowlist pass. What was counted for a block that is already there is
    /// kept.
    ///
    /// # Errors
    /// If there is no room, or the kernel refuses to write; nothing has changed then.
    pub fn block(&mut self, source: Source, until: Ticks, overlaps: bool) -> Result<(), Fault> {
        let end = fitting(until) | if overlaps { OVERLAPS } else { 0 };
        self.put(source, end, |known| Block { end, ..known.unwrap_or_default() }).map(drop)
    }

    /// Blocks a source as [`Blocklist::block`] does, with what was counted for its block elsewhere.
    ///
    /// # Errors
    /// As [`Blocklist::block`].
    pub fn restore(&mut self, source: Source, block: Block) -> Result<(), Fault> {
        let put = self.put(source, block.end, |_| block)?;
        self.0.recount(source, put, Counted { hits: block.hits, last_hit: block.last_hit });
        Ok(())
    }

    /// Lets the source's packets pass again; one that is not blocked stays so.
    ///
    /// # Errors
    /// If the kernel refuses to write; the source is still blocked then.
    pub fn unblock(&mut self, source: Source) -> Result<(), Fault> {
        self.0.take(source).map_err(|error| {
            Fault::new(Exit::Failure, format!("the kernel does not unblock {source}")).because(error)
        })
    }

    /// The source's block, whether it is over or not.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn block_of(&self, source: Source) -> Result<Option<Block>, Fault> {
        Ok(self.find(source)?.map(|listed| match listed {
            Listed::InTable(entry) => {
                let Counted { hits, last_hit } = self.0.counted(source, &entry);
                Block { end: entry.end, last_hit, hits }
            }
            Listed::Beside(block) => block,
        }))
    }

    /// How many buckets [`Blocklist::tidy`] goes through.
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.0.buckets()
    }

    /// Puts right how a bucket is laid out, and hands every source that is blocked in it, with the word of its end, to
    /// `each`.
    pub fn tidy(&mut self, bucket: u32, each: impl FnMut(Source, u32)) -> Drift {
        self.0.tidy(bucket, each)
    }

    /// The same for all that is blocked beside the buckets. It comes first: buckets say whether there is any.
    ///
    /// # Errors
    /// If the kernel refuses to read or write.
    pub fn tidy_beside(&mut self, mut each: impl FnMut(Source, u32)) -> Result<Drift, Fault> {
        self.0
            .tidy_beside(|source, block| each(source, block.end))
            .map_err(|error| Fault::new(Exit::Failure, "cannot look through the blocklist").because(error))
    }

    fn find(&self, source: Source) -> Result<Option<Listed<Block>>, Fault> {
        self.0
            .find(source)
            .map_err(|error| Fault::new(Exit::Failure, "cannot read the blocklist").because(error))
    }

    /// Puts a block into its table, or beside it what `value` makes of the one that was there.
    fn put(
        &mut self,
        source: Source,
        end: u32,
        value: impl FnOnce(Option<Block>) -> Block,
    ) -> Result<Put, Fault> {
        self.0.put(source, end, value).map_err(|error| {
            if errno(&error) == Some(Errno::E2BIG) {
                Fault::new(Exit::Failure, format!("the blocklist is full: {source} is not blocked"))
                    .hint("raise 'limits.blocklist'")
            } else {
                Fault::new(Exit::Failure, format!("the kernel does not block {source}")).because(error)
            }
        })
    }
}
