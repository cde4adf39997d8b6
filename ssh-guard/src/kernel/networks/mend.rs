//! Finds out where the maps of banned networks are not what was written, and writes it again.

use std::net::Ipv4Addr;

use ssh_guard_common::flat::Found;

use super::super::Drift;
use super::nest::Place;
use super::tries::{Family, Mark, Tries};
use super::writer::Writer;
use crate::fault::Fault;
use crate::network::Network;

/// Where a look through the maps stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look(Step);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// At a bucket of the table of /24s.
    Table(u32),
    /// In a trie, behind a key.
    Trie(Family, Option<Mark>),
    /// Among what was written, behind a network.
    Written(Option<Network>),
    /// At the bits of the /24s in the /8 of IPv4 with this first octet.
    States(u8),
}

impl Look {
    /// The beginning.
    pub const START: Self = Self(Step::Table(0));
}

impl<T: Tries> Writer<T> {
    /// Looks at the next part, and writes again what is not as it was written; says where to go on. Readers find a network
    /// by the bits of its /24, so those come last.
    pub(super) fn mend(&mut self, Look(step): Look, count: usize) -> Result<(Drift, Option<Look>), Fault> {
        let mut drift = Drift::default();
        let next = match step {
            Step::Table(bucket) => {
                let last = bucket
                    .saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
                    .min(self.table().buckets());
                (bucket..last).for_each(|bucket| drift += self.mend_bucket(bucket));
                if last < self.table().buckets() { Step::Table(last) } else { Step::Trie(Family::V4, None) }
            }
            Step::Trie(family, after) => self.mend_trie(family, after, count, &mut drift)?,
            Step::Written(after) => {
                let networks: Vec<Network> =
                    self.nest().after(after).take(count).map(|(network, _)| network).collect();
                for network in &networks {
                    drift += self.mend_written(*network)?;
                }
                networks.last().map_or(Step::States(0), |last| Step::Written(Some(*last)))
            }
            Step::States(octet) => {
                let root = Network::new(Ipv4Addr::new(octet, 0, 0, 0).into(), 8);
                drift.other += self.mend_states(root);
                let Some(next) = octet.checked_add(1) else { return Ok((drift, None)) };
                Step::States(next)
            }
        };
        Ok((drift, Some(Look(next))))
    }

    fn mend_bucket(&mut self, bucket: u32) -> Drift {
        let mut there = Vec::new();
        let mut drift = self.table().tidy(bucket, |source, _| there.push(source));
        for source in there {
            let network = Network::new(source, 24);
            if network.first() != source || self.place_of(network) != Some(Place::Table) {
                self.table().take(source);
                drift.too_many += 1;
            }
        }
        drift
    }

    /// Takes out of a trie what was not written there, and says what comes next.
    fn mend_trie(
        &mut self,
        family: Family,
        after: Option<Mark>,
        count: usize,
        drift: &mut Drift,
    ) -> Result<Step, Fault> {
        let there = self.tries().after(family, after, count)?;
        if there.is_empty() {
            return Ok(match family {
                Family::V4 => Step::Trie(Family::V6, None),
                Family::V6 => Step::Written(None),
            });
        }
        let mut kept = after;
        for (mark, network) in there {
            // An IPv4 network that somebody wrote among those of IPv6: no packet asks for it.
            let is_astray = network.is_v4() != (family == Family::V4);
            if is_astray || self.place_of(network) == Some(Place::Trie) {
                kept = Some(mark);
            } else {
                self.tries().take(network)?;
                drift.too_many += 1;
            }
        }
        Ok(Step::Trie(family, kept))
    }

    /// Writes a network again if it does not stand where it was written. In a trie, one that stands around it and means the
    /// same will do.
    fn mend_written(&mut self, network: Network) -> Result<Drift, Fault> {
        let Some(entry) = self.nest().get(network) else { return Ok(Drift::default()) };
        let written = entry.written;
        let there = match written {
            Some(written) if written.place == Place::Table => match self.table().find(network.first()) {
                Found::Entry(entry) => Some(entry.end),
                _ => None,
            },
            Some(_) => self.tries().get(network)?.map(|block| block.end),
            None => None,
        };
        if there.is_some() && there == written.map(|written| written.end) {
            return Ok(Drift::default());
        }
        self.write_again(network)?;
        let missing = usize::from(there.is_none());
        Ok(Drift { missing, other: 1 - missing, ..Drift::default() })
    }
}

#[cfg(test)]
#[path = "mend/tests.rs"]
mod tests;
