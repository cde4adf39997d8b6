//! The sources that are known-good, in the kernel. Whoever holds this is their only writer.

use aya::maps::MapError;
use nix::errno::Errno;
use ssh_guard_common::flat::{SHARED, fitting};
use ssh_guard_common::records;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over};

use super::errno;
use super::tables::{Listed, Maps, Shapes, Tables};
use crate::fault::{Exit, Fault};

/// The tables `KNOWN_V4` and `KNOWN_V6`, and what is beside them.
pub struct KnownGood(Tables<records::KnownGood>);

/// The same tables, for somebody else to read.
pub struct KnownGoodView(Tables<records::KnownGood>);

impl KnownGoodView {
    pub(super) fn new(maps: Maps, shapes: Shapes) -> Result<Self, Fault> {
        Tables::new(maps, shapes, "the table of known-good sources").map(Self)
    }

    /// Whether no limit holds for the source, as the programs judge it. Where the kernel does not tell, none does.
    #[must_use]
    pub fn spares(&self, source: Source, now: Ticks) -> bool {
        match find(&self.0, source) {
            Ok(known) => known.is_some_and(|known| !known.shared() && !is_over(known.until(), now)),
            Err(_) => true,
        }
    }
}

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
        Ok(find(&self.0, source)?.map(records::KnownGood::until))
    }

    /// How many buckets the tables have.
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.0.buckets()
    }

    /// Forgets those of a bucket whose end has come, and says how many are left there; with the first bucket go those that
    /// no bucket has room for. What somebody else has changed there is put right.
    ///
    /// # Errors
    /// If the kernel refuses to read or write.
    pub fn expire(&mut self, bucket: u32, now: Ticks) -> Result<usize, Fault> {
        let mut all = Vec::new();
        self.0.tidy(bucket, |source, end| all.push((source, records::KnownGood { end })));
        if bucket == 0 {
            self.0.tidy_beside(|source, known| all.push((source, known))).map_err(unreadable)?;
        }
        let (over, left): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, known)| is_over(known.until(), now));
        over.into_iter().try_for_each(|(source, _)| self.forget(source))?;
        Ok(left.len())
    }
}

fn find(tables: &Tables<records::KnownGood>, source: Source) -> Result<Option<records::KnownGood>, Fault> {
    let found = tables.find(source).map_err(unreadable)?;
    Ok(found.map(|listed| match listed {
        Listed::InTable(entry) => records::KnownGood { end: entry.end },
        Listed::Beside(known) => known,
    }))
}

fn unreadable(error: MapError) -> Fault {
    Fault::new(Exit::Failure, "cannot read the table of known-good sources").because(error)
}
