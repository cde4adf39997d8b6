//! The sources that are known-good, in the kernel. Whoever holds this is their only writer.

use nix::errno::Errno;
use ssh_guard_common::flat::{SHARED, fitting};
use ssh_guard_common::records;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::errno;
use super::tables::{Listed, Maps, Shapes, Tables};
use crate::fault::{Exit, Fault};

/// The tables `KNOWN_V4` and `KNOWN_V6`, and what is beside them.
pub struct KnownGood(Tables<records::KnownGood>);

impl KnownGood {
    pub(super) fn new(maps: Maps, shapes: Shapes) -> Result<Self, Fault> {
        Tables::new(maps, shapes, "the table of known-good sources").map(Self)
    }

    /// Spares the source the limits from now on, until `until`, which is cut to what [fits](fitting). `shared`: many stand
    /// behind it, and limits hold for it all the same.
    ///
    /// # Errors
    /// If there is no room, or the kernel refuses to write; nothing has changed then.
    pub fn know(&mut self, source: Source, until: Ticks, shared: bool) -> Result<(), Fault> {
        let end = fitting(until) | if shared { SHARED } else { 0 };
        self.0.put(source, end, |_| records::KnownGood { end }).map(drop).map_err(|error| {
            let what = format!("the kernel does not take {source} for known-good");
            if errno(&error) == Some(Errno::E2BIG) {
                Fault::new(Exit::Failure, what).because("the table of known-good sources is full")
            } else {
                Fault::new(Exit::Failure, what).because(error)
            }
        })
    }

    /// Limits the source like any other again; one that is not known-good stays so.
    ///
    /// # Errors
    /// If the kernel refuses to write; the source is still known-good then.
    pub fn forget(&mut self, source: Source) -> Result<(), Fault> {
        self.0.take(source).map_err(|error| {
            Fault::new(Exit::Failure, format!("the kernel still takes {source} for known-good"))
                .because(error)
        })
    }

    /// Until when the source is known-good, whether that is over or not.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn until_of(&self, source: Source) -> Result<Option<Ticks>, Fault> {
        let found = self.0.find(source).map_err(|error| {
            Fault::new(Exit::Failure, "cannot read the table of known-good sources").because(error)
        })?;
        Ok(found.map(|listed| match listed {
            Listed::InTable(entry) => records::KnownGood { end: entry.end }.until(),
            Listed::Beside(known) => known.until(),
        }))
    }
}
