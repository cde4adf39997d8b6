//! The table beside a model of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use ssh_guard_common::flat::{LAST_END, OVERLAPS, V4, V6};

use super::*;

/// Few buckets, so that they fill.
const BUCKETS: u32 = 3;

fn shape(buckets: u32) -> Shape {
    Shape {
        seed: [0x51, 0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb],
        buckets,
        reserved: 0,
    }
}

fn table<F: Family>(buckets: u32) -> Table<F> {
    Table::new(Memory::alone(shape(buckets).cells::<F>()), shape(buckets))
}

/// The table with what is beside it in a hash of its own, as the blocklist keeps them.
struct Whole<F> {
    table: Table<F>,
    beside: HashMap<Source, u32>,
}

impl<F: Family> Whole<F> {
    fn new() -> Self {
        Self { table: table(BUCKETS), beside: HashMap::new() }
    }

    fn put(&mut self, source: Source, end: u32) {
        if self.table.put(source, end) == Put::Beside && self.beside.insert(source, end).is_none() {
            self.table.note_beside(source);
        }
    }

    fn take(&mut self, source: Source) {
        if !self.table.take(source) && self.beside.remove(&source).is_some() {
            self.table.note_gone(source);
        }
    }

    fn end_of(&self, source: Source) -> Option<u32> {
        match self.table.find(source) {
            Found::Absent => None,
            Found::Beside => self.beside.get(&source).copied(),
            Found::Entry(entry) => Some(entry.end),
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Put(Source, u32),
    Take(Source),
    Look(Source),
}

fn v4() -> impl Strategy<Value = Source> + Clone {
    (1_u32..120).prop_map(|number| IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(0x0101_0107))).into())
}

fn v6() -> impl Strategy<Value = Source> + Clone {
    (0_u128..120, 0_u128..2)
        .prop_map(|(net, host)| IpAddr::V6(Ipv6Addr::from((0x2001_u128 << 112) | (net << 64) | host)).into())
}

fn actions(sources: impl Strategy<Value = Source> + Clone) -> impl Strategy<Value = Vec<Action>> {
    let end = 0..=(LAST_END | OVERLAPS);
    let action = prop_oneof![
        3 => (sources.clone(), end).prop_map(|(source, end)| Action::Put(source, end)),
        2 => sources.clone().prop_map(Action::Take),
        1 => sources.prop_map(Action::Look),
    ];
    prop::collection::vec(action, 0..600)
}

fn agrees<F: Family>(actions: Vec<Action>) {
    let mut table = Whole::<F>::new();
    let mut model = HashMap::<Source, u32>::new();
    for action in actions {
        match action {
            Action::Put(source, end) => {
                table.put(source, end);
                model.insert(source, end);
            }
            Action::Take(source) => {
                table.take(source);
                model.remove(&source);
            }
            Action::Look(source) => assert_eq!(table.end_of(source), model.get(&source).copied()),
        }
    }
    for (source, end) in model {
        assert_eq!(table.end_of(source), Some(end), "{source}");
    }
}

proptest! {
    #[test]
    fn a_table_of_ipv4_agrees_with_a_hash_map_also_where_buckets_overflow(actions in actions(v4())) {
        agrees::<V4>(actions);
    }

    #[test]
    fn a_table_of_ipv6_agrees_with_a_hash_map_also_where_buckets_overflow(actions in actions(v6())) {
        agrees::<V6>(actions);
    }
}

fn source(address: &str) -> Source {
    address.parse::<IpAddr>().unwrap().into()
}

#[test]
fn a_bucket_says_that_it_overflows_for_as_long_as_it_does() {
    let mut table = Whole::<V4>::new();
    table.table = self::table(1);
    let all: Vec<Source> = (1..=17).map(|last| source(&format!("203.0.113.{last}"))).collect();
    for source in &all[..15] {
        table.put(*source, 7);
    }
    assert_eq!(table.table.find(all[15]), Found::Absent);
    table.put(all[15], 7);
    table.put(all[16], 7);
    assert_eq!(table.table.find(all[15]), Found::Beside);
    assert_eq!(table.table.find(source("192.0.2.1")), Found::Beside, "it has to be looked for");
    table.take(all[15]);
    assert_eq!(table.table.find(all[16]), Found::Beside);
    table.take(all[16]);
    assert_eq!(table.table.find(all[16]), Found::Absent);
}

#[test]
fn the_unspecified_address_is_in_no_table_and_no_empty_slot_is_it() {
    let mut table = table::<V4>(1);
    assert_eq!(table.find(source("0.0.0.0")), Found::Absent);
    assert_eq!(table.put(source("0.0.0.0"), 7), Put::Beside);
}

#[test]
fn what_was_counted_stays_with_an_entry_whose_end_changes_and_goes_with_it() {
    let mut table = table::<V6>(1);
    let source = source("2001:db8::");
    let counted = |table: &Table<V6>| {
        let Found::Entry(entry) = table.find(source) else { panic!("it is there") };
        (entry.end, table.counted(&entry))
    };
    table.put(source, 7);
    // As the program does.
    let Found::Entry(entry) = table.find(source) else { panic!("it is there") };
    table.store(shape(1).last_hit(entry.bucket, entry.slot), 3);
    table.store(shape(1).hits(entry.bucket, entry.slot), 5);
    table.put(source, 9);
    assert_eq!(counted(&table), (9, Counted { hits: 5, last_hit: 3 }));
    assert!(table.take(source) && !table.take(source));
    table.put(source, 7);
    assert_eq!(counted(&table), (7, Counted::default()));
}

#[test]
fn a_table_with_half_its_slots_taken_overflows_little() {
    let mut table = table::<V4>(4000);
    let beside = (0..30_000_u32)
        .map(|number| IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(0x9e37_79b1) | 1)).into())
        .filter(|source| table.put(*source, 7) == Put::Beside)
        .count();
    assert!(beside < 30_000 / 100, "{beside} of 30000");
}

#[test]
fn a_reader_on_another_thread_never_believes_half_an_entry() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    // One bucket of one writer: two sources take turns in the same slot, each with its own end.
    let mut table = table::<V6>(1);
    let pair = [source("2001:db8:1::"), source("2001:db8:2::")];
    let reader = Table::<V6> {
        memory: table.memory.again(),
        shape: table.shape,
        beside: HashMap::new(),
        family: PhantomData,
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = 0_u64;
            while !done.load(Relaxed) {
                for (number, source) in (1_u32..).zip(pair) {
                    if let Found::Entry(entry) = reader.find(source) {
                        assert!(
                            entry.end == number || entry.end == 0,
                            "{source} has the end of the other one"
                        );
                        seen += 1;
                    }
                }
            }
            seen
        });
        for _ in 0..300_000 {
            for (number, source) in (1_u32..).zip(pair) {
                table.put(source, number);
                table.take(source);
            }
        }
        done.store(true, Relaxed);
        assert!(watch.join().unwrap() > 0, "the reader saw something");
    });
}
