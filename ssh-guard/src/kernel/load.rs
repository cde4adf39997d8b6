//! Puts the programs and their maps into the kernel.

use std::hash::{BuildHasher as _, RandomState};
use std::os::fd::AsFd as _;

use aya::maps::{Map, MapData, MapError};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use nix::errno::Errno;
use ssh_guard_common::budget::{self, Rate};
use ssh_guard_common::flat::{Family as _, SLOTS, Shape, V4, V6};
use ssh_guard_common::networks::CELLS;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::TICK_SHIFT;
use ssh_guard_common::{MAX_PORTS, names};
use tracing::info;

use super::clock::tick_rate;
use super::object::OBJECT;
use super::refusal::refused;
use super::tables::{self, Shapes};
use super::{
    Allowlist, Blocklist, Earlier, KernelClock, KnownGood, KnownGoodView, Networks, Sampler, Sessions,
    SettingsMap, errno, networks, sessions,
};
use crate::fault::{Exit, Fault};

/// What the programs know from the moment they are loaded, until another one is loaded in their place.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The guarded ports, 1 to [`MAX_PORTS`] of them.
    pub ports: Vec<u16>,
    /// How much of an address makes a source.
    pub mask: SourceMask,
    /// Whether packets that would be dropped pass.
    pub dry_run: bool,
    /// How many sessions a source may ask for in a minute, or all at once; 0 for no limit.
    pub new_sessions_per_minute: u16,
    /// How large the maps are.
    pub capacities: Capacities,
}

/// How many entries the maps hold.
#[derive(Clone, Copy, Debug)]
pub struct Capacities {
    /// Blocked sources.
    pub blocklist: u32,
    /// Banned networks.
    pub networks: u32,
    /// Networks in the allowlist.
    pub allowlist: u32,
    /// Sources that are known-good.
    pub known_good: u32,
    /// Sources whose packets and new sessions are counted; the one that was quiet longest makes room.
    pub sources: u32,
    /// Sessions that are followed; the one that was quiet longest makes room.
    pub sessions: u32,
}

/// The programs and maps in the kernel, attached to nothing yet.
pub struct Loaded {
    /// Keeps the programs alive.
    pub ebpf: Ebpf,
    /// What it takes to attach the programs.
    pub kept: Kept,
    /// Blocks and unblocks sources.
    pub blocklist: Blocklist,
    /// Blocks and unblocks networks.
    pub networks: Networks,
    /// Says which networks are never dropped.
    pub allowlist: Allowlist,
    /// Says which sources are known-good.
    pub known_good: KnownGood,
    /// Reads that.
    pub known_good_view: KnownGoodView,
    /// Says which maps are in use, and from when on time is counted.
    pub settings: SettingsMap,
    /// Reads what the program counts.
    pub sampler: Sampler,
    /// Tells the kernel's time.
    pub clock: KernelClock,
    /// Reads the sessions, and says what the daemon knows of them.
    pub sessions: Sessions,
}

/// What is kept of loading, to attach the programs.
pub struct Kept {
    /// The XDP program that attaches: the one for packets of several buffers, where the kernel has that.
    pub(super) program: &'static str,
    /// The kernel's number of it.
    pub(super) program_id: u32,
    /// Every map, to pin it by. These are the descriptors by which programs that are loaded later name the maps.
    pub(super) maps: Vec<(&'static str, Map)>,
}

impl Loaded {
    /// The program that attaches.
    #[must_use]
    pub fn program_name(&self) -> &'static str {
        self.kept.program
    }
}

/// Loads programs and maps.
///
/// # Errors
/// If the caller may not load BPF programs, or the kernel is too old or too short of memory for them.
pub fn load(programs: &Programs) -> Result<Loaded, Fault> {
    load_from(programs, None)
}

/// Loads programs, and maps in which ticks are counted as in those of an earlier daemon, or from now on.
///
/// # Errors
/// As [`load`].
pub fn load_from(programs: &Programs, earlier: Option<&Earlier>) -> Result<Loaded, Fault> {
    load_with(programs, earlier, true)
}

/// As [`load_from`]; without `frags` as if the kernel had no XDP for packets of several buffers.
///
/// # Errors
/// As [`load`].
pub fn load_with(programs: &Programs, earlier: Option<&Earlier>, frags: bool) -> Result<Loaded, Fault> {
    let Programs { ports, mask, dry_run, new_sessions_per_minute, capacities } = programs;
    let mut slots = [0_u16; MAX_PORTS];
    for (slot, port) in slots.iter_mut().zip(ports) {
        *slot = *port;
    }
    let dry_run = u8::from(*dry_run);
    let hz = tick_rate()?;
    let rate = Rate::per_minute(*new_sessions_per_minute, hz);
    let askers = (ASKERS_PER_SECOND << TICK_SHIFT) / hz.max(1);
    let blocked = shapes(capacities.blocklist);
    let known = shapes(capacities.known_good);
    let budgets = shape(budget::groups_for(capacities.sources));
    let shape_24 = shape(buckets_for(capacities.networks as usize));
    let mut ebpf = EbpfLoader::new()
        .override_global(names::PORTS, &slots, true)
        .override_global(names::SOURCE_MASK, mask, true)
        .override_global(names::DRY_RUN, &dry_run, true)
        .override_global(names::BLOCKED_V4_SHAPE, &blocked.v4, true)
        .override_global(names::BLOCKED_V6_SHAPE, &blocked.v6, true)
        .override_global(names::BLOCKED_NETS_24_SHAPE, &shape_24, true)
        .override_global(names::KNOWN_V4_SHAPE, &known.v4, true)
        .override_global(names::KNOWN_V6_SHAPE, &known.v6, true)
        .override_global(names::SYN_BUDGET_SHAPE, &budgets, true)
        .override_global(names::SYN_RATE, &rate, true)
        .override_global(names::ASKERS_PER_TICK, &askers, true)
        .map_max_entries(names::BLOCKED_V4, blocked.v4.cells::<V4>())
        .map_max_entries(names::BLOCKED_V6, blocked.v6.cells::<V6>())
        .map_max_entries(names::BLOCKED_BESIDE, beside(capacities.blocklist))
        .map_max_entries(names::BLOCKED_NETS, CELLS)
        .map_max_entries(names::BLOCKED_NETS_24, shape_24.cells::<V4>())
        .map_max_entries(names::BLOCKED_NETS_V4, trie_for(capacities.networks))
        .map_max_entries(names::BLOCKED_NETS_V6, trie_for(capacities.networks))
        .map_max_entries(names::ALLOWLIST, capacities.allowlist)
        .map_max_entries(names::KNOWN_V4, known.v4.cells::<V4>())
        .map_max_entries(names::KNOWN_V6, known.v6.cells::<V6>())
        .map_max_entries(names::KNOWN_BESIDE, beside(capacities.known_good))
        .map_max_entries(names::SYN_BUDGET, budgets.buckets)
        .map_max_entries(names::SOURCES, evicting(capacities.sources))
        .map_max_entries(names::SESSIONS, evicting(capacities.sessions))
        .map_max_entries(names::AUTHENTICATED, evicting(capacities.sessions))
        .map_max_entries(names::CROWDED, crowded(capacities.sessions))
        .load(OBJECT)
        .map_err(|error| refused(&error))?;

    let clock =
        KernelClock::start(load_program(&mut ebpf, names::PROGRAM_CLOCK)?, earlier.map(Earlier::base))?;
    // The maps are taken before the programs are loaded and kept until after: the programs name them by their descriptors.
    let mut maps = Vec::new();
    let followed = take_twice(&mut ebpf, names::SESSIONS, &mut maps)?;
    let sampler = Sampler::new(
        take(&mut ebpf, names::VERDICTS, &mut maps)?,
        take_twice(&mut ebpf, names::SOURCES, &mut maps)?,
        second_handle(&followed[0])?,
    )?;
    let blocked_in = tables::Maps {
        v4: take(&mut ebpf, names::BLOCKED_V4, &mut maps)?,
        v6: take(&mut ebpf, names::BLOCKED_V6, &mut maps)?,
        beside: take(&mut ebpf, names::BLOCKED_BESIDE, &mut maps)?,
    };
    let blocklist = Blocklist::new(blocked_in, blocked)?;
    let [v4, v4_read] = take_twice(&mut ebpf, names::KNOWN_V4, &mut maps)?;
    let [v6, v6_read] = take_twice(&mut ebpf, names::KNOWN_V6, &mut maps)?;
    let [beside, beside_read] = take_twice(&mut ebpf, names::KNOWN_BESIDE, &mut maps)?;
    let known_good = KnownGood::new(tables::Maps { v4, v6, beside }, known)?;
    let read = tables::Maps { v4: v4_read, v6: v6_read, beside: beside_read };
    let known_good_view = KnownGoodView::new(read, known)?;
    // Only the programs read and write these.
    for name in [names::SYN_BUDGET, names::ASKERS] {
        take(&mut ebpf, name, &mut maps)?;
    }
    let followed = sessions::Maps {
        sessions: followed,
        authenticated: take_twice(&mut ebpf, names::AUTHENTICATED, &mut maps)?,
        crowded: take(&mut ebpf, names::CROWDED, &mut maps)?,
    };
    let sessions = Sessions::new(followed)?;
    let banned = networks::Maps {
        states: take(&mut ebpf, names::BLOCKED_NETS, &mut maps)?,
        table: take(&mut ebpf, names::BLOCKED_NETS_24, &mut maps)?,
        trie_v4: take(&mut ebpf, names::BLOCKED_NETS_V4, &mut maps)?,
        trie_v6: take(&mut ebpf, names::BLOCKED_NETS_V6, &mut maps)?,
    };
    let networks = Networks::new(banned, shape_24, capacities.networks)?;
    let allowlist = Allowlist::new(take(&mut ebpf, names::ALLOWLIST, &mut maps)?)?;
    let settings = SettingsMap::new(take(&mut ebpf, names::SETTINGS, &mut maps)?, &clock, *mask)?;
    let (program, program_id) = load_newest(&mut ebpf, frags)?;
    Ok(Loaded {
        ebpf,
        kept: Kept { program, program_id, maps },
        blocklist,
        networks,
        allowlist,
        known_good,
        known_good_view,
        settings,
        sampler,
        clock,
        sessions,
    })
}

/// Loads the program for packets of several buffers, or, where the kernel does not know them (before 5.18), the
/// other one.
fn load_newest(ebpf: &mut Ebpf, frags: bool) -> Result<(&'static str, u32), Fault> {
    let number = |xdp: &Xdp| xdp.info().map(|info| info.id()).map_err(|error| refused(&error.into()));
    if !frags {
        return Ok((names::PROGRAM, number(load_program(ebpf, names::PROGRAM)?)?));
    }
    let frags = program(ebpf, names::PROGRAM_FRAGS)?;
    match frags.load() {
        Ok(()) => Ok((names::PROGRAM_FRAGS, number(frags)?)),
        Err(error) if is_before_frags(&error) => {
            info!(
                "this kernel has no XDP for packets of several buffers: interfaces with a large MTU are guarded in mode tc"
            );
            Ok((names::PROGRAM, number(load_program(ebpf, names::PROGRAM)?)?))
        }
        Err(error) => Err(refused(&error.into())),
    }
}

/// Whether the kernel refused the program's flag, `BPF_F_XDP_HAS_FRAGS`: then its verifier said nothing.
fn is_before_frags(error: &ProgramError) -> bool {
    let ProgramError::LoadError { verifier_log, .. } = error else { return false };
    errno(error) == Some(Errno::EINVAL) && verifier_log.to_string().trim().is_empty()
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Fault> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| Fault::new(Exit::Failure, format!("the object has no XDP program '{name}'")))
}

/// Buckets for so many entries: half of the slots then are free. One bucket in 200 overflows (a Poisson distribution of
/// mean 7 exceeds 15 with a probability of 0.002), and the table is as dense as caches like it.
fn buckets_for(entries: usize) -> u32 {
    u32::try_from(entries.div_ceil(SLOTS as usize / 2)).unwrap_or(u32::MAX / V6::CELLS_PER_BUCKET).max(1)
}

/// Entries of the hash beside tables for so many: a hundred times what is to be expected, as it costs little.
fn beside(entries: u32) -> u32 {
    entries / 16 + 1024
}

/// The shapes of the tables for so many sources of each family.
fn shapes(entries: u32) -> Shapes {
    let buckets = buckets_for(entries as usize);
    Shapes { v4: shape(buckets), v6: shape(buckets) }
}

/// How many records of sources are made in a second for asking alone, in ticks rounded down.
const ASKERS_PER_SECOND: u32 = 100;

/// Entries of a map that evicts, for so many to be kept: each CPU takes up to 128 that are free for itself
/// (`LOCAL_FREE_TARGET` in `kernel/bpf/bpf_lru_list.c`).
fn evicting(entries: u32) -> u32 {
    let cpus = aya::util::nr_cpus().unwrap_or(1);
    entries.saturating_add(u32::try_from(cpus).unwrap_or(u32::MAX).saturating_mul(2 * 128))
}

/// Sources that can hold two of so many sessions or more.
fn crowded(sessions: u32) -> u32 {
    sessions / 2 + 1
}

/// Entries of a trie for so many. It takes memory for those that are there only, and before Linux 6.13 a full one refuses
/// to change an entry.
fn trie_for(networks: u32) -> u32 {
    networks + 1
}

/// A shape with a seed that nobody knows.
fn shape(buckets: u32) -> Shape {
    // The standard library seeds its hashes from the kernel's random numbers.
    let number = |salt: u64| RandomState::new().hash_one(salt);
    Shape { seed: [number(0), number(1), number(2), number(3)], buckets, reserved: 0 }
}

/// Loads an XDP program.
pub(super) fn load_program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Fault> {
    let program = program(ebpf, name)?;
    program.load().map_err(|error| refused(&error.into()))?;
    Ok(program)
}

/// Loads a program for traffic control, unless it is loaded.
pub(super) fn load_classifier<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, Fault> {
    let Some(Program::SchedClassifier(program)) = ebpf.program_mut(name) else {
        return Err(Fault::new(Exit::Failure, format!("the object has no program '{name}'")));
    };
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(program),
        Err(error) => Err(refused(&error.into())),
    }
}

/// Takes a map out of the object, keeps it under its name, and returns a second handle on it.
fn take(ebpf: &mut Ebpf, name: &'static str, maps: &mut Vec<(&'static str, Map)>) -> Result<Map, Fault> {
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| Fault::new(Exit::Failure, format!("the object has no map '{name}'")))?;
    let again = second_handle(&map)?;
    maps.push((name, map));
    Ok(again)
}

/// Takes a map out of the object, and a second handle on it, beside the one kept under its name.
fn take_twice(
    ebpf: &mut Ebpf,
    name: &'static str,
    maps: &mut Vec<(&'static str, Map)>,
) -> Result<[Map; 2], Fault> {
    let map = take(ebpf, name, maps)?;
    let again = second_handle(&map)?;
    Ok([map, again])
}

/// Opens a map a second time, by its own descriptor: under its unit the daemon may not open maps by their number.
fn second_handle(map: &Map) -> Result<Map, Fault> {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LpmTrie(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)) = map
    else {
        return Err(Fault::new(Exit::Failure, "the object has a map of an unknown kind"));
    };
    let again = data
        .fd()
        .as_fd()
        .try_clone_to_owned()
        .map_err(MapError::from)
        .and_then(MapData::from_fd)
        .and_then(Map::from_map_data);
    again.map_err(|error| Fault::new(Exit::Failure, "cannot open a map a second time").because(error))
}
