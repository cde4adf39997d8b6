//! The banned networks.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, LpmTrie};
use aya_ebpf::helpers::bpf_map_lookup_elem;
use aya_ebpf::macros::btf_map;
use ssh_guard_common::flat::V4;
use ssh_guard_common::networks::{Maps, State, find, state_of};
use ssh_guard_common::records::{Block, Settings};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over, ticks};

use crate::blocks::{Standing, look};
use crate::flat::{Lines, Table};
use crate::maps::settings;
use crate::{clock, settings as globals};

/// Written by the daemon through its own mapping of the memory.
#[btf_map]
static BLOCKED_NETS: Table = Array::new();

/// A flat table: written by the daemon through its own mapping of the memory, but for hits.
#[btf_map]
static BLOCKED_NETS_24: Table = Array::new();

/// Written by the daemon, but for hits. A trie for each family: in one for both, `::/0` would hold all of IPv4.
#[btf_map]
static BLOCKED_NETS_V4: LpmTrie<[u32; 1], Block, 1> = LpmTrie::new();
#[btf_map]
static BLOCKED_NETS_V6: LpmTrie<[u32; 4], Block, 1> = LpmTrie::new();

/// Finds the block of the narrowest banned network around an address, if it is in force, and where it stands.
#[inline(always)]
pub fn blocked_network(address: Source) -> Option<(Block, Standing)> {
    let flag = if address.is_v4() { Settings::NETWORKS_V4 } else { Settings::NETWORKS_V6 };
    let now = ticks(clock::jiffies(), settings(flag)?.base);
    if address.is_v4() {
        find(&Now(now), address)
    } else {
        in_force(lookup(&raw const BLOCKED_NETS_V6, &Key::new(u128::BITS, address.words())), now)
    }
}

/// The maps at this tick.
struct Now(Ticks);

impl Maps for Now {
    type Block = (Block, Standing);

    #[inline(always)]
    fn state(&self, address: Source) -> State {
        state_of(&Lines(&BLOCKED_NETS), address)
    }

    #[inline(always)]
    fn in_table(&self, first: Source) -> Option<(Block, Standing)> {
        look::<V4>(&BLOCKED_NETS_24, &globals::blocked_nets_24(), first, NO_LEASE, self.0)
    }

    #[inline(always)]
    fn in_trie(&self, address: Source) -> Option<(Block, Standing)> {
        let [_, _, _, word] = address.words();
        in_force(lookup(&raw const BLOCKED_NETS_V4, &Key::new(u32::BITS, [word])), self.0)
    }
}

/// Nobody vouches for it that no end has passed.
const NO_LEASE: Ticks = 0;

/// The block of the longest prefix that matches a key; aya has no call that lets it be written.
#[inline(always)]
fn lookup<K>(trie: *const LpmTrie<K, Block, 1>, key: &Key<K>) -> *mut Block {
    // SAFETY: the map is a trie of such keys and blocks, and the helper only reads the key.
    unsafe { bpf_map_lookup_elem(trie.cast_mut().cast(), (&raw const *key).cast()) }.cast()
}

#[inline(always)]
fn in_force(block: *mut Block, now: Ticks) -> Option<(Block, Standing)> {
    if block.is_null() {
        return None;
    }
    // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call. When the daemon changes
    // the entry, which makes a new one of it, the worst is a hit that is lost.
    let copy = unsafe { *block };
    if is_over(copy.until(), now) {
        return None;
    }
    Some((copy, Standing::beside(&BLOCKED_NETS_24, block, now)))
}
