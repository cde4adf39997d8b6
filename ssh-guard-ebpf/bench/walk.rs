//! The walk through a list of sources: what the benchmark and its programs must agree on. This file is part of both.

/// Value of `WALK`: where the walk goes, and what each frame on it is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Walk {
    /// The place in the list at which the walk begins.
    pub first: u32,
    /// How many sources it takes before it begins again; none at 0.
    pub count: u32,
    /// How far it has come in this round.
    pub position: u32,
    /// How many frames were made, modulo 2^32.
    pub frames: u32,
    /// The number of the interface that frames are sent to.
    pub interface: u32,
    /// The sum of the IPv4 header without its source, as [`checksum`] takes it.
    pub ip_sum: u32,
    /// The sum of segment and pseudo header without the source address and port, as [`checksum`] takes it.
    pub tcp_sum: u32,
}

/// How many IPv4 addresses a value of `SOURCES_V4` holds.
pub const CHUNK_V4: u32 = 1024;
/// How many IPv6 addresses a value of `SOURCES_V6` holds.
pub const CHUNK_V6: u32 = 256;

impl Walk {
    /// The source port of a frame: another one for each, never one below 1024.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "calls cost a program as much as what is measured")]
    pub const fn port(frame: u32) -> u16 {
        // The upper half of a product with an odd number runs through all its values in no visible order.
        (frame.wrapping_mul(0x9e37_79b1) >> 16) as u16 | 1024
    }
}

/// The Internet checksum (RFC 1071) over words that add up to `sum`, an IPv4 address and a port, all as they stand in
/// memory.
#[inline(always)]
#[expect(clippy::inline_always, reason = "calls cost a program as much as what is measured")]
#[expect(clippy::cast_possible_truncation, reason = "the sum was folded into 16 bits")]
pub const fn checksum(sum: u32, address: u32, port: u16) -> u16 {
    let sum = sum + (address & 0xffff) + (address >> 16) + port as u32;
    let sum = (sum & 0xffff) + (sum >> 16);
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}
