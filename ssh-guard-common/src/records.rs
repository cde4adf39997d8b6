//! The values of the maps.

use bytemuck::{Pod, Zeroable};

use crate::flat::{OVERLAPS, SHARED};
use crate::source::{Source, SourceMask};
use crate::time::Ticks;

/// Value of `BLOCKED_BESIDE` and the tries of banned networks, and what an entry of the flat tables says: the block of a
/// source or of a network.
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

/// Value of `KNOWN_BESIDE`, and what an entry of the flat tables says: a source that is known-good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct KnownGood {
    /// Until when it is, in [ticks](crate::time::Ticks), and the flag [`SHARED`].
    pub end: u32,
}

impl KnownGood {
    /// Until when the source is known-good.
    #[inline(always)]
    #[must_use]
    pub const fn until(self) -> Ticks {
        self.end & !SHARED
    }

    /// Whether many stand behind the source, so that limits hold for it all the same.
    #[inline(always)]
    #[must_use]
    pub const fn shared(self) -> bool {
        self.end & SHARED != 0
    }
}

/// Key of `ALLOWLIST` and `BLOCKED_NETS_V6`, as the kernel's LPM trie wants it (`struct bpf_lpm_trie_key_u8`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct NetworkKey {
    /// Bits that count, of 128: an IPv4 /24 has 96 + 24.
    pub bits: u32,
    /// The network's first address, IPv4 mapped.
    pub address: Source,
}

/// Key of `SESSIONS` and `AUTHENTICATED`: the two ends of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct SessionKey {
    /// The client's address, whole.
    pub client: Source,
    /// The server's address.
    pub server: Source,
    /// The client's port.
    pub client_port: u16,
    /// The guarded port.
    pub port: u16,
}

/// Value of `SESSIONS`. The program that judges packets writes what the client does, the witness the rest.
///
/// A session is *proven* when the server has sent a payload: a server does so only to a client whose handshake the kernel
/// has completed. It is *closing* when the client has said that it will send nothing more, which anybody may forge; it
/// has *ended* when the server has said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct SessionRecord {
    /// The client's packets that were let through, from the moment on that the session is counted.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
    /// When it was first counted, in ticks.
    pub first_seen: Ticks,
    /// When the client's last packet came.
    pub last_seen: Ticks,
    /// When the client sent a FIN or RST, or 0.
    pub closing: Ticks,
    /// When the server sent its last packet; 0 if the session is not proven.
    pub answered: Ticks,
    /// When the server sent a FIN or RST, or 0: packets are not counted here from then on.
    pub ended: Ticks,
    /// The number of the byte behind the server's last one, once it has ended.
    pub end_sequence: u32,
}

impl SessionRecord {
    /// Whether the server has answered it with a payload.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        self.answered != 0
    }
}

/// Value of `AUTHENTICATED`: a session that a log says is authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Authenticated {
    /// The number that the daemon gave the account.
    pub account: u32,
    /// When the session was first counted, in ticks: another one between the same ends is not meant.
    pub session: Ticks,
}

/// Value of `SOURCES`: what a source sent to guarded ports and was let through, but for the segments that ask for a
/// session, and for the packets of sessions that have not ended: those are counted in `SESSIONS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct SourceRecord {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header on.
    pub bytes: u64,
    /// Sessions that were proven; or, where no server is seen to answer, in which a payload came.
    pub opened: u32,
    /// How often it asked for a session since the last one that was proven, while more than half of its budget of new
    /// sessions was used up.
    pub half_open: u32,
    /// When the last of these packets came, in ticks.
    pub last_seen: Ticks,
    /// When it last asked for a session, as far as that is counted.
    pub asked: Ticks,
}

/// Value of `CROWDED`: what a source holds so many of that it may open no more. The daemon counts.
pub mod crowd {
    /// Open sessions.
    pub const OPEN: u32 = 1;
    /// Sessions that are not authenticated, for a source that is not known-good and in flood mode.
    pub const UNAUTHENTICATED: u32 = 2;
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
    /// [`Settings::BLOCKLIST`], [`Settings::ALLOWLIST`], [`Settings::NETWORKS_V4`], [`Settings::NETWORKS_V6`],
    /// [`Settings::KNOWN_GOOD`], [`Settings::CROWDED`]: the maps that may hold an entry; another one is not asked. And
    /// [`Settings::UNPROVEN`].
    pub in_use: u32,
    /// Until when the daemon vouches for what it wrote, in [ticks](crate::time::Ticks): it puts this off again and
    /// again. Limits act no longer than this, and so long no entry of a flat table stands whose end has passed.
    pub lease: Ticks,
    /// How much of an address makes a source, in the keys of the maps.
    pub mask: SourceMask,
    /// How many unauthenticated sessions the sources that are not known-good may hold together, or
    /// [`Settings::NO_FLOOD`].
    pub flood_budget: u32,
    /// How many they hold.
    pub unauthenticated: u32,
}

impl Settings {
    /// `BLOCKLIST` may hold an entry.
    pub const BLOCKLIST: u32 = 1;
    /// `ALLOWLIST` may hold an entry.
    pub const ALLOWLIST: u32 = 2;
    /// An IPv4 network may be banned.
    pub const NETWORKS_V4: u32 = 4;
    /// An IPv6 network may be banned.
    pub const NETWORKS_V6: u32 = 8;
    /// The tables of known-good sources may hold an entry.
    pub const KNOWN_GOOD: u32 = 16;
    /// `CROWDED` may hold an entry.
    pub const CROWDED: u32 = 32;
    /// Sessions are counted from the client's first payload: no server is seen to answer.
    pub const UNPROVEN: u32 = 64;

    /// The budget outside flood mode.
    pub const NO_FLOOD: u32 = u32::MAX;
}

const _: () = {
    assert!(size_of::<Block>() == 12);
    assert!(size_of::<KnownGood>() == 4);
    assert!(size_of::<NetworkKey>() == 20);
    assert!(size_of::<SessionKey>() == 36);
    assert!(size_of::<SessionRecord>() == 40);
    assert!(size_of::<Authenticated>() == 8);
    assert!(size_of::<SourceRecord>() == 32);
    assert!(size_of::<VerdictCount>() == 24);
    assert!(size_of::<Settings>() == 48);
};
