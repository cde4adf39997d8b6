//! The writer beside a naive model, read as the program reads.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use ssh_guard_common::flat::Shape;
use ssh_guard_common::networks::{CELLS, Maps, at, find, state_of};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, is_over};

use super::super::super::walk::TrieKey;
use super::super::tries::{Family, Mark};
use super::*;
use crate::fault::Exit;

/// What stands in the tries, for readers on other threads too.
#[derive(Clone, Default)]
struct Blocks(Arc<Mutex<HashMap<Network, Block>>>);

impl Blocks {
    fn narrowest(&self, address: Source, now: Ticks) -> Option<Block> {
        let blocks = self.0.lock().unwrap();
        let whole = Network::new(address, 128);
        let block = (0..=whole.prefix()).rev().find_map(|prefix| blocks.get(&whole.widened(prefix)).copied());
        block.filter(|block| !is_over(block.until(), now))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Tries without a kernel, which may refuse one write.
#[derive(Default)]
pub(in super::super) struct Fake {
    blocks: Blocks,
    /// How many writes go well before one does not.
    refuses: Cell<Option<u32>>,
}

impl Fake {
    fn write(&self) -> Result<(), Fault> {
        let left = self.refuses.get();
        self.refuses.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) { Err(Fault::new(Exit::Failure, "no memory")) } else { Ok(()) }
    }
}

impl Fake {
    pub(in super::super) fn all(&self) -> Vec<Network> {
        let mut all: Vec<Network> = self.blocks.0.lock().unwrap().keys().copied().collect();
        all.sort_unstable();
        all
    }
}

impl Tries for Fake {
    fn get(&self, network: Network) -> Result<Option<Block>, Fault> {
        Ok(self.blocks.0.lock().unwrap().get(&network).copied())
    }

    fn put(&mut self, network: Network, block: Block) -> Result<(), Fault> {
        self.write()?;
        self.blocks.0.lock().unwrap().insert(network, block);
        Ok(())
    }

    fn take(&mut self, network: Network) -> Result<(), Fault> {
        self.write()?;
        self.blocks.0.lock().unwrap().remove(&network);
        Ok(())
    }

    fn after(
        &self,
        family: Family,
        after: Option<Mark>,
        count: usize,
    ) -> Result<Vec<(Mark, Network)>, Fault> {
        let blocks = self.blocks.0.lock().unwrap();
        let mut there: Vec<Network> = blocks.keys().copied().collect();
        there.retain(|network| network.is_v4() == (family == Family::V4));
        there.sort_unstable();
        let mark = |network: &Network| {
            Mark(TrieKey { prefix: network.prefix().into(), address: network.first().bytes() })
        };
        let begin =
            there.iter().position(|network| Some(mark(network)) == after).map_or(0, |place| place + 1);
        Ok(there[begin..].iter().take(count).map(|network| (mark(network), *network)).collect())
    }
}

/// One bucket, so that it fills.
const SHAPE: Shape = Shape { seed: [3, 5, 7, 9], buckets: 1, reserved: 0 };

fn writer() -> Writer<Fake> {
    writer_and_table().0
}

/// A writer, and the memory of its table once more.
pub(in super::super) fn writer_and_table() -> (Writer<Fake>, Memory) {
    let memory = Memory::alone(SHAPE.cells::<V4>());
    let again = memory.again();
    (Writer::new(Memory::alone(CELLS), Table::new(memory, SHAPE), Fake::default()), again)
}

impl Writer<Fake> {
    fn block(&mut self, text: &str, until: Ticks) {
        let ban = Ban { until, overlaps: false };
        self.change(vec![(network(text), Some(ban))], |_| Ok(())).unwrap();
    }

    fn unblock(&mut self, text: &str) {
        self.change(vec![(network(text), None)], |_| Ok(())).unwrap();
    }

    pub(in super::super) fn drops(&self, address: Source, now: Ticks) -> bool {
        let Self { states, table, tries: Fake { blocks, .. }, .. } = self;
        Reader { states, table, blocks, now }.drops(address)
    }

    pub(in super::super) fn fake(&self) -> &Fake {
        &self.tries
    }

    /// A word of the bits of 10.0.0.0/8.
    pub(in super::super) fn states_word(&self, word: usize) -> &std::sync::atomic::AtomicU32 {
        self.states.at(at(10 * 4096 + u32::try_from(word).unwrap()))
    }

    fn state(&self, address: &str) -> State {
        state_of(&&self.states, source(address))
    }

    fn counted(&self, text: &str) -> (u32, u32) {
        let block = self.block_of(network(text)).unwrap().unwrap();
        (block.last_hit, block.hits)
    }
}

/// Reads the maps as they are at a tick.
struct Reader<'a> {
    states: &'a Memory,
    table: &'a Table<V4>,
    blocks: &'a Blocks,
    now: Ticks,
}

impl Reader<'_> {
    fn drops(&self, address: Source) -> bool {
        let block =
            if address.is_v4() { find(self, address) } else { self.blocks.narrowest(address, self.now) };
        block.is_some_and(|block| !(block.overlaps() && EXCEPTED.contains(&address)))
    }
}

impl Maps for Reader<'_> {
    type Block = Block;

    fn state(&self, address: Source) -> State {
        state_of(&self.states, address)
    }

    fn in_table(&self, first: Source) -> Option<Block> {
        let Found::Entry(entry) = self.table.find(first) else { return None };
        let block = Block { end: entry.end, ..Block::default() };
        (!is_over(block.until(), self.now)).then_some(block)
    }

    fn in_trie(&self, address: Source) -> Option<Block> {
        self.blocks.narrowest(address, self.now)
    }
}

fn source(address: &str) -> Source {
    address.parse::<std::net::IpAddr>().unwrap().into()
}

fn network(text: &str) -> Network {
    text.parse::<ipnet::IpNet>().unwrap().into()
}

/// What is never dropped.
const EXCEPTED: [Source; 2] =
    [Source::from_v4(0x0a01_0104_u32.to_be()), Source::from_v6([0x2001_0db8_u32.to_be(), 0, 0, 0])];

/// Few bits vary, so that networks lie in each other.
pub(in super::super) fn address() -> impl Strategy<Value = Source> + Clone {
    let v4 = (0_u32..4, 0_u32..32, 0_u32..8).prop_map(|(second, third, last)| {
        Source::from(Ipv4Addr::from(0x0a00_0000 | second << 16 | third << 8 | last))
    });
    let v6 = (0_u128..4, 0_u128..4, 0_u128..4).prop_map(|(third, fourth, last)| {
        Source::from(Ipv6Addr::from(0x2001_0db8 << 96 | third << 80 | fourth << 64 | last))
    });
    prop_oneof![3 => v4, 1 => v6]
}

pub(in super::super) fn any_network() -> impl Strategy<Value = Network> + Clone {
    // Wide ones take time.
    let v4 = prop_oneof![40 => Just(24_u8), 30 => 14_u8..=32, 1 => 0_u8..=13];
    let v6 = prop_oneof![1 => 0_u8..=128, 2 => 44_u8..=66];
    (address(), v4, v6)
        .prop_map(|(address, v4, v6)| Network::new(address, if address.is_v4() { v4 } else { v6 }))
}

#[derive(Clone, Debug)]
enum Action {
    Change(Vec<(Network, Option<Ticks>)>),
    /// The kernel refuses a write.
    Refuse(Vec<(Network, Option<Ticks>)>, u32),
    Wait(Ticks),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let until = prop_oneof![3 => (1_u32..60).prop_map(Some), 2 => Just(None)];
    let one = prop::collection::vec((any_network(), until.clone()), 1);
    let many = prop::collection::vec((any_network(), until), 1..20);
    let action = prop_oneof![
        6 => one.clone().prop_map(Action::Change),
        1 => many.clone().prop_map(Action::Change),
        1 => (prop_oneof![one, many], 0_u32..6).prop_map(|(changes, after)| Action::Refuse(changes, after)),
        2 => (1_u32..8).prop_map(Action::Wait),
    ];
    prop::collection::vec(action, 0..40)
}

fn changes(changes: &[(Network, Option<Ticks>)]) -> Vec<Change> {
    let ban = |network: Network, until| Ban {
        until,
        overlaps: EXCEPTED.iter().any(|address| network.contains(&Network::new(*address, 128))),
    };
    changes.iter().map(|(network, until)| (*network, until.map(|until| ban(*network, until)))).collect()
}

proptest! {
    #[test]
    fn an_address_is_dropped_while_any_banned_network_around_it_has_not_ended(
        actions in actions(),
        addresses in prop::collection::vec(address(), 30),
    ) {
        let mut writer = writer();
        let mut model = HashMap::<Network, Ticks>::new();
        let mut now = 0;
        for action in actions {
            match action {
                Action::Wait(ticks) => now += ticks,
                Action::Change(bans) => {
                    writer.change(changes(&bans), |_| Ok(())).unwrap();
                    apply(&mut model, bans);
                }
                Action::Refuse(bans, after) => {
                    writer.tries.refuses.set(Some(after));
                    let changed = writer.change(changes(&bans), |_| Ok(()));
                    writer.tries.refuses.set(None);
                    if changed.is_ok() {
                        apply(&mut model, bans);
                    }
                }
            }
            prop_assert_eq!(writer.nest().len(), model.len());
            for address in &addresses {
                let whole = Network::new(*address, 128);
                let banned =
                    model.iter().any(|(network, until)| network.contains(&whole) && !is_over(*until, now));
                let drops = banned && !EXCEPTED.contains(address);
                prop_assert_eq!(writer.drops(*address, now), drops, "{} at {} in {:?}", address, now, &model);
            }
        }
        let all = model.into_keys().map(|network| (network, None)).collect();
        writer.change(all, |_| Ok(())).unwrap();
        prop_assert_eq!(writer.tries.blocks.len(), 0);
        for number in 0..1024 {
            let first = Source::from(Ipv4Addr::from(0x0a00_0000 | number << 8));
            prop_assert_eq!(state_of(&&writer.states, first), State::Nothing, "{}", first);
            prop_assert_eq!(writer.table.find(first), Found::Absent, "{}", first);
        }
    }
}

fn apply(model: &mut HashMap<Network, Ticks>, bans: Vec<(Network, Option<Ticks>)>) {
    for (network, until) in bans {
        match until {
            Some(until) => model.insert(network, until),
            None => model.remove(&network),
        };
    }
}

#[test]
fn a_24_is_in_the_table_until_something_in_it_is_banned_by_itself() {
    let mut writer = writer();
    writer.block("203.0.113.0/24", 7);
    assert_eq!(writer.state("203.0.113.9"), State::Table);
    assert_eq!(writer.state("203.0.112.9"), State::Nothing);
    assert_eq!(writer.tries.blocks.len(), 0);
    writer.block("203.0.113.128/25", 9);
    assert_eq!(writer.state("203.0.113.9"), State::Trie);
    assert_eq!(writer.table.find(source("203.0.113.0")), Found::Absent);
    writer.unblock("203.0.113.128/25");
    assert_eq!(writer.block_of(network("203.0.113.0/24")).unwrap().unwrap().end, 7);
    writer.unblock("203.0.113.0/24");
    assert_eq!(writer.state("203.0.113.9"), State::Nothing);
    writer.block("203.0.113.0/24", 8);
    assert_eq!(writer.state("203.0.113.9"), State::Table, "its next ban has the table again");
}

#[test]
fn a_24_that_its_bucket_has_no_room_for_is_in_the_trie() {
    let mut writer = writer();
    for third in 1..=16 {
        writer.block(&format!("203.0.{third}.0/24"), 7);
    }
    assert_eq!((writer.state("203.0.15.1"), writer.state("203.0.16.1")), (State::Table, State::Trie));
    assert_eq!(writer.tries.blocks.len(), 1);
    writer.block("0.0.0.0/24", 7);
    assert!(writer.drops(source("0.0.0.1"), 0), "no tag stands for it");
}

#[test]
fn what_was_counted_stays_with_a_network_whose_end_or_place_changes_and_goes_with_it() {
    let (mut writer, memory) = writer_and_table();
    writer.block("203.0.113.0/24", 7);
    // As the program does.
    let Found::Entry(entry) = writer.table.find(source("203.0.113.0")) else { panic!("it is there") };
    memory.at(SHAPE.last_hit(entry.bucket, entry.slot)).store(3, Relaxed);
    memory.at(SHAPE.hits(entry.bucket, entry.slot)).store(5, Relaxed);
    writer.block("203.0.113.0/24", 9);
    assert_eq!(writer.counted("203.0.113.0/24"), (3, 5));
    writer.block("203.0.113.7/32", 9);
    assert_eq!(writer.state("203.0.113.0"), State::Trie);
    assert_eq!(writer.counted("203.0.113.0/24"), (3, 5));
    assert_eq!(writer.counted("203.0.113.7/32"), (0, 0));
    writer.block("203.0.0.0/16", 99);
    assert_eq!(writer.counted("203.0.113.0/24"), (3, 5));
    writer.unblock("203.0.113.0/24");
    writer.block("203.0.113.0/24", 9);
    assert_eq!(writer.counted("203.0.113.0/24"), (0, 0));
}

#[test]
fn all_of_ipv4_can_be_banned_around_others_and_unbanned() {
    let mut writer = writer();
    writer.block("203.0.113.0/24", 7);
    writer.block("198.51.100.64/26", 7);
    writer.block("0.0.0.0/0", 9);
    assert_eq!(writer.state("203.0.113.1"), State::Table);
    assert_eq!([writer.state("0.0.0.0"), writer.state("255.255.255.255")], [State::Trie; 2]);
    assert!(writer.drops(source("203.0.113.1"), 8), "it ends with what is around it");
    writer.unblock("0.0.0.0/0");
    assert_eq!([writer.state("0.0.0.0"), writer.state("255.255.255.255")], [State::Nothing; 2]);
    assert_eq!([writer.state("203.0.113.1"), writer.state("198.51.100.1")], [State::Table, State::Trie]);
    assert!(!writer.drops(source("203.0.113.1"), 8) && writer.drops(source("203.0.113.1"), 6));
    assert!(!writer.drops(source("198.51.100.1"), 6) && writer.drops(source("198.51.100.65"), 6));
}

#[test]
fn a_reader_on_another_thread_never_finds_a_hole_in_what_is_banned() {
    let (mut writer, memory) = writer_and_table();
    let table = Table::<V4>::new(memory, SHAPE);
    let (states, blocks) = (writer.states.again(), writer.tries.blocks.clone());
    writer.block("203.0.0.0/16", 9);
    let addresses = ["203.0.113.0", "203.0.113.7", "203.0.113.200", "203.0.114.1"].map(source);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let reader = Reader { states: &states, table: &table, blocks: &blocks, now: 8 };
            let mut seen = 0_u64;
            while !done.load(Relaxed) {
                for address in addresses {
                    assert!(reader.drops(address), "{address} is let through");
                    seen += 1;
                }
            }
            seen
        });
        for _ in 0..20_000 {
            writer.block("203.0.113.0/24", 1);
            writer.unblock("203.0.113.0/24");
            writer.block("203.0.113.0/24", 1);
            writer.block("203.0.113.7/32", 1);
            writer.block("203.0.112.0/20", 20);
            writer.unblock("203.0.112.0/20");
            writer.unblock("203.0.113.0/24");
            writer.unblock("203.0.113.7/32");
        }
        done.store(true, Relaxed);
        assert!(watch.join().unwrap() > 0, "the reader looked");
    });
}
