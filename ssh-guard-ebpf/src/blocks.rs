//! Blocks: whether one stands for a source, and the count of what it drops.

use core::ptr;

use ssh_guard_common::flat::{At, Entry, Family, Found, Shape, find, stands};
use ssh_guard_common::records::{Block, VerdictCount};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over};
use ssh_guard_common::verdict::Verdict;

use crate::flat::{Lines, Table, word_of};
use crate::maps::{BLOCKED_BESIDE, VERDICTS};

/// Where a block's counts stand. No enum: what a variant leaves out would be read all the same, and the verifier refuses
/// a program that reads what nobody wrote.
pub struct Standing {
    table: &'static Table,
    last_hit: At,
    hits: At,
    /// Not in the table but here, unless it is null.
    beside: *mut Block,
    /// Whether it was looked for at all: if not, this drop is not counted for the source.
    seen: bool,
    /// The tick it is.
    now: Ticks,
}

impl Standing {
    /// In no table but here.
    #[inline(always)]
    pub fn beside(table: &'static Table, block: *mut Block, now: Ticks) -> Self {
        let nowhere = At { cell: 0, word: 0 };
        Self { table, last_hit: nowhere, hits: nowhere, beside: block, seen: true, now }
    }
}

/// Looks a source up in its table, and beside it. In a flood and while the daemon vouches for what stands there, a
/// tag is enough: one line of memory is touched then, and not three.
#[inline(always)]
pub fn look<F: Family>(
    table: &'static Table,
    shape: &Shape,
    source: Source,
    lease: Ticks,
    now: Ticks,
) -> Option<(Block, Standing)> {
    let nothing = Standing::beside(table, ptr::null_mut(), now);
    if !is_over(lease, now) && is_flooded(now) && stands::<F>(&Lines(table), shape, source) {
        return Some((Block::default(), Standing { seen: false, ..nothing }));
    }
    let (block, standing) = match find::<F>(&Lines(table), shape, source) {
        Found::Absent => return None,
        Found::Beside => {
            let beside = BLOCKED_BESIDE.get_ptr_mut(&source.key())?;
            // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call.
            (unsafe { *beside }, Standing { beside, ..nothing })
        }
        Found::Entry(Entry { bucket, slot, end, last_hit }) => {
            let standing = Standing {
                last_hit: shape.last_hit(bucket, slot),
                hits: shape.hits(bucket, slot),
                ..nothing
            };
            (Block { end, last_hit, hits: 0 }, standing)
        }
    };
    if is_over(block.until(), now) { None } else { Some((block, standing)) }
}

/// Whether this CPU has dropped so many packets in this tick that the next is counted by a sample.
#[inline(always)]
fn is_flooded(now: Ticks) -> bool {
    let Some(count) = VERDICTS.get_ptr_mut(Verdict::Blocked as u32) else { return false };
    // SAFETY: the slot is this CPU's own, and XDP runs to its end before another packet is taken on the CPU.
    let VerdictCount { packets, tick, in_tick, .. } = unsafe { *count };
    tick == now && in_tick >= COUNTED_EACH && !packets.is_multiple_of(u64::from(SAMPLED))
}

/// So many drops of a CPU in a tick are each counted for their source; of more, one in so many for all of them.
const COUNTED_EACH: u32 = 16_384;
const SAMPLED: u32 = 64;

/// Counts a packet that is dropped, and, unless there are too many, for whom.
#[inline(always)]
pub fn count(verdict: Verdict, bytes: u64, block: &Block, standing: &Standing) {
    let Standing { table, last_hit, hits, beside, seen, now } = *standing;
    let Some(count) = VERDICTS.get_ptr_mut(verdict as u32) else { return };
    // SAFETY: the slot is this CPU's own, as above.
    let in_tick = unsafe {
        (*count).packets += 1;
        (*count).bytes += bytes;
        let in_tick = if (*count).tick == now { (*count).in_tick } else { 0 };
        (*count).tick = now;
        (*count).in_tick = in_tick.saturating_add(1);
        in_tick
    };
    let counted = if in_tick < COUNTED_EACH { 1 } else { SAMPLED };
    if !seen {
        return;
    }
    if !beside.is_null() {
        // SAFETY: as in `look`. If the daemon takes the entry out meanwhile, the worst is a hit counted for somebody else.
        unsafe {
            note(&raw mut (*beside).last_hit, block, now);
            add(&raw mut (*beside).hits, counted);
        }
        return;
    }
    // Each word is written before the next is looked up: the verifier follows a pointer from its own check only.
    if let Some(last_hit) = word_of(table, last_hit) {
        note(last_hit, block, now);
    }
    if let Some(hits) = word_of(table, hits) {
        add(hits, counted);
    }
}

/// Writes the tick of a hit, if it is not there yet.
#[inline(always)]
fn note(last_hit: *mut u32, block: &Block, now: Ticks) {
    if block.last_hit == now {
        return;
    }
    // SAFETY: a lookup returned it, and the map lives as long as the program. CPUs that write it at once write the same
    // tick, or the next.
    unsafe { last_hit.write_volatile(now) };
}

/// Adds to an estimate.
#[inline(always)]
fn add(hits: *mut u32, counted: u32) {
    // SAFETY: as above. A count that another CPU adds at the same time may be lost.
    unsafe { hits.write_volatile(hits.read_volatile().wrapping_add(counted)) };
}
