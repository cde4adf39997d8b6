use std::time::Duration;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

fn network(text: &str) -> Network {
    text.parse::<IpNet>().unwrap().into()
}

fn covers(list: &Allowlist, text: &str) -> Covered {
    list.covers(network(text).first(), network(text).prefix())
}

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn allowlist(networks: &[&str]) -> Allowlist {
    let mut list = Allowlist::new();
    for text in networks {
        assert!(list.add(network(text), None));
    }
    list
}

#[test]
fn a_source_is_covered_whole_in_part_or_not_at_all() {
    let list = allowlist(&["198.51.100.0/24", "203.0.113.7/32", "2001:db8::1/128", "2001:db8:9::/48"]);
    assert_eq!(covers(&list, "198.51.100.9/32"), Covered::Whole);
    assert_eq!(covers(&list, "198.51.100.0/24"), Covered::Whole);
    assert_eq!(covers(&list, "198.51.0.0/16"), Covered::Part);
    assert_eq!(covers(&list, "203.0.113.8/32"), Covered::No);
    assert_eq!(covers(&list, "203.0.113.0/24"), Covered::Part);
    assert_eq!(covers(&list, "2001:db8::/64"), Covered::Part);
    assert_eq!(covers(&list, "2001:db8:0:1::/64"), Covered::No);
    assert_eq!(covers(&list, "2001:db8:9:5::/64"), Covered::Whole);
    assert_eq!(list.network_of(network("198.51.100.9/32")), Some(network("198.51.100.0/24")));
}

#[test]
fn all_of_one_family_covers_nothing_of_the_other() {
    assert_eq!(covers(&allowlist(&["::/0"]), "203.0.113.7/32"), Covered::No);
    assert_eq!(covers(&allowlist(&["::/0"]), "2001:db8::/64"), Covered::Whole);
    assert_eq!(covers(&allowlist(&["0.0.0.0/0"]), "2001:db8::/64"), Covered::No);
    assert_eq!(covers(&allowlist(&["0.0.0.0/0"]), "::/0"), Covered::No);
    assert_eq!(covers(&allowlist(&["203.0.113.7/32"]), "::/0"), Covered::No);
}

#[test]
fn what_is_allowed_for_a_time_ends_then_and_is_never_shortened() {
    let mut list = Allowlist::new();
    assert!(list.add(network("203.0.113.7/32"), Some(at(10))));
    assert!(!list.add(network("203.0.113.7/32"), Some(at(5))));
    assert!(list.add(network("203.0.113.7/32"), Some(at(20))));
    assert!(list.add(network("203.0.113.8/32"), Some(at(10))));
    assert_eq!(list.next_end(), Some(at(10)));
    assert_eq!(list.expire(at(9)), []);
    assert_eq!(list.expire(at(10)), [network("203.0.113.8/32")]);
    assert!(list.add(network("203.0.113.7/32"), None));
    assert!(!list.add(network("203.0.113.7/32"), Some(at(99))));
    assert_eq!((list.expire(at(u64::MAX)), list.next_end()), (Vec::new(), None));
    assert_eq!(covers(&list, "203.0.113.7/32"), Covered::Whole);
}

#[test]
fn a_network_is_removed_exactly_and_what_lies_around_it_stays() {
    let mut list = allowlist(&["198.51.100.0/24", "198.51.100.9/32"]);
    assert!(list.remove(network("198.51.100.9/32")));
    assert!(!list.remove(network("198.51.100.9/32")));
    assert_eq!(covers(&list, "198.51.100.9/32"), Covered::Whole);
    assert!(list.remove(network("198.51.100.0/24")));
    assert_eq!(covers(&list, "198.51.100.9/32"), Covered::No);
    assert!(list.is_empty());
}

/// Networks of both families that often contain one another.
fn any_network() -> impl Strategy<Value = Network> {
    prop_oneof![
        (0..16_u32, 0..=32_u8).prop_map(|(low, prefix)| {
            Network::new(std::net::Ipv4Addr::from(0x0a00_0000 | low).into(), prefix)
        }),
        (0..16_u128, 0..=128_u8).prop_map(|(low, prefix)| {
            let address = std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96 | low);
            Network::from(IpNet::new(address.into(), prefix).unwrap())
        }),
    ]
}

proptest! {
    #[test]
    fn the_answer_is_what_asking_each_network_says(
        networks in prop::collection::vec(any_network(), 0..12),
        removed in prop::collection::vec(0..12_usize, 0..4),
        asked in any_network(),
    ) {
        let mut list = Allowlist::new();
        let mut model = networks.clone();
        for network in &networks {
            list.add(*network, None);
        }
        for network in removed.iter().filter_map(|index| networks.get(*index)) {
            list.remove(*network);
            model.retain(|other| other != network);
        }
        let expected = if model.iter().any(|network| network.contains(&asked)) {
            Covered::Whole
        } else if model.iter().any(|network| asked.contains(network)) {
            Covered::Part
        } else {
            Covered::No
        };
        prop_assert_eq!(list.covers(asked.first(), asked.prefix()), expected);
        prop_assert_eq!(list.iter().count(), list.len());
    }
}
