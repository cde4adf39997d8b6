//! Every map, each with who writes it and what happens when it is full. The sizes here are placeholders for the
//! configured ones, which the daemon sets when it loads the object.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::macros::btf_map;
use ssh_guard_common::budget::Group;
use ssh_guard_common::flat::{V4, V6};
use ssh_guard_common::records::{
    Authenticated, Block, KnownGood, SessionKey, SessionRecord, Settings, SourceRecord, VerdictCount,
};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::{Ticks, is_over, ticks};
use ssh_guard_common::verdict::Verdict;

use crate::blocks::{Standing, look};
use crate::flat::Table;
use crate::judge::{Evidence, Going, Tables};
use crate::{apart, blocks, budget, clock, networks, sessions, settings};

/// Flat tables: written by the daemon through its own mapping of the memory, but for hits.
#[btf_map]
static BLOCKED_V4: Table = Array::new();
#[btf_map]
static BLOCKED_V6: Table = Array::new();

/// Written by the daemon, which keeps it from filling, but for hits.
#[btf_map]
pub static BLOCKED_BESIDE: HashMap<Source, Block, 1> = HashMap::new();

/// Written by the daemon alone. Beside the allowlist it has the addresses that are never banned, for blocks that
/// overlap them; only if there is an allowlist is every packet looked up here.
#[btf_map]
static ALLOWLIST: LpmTrie<[u32; 4], Ticks, 1> = LpmTrie::new();

/// Flat tables: written by the daemon through its own mapping of the memory.
#[btf_map]
pub static KNOWN_V4: Table = Array::new();
#[btf_map]
pub static KNOWN_V6: Table = Array::new();

/// Written by the daemon, which keeps it from filling.
#[btf_map]
pub static KNOWN_BESIDE: HashMap<Source, KnownGood, 1> = HashMap::new();

/// Written by the program alone; where it is full, sources pass uncounted. It can be mapped, though nobody does: such a
/// map begins at a page, so that no group lies across two cache lines.
#[btf_map]
pub static SYN_BUDGET: Array<Group, 1, { BPF_F_MMAPABLE as usize }> = Array::new();

/// Written by the programs, and by the daemon, which takes out what is over; when it is full, the session that was quiet
/// longest makes room. The daemon counts what is in here, and decisions rest on what it counts, not on this.
#[btf_map]
pub static SESSIONS: LruHashMap<SessionKey, SessionRecord, 1> = LruHashMap::new();

/// Written by the daemon alone. No program asks it: it is here to outlive the daemon, as the sessions do.
#[btf_map]
static AUTHENTICATED: LruHashMap<SessionKey, Authenticated, 1> = LruHashMap::new();

/// Written by the daemon alone, every second.
#[btf_map]
static CROWDED: HashMap<Source, u32, 1> = HashMap::new();

/// Written by the program alone: a tick, and how many records were made in it for sources that only asked. CPUs that write at
/// once may make some more.
#[btf_map]
pub static ASKERS: Array<[u32; 2], 1> = Array::new();

/// Written by the programs alone; when it is full, the source that was quiet longest makes room. These are counters,
/// no decision rests on them.
#[btf_map]
pub static SOURCES: LruHashMap<Source, SourceRecord, 1> = LruHashMap::new();

/// Written by the program alone, each CPU its own.
#[btf_map]
pub static VERDICTS: PerCpuArray<VerdictCount, { Verdict::ALL.len() }> = PerCpuArray::new();

/// Written by the daemon alone.
#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();

/// The maps in the kernel.
pub struct Kernel;

impl Tables for Kernel {
    type Place = Standing;

    #[inline(always)]
    fn mask(&self) -> SourceMask {
        settings::source_mask()
    }

    #[inline(always)]
    fn blocked(&self, source: Source) -> Option<(Block, Standing)> {
        let settings = settings(Settings::BLOCKLIST)?;
        let now = ticks(clock::jiffies(), settings.base);
        if source.is_v4() {
            look::<V4>(&BLOCKED_V4, &settings::blocked_v4(), source, settings.lease, now)
        } else {
            look::<V6>(&BLOCKED_V6, &settings::blocked_v6(), source, settings.lease, now)
        }
    }

    #[inline(always)]
    fn allowed(&self, address: Source) -> bool {
        settings(Settings::ALLOWLIST).is_some_and(|settings| listed(address, settings))
    }

    #[inline(always)]
    fn blocked_network(&self, address: Source) -> Option<(Block, Standing)> {
        networks::blocked_network(address)
    }

    #[inline(always)]
    fn excepted(&self, address: Source) -> bool {
        settings(0).is_some_and(|settings| listed(address, settings))
    }

    #[inline(always)]
    fn leased(&self) -> bool {
        settings(0).is_some_and(|settings| !is_over(settings.lease, ticks(clock::jiffies(), settings.base)))
    }

    #[inline(always)]
    fn is_over_rate(&self, source: Source) -> bool {
        budget::is_used_up(source)
    }

    #[inline(always)]
    fn crowd(&self, source: Source) -> u32 {
        if settings(Settings::CROWDED).is_none() {
            return 0;
        }
        // SAFETY: the program holds RCU, so the memory outlives the look; the daemon writes the word whole.
        unsafe { CROWDED.get(&source.key()).copied() }.unwrap_or(0)
    }

    #[inline(always)]
    fn is_over_flood_budget(&self, holds_enough: bool) -> bool {
        let Some(settings) = settings(0) else { return false };
        let Settings { flood_budget, unauthenticated, .. } = *settings;
        if flood_budget == Settings::NO_FLOOD || unauthenticated < flood_budget && !holds_enough {
            return false;
        }
        // SAFETY: the helper takes nothing and returns a number.
        let random = unsafe { bpf_get_prandom_u32() };
        !random.is_multiple_of(FLOOD_PASSES)
    }

    #[inline(always)]
    fn known_good(&self, source: Source) -> Option<KnownGood> {
        settings(Settings::KNOWN_GOOD)?;
        apart::known_good(source)
    }

    #[inline(always)]
    fn count(&self, session: SessionKey, source: Source, bytes: u64, going: Going) {
        sessions::count(session, source, bytes, going);
    }

    #[inline(always)]
    fn hit(&self, verdict: Verdict, bytes: u64, block: &Block, place: &Standing) {
        blocks::count(verdict, bytes, block, place);
    }

    #[inline(always)]
    fn bans_networks(&self) -> bool {
        settings(0).is_some_and(|settings| settings.in_use & NETWORKS != 0)
    }

    #[inline(always)]
    fn tally(&self, verdict: Verdict, bytes: u64) {
        tally(verdict, bytes);
    }

    #[inline(always)]
    fn drops_network(&self, evidence: Evidence, bytes: u64) -> bool {
        apart::drops_network(evidence, bytes)
    }

    #[inline(always)]
    fn go_on(&self, evidence: Evidence, bytes: u64, allowed: bool) -> Verdict {
        apart::go_on(evidence, bytes, allowed)
    }

    #[inline(always)]
    fn open(&self, evidence: Evidence) -> Verdict {
        apart::open(evidence)
    }
}

/// Whether any network is banned.
const NETWORKS: u32 = Settings::NETWORKS_V4 | Settings::NETWORKS_V6;

/// Whether the allowlist has the address, in force.
#[inline(always)]
fn listed(address: Source, settings: &Settings) -> bool {
    match ALLOWLIST.get(&Key::new(u128::BITS, address.words())) {
        Some(until) => !is_over(*until, ticks(clock::jiffies(), settings.base)),
        None => false,
    }
}

/// Counts a packet that no block dropped.
#[inline(always)]
pub fn tally(verdict: Verdict, bytes: u64) {
    let Some(count) = VERDICTS.get_ptr_mut(verdict as u32) else { return };
    // SAFETY: the slot is this CPU's own, and a packet is judged to the end before another one is taken on the CPU.
    unsafe {
        (*count).packets += 1;
        (*count).bytes += bytes;
    }
}

/// One in so many of the packets that flood mode stops passes all the same.
const FLOOD_PASSES: u32 = 4;

/// The settings, if all of these maps are in use.
#[inline(always)]
pub fn settings(maps: u32) -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.in_use & maps == maps)
}
