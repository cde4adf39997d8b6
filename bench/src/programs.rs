//! The benchmark's own programs in the kernel, and the lists they walk through.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use aya::maps::{Array, Map, MapData, ProgramArray};
use aya::programs::{Program, ProgramFd, Xdp};
use aya::{Ebpf, EbpfLoader};
use ssh_guard_common::source::Source;

use crate::walk::{self, Walk};

/// See [`walk::CHUNK_V4`] and [`walk::CHUNK_V6`].
const CHUNK_V4: usize = walk::CHUNK_V4 as usize;
const CHUNK_V6: usize = walk::CHUNK_V6 as usize;

/// Drops every packet.
pub const EMPTY_DROP: &str = "empty_drop";
/// Lets every packet pass.
pub const EMPTY_PASS: &str = "empty_pass";
/// Hands a packet of another IPv4 source to the measured program.
pub const WALK_V4: &str = "walk_v4";
/// The same with IPv6 sources.
pub const WALK_V6: &str = "walk_v6";
/// Sends packets of all IPv4 sources in turn.
pub const FLOOD: &str = "flood";

/// The programs of one object, with their own maps.
pub struct Programs {
    ebpf: Ebpf,
    walk: Array<MapData, [u32; 11]>,
    measured: ProgramArray<MapData>,
}

impl Programs {
    /// Loads these programs of the object, with the lists they walk through.
    ///
    /// # Errors
    /// If there is no such object, or the kernel refuses it (multi-buffer XDP and live frames are there since 5.18).
    pub fn load(object: &Path, names: &[&str], v4: &[Ipv4Addr], v6: &[Source]) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("SOURCES_V4", entries(v4.len().div_ceil(CHUNK_V4)))
            .map_max_entries("SOURCES_V6", entries(v6.len().div_ceil(CHUNK_V6)))
            .load_file(object)
            .with_context(|| format!("cannot load '{}'", object.display()))?;
        let mut list_v4 = Array::<_, [u32; CHUNK_V4]>::try_from(take(&mut ebpf, "SOURCES_V4")?)?;
        for (index, chunk) in (0..).zip(v4.chunks(CHUNK_V4)) {
            let mut words = [0; CHUNK_V4];
            for (word, address) in words.iter_mut().zip(chunk) {
                *word = u32::from_ne_bytes(address.octets());
            }
            list_v4.set(index, words, 0)?;
        }
        let mut list_v6 = Array::<_, [u32; 4 * CHUNK_V6]>::try_from(take(&mut ebpf, "SOURCES_V6")?)?;
        for (index, chunk) in (0..).zip(v6.chunks(CHUNK_V6)) {
            let mut words = [0; 4 * CHUNK_V6];
            for (word, value) in words.iter_mut().zip(chunk.iter().flat_map(Source::words)) {
                *word = value;
            }
            list_v6.set(index, words, 0)?;
        }
        let walk = Array::try_from(take(&mut ebpf, "WALK")?)?;
        let measured = ProgramArray::try_from(take(&mut ebpf, "MEASURED")?)?;
        let mut programs = Self { ebpf, walk, measured };
        for name in names {
            programs.program_mut(name)?.load().with_context(|| format!("the kernel refuses '{name}'"))?;
        }
        Ok(programs)
    }

    /// Begins a walk.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn begin(&mut self, walk: Walk) -> Result<()> {
        let Walk { first, count, position, frames, interface, ip_sum, tcp_sum, .. } = walk;
        let Walk { interval, due, held, one_port, .. } = walk;
        let words =
            [first, count, position, frames, interface, ip_sum, tcp_sum, interval, due, held, one_port];
        self.walk.set(0, words, 0).context("cannot begin a walk")
    }

    /// What stops the flood, for as long as there is not 0 in it.
    ///
    /// # Errors
    /// If it was taken before.
    pub fn take_stop(&mut self) -> Result<Array<MapData, u32>> {
        Ok(Array::try_from(take(&mut self.ebpf, "STOP")?)?)
    }

    /// How many frames were made since the walk began.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn frames(&self) -> Result<u32> {
        let [_, _, _, frames, ..] = self.words()?;
        Ok(frames)
    }

    /// How often the program ran without making one.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn held(&self) -> Result<u32> {
        let [.., held, _] = self.words()?;
        Ok(held)
    }

    fn words(&self) -> Result<[u32; 11]> {
        self.walk.get(&0, 0).context("cannot read how far the walk is")
    }

    /// Has the walkers hand each packet to this program from now on.
    ///
    /// # Errors
    /// If the program is of another kind than the walkers.
    pub fn measure(&mut self, program: &ProgramFd) -> Result<()> {
        self.measured.set(0, program, 0).context("the walker cannot call the program that is measured")
    }

    /// A loaded program.
    ///
    /// # Errors
    /// If the object has none of this name.
    pub fn program(&self, name: &str) -> Result<&Xdp> {
        match self.ebpf.program(name) {
            Some(Program::Xdp(xdp)) => Ok(xdp),
            _ => bail!("the object has no XDP program '{name}'"),
        }
    }

    /// A loaded program, to attach it.
    ///
    /// # Errors
    /// If the object has none of this name.
    pub fn program_mut(&mut self, name: &str) -> Result<&mut Xdp> {
        match self.ebpf.program_mut(name) {
            Some(Program::Xdp(xdp)) => Ok(xdp),
            _ => bail!("the object has no XDP program '{name}'"),
        }
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map> {
    ebpf.take_map(name).with_context(|| format!("the object has no map '{name}'"))
}

fn entries(chunks: usize) -> u32 {
    u32::try_from(chunks.max(1)).unwrap_or(u32::MAX)
}
