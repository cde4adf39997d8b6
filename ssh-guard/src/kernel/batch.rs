//! Reads a hash map many entries at a time, where one system call an entry would take a large map a second
//! (`BPF_MAP_LOOKUP_BATCH`, kernel 5.6 and later; aya has no call for it).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::MapData;
use aya_obj::generated::bpf_cmd;
use bytemuck::Pod;

use super::syscall::{bpf, nothing};

/// Every entry of a hash map, as [`for_each`] hands them out.
///
/// # Errors
/// As [`for_each`].
pub(super) fn all<K: Pod, V: Pod>(map: &MapData) -> io::Result<Vec<(K, V)>> {
    let mut all = Vec::new();
    for_each(map, |key, value| all.push((key, value)))?;
    Ok(all)
}

/// Hands every entry of a hash map to `each`, in no order. An entry that is added or removed meanwhile may be missed.
///
/// # Errors
/// What the kernel says if it does not read on.
pub(super) fn for_each<K: Pod, V: Pod>(map: &MapData, mut each: impl FnMut(K, V)) -> io::Result<()> {
    let mut keys = vec![K::zeroed(); FIRST_BATCH];
    let mut values = vec![V::zeroed(); FIRST_BATCH];
    // The kernel's own note on where it stopped: for hash maps the number of a bucket.
    let mut position = 0_u32;
    let mut begun = false;
    loop {
        let mut next = 0_u32;
        let wanted = keys.len();
        let mut attr = nothing();
        // SAFETY: `batch` is the member that the command below reads.
        let batch = unsafe { &mut attr.batch };
        batch.map_fd = map.fd().as_fd().as_raw_fd().cast_unsigned();
        batch.in_batch = if begun { (&raw const position).addr() as u64 } else { 0 };
        batch.out_batch = (&raw mut next).addr() as u64;
        batch.keys = keys.as_mut_ptr().expose_provenance() as u64;
        batch.values = values.as_mut_ptr().expose_provenance() as u64;
        batch.count = u32::try_from(wanted).unwrap_or(u32::MAX);
        // SAFETY: the kernel writes at most `count` keys and values into vectors of `wanted` entries whose types take
        // any bytes, and a note of 4 bytes into `next`; all of them outlive the call.
        let last = match unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) } {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            // A bucket has more entries than there was room for.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && wanted < LARGEST_BATCH => {
                keys.resize(wanted * 2, K::zeroed());
                values.resize(wanted * 2, V::zeroed());
                continue;
            }
            Err(error) => return Err(error),
        };
        // SAFETY: the kernel has put the number of entries in its place.
        let count = unsafe { attr.batch.count } as usize;
        for (key, value) in keys.iter().zip(&values).take(count) {
            each(*key, *value);
        }
        if last {
            return Ok(());
        }
        (position, begun) = (next, true);
    }
}

const FIRST_BATCH: usize = 4096;
const LARGEST_BATCH: usize = 1 << 20;
