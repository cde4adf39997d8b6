//! The values of the maps.

use bytemuck::{Pod, Zeroable};

use crate::flat::OVERLAPS;
use crate::source::{Source, SourceMask};
use crate::time::Ticks;

/// Value of `BLOCKED_BESIDE`, and what an entry of the flat tables says: a source's block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Block {
    /// When it ends, in [ticks](crate::time::Ticks), and the flag [`OVERLAPS`].
    pub end: u32,
    /// When a packet was last dropped, in ticks; written by the program.
    pub last_hit: u32,
    /// Packets dropped; where a CPU drops more than 16,384 in a tick, each 64th of them counts for 64. Written by the
    /// program.
    pub hits: u32,
}

impl Block {
    /// When it ends.
    #[inline(always)]
    #[must_use]
    pub const fn until(&self) -> Ticks {
        self.end & !OVERLAPS
    }

    /// Whether a part of the source is in the allowlist, so that is asked first.
    #[inline(always)]
    #[must_use]
    pub const fn overlaps(&self) -> bool {
        self.end & OVERLAPS != 0
    }
}

/// Key of `ALLOWLIST`, as the kernel's LPM trie wants it (`struct bpf_lpm_trie_key_u8`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct NetworkKey {
    /// Bits that count, of 128: an IPv4 /24 has 96 + 24.
    pub bits: u32,
    /// The network's first address, IPv4 mapped.
    pub address: Source,
}

/// Value of `SOURCES`: what a source sent to guarded ports and was let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct SourceRecord {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header on.
    pub bytes: u64,
    /// Segments that ask for a new session.
    pub syns: u64,
    /// When the last packet came, in ticks.
    pub last_seen: u32,
    /// Always 0.
    pub reserved: u32,
}

/// Value of `VERDICTS`, one for each CPU: how often a verdict was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct VerdictCount {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header on.
    pub bytes: u64,
    /// The tick of the last one, of packets that are dropped.
    pub tick: u32,
    /// How many came in that tick, of packets that are dropped.
    pub in_tick: u32,
}

/// Value of `SETTINGS`: what may change while the program runs, and what the other maps mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Settings {
    /// The jiffies from which [ticks](crate::time::Ticks) are counted.
    pub base: u64,
    /// [`crate::ABI`] of the program that made the maps.
    pub abi: u32,
    /// [`Settings::BLOCKLIST`], [`Settings::ALLOWLIST`]: the maps that may hold an entry; another one is not asked.
    pub in_use: u32,
    /// Until when the daemon vouches for what it wrote, in [ticks](crate::time::Ticks): it puts this off again and
    /// again. Limits act no longer than this, and so long no entry of a flat table stands whose end has passed.
    pub lease: u32,
    /// How much of an address makes a source, in the keys of the maps.
    pub mask: SourceMask,
}

impl Settings {
    /// `BLOCKLIST` may hold an entry.
    pub const BLOCKLIST: u32 = 1;
    /// `ALLOWLIST` may hold an entry.
    pub const ALLOWLIST: u32 = 2;
}

const _: () = {
    assert!(size_of::<Block>() == 12);
    assert!(size_of::<NetworkKey>() == 20);
    assert!(size_of::<SourceRecord>() == 32);
    assert!(size_of::<VerdictCount>() == 24);
    assert!(size_of::<Settings>() == 40);
};
