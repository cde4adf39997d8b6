//! Every map, each with who writes it and what happens when it is full. The sizes here are placeholders for the
//! configured ones, which the daemon sets when it loads the object.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;
use ssh_guard_common::records::{Block, Settings, SourceRecord, VerdictCount};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over, ticks};
use ssh_guard_common::verdict::Verdict;

use crate::judge::Tables;
use crate::{atomic, clock};

/// Written by the daemon, which keeps it from filling; never LRU, so that no flood of sources evicts a block.
#[btf_map]
static BLOCKLIST: HashMap<Source, Block, 1> = HashMap::new();

/// Written by the daemon alone.
#[btf_map]
static ALLOWLIST: LpmTrie<[u32; 4], Ticks, 1> = LpmTrie::new();

/// Written by the program alone; when it is full, the source that was quiet longest makes room. These are counters,
/// no decision rests on them.
#[btf_map]
static SOURCES: LruHashMap<Source, SourceRecord, 1> = LruHashMap::new();

/// Written by the program alone, each CPU its own.
#[btf_map]
static VERDICTS: PerCpuArray<VerdictCount, { Verdict::ALL.len() }> = PerCpuArray::new();

/// Written by the daemon alone.
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();

/// The maps in the kernel.
pub struct Kernel;

impl Tables for Kernel {
    #[inline(always)]
    fn blocked(&self, source: Source) -> Option<Block> {
        let settings = settings(Settings::BLOCKLIST)?;
        let block = BLOCKLIST.get_ptr_mut(&source)?;
        let now = ticks(clock::jiffies(), settings.base);
        // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call. If the daemon
        // takes the entry out meanwhile, the worst is a hit counted for somebody else.
        unsafe {
            if is_over((*block).until, now) {
                return None;
            }
            atomic::add(&raw mut (*block).hits, 1);
            (&raw mut (*block).last_hit).write_volatile(now);
            Some(*block)
        }
    }

    #[inline(always)]
    fn allowed(&self, address: Source) -> bool {
        let Some(settings) = settings(Settings::ALLOWLIST) else { return false };
        match ALLOWLIST.get(&Key::new(u128::BITS, address.words())) {
            Some(until) => !is_over(*until, ticks(clock::jiffies(), settings.base)),
            None => false,
        }
    }

    #[inline(always)]
    fn count(&self, source: Source, bytes: u64, opens_session: bool) {
        let now = settings(0).map_or(0, |settings| ticks(clock::jiffies(), settings.base));
        let syns = u64::from(opens_session);
        let Some(record) = SOURCES.get_ptr_mut(&source) else {
            let first = SourceRecord { packets: 1, bytes, syns, last_seen: now, reserved: 0 };
            // Another CPU may be first, or every entry of the map busy: a count is lost, no decision.
            let _counted = SOURCES.insert(&source, &first, 0);
            return;
        };
        // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call; should the
        // entry be evicted meanwhile, a packet is counted for somebody else.
        unsafe {
            atomic::add(&raw mut (*record).packets, 1);
            atomic::add(&raw mut (*record).bytes, bytes);
            atomic::add(&raw mut (*record).syns, syns);
            (&raw mut (*record).last_seen).write_volatile(now);
        }
    }
}

/// Counts a verdict.
#[inline(always)]
pub fn tally(verdict: Verdict, bytes: u64) {
    if let Some(count) = VERDICTS.get_ptr_mut(verdict as u32) {
        // SAFETY: the slot is this CPU's own, and XDP runs to its end before another packet is taken on the CPU.
        unsafe {
            (*count).packets += 1;
            (*count).bytes += bytes;
        }
    }
}

/// The settings, if all of these maps are in use.
#[inline(always)]
fn settings(maps: u32) -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.in_use & maps == maps)
}
