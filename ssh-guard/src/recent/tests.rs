use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn a_full_table_gives_up_what_was_touched_longest_ago() {
    let mut table = Recent::<u8, u8>::new(2);
    *table.touch(&1) = 1;
    *table.touch(&2) = 2;
    table.touch(&1);
    table.touch(&3);
    assert_eq!((table.get(&1), table.get(&2), table.len(), table.evicted()), (Some(&1), None, 2, 1));
    table.resize(0);
    assert_eq!((table.len(), table.evicted()), (1, 2));
}

#[test]
fn what_matters_more_outlasts_what_was_touched_later() {
    let mut table = Recent::<u32, u8>::new(6);
    for (key, rank) in [(1, Rank::High), (2, Rank::High), (3, Rank::Middle), (4, Rank::Low), (5, Rank::Low)] {
        table.update(&key, |_| (Some(rank), ()));
    }
    for newcomer in 100..200 {
        table.update(&newcomer, |_| (Some(Rank::Middle), ()));
    }
    assert!([1, 2].iter().all(|key| table.get(key).is_some()));
    assert!([3, 4, 5].iter().all(|key| table.get(key).is_none()));
    // A newcomer that matters less than all that are there is itself given up.
    table.update(&300, |_| (Some(Rank::Low), ()));
    assert_eq!((table.get(&300), table.len()), (None, 6));
}

#[test]
fn nobody_fills_the_table_for_good() {
    let mut table = Recent::<u32, u8>::new(100);
    for key in 0..1000 {
        table.update(&key, |_| (Some(Rank::High), ()));
    }
    table.update(&5000, |_| (Some(Rank::Middle), ()));
    assert!(table.get(&5000).is_some());
}

#[test]
fn a_change_may_drop_its_entry() {
    let mut table = Recent::<u8, u8>::new(9);
    *table.touch(&1) = 7;
    assert_eq!(table.update(&1, |value| (None, *value)), 7);
    assert_eq!((table.get(&1), table.len(), table.evicted()), (None, 0, 0));
}

#[test]
fn sweeps_come_by_every_entry() {
    let mut table = Recent::<u32, u32>::new(100);
    for key in 0..100 {
        *table.touch(&key) = key;
    }
    let dropped: usize = (0..34).map(|_| table.sweep(3, |value| value % 2 == 0)).sum();
    assert_eq!(dropped, 50);
    assert!((0..100).all(|key| table.get(&key).is_some() == (key % 2 == 1)));
    assert_eq!(table.sweep(0, |_| true) + Recent::<u8, u8>::new(1).sweep(9, |_| true), 0);
}

#[test]
fn a_large_table_gives_up_old_entries_first() {
    let mut table = Recent::<u32, ()>::new(10_000);
    for key in 0..10_000 {
        table.touch(&key);
    }
    for key in 0..10_000 {
        // One in ten is in use all the time.
        table.touch(&(key / 10 * 10 % 1000));
        table.touch(&(100_000 + key));
    }
    let kept = (0..1000).step_by(10).filter(|key| table.get(key).is_some()).count();
    assert!(kept >= 99, "{kept} of 100 that are in use were kept");
    let recent = (105_000..110_000).filter(|key| table.get(key).is_some()).count();
    assert!(recent > 4_000, "{recent} of the 5000 newest were kept");
}

proptest! {
    #[test]
    fn it_holds_what_a_map_would_hold_until_it_is_full(
        steps in proptest::collection::vec((0..4_u8, 0..40_u8, 0..3_u8), 0..400),
        capacity in 1..50_usize,
    ) {
        let mut table = Recent::<u8, u32>::new(capacity);
        let mut model = HashMap::new();
        for (number, (step, key, rank)) in (0_u32..).zip(steps) {
            let before = table.evicted();
            match step {
                0 => {
                    *table.touch(&key) = number;
                    model.insert(key, number);
                }
                1 => {
                    let rank = Rank::ALL[usize::from(rank)];
                    table.update(&key, |value| { *value = number; (Some(rank), ()) });
                    model.insert(key, number);
                }
                2 => {
                    let taken = table.remove(&key);
                    prop_assert!(taken.is_none() || taken == model.get(&key).copied());
                    model.remove(&key);
                }
                _ => {
                    table.sweep(usize::from(rank), |value| value % 7 == 0);
                    model.retain(|key, _| table.get(key).is_some());
                }
            }
            if table.evicted() > before {
                prop_assert_eq!(table.len(), capacity);
                let lost = model.keys().filter(|key| table.get(key).is_none()).count() as u64;
                prop_assert_eq!(lost, table.evicted() - before);
                model.retain(|key, _| table.get(key).is_some());
            }
            prop_assert!(table.len() <= capacity);
            prop_assert_eq!(table.len(), model.len());
            for (key, value) in &model {
                prop_assert_eq!(table.get(key), Some(value));
            }
            prop_assert_eq!(table.counts.iter().sum::<usize>(), table.len());
        }
    }
}

#[test]
fn a_review_ranks_every_entry_anew_and_drops_those_without_a_rank() {
    let mut table = Recent::<u32, u32>::new(100);
    for key in 0..100 {
        table.update(&key, |value| {
            *value = key;
            (Some(Rank::High), ())
        });
    }
    let rank = |value: &u32| match value % 4 {
        0 => None,
        1 => Some(Rank::High),
        _ => Some(Rank::Low),
    };
    (0..34).for_each(|_| table.review(3, rank));
    assert_eq!(table.len(), 75);
    let given_up: Vec<u32> = (0..50).filter_map(|_| table.give_up(None)).collect();
    let kept = (0..100).filter(|key| table.get(key).is_some() && key % 4 == 1).count();
    assert_eq!((given_up.len(), table.len(), table.evicted()), (50, 25, 50));
    assert!(kept >= 20, "what matters stays: {kept} of 25");
}

#[test]
fn what_is_given_up_may_be_the_newest() {
    let mut table = Recent::<u32, u32>::new(9);
    assert_eq!(table.give_up(None), None);
    table.update(&1, |value| {
        *value = 10;
        (Some(Rank::Middle), ())
    });
    table.update(&2, |value| {
        *value = 20;
        (Some(Rank::Low), ())
    });
    assert_eq!(table.give_up(Some(&2)), Some(20));
    let mut add = |key| {
        let value = |value: &mut u32| {
            *value = key;
            (Some(Rank::Middle), ())
        };
        table.exchange(&key, value).1
    };
    assert!((3..11).all(|key| add(key).is_none()), "there is room");
    let evicted = add(11).unwrap();
    assert_eq!((table.len(), evicted != 20), (9, true));
}
