//! The packet filters that drop the same list, each on a bed of its own, all of them in place at once.

mod ipset;
mod nftables;
mod xdp_filter;

use std::any::Any;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, ensure};
use ssh_guard_common::source::Source;
use ssh_guard_common::verdict::Verdict;

use crate::bed::Bed;
use crate::generator::Flood;
use crate::guard::Guard;
use crate::programs::{EMPTY_DROP, Programs};
use crate::receiver::Counters;

/// A packet filter with the list in it.
pub struct Peer {
    /// Its name in the results.
    pub name: &'static str,
    bed: Bed,
    stage: Stage,
    guard: Option<Guard>,
    /// What ends the filter when it is dropped.
    _keep: Option<Box<dyn Any>>,
}

/// Where on its way a packet is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Before IP sees it.
    Early,
    /// On its way from IP to TCP.
    Input,
}

/// What a filter leaves on its bed.
type Put = fn(&Path, &Bed, &[Ipv4Addr]) -> Result<(Option<Guard>, Option<Box<dyn Any>>)>;

/// Every filter: its name, where it drops, and how it is put on a bed.
const ALL: [(&str, Stage, Put); 6] = [
    ("empty", Stage::Early, put_empty),
    ("guard", Stage::Early, |_, bed, list| Ok((Some(put_guard(bed, list)?), None))),
    ("xdp-filter", Stage::Early, |_, bed, list| Ok((None, Some(Box::new(xdp_filter::put(bed, list)?))))),
    ("nft-ingress", Stage::Early, |_, bed, list| nftables::put_ingress(bed, list).map(|()| (None, None))),
    ("nft-input", Stage::Input, |_, bed, list| nftables::put_input(bed, list).map(|()| (None, None))),
    ("iptables-ipset", Stage::Input, |_, bed, list| ipset::put(bed, list).map(|()| (None, None))),
];

impl Peer {
    /// Puts every filter on a bed; one that this machine has not is told to `missing`, and left out.
    ///
    /// # Errors
    /// If a bed cannot be made, or the empty program or the guard not be put on it.
    pub fn all(object: &Path, list: &[Ipv4Addr], mut missing: impl FnMut(String)) -> Result<Vec<Self>> {
        let mut peers = Vec::new();
        for (number, (name, stage, put)) in ALL.into_iter().enumerate() {
            let mut bed = Bed::new(number)?;
            match put(object, &bed, list) {
                Ok((guard, keep)) => {
                    bed.thread_receiver()?;
                    peers.push(Self { name, bed, stage, guard, _keep: keep });
                }
                Err(error) if ["empty", "guard"].contains(&name) => return Err(error.context(name)),
                Err(error) => missing(format!("'{name}' is left out: {error:#}")),
            }
        }
        Ok(peers)
    }

    /// Where frames are sent to it.
    #[must_use]
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// How many packets the guard has dropped so far; none is counted for others.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn blocked(&self) -> Result<u64> {
        self.guard.as_ref().map_or(Ok(0), |guard| guard.count(Verdict::Blocked))
    }

    /// Proves that every packet of a flood was dropped, and where.
    ///
    /// # Errors
    /// If one was not, or somewhere else.
    pub fn prove(&self, flood: &Flood, blocked: u64) -> Result<()> {
        let Self { name, stage, guard, .. } = self;
        let Counters { packets, at_ip, refused_by_ip, past_filters, at_tcp, .. } = flood.whole;
        ensure!(packets > 0, "'{name}': no packet came");
        ensure!(
            at_tcp == 0 && past_filters == 0,
            "'{name}': {past_filters} of {packets} packets were not dropped"
        );
        let wanted = if *stage == Stage::Early { 0 } else { packets };
        ensure!(
            at_ip == wanted && refused_by_ip == 0,
            "'{name}': {at_ip} of {packets} packets reached IP, {refused_by_ip} were refused there"
        );
        ensure!(
            guard.is_none() || blocked == packets,
            "'{name}': {blocked} of {packets} packets were blocked"
        );
        Ok(())
    }
}

fn put_empty(object: &Path, bed: &Bed, _: &[Ipv4Addr]) -> Result<(Option<Guard>, Option<Box<dyn Any>>)> {
    let mut programs = Programs::load(object, &[EMPTY_DROP], &[], &[])?;
    bed.attach(programs.program_mut(EMPTY_DROP)?)?;
    Ok((None, Some(Box::new(programs))))
}

/// Puts the guard on a bed.
///
/// # Errors
/// If the kernel refuses.
pub fn put_guard(bed: &Bed, list: &[Ipv4Addr]) -> Result<Guard> {
    let mut guard = Guard::load(u32::try_from(list.len())?)?;
    guard.block(list.iter().copied().map(Source::from))?;
    bed.attach(guard.program()?)?;
    Ok(guard)
}
