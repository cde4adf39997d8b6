//! What an earlier daemon left in force. Its maps are read, not taken over: a new program gets maps of its own, of the
//! sizes that are configured now and with hashes of its own, and what stood in the old ones is written into them before
//! the program takes the place of the old one. So a restart, an upgrade and a change of sizes are one and the same.

mod rescue;

use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, Map, MapData, MapError, MapType};
use bytemuck::Pod;
use ssh_guard_common::flat::{CELL_WORDS, Family, Shape, V4, V6};
use ssh_guard_common::records::{
    Authenticated, Block, KnownGood, SessionKey, SessionRecord, Settings, SourceRecord,
};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::{ABI, names};

pub use rescue::{Lifted, Rescue};

use super::flat::Table;
use super::memory::Memory;
use super::{Pins, batch};
use crate::fault::{Exit, Fault};
use crate::network::Network;

/// The maps of an earlier daemon.
pub struct Earlier {
    settings: Settings,
    v4: Table<V4>,
    v6: Table<V6>,
    beside: MapData,
    nets_24: Table<V4>,
    nets_v4: LpmTrie<MapData, [u8; 4], Block>,
    nets_v6: LpmTrie<MapData, [u8; 16], Block>,
    /// Sources that are known-good; nothing of a version that did not know them.
    known: Option<(Table<V4>, Table<V6>, MapData)>,
}

impl Earlier {
    /// Opens what is pinned; nothing if nothing is.
    ///
    /// # Errors
    /// If maps are pinned that no daemon of this kind wrote: they are left as they are, since nobody knows what they
    /// have in force.
    pub fn find(pins: &Pins) -> Result<Option<Self>, Fault> {
        let folder = pins.maps();
        if !folder.join(names::SETTINGS).exists() {
            return Ok(None);
        }
        Self::open(&folder).map(Some).map_err(|fault| {
            fault.hint(format!(
                "what they drop stays dropped until its end; to begin without it: rm -r {}",
                folder.display()
            ))
        })
    }

    fn open(folder: &Path) -> Result<Self, Fault> {
        let settings = Array::<_, Settings>::try_from(open(folder, names::SETTINGS)?)
            .and_then(|map| map.get(&0, 0))
            .map_err(|error| strange(folder, names::SETTINGS).because(error))?;
        if settings.abi != ABI {
            return Err(strange(folder, names::SETTINGS).because(format!("its number is {}", settings.abi)));
        }
        let Map::HashMap(beside) = open(folder, names::BLOCKED_BESIDE)? else {
            return Err(strange(folder, names::BLOCKED_BESIDE));
        };
        let sizes = beside.info().map_err(|error| strange(folder, names::BLOCKED_BESIDE).because(error))?;
        if (sizes.key_size(), sizes.value_size()) != (size(size_of::<Source>()), size(size_of::<Block>())) {
            return Err(strange(folder, names::BLOCKED_BESIDE).because("its entries are of another size"));
        }
        Ok(Self {
            settings,
            v4: table(folder, names::BLOCKED_V4)?,
            v6: table(folder, names::BLOCKED_V6)?,
            beside,
            nets_24: table(folder, names::BLOCKED_NETS_24)?,
            nets_v4: LpmTrie::try_from(open(folder, names::BLOCKED_NETS_V4)?)
                .map_err(|error| strange(folder, names::BLOCKED_NETS_V4).because(error))?,
            nets_v6: LpmTrie::try_from(open(folder, names::BLOCKED_NETS_V6)?)
                .map_err(|error| strange(folder, names::BLOCKED_NETS_V6).because(error))?,
            known: known(folder),
        })
    }

    /// The jiffies from which its ends are counted.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.settings.base
    }

    /// How much of an address made a source.
    #[must_use]
    pub fn mask(&self) -> SourceMask {
        self.settings.mask
    }

    /// Every source that is known-good, whether that is over or not, in no order.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn known_good(&self) -> Result<Vec<(Source, KnownGood)>, Fault> {
        let Some((v4, v6, beside)) = &self.known else { return Ok(Vec::new()) };
        let beside = batch::all(beside).map_err(|error| {
            Fault::new(Exit::Failure, "cannot read whom an earlier daemon knew").because(error)
        })?;
        let tables = v4.entries().chain(v6.entries());
        Ok(tables.map(|(source, entry)| (source, KnownGood { end: entry.end })).chain(beside).collect())
    }

    /// Every block of a network, whether it is over or not, in no order; of several for the same network any.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn networks(&self) -> Result<Vec<(Network, Block)>, Fault> {
        let unreadable = |error: MapError| {
            Fault::new(Exit::Failure, "cannot read an earlier daemon's blocks of networks").because(error)
        };
        let mut blocks: Vec<_> =
            self.nets_24.entries().map(|(first, block)| (Network::new(first, 24), block)).collect();
        for entry in &self.nets_v4 {
            let (key, block) = entry.map_err(unreadable)?;
            blocks.push((Network::new(Ipv4Addr::from(key.data()).into(), prefix(key.prefix_len())), block));
        }
        for entry in &self.nets_v6 {
            let (key, block) = entry.map_err(unreadable)?;
            let first = Source::from_words(bytemuck::cast(key.data()));
            blocks.push((Network::new(first, prefix(key.prefix_len())), block));
        }
        Ok(blocks)
    }

    /// Every block of a source, whether it is over or not, in no order.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn blocks(&self) -> Result<Vec<(Source, Block)>, Fault> {
        let beside = batch::all(&self.beside).map_err(|error| {
            Fault::new(Exit::Failure, "cannot read an earlier daemon's blocks").because(error)
        })?;
        Ok(self.v4.entries().chain(self.v6.entries()).chain(beside).collect())
    }
}

/// What an earlier daemon's programs counted, and still count until others take their place.
#[derive(Default)]
pub struct Counted {
    sessions: Option<MapData>,
    marks: Option<MapData>,
    sources: Option<MapData>,
}

impl Counted {
    /// Opens what is pinned, but for what has entries of another form; those names are told.
    #[must_use]
    pub fn find(pins: &Pins) -> (Self, Vec<&'static str>) {
        let folder = pins.maps();
        let mut strange = Vec::new();
        let mut find = |name, key, value| {
            if !folder.join(name).exists() {
                return None;
            }
            let map = counters(&folder, name, size(key), size(value));
            if map.is_none() {
                strange.push(name);
            }
            map
        };
        let session = size_of::<SessionKey>();
        let counted = Self {
            sessions: find(names::SESSIONS, session, size_of::<SessionRecord>()),
            marks: find(names::AUTHENTICATED, session, size_of::<Authenticated>()),
            sources: find(names::SOURCES, size_of::<Source>(), size_of::<SourceRecord>()),
        };
        (counted, strange)
    }

    /// Its sessions.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn sessions(&self) -> Result<Vec<(SessionKey, SessionRecord)>, Fault> {
        all(self.sessions.as_ref())
    }

    /// Which of them are authenticated.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn marks(&self) -> Result<Vec<(SessionKey, Authenticated)>, Fault> {
        all(self.marks.as_ref())
    }

    /// Its sources.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn sources(&self) -> Result<Vec<(Source, SourceRecord)>, Fault> {
        all(self.sources.as_ref())
    }
}

fn known(folder: &Path) -> Option<(Table<V4>, Table<V6>, MapData)> {
    let Ok(Map::HashMap(beside)) = open(folder, names::KNOWN_BESIDE) else { return None };
    let info = beside.info().ok()?;
    let sizes = (size(size_of::<Source>()), size(size_of::<KnownGood>()));
    let tables = (table(folder, names::KNOWN_V4).ok()?, table(folder, names::KNOWN_V6).ok()?);
    ((info.key_size(), info.value_size()) == sizes).then_some((tables.0, tables.1, beside))
}

fn counters(folder: &Path, name: &str, key: u32, value: u32) -> Option<MapData> {
    let Ok(Map::LruHashMap(map)) = open(folder, name) else { return None };
    let info = map.info().ok()?;
    ((info.key_size(), info.value_size()) == (key, value)).then_some(map)
}

fn all<K: Pod, V: Pod>(map: Option<&MapData>) -> Result<Vec<(K, V)>, Fault> {
    let all = map.map(batch::all).transpose().map_err(|error| {
        Fault::new(Exit::Failure, "cannot read what an earlier daemon counted").because(error)
    })?;
    Ok(all.unwrap_or_default())
}

fn open(folder: &Path, name: &str) -> Result<Map, Fault> {
    MapData::from_pin(folder.join(name))
        .and_then(Map::from_map_data)
        .map_err(|error| strange(folder, name).because(error))
}

/// Opens a flat table to read it from end to end; its seed is only needed to look something up.
fn table<F: Family>(folder: &Path, name: &str) -> Result<Table<F>, Fault> {
    let (memory, cells) = cells(folder, name)?;
    if !cells.is_multiple_of(F::CELLS_PER_BUCKET) {
        return Err(strange(folder, name).because("its entries are of another size"));
    }
    let shape = Shape { seed: [0; 4], buckets: cells / F::CELLS_PER_BUCKET, reserved: 0 };
    Ok(Table::new(memory, shape))
}

/// Opens an array of cells, and says how many there are.
fn cells(folder: &Path, name: &str) -> Result<(Memory, u32), Fault> {
    let Map::Array(data) = open(folder, name)? else { return Err(strange(folder, name)) };
    let info = data.info().map_err(|error| strange(folder, name).because(error))?;
    let cells = info.max_entries();
    let is_cells = matches!(info.map_type(), Ok(MapType::Array))
        && info.value_size() == size(CELL_WORDS * size_of::<u32>())
        && cells > 0;
    if !is_cells {
        return Err(strange(folder, name).because("its entries are of another size"));
    }
    let memory =
        Memory::of_map(data.fd().as_fd(), cells).map_err(|error| strange(folder, name).because(error))?;
    Ok((memory, cells))
}

fn strange(folder: &Path, name: &str) -> Fault {
    let path = folder.join(name);
    Fault::new(
        Exit::Failure,
        format!("'{}' is not what an earlier daemon of this version pins", path.display()),
    )
}

fn prefix(bits: u32) -> u8 {
    u8::try_from(bits).unwrap_or(u8::MAX)
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
