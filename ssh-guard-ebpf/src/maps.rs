//! Every map, each with who writes it and what happens when it is full. The sizes here are placeholders for the
//! configured ones, which the daemon sets when it loads the object.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::macros::btf_map;
use ssh_guard_common::flat::{At, CELL_WORDS, Cell, Cells, Entry, Family, Found, Shape, V4, V6, find};
use ssh_guard_common::records::{Block, Settings, SourceRecord, VerdictCount};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over, ticks};
use ssh_guard_common::verdict::Verdict;

use crate::judge::Tables;
use crate::{atomic, clock, settings};

/// Flat tables: written by the daemon through its own mapping of the memory, but for hits.
#[btf_map]
static BLOCKED_V4: Array<Line, 1, { BPF_F_MMAPABLE as usize }> = Array::new();
#[btf_map]
static BLOCKED_V6: Array<Line, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Written by the daemon, which keeps it from filling, but for hits.
#[btf_map]
static BLOCKED_BESIDE: HashMap<Source, Block, 1> = HashMap::new();

/// Written by the daemon alone. Beside the allowlist it has the addresses that are never banned, for blocks that
/// overlap them; only if there is an allowlist is every packet looked up here.
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
    type Place = Standing;

    #[inline(always)]
    fn blocked(&self, source: Source) -> Option<(Block, Standing)> {
        let settings = settings(Settings::BLOCKLIST)?;
        let (block, counts) = if source.is_v4() {
            look::<V4>(&BLOCKED_V4, &settings::blocked_v4(), source)?
        } else {
            look::<V6>(&BLOCKED_V6, &settings::blocked_v6(), source)?
        };
        let now = ticks(clock::jiffies(), settings.base);
        if is_over(block.until(), now) { None } else { Some((block, Standing { counts, now })) }
    }

    #[inline(always)]
    fn allowed(&self, address: Source) -> bool {
        settings(Settings::ALLOWLIST).is_some_and(|settings| listed(address, settings))
    }

    #[inline(always)]
    fn excepted(&self, address: Source) -> bool {
        settings(0).is_some_and(|settings| listed(address, settings))
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

/// Whether the allowlist has the address, in force.
#[inline(always)]
fn listed(address: Source, settings: &Settings) -> bool {
    match ALLOWLIST.get(&Key::new(u128::BITS, address.words())) {
        Some(until) => !is_over(*until, ticks(clock::jiffies(), settings.base)),
        None => false,
    }
}

/// Where a block's counts stand, and the tick it is.
pub struct Standing {
    counts: Counts,
    now: Ticks,
}

/// Where a block's counts stand: the words are looked up only when there is something to write.
enum Counts {
    InTable { table: &'static Table, last_hit: At, hits: At },
    Beside { last_hit: *mut u32, hits: *mut u32 },
}

/// Looks a source up in its table, and beside it.
#[inline(always)]
fn look<F: Family>(table: &'static Table, shape: &Shape, source: Source) -> Option<(Block, Counts)> {
    match find::<F>(&Lines(table), shape, source) {
        Found::Absent => None,
        Found::Beside => {
            let block = BLOCKED_BESIDE.get_ptr_mut(&source)?;
            // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call. If the
            // daemon takes the entry out meanwhile, the worst is a hit counted for somebody else.
            unsafe {
                let counts =
                    Counts::Beside { last_hit: &raw mut (*block).last_hit, hits: &raw mut (*block).hits };
                Some((*block, counts))
            }
        }
        Found::Entry(Entry { bucket, slot, end, last_hit }) => {
            let at = shape.end(bucket, slot);
            let last = At { word: at.word + 1, ..at };
            let counts = Counts::InTable { table, last_hit: last, hits: shape.hits(bucket, slot) };
            Some((Block { end, last_hit, hits: 0 }, counts))
        }
    }
}

#[inline(always)]
fn word_of(table: &'static Table, at: At) -> Option<*mut u32> {
    let line = table.get_ptr_mut(at.cell)?;
    Some(line.cast::<u32>().wrapping_add(at.word % CELL_WORDS))
}

type Table = Array<Line, 1, { BPF_F_MMAPABLE as usize }>;

/// A cell of a flat table.
#[repr(C, align(64))]
struct Line([u32; CELL_WORDS]);

struct Lines(&'static Table);

impl Cells for Lines {
    type Cell = Words;

    #[inline(always)]
    fn cell(&self, number: u32) -> Option<Words> {
        self.0.get_ptr(number).map(|line| Words(line.cast()))
    }
}

#[derive(Clone, Copy)]
struct Words(*const u32);

impl Cell for Words {
    #[inline(always)]
    fn word(self, number: usize) -> u32 {
        // SAFETY: the lookup returned a cell, and the number is brought below its words; the map lives as long as the
        // program. The daemon writes whole words, so one is read as it was or as it is.
        unsafe { self.0.add(number % CELL_WORDS).read_volatile() }
    }
}

/// Counts a verdict; says how often it was given on this CPU.
#[inline(always)]
pub fn tally(verdict: Verdict, bytes: u64) -> u64 {
    let Some(count) = VERDICTS.get_ptr_mut(verdict as u32) else { return 0 };
    // SAFETY: the slot is this CPU's own, and XDP runs to its end before another packet is taken on the CPU.
    unsafe {
        (*count).packets += 1;
        (*count).bytes += bytes;
        (*count).packets
    }
}

/// Counts a hit of a block, cheaply: the first in a tick for itself, and each 64th drop of this CPU for 64.
#[inline(always)]
pub fn hit(block: &Block, standing: &Standing, drops: u64) {
    let Standing { counts, now } = standing;
    let first = block.last_hit != *now;
    let sampled = drops.is_multiple_of(u64::from(HITS_SAMPLED));
    if !first && !sampled {
        return;
    }
    let counted = u32::from(first) + if sampled { HITS_SAMPLED } else { 0 };
    match *counts {
        Counts::Beside { last_hit, hits } => {
            note(last_hit, *now);
            add(hits, counted);
        }
        // Each word is written before the next is looked up: the verifier follows a pointer from its own check only.
        Counts::InTable { table, last_hit, hits } => {
            if let Some(last_hit) = word_of(table, last_hit) {
                note(last_hit, *now);
            }
            if let Some(hits) = word_of(table, hits) {
                add(hits, counted);
            }
        }
    }
}

/// Writes the tick of a hit.
#[inline(always)]
fn note(last_hit: *mut u32, now: Ticks) {
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

/// One drop in so many of a CPU is counted for all of them.
const HITS_SAMPLED: u32 = 64;

/// The settings, if all of these maps are in use.
#[inline(always)]
fn settings(maps: u32) -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.in_use & maps == maps)
}
