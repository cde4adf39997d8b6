//! What the daemon sets before it loads the programs. The kernel freezes these, so the verifier takes them for
//! constants and throws away what they make unreachable.

use core::ptr;

use ssh_guard_common::MAX_PORTS;
use ssh_guard_common::budget::Rate;
use ssh_guard_common::flat::Shape;
use ssh_guard_common::packet::{Ports, Way};
use ssh_guard_common::source::SourceMask;

#[unsafe(no_mangle)]
static PORTS: [u16; MAX_PORTS] = [0; MAX_PORTS];
#[unsafe(no_mangle)]
static SOURCE_MASK: SourceMask = SourceMask::FULL;
#[unsafe(no_mangle)]
static BLOCKED_V4_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static BLOCKED_V6_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static BLOCKED_NETS_24_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static KNOWN_V4_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static KNOWN_V6_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static SYN_BUDGET_SHAPE: Shape = Shape { seed: [0; 4], buckets: 1, reserved: 0 };
#[unsafe(no_mangle)]
static SYN_RATE: Rate = Rate::UNLIMITED;
#[unsafe(no_mangle)]
static ASKERS_PER_TICK: u32 = 0;
#[unsafe(no_mangle)]
static DRY_RUN: u8 = 0;

/// The ports in `PORTS`.
pub struct GuardedPorts;

impl Ports for GuardedPorts {
    #[inline(always)]
    fn guard(&self, port: u16) -> bool {
        for slot in &PORTS {
            match read(slot) {
                0 => return false,
                guarded if guarded == port => return true,
                _ => {}
            }
        }
        false
    }
}

/// The same ports, of packets that come from them.
pub struct Answers;

impl Ports for Answers {
    const WAY: Way = Way::FromServer;

    #[inline(always)]
    fn guard(&self, port: u16) -> bool {
        GuardedPorts.guard(port)
    }
}

#[inline(always)]
pub fn source_mask() -> SourceMask {
    read(&SOURCE_MASK)
}

#[inline(always)]
pub fn blocked_v4() -> Shape {
    shape(&BLOCKED_V4_SHAPE)
}

#[inline(always)]
pub fn blocked_v6() -> Shape {
    shape(&BLOCKED_V6_SHAPE)
}

#[inline(always)]
pub fn blocked_nets_24() -> Shape {
    shape(&BLOCKED_NETS_24_SHAPE)
}

#[inline(always)]
pub fn known_v4() -> Shape {
    shape(&KNOWN_V4_SHAPE)
}

#[inline(always)]
pub fn known_v6() -> Shape {
    shape(&KNOWN_V6_SHAPE)
}

#[inline(always)]
pub fn syn_budget() -> Shape {
    shape(&SYN_BUDGET_SHAPE)
}

#[inline(always)]
pub fn syn_rate() -> Rate {
    read(&SYN_RATE)
}

/// Reads a shape word by word, so that what a family does not use is not read.
#[inline(always)]
fn shape(global: &'static Shape) -> Shape {
    let Shape { seed: [a, b, c, d], buckets, reserved: _ } = global;
    Shape { seed: [read(a), read(b), read(c), read(d)], buckets: read(buckets), reserved: 0 }
}

#[inline(always)]
pub fn askers_per_tick() -> u32 {
    read(&ASKERS_PER_TICK)
}

#[inline(always)]
pub fn dry_run() -> bool {
    read(&DRY_RUN) != 0
}

/// Reads a global as it is at run time: the compiler would put in the value that stands above.
#[inline(always)]
fn read<T: Copy>(global: &'static T) -> T {
    // SAFETY: the global is initialised, aligned, and never written once the program is loaded.
    unsafe { ptr::read_volatile(global) }
}
