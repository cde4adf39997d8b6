//! Reads what the program counts.

use std::collections::HashMap;

use aya::maps::{Map, MapData, PerCpuArray};
use ssh_guard_common::records::{SourceRecord, VerdictCount};
use ssh_guard_common::source::Source;
use ssh_guard_common::verdict::Verdict;

use super::batch;
use crate::fault::{Exit, Fault};

/// The maps that the program counts in. Reading them needs nobody else's leave.
pub struct Sampler {
    verdicts: PerCpuArray<MapData, VerdictCount>,
    sources: MapData,
}

impl Sampler {
    pub(super) fn new(verdicts: Map, sources: Map) -> Result<Self, Fault> {
        let Map::LruHashMap(sources) = sources else {
            return Err(Fault::new(Exit::Failure, "the map of sources is not what it should be"));
        };
        let verdicts = PerCpuArray::try_from(verdicts).map_err(|error| {
            Fault::new(Exit::Failure, "the map of verdicts is not what it should be").because(error)
        })?;
        Ok(Self { verdicts, sources })
    }

    /// How often each verdict was given, on all CPUs.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn verdicts(&self) -> Result<[VerdictCount; Verdict::ALL.len()], Fault> {
        let mut sums = [VerdictCount::default(); Verdict::ALL.len()];
        for (sum, verdict) in sums.iter_mut().zip(Verdict::ALL) {
            let counts =
                self.verdicts.get(&(verdict as u32), 0).map_err(|error| unreadable("verdicts", error))?;
            for count in counts.iter() {
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
        }
        Ok(sums)
    }

    /// What each source sent and was let through.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn sources(&self) -> Result<HashMap<Source, SourceRecord>, Fault> {
        let mut sources = HashMap::new();
        batch::for_each(&self.sources, |source, record| {
            sources.insert(source, record);
        })
        .map_err(|error| unreadable("sources", error))?;
        Ok(sources)
    }
}

fn unreadable(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::new(Exit::Failure, format!("cannot read the map of {what}")).because(error)
}
