use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use ssh_guard_common::records::Block;

use super::super::nest::Ban;
use super::super::writer::tests::{Fake, address, any_network, writer_and_table};
use super::*;
use crate::kernel::memory::Memory;

/// What somebody else does to the maps.
#[derive(Clone, Debug)]
enum Meddling {
    Plant(Network, u32),
    Remove(usize),
    Change(usize, u32),
    /// A word of the table of /24s.
    Table(usize, u32),
    /// A word of the bits of 10.0.0.0/14.
    States(usize, u32),
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![
        (any_network(), 1_u32..9).prop_map(|(network, end)| Meddling::Plant(network, end)),
        any::<usize>().prop_map(Meddling::Remove),
        (any::<usize>(), 1_u32..9).prop_map(|(number, end)| Meddling::Change(number, end)),
        (any::<usize>(), any::<u32>()).prop_map(|(word, to)| Meddling::Table(word, to)),
        (0_usize..64, any::<u32>()).prop_map(|(word, to)| Meddling::States(word, to)),
    ]
}

fn meddle(writer: &mut Writer<Fake>, table: &Memory, meddling: &Meddling) {
    let some = |writer: &Writer<Fake>, number: usize| {
        let there = writer.fake().all();
        (!there.is_empty()).then(|| there[number % there.len()])
    };
    match *meddling {
        Meddling::Plant(network, end) => {
            writer.tries().put(network, Block { end, ..Block::default() }).unwrap();
        }
        Meddling::Remove(number) => {
            if let Some(network) = some(writer, number) {
                writer.tries().take(network).unwrap();
            }
        }
        Meddling::Change(number, end) => {
            if let Some(network) = some(writer, number) {
                writer.tries().put(network, Block { end, ..Block::default() }).unwrap();
            }
        }
        Meddling::Table(word, to) => table.words()[word % table.words().len()].store(to, Relaxed),
        Meddling::States(word, to) => writer.states_word(word).store(to, Relaxed),
    }
}

fn mend(writer: &mut Writer<Fake>, count: usize) -> Drift {
    let (mut drift, mut look) = (Drift::default(), Some(Look::START));
    while let Some(at) = look {
        let (more, next) = writer.mend(at, count).unwrap();
        drift += more;
        look = next;
    }
    drift
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_another_writer_does_the_maps_mean_again_what_was_written(
        networks in prop::collection::vec((any_network(), 1_u32..9), 0..40),
        meddlings in prop::collection::vec(meddling(), 1..20),
        addresses in prop::collection::vec(address(), 64),
        count in 1_usize..50,
    ) {
        let (mut writer, table) = writer_and_table();
        let bans = |until| Some(Ban { until, overlaps: false });
        writer.change(networks.iter().map(|(network, until)| (*network, bans(*until))).collect(), |_| Ok(())).unwrap();
        let drops = |writer: &Writer<Fake>| -> Vec<bool> {
            let ask = |now| addresses.iter().map(move |address| writer.drops(*address, now));
            [0, 3, 6, 9].into_iter().flat_map(ask).collect()
        };
        prop_assert_eq!(mend(&mut writer, count), Drift::default(), "nobody has done anything");
        let before = drops(&writer);
        for one in &meddlings {
            meddle(&mut writer, &table, one);
        }
        mend(&mut writer, count);
        prop_assert_eq!(drops(&writer), before);
        prop_assert_eq!(mend(&mut writer, count), Drift::default(), "nothing is left to mend");
        // What is lifted later leaves nothing behind either.
        writer.change(networks.iter().map(|(network, _)| (*network, None)).collect(), |_| Ok(())).unwrap();
        prop_assert!(!drops(&writer).contains(&true));
    }
}

#[test]
fn what_is_missing_too_much_and_other_is_told_apart() {
    let (mut writer, _) = writer_and_table();
    let network = |text: &str| Network::from(text.parse::<ipnet::IpNet>().unwrap());
    let ban = |text, until| (network(text), Some(Ban { until, overlaps: false }));
    let bans = vec![ban("10.1.1.0/24", 5), ban("10.2.0.0/16", 5), ban("2001:db8::/48", 5)];
    writer.change(bans, |_| Ok(())).unwrap();
    writer.table().take(network("10.1.1.0/24").first());
    writer.tries().put(network("10.2.0.0/16"), Block { end: 9, ..Block::default() }).unwrap();
    writer.tries().put(network("2001:db9::/48"), Block { end: 9, ..Block::default() }).unwrap();
    writer.tries().put(network("10.3.0.0/16"), Block { end: 9, ..Block::default() }).unwrap();
    assert_eq!(mend(&mut writer, 100), Drift { missing: 1, too_many: 2, other: 1 });
    assert_eq!(mend(&mut writer, 100), Drift::default());
}
