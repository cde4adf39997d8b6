//! Goes through the keys of a trie from where it was left (`BPF_MAP_GET_NEXT_KEY`; aya only goes through all of them).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use aya::maps::Map;
use aya_obj::generated::bpf_cmd;
use bytemuck::{Pod, Zeroable};

use super::syscall::{bpf, nothing};
use crate::fault::{Exit, Fault};

/// A key of a trie with addresses of so many bytes: `struct bpf_lpm_trie_key`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(C)]
pub(super) struct TrieKey<const N: usize> {
    pub(super) prefix: u32,
    pub(super) address: [u8; N],
}

// SAFETY: a number and bytes, of which any make one.
unsafe impl<const N: usize> Zeroable for TrieKey<N> {}
// SAFETY: as above; with the sizes that there are, 4 and 16, nothing is between or behind them.
unsafe impl Pod for TrieKey<4> {}
// SAFETY: as above.
unsafe impl Pod for TrieKey<16> {}

/// A trie's descriptor once more, to go through its keys.
pub(super) fn again(map: &Map) -> Result<OwnedFd, Fault> {
    let Map::LpmTrie(data) = map else {
        return Err(Fault::new(Exit::Failure, "a trie is not what it should be"));
    };
    let again = data.fd().as_fd().try_clone_to_owned();
    again.map_err(|error| Fault::new(Exit::Failure, "cannot open a trie a second time").because(error))
}

/// At most `count` keys after one of them, or the first ones. Should that one be gone by now, the kernel begins again.
///
/// # Errors
/// What the kernel says if it does not go on.
pub(super) fn keys_after<K: Pod>(map: BorrowedFd<'_>, after: Option<K>, count: usize) -> io::Result<Vec<K>> {
    let mut keys = Vec::new();
    let mut last = after;
    while keys.len() < count
        && let Some(key) = next(map, last)?
    {
        keys.push(key);
        last = Some(key);
    }
    Ok(keys)
}

fn next<K: Pod>(map: BorrowedFd<'_>, key: Option<K>) -> io::Result<Option<K>> {
    let mut following = K::zeroed();
    let mut attr = nothing();
    // SAFETY: this is the member that the command below reads.
    let ask = unsafe { &mut attr.__bindgen_anon_2 };
    ask.map_fd = map.as_raw_fd().cast_unsigned();
    ask.key = key.as_ref().map_or(0, |key| std::ptr::from_ref(key).expose_provenance() as u64);
    ask.__bindgen_anon_1.next_key = (&raw mut following).expose_provenance() as u64;
    // SAFETY: the kernel reads one key of the map's size, if it is given one, and writes one; whoever calls this takes the
    // type that the map's keys have, and both outlive the call.
    match unsafe { bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) } {
        Ok(_) => Ok(Some(following)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
