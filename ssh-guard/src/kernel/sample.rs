//! Reads what the program counts.

use std::collections;

use aya::maps::{HashMap, Map, MapData, PerCpuArray};
use ssh_guard_common::records::{SessionKey, SessionRecord, SourceRecord, VerdictCount};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::verdict::Verdict;

use super::{NOT_THERE, batch, is_there};
use crate::fault::{Exit, Fault};

/// The maps that the program counts in. Reading them needs nobody else's leave.
pub struct Sampler {
    verdicts: PerCpuArray<MapData, VerdictCount>,
    /// To be read a batch at a time.
    records: MapData,
    sources: HashMap<MapData, Source, SourceRecord>,
    sessions: MapData,
}

impl Sampler {
    /// `sources`: the map and a second handle on it; `sessions`: a handle that nobody else has.
    pub(super) fn new(verdicts: Map, sources: [Map; 2], sessions: Map) -> Result<Self, Fault> {
        let strange = || Fault::new(Exit::Failure, "the map of sources is not what it should be");
        let [sources, records] = sources;
        let (Map::LruHashMap(records), Map::LruHashMap(sessions)) = (records, sessions) else {
            return Err(strange());
        };
        let sources = HashMap::try_from(sources).map_err(|error| strange().because(error))?;
        let verdicts = PerCpuArray::try_from(verdicts).map_err(|error| {
            Fault::new(Exit::Failure, "the map of verdicts is not what it should be").because(error)
        })?;
        Ok(Self { verdicts, records, sources, sessions })
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
    pub fn sources(&self) -> Result<collections::HashMap<Source, SourceRecord>, Fault> {
        let records = batch::all(&self.records).map_err(|error| unreadable("sources", error))?;
        Ok(records.into_iter().collect())
    }

    /// Packets and bytes of each source's sessions that have not ended: its own record has the rest.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn in_sessions(&self, mask: SourceMask) -> Result<collections::HashMap<Source, (u64, u64)>, Fault> {
        let mut sums: collections::HashMap<Source, (u64, u64)> = collections::HashMap::new();
        batch::for_each(&self.sessions, |key: SessionKey, record: SessionRecord| {
            if record.ended == 0 {
                let sum = sums.entry(mask.apply(key.client)).or_default();
                *sum = (sum.0.saturating_add(record.packets), sum.1.saturating_add(record.bytes));
            }
        })
        .map_err(|error| unreadable("sessions", error))?;
        Ok(sums)
    }

    /// Puts in what an earlier daemon's programs counted of a source, unless these have begun to.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn restore(&mut self, source: Source, record: SourceRecord) -> Result<(), Fault> {
        match self.sources.insert(source, record, NOT_THERE) {
            Err(error) if !is_there(&error) => {
                Err(Fault::new(Exit::Failure, "cannot write the map of sources").because(error))
            }
            _ => Ok(()),
        }
    }
}

fn unreadable(what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::new(Exit::Failure, format!("cannot read the map of {what}")).because(error)
}
