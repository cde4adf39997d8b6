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
    /// Nanoseconds from one frame to the next; 0 sends as fast as the CPU can.
    pub interval: u32,
    /// When the next frame is due, in nanoseconds of the kernel's clock, modulo 2^32.
    pub due: u32,
    /// How many runs of the program sent nothing, for no frame was due, modulo 2^32.
    pub held: u32,
    /// Not 0 if all frames come from the port that they have before.
    pub one_port: u32,
}

/// How far behind its time a walk may be, in nanoseconds, and still make up for it. What was missed for longer is left
/// out: it would come as a burst, faster than the rate that was asked for.
pub const SLACK: u32 = 32_768;

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

    /// When the frame after this one is due, if this one is due by now.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "calls cost a program as much as what is measured")]
    pub const fn due_after(due: u32, interval: u32, now: u32) -> Option<u32> {
        let early = due.wrapping_sub(now);
        // A frame is early by one interval at most; by more, its time is long past, or was never set.
        if early != 0 && early <= interval {
            None
        } else if now.wrapping_sub(due) <= SLACK {
            Some(due.wrapping_add(interval))
        } else {
            Some(now.wrapping_add(interval))
        }
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
