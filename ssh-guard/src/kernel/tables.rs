//! Sources in the kernel, each with an end: a flat table for each family, and a hash for what their buckets have no room
//! for.

use std::collections;
use std::os::fd::AsFd as _;

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};
use ssh_guard_common::flat::{Entry, Family, Found, Shape, V4, V6};
use ssh_guard_common::source::Source;

use super::flat::{Counted, Put, Table};
use super::memory::Memory;
use super::{Drift, is_missing};
use crate::fault::{Exit, Fault};

/// The tables; what is beside them has values of its own.
pub(super) struct Tables<V> {
    v4: Table<V4>,
    v6: Table<V6>,
    beside: HashMap<MapData, Source, V>,
}

/// The maps of such tables, as they were loaded.
pub(super) struct Maps {
    pub(super) v4: Map,
    pub(super) v6: Map,
    pub(super) beside: Map,
}

/// The shapes of such tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shapes {
    pub(super) v4: Shape,
    pub(super) v6: Shape,
}

/// A source that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listed<V> {
    /// In its table.
    InTable(Entry),
    /// Beside it.
    Beside(V),
}

/// Calls the table of a source's family.
macro_rules! of_family {
    ($tables:ident, $source:ident, $method:ident($($argument:expr),*)) => {
        if $source.is_v4() { $tables.v4.$method($($argument),*) } else { $tables.v6.$method($($argument),*) }
    };
}

impl<V: Pod> Tables<V> {
    /// Takes the maps of `what`, which hold nothing.
    pub(super) fn new(maps: Maps, shapes: Shapes, what: &str) -> Result<Self, Fault> {
        let Maps { v4, v6, beside } = maps;
        let beside = HashMap::try_from(beside).map_err(|error| {
            Fault::new(Exit::Failure, format!("{what} is not what it should be")).because(error)
        })?;
        Ok(Self { v4: table(&v4, shapes.v4, what)?, v6: table(&v6, shapes.v6, what)?, beside })
    }

    /// Puts a source in, or changes its end, and says where; beside its table it has the value that `value` makes of the one
    /// it had.
    ///
    /// # Errors
    /// If there is no room ([`E2BIG`](nix::errno::Errno::E2BIG)), or the kernel refuses; nothing has changed then.
    pub(super) fn put(
        &mut self,
        source: Source,
        end: u32,
        value: impl FnOnce(Option<V>) -> V,
    ) -> Result<Put, MapError> {
        let put = of_family!(self, source, put(source, end));
        if put == Put::Beside {
            let known = self.beside(source)?;
            self.beside.insert(source, value(known), 0)?;
            if known.is_none() {
                of_family!(self, source, note_beside(source));
            }
        }
        Ok(put)
    }

    /// Takes a source out, if it is there.
    ///
    /// # Errors
    /// If the kernel refuses; the source is still there then.
    pub(super) fn take(&mut self, source: Source) -> Result<(), MapError> {
        let taken = of_family!(self, source, take(source));
        if taken || of_family!(self, source, find(source)) != Found::Beside {
            return Ok(());
        }
        match self.beside.remove(&source) {
            Ok(()) => {
                of_family!(self, source, note_gone(source));
                Ok(())
            }
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Finds a source, whether its end has come or not.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub(super) fn find(&self, source: Source) -> Result<Option<Listed<V>>, MapError> {
        match of_family!(self, source, find(source)) {
            Found::Absent => Ok(None),
            Found::Entry(entry) => Ok(Some(Listed::InTable(entry))),
            Found::Beside => Ok(self.beside(source)?.map(Listed::Beside)),
        }
    }

    /// Notes what was counted for a source in its table elsewhere; `put` says where it stands.
    pub(super) fn recount(&self, source: Source, put: Put, counted: Counted) {
        if let Put::InTable { bucket, slot } = put {
            of_family!(self, source, recount(bucket, slot, counted));
        }
    }

    /// What was counted for a source in its table.
    pub(super) fn counted(&self, source: Source, entry: &Entry) -> Counted {
        of_family!(self, source, counted(entry))
    }

    /// How many buckets both tables have.
    pub(super) fn buckets(&self) -> u32 {
        self.v4.buckets() + self.v6.buckets()
    }

    /// Puts a bucket right: see [`Table::tidy`]. Those of the IPv4 table come first.
    pub(super) fn tidy(&mut self, bucket: u32, each: impl FnMut(Source, u32)) -> Drift {
        match bucket.checked_sub(self.v4.buckets()) {
            None => self.v4.tidy(bucket, each),
            Some(bucket) => self.v6.tidy(bucket, each),
        }
    }

    /// Takes out of what is beside the tables what is in them as well, has the tables say what is beside them, and hands
    /// that to `each`.
    ///
    /// # Errors
    /// If the kernel refuses to read or write.
    pub(super) fn tidy_beside(&mut self, mut each: impl FnMut(Source, V)) -> Result<Drift, MapError> {
        let mut drift = Drift::default();
        let all = self.beside.iter().collect::<Result<Vec<_>, _>>()?;
        let mut counts: [collections::HashMap<u32, u32>; 2] = Default::default();
        for (source, value) in all {
            if matches!(of_family!(self, source, find(source)), Found::Entry(_)) {
                self.beside.remove(&source)?;
                drift.too_many += 1;
                continue;
            }
            let bucket = of_family!(self, source, bucket_of(source));
            *counts[usize::from(!source.is_v4())].entry(bucket).or_default() += 1;
            each(source, value);
        }
        let [v4, v6] = counts;
        drift += self.v4.set_beside(v4);
        drift += self.v6.set_beside(v6);
        Ok(drift)
    }

    fn beside(&self, source: Source) -> Result<Option<V>, MapError> {
        match self.beside.get(&source, 0) {
            Ok(value) => Ok(Some(value)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn table<F: Family>(map: &Map, shape: Shape, what: &str) -> Result<Table<F>, Fault> {
    let Map::Array(data) = map else {
        return Err(Fault::new(Exit::Failure, format!("a table of {what} is not what it should be")));
    };
    let memory = Memory::of_map(data.fd().as_fd(), shape.cells::<F>())
        .map_err(|error| Fault::new(Exit::Failure, format!("cannot map a table of {what}")).because(error))?;
    Ok(Table::new(memory, shape))
}
