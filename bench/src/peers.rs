//! The packet filters that drop the same list, each on a bed of its own, all of them in place at once.

mod ipset;
pub mod nftables;
mod xdp_filter;

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, ensure};
use aya::Ebpf;
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
    kept: Kept,
}

/// Where on its way a packet is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Before IP sees it.
    Early,
    /// On its way from IP to TCP.
    Input,
}

/// What a filter is, besides what it left in the bed's namespace; it ends with this.
#[expect(dead_code, reason = "some is kept only to be dropped later")]
enum Kept {
    Rules,
    Empty(Box<Programs>),
    Guard(Box<Guard>),
    Other(Box<Ebpf>),
}

type Put = fn(&Path, &Bed, &[Ipv4Addr]) -> Result<Kept>;

/// Every filter: its name, where it drops, and how it is put on a bed.
const ALL: [(&str, Stage, Put); 6] = [
    ("empty", Stage::Early, |object, bed, _| {
        put_empty(object, bed).map(|programs| Kept::Empty(Box::new(programs)))
    }),
    ("guard", Stage::Early, |_, bed, list| put_guard(bed, list).map(|guard| Kept::Guard(Box::new(guard)))),
    ("xdp-filter", Stage::Early, |_, bed, list| {
        xdp_filter::put(bed, list).map(|ebpf| Kept::Other(Box::new(ebpf)))
    }),
    ("nft-ingress", Stage::Early, |_, bed, list| nftables::put_ingress(bed, list).map(|()| Kept::Rules)),
    ("nft-input", Stage::Input, |_, bed, list| nftables::put_input(bed, list).map(|()| Kept::Rules)),
    ("iptables-ipset", Stage::Input, |_, bed, list| ipset::put(bed, list).map(|()| Kept::Rules)),
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
                Ok(kept) => {
                    bed.thread_receiver()?;
                    peers.push(Self { name, bed, stage, kept });
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
        match &self.kept {
            Kept::Guard(guard) => guard.count(Verdict::Blocked),
            _ => Ok(0),
        }
    }

    /// Proves that every packet of a flood was dropped, and where.
    ///
    /// # Errors
    /// If one was not, or somewhere else.
    pub fn prove(&self, flood: &Flood, blocked: u64) -> Result<()> {
        let Self { name, stage, kept, .. } = self;
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
            !matches!(kept, Kept::Guard(_)) || blocked == packets,
            "'{name}': {blocked} of {packets} packets were blocked"
        );
        Ok(())
    }
}

fn put_empty(object: &Path, bed: &Bed) -> Result<Programs> {
    let mut programs = Programs::load(object, &[EMPTY_DROP], &[], &[])?;
    bed.attach(programs.program_mut(EMPTY_DROP)?)?;
    Ok(programs)
}

/// Puts the guard on a bed.
///
/// # Errors
/// If the kernel refuses.
pub fn put_guard(bed: &Bed, list: &[Ipv4Addr]) -> Result<Guard> {
    let mut guard = Guard::load(u32::try_from(list.len())?)?;
    guard.block(list.iter().copied().map(Source::from))?;
    bed.attach(guard.program()?)?;
    bed.attach_to_egress(guard.witness()?)?;
    Ok(guard)
}
