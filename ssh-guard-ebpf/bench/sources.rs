//! The lists of sources, and where the walk through them is.

use aya_ebpf::btf_maps::Array;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_map;

use crate::walk::{CHUNK_V4, CHUNK_V6, Walk};

/// One walk: the programs run on one CPU.
#[btf_map]
static WALK: Array<Walk, 1> = Array::new();

/// Not 0 once the flood shall be over, whatever is left of the call. Beside the walk, which its program writes.
#[btf_map]
static STOP: Array<u32, 1> = Array::new();

/// Written by the benchmark, in chunks: a million system calls would take as long as the measurement.
#[btf_map]
static SOURCES_V4: Array<[u32; CHUNK_V4 as usize], 1> = Array::new();

/// As above.
#[btf_map]
static SOURCES_V6: Array<[u32; 4 * CHUNK_V6 as usize], 1> = Array::new();

/// Whether the walk's next frame is due, and none is once the flood is over; one that is not is counted as held.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "times are compared modulo 2^32")]
pub fn is_due() -> Option<bool> {
    let walk = WALK.get_ptr_mut(0)?;
    // SAFETY: as in `step`.
    unsafe {
        let Walk { interval, due, held, .. } = *walk;
        if *STOP.get_ptr(0)? != 0 {
            (*walk).held = held.wrapping_add(1);
            return Some(false);
        }
        // The clock costs as much as all else in a run.
        if interval == 0 {
            return Some(true);
        }
        let next = Walk::due_after(due, interval, bpf_ktime_get_ns() as u32);
        match next {
            Some(next) => (*walk).due = next,
            None => (*walk).held = held.wrapping_add(1),
        }
        Some(next.is_some())
    }
}

/// Takes a step: the walk, the number of the frame, and the place in the list.
#[inline(always)]
pub fn step() -> Option<(Walk, u32, u32)> {
    let walk = WALK.get_ptr_mut(0)?;
    // SAFETY: the value outlives the program's run, and no other CPU runs one of these.
    unsafe {
        let Walk { first, count, position, frames, .. } = *walk;
        if position >= count {
            return None;
        }
        (*walk).position = if position + 1 == count { 0 } else { position + 1 };
        (*walk).frames = frames.wrapping_add(1);
        Some((*walk, frames, first + position))
    }
}

#[inline(always)]
pub fn v4(place: u32) -> Option<u32> {
    let chunk = SOURCES_V4.get(place / CHUNK_V4)?;
    Some(chunk[(place % CHUNK_V4) as usize])
}

#[inline(always)]
pub fn v6(place: u32) -> Option<[u32; 4]> {
    let chunk = SOURCES_V6.get(place / CHUNK_V6)?;
    let at = 4 * (place % CHUNK_V6) as usize;
    Some([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]])
}
