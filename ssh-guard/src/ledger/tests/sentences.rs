use std::net::IpAddr;

use ipnet::IpNet;

use super::super::Counts;
use super::*;
use By::{Automatic, Hand};

#[test]
fn a_full_ledger_gives_the_place_of_the_automatic_ban_that_ends_first() {
    let mut ledger = ledger(3);
    for ban in [ban(1, 30, Automatic), ban(2, 20, Automatic), ban(3, 10, Hand)] {
        assert_eq!(ledger.insert(&ban, at(0)), Ok(None));
    }
    let plan = ledger.plan(&ban(4, 99, Automatic), at(0)).unwrap();
    assert_eq!(plan.displaces, Some(host(2)));
    assert_eq!((ledger.len(), ledger.displaced()), (3, 0));
    assert_eq!(ledger.commit(plan).unwrap().source, source(2));
    assert_eq!((ledger.len(), ledger.displaced()), (3, 1));
    assert_eq!(ledger.insert(&ban(5, 99, Hand), at(0)).unwrap().unwrap().source, source(1));
    assert_eq!(ledger.insert(&ban(6, 99, Hand), at(0)).unwrap().unwrap().source, source(4));
    for by in [Automatic, Hand] {
        let refused = ledger.insert(&ban(7, 99, by), at(0)).unwrap_err();
        assert_eq!(refused, Refused::Full { banned: host(7), scope: Scope::Source, capacity: 3 });
    }
    assert_eq!(ledger.insert(&ban(6, 500, Hand), at(0)), Ok(None));
}

#[test]
fn the_place_of_a_ban_that_is_over_is_free() {
    let mut ledger = ledger(2);
    ledger.insert(&ban(1, 10, Hand), at(0)).unwrap();
    ledger.insert(&ban(2, 20, Automatic), at(0)).unwrap();
    let new = Ban { since: at(10), ..ban(3, 99, Automatic) };
    assert_eq!(ledger.insert(&new, at(10)).unwrap().unwrap().source, source(1));
    assert_eq!(ledger.displaced(), 0);
}

#[test]
fn a_longer_ban_by_hand_replaces_an_automatic_one_and_keeps_its_offences() {
    let mut ledger = ledger(9);
    ledger.insert(&ban(1, 100, Automatic), at(0)).unwrap();
    let shorter = ledger.insert(&ban(1, 99, Hand), at(0)).unwrap_err();
    assert_eq!(shorter, Refused::Shorter { banned: host(1), until: at(100) });
    ledger.insert(&ban(1, 200, Hand), at(0)).unwrap();
    let standing = ledger.get(host(1)).unwrap();
    assert_eq!((standing.by, standing.reason, standing.until), (Hand, Reason::Manual, at(200)));
    assert_eq!((standing.offences, standing.rung), (2, Some(1)));
    assert_eq!(ledger.len(), 1);
}

#[test]
fn an_automatic_ban_never_shortens_and_never_replaces_one_by_hand() {
    let mut ledger = ledger(9);
    ledger.insert(&ban(1, 100, Automatic), at(0)).unwrap();
    assert!(matches!(ledger.insert(&ban(1, 50, Automatic), at(0)), Err(Refused::Shorter { .. })));
    ledger.insert(&ban(1, 150, Automatic), at(0)).unwrap();
    ledger.insert(&ban(2, 100, Hand), at(0)).unwrap();
    let refused = ledger.insert(&ban(2, 500, Automatic), at(0)).unwrap_err();
    assert_eq!(refused, Refused::ByHand { banned: host(2) });
    ledger.insert(&ban(2, 30, Hand), at(0)).unwrap();
    assert_eq!(ledger.expire(at(30)).bans.len(), 1);
    assert_eq!(ledger.expire(at(149)).bans.len(), 0);
    assert_eq!(ledger.expire(at(150)).bans.len(), 1);
}

#[test]
fn a_ban_that_is_over_before_it_begins_is_refused() {
    let mut ledger = ledger(9);
    assert_eq!(ledger.insert(&ban(1, 10, Hand), at(10)), Err(Refused::Over { banned: host(1) }));
    assert!(ledger.is_empty());
}

#[test]
fn a_ban_ends_at_its_end_and_not_before() {
    let mut ledger = ledger(9);
    ledger.insert(&ban(1, 10, Automatic), at(0)).unwrap();
    assert!(ledger.is_banned(host(1), at(9)) && !ledger.is_banned(host(1), at(10)));
    assert_eq!(ledger.expire(at(9)).next, Some(at(10)));
    let expired = ledger.expire(at(10));
    assert_eq!((expired.bans.len(), expired.next), (1, None));
}

#[test]
fn many_ends_at_once_are_taken_in_portions() {
    let mut ledger = ledger(10_000);
    for number in 0..2500 {
        ledger.insert(&ban(number, 10, Automatic), at(0)).unwrap();
    }
    let mut portions = Vec::new();
    loop {
        let expired = ledger.expire(at(10));
        portions.push(expired.bans.len());
        if expired.next.is_none_or(|next| next > at(10)) {
            break;
        }
    }
    assert_eq!(portions, [1024, 1024, 452]);
}

#[test]
fn a_listing_in_pages_is_steady_while_bans_come_and_go() {
    let mut ledger = ledger(1000);
    for number in 0..100 {
        ledger.insert(&ban(number * 2, 10, Automatic), at(0)).unwrap();
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page: Vec<Network> = ledger.after(after).take(7).map(Ban::network).collect();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        listed.extend(&page);
        ledger.remove(*last);
        let behind = u32::try_from(listed.len()).unwrap();
        ledger.insert(&ban(behind, 10, Automatic), at(0)).unwrap();
    }
    let mut unique = listed.clone();
    unique.dedup();
    assert_eq!(unique.len(), listed.len());
    assert!((0..100).all(|number| listed.contains(&host(number * 2))));
}

#[test]
fn bans_are_counted_by_family() {
    let mut ledger = ledger(9);
    ledger.insert(&ban(1, 10, Automatic), at(0)).unwrap();
    let v6 = Source::from("2001:db8::".parse::<IpAddr>().unwrap());
    ledger.insert(&Ban { source: v6, prefix: 64, ..ban(0, 10, Hand) }, at(0)).unwrap();
    ledger.insert(&Ban { scope: Scope::Network, prefix: 24, ..ban(0, 10, Hand) }, at(0)).unwrap();
    assert_eq!(ledger.counts(), Counts { ipv4: 1, ipv6: 1, networks: 1 });
    ledger.remove(host(1));
    assert_eq!(ledger.counts(), Counts { ipv4: 0, ipv6: 1, networks: 1 });
    assert_eq!(ledger.remove(host(1)), None);
}

#[test]
fn the_bans_that_a_network_touches_are_those_in_it_and_those_around_it() {
    let mut ledger = ledger(99);
    let banned =
        ["10.0.0.1/32", "10.0.0.2/32", "10.0.1.0/24", "2001:db8::/64", "2001:db8:0:1::/64", "2002:a00::/48"];
    for text in banned {
        let network = Network::from(text.parse::<IpNet>().unwrap());
        let new = Ban { source: network.first(), prefix: network.prefix(), ..ban(0, 10, Automatic) };
        ledger.insert(&new, at(0)).unwrap();
    }
    let touched = |text: &str| -> Vec<String> {
        let network = Network::from(text.parse::<IpNet>().unwrap());
        ledger.touching(network).map(|ban| ban.network().to_string()).collect()
    };
    assert_eq!(touched("10.0.0.0/24"), ["10.0.0.1/32", "10.0.0.2/32"]);
    assert_eq!(touched("10.0.0.0/8"), ["10.0.0.1/32", "10.0.0.2/32", "10.0.1.0/24"]);
    assert_eq!(touched("10.0.1.7/32"), ["10.0.1.0/24"]);
    assert_eq!(touched("10.0.1.0/32"), ["10.0.1.0/24"]);
    assert_eq!(touched("10.0.1.0/24"), ["10.0.1.0/24"]);
    assert_eq!(touched("2001:db8::/128"), ["2001:db8::/64"]);
    assert_eq!(touched("2001:db8::1/128"), ["2001:db8::/64"]);
    assert_eq!(touched("2001:db8::/32"), ["2001:db8::/64", "2001:db8:0:1::/64"]);
    assert_eq!(touched("2002:a00:0:7::/64"), ["2002:a00::/48"]);
    assert_eq!(touched("::/0").len(), 3);
    assert!(touched("192.0.2.0/24").is_empty());
}

#[test]
fn a_network_and_the_source_with_its_first_address_are_banned_apart() {
    let mut ledger = ledger(9);
    let network = Ban { scope: Scope::Network, prefix: 24, ..ban(0, 20, Hand) };
    ledger.insert(&ban(0, 10, Automatic), at(0)).unwrap();
    ledger.insert(&network, at(0)).unwrap();
    assert_eq!(ledger.len(), 2);
    assert_eq!(ledger.around(host(0)).collect::<Vec<_>>(), [&network]);
    assert_eq!(ledger.remove(host(0)).unwrap().until, at(10));
    assert_eq!(ledger.remove(network.network()).unwrap().until, at(20));
    assert!(ledger.is_empty());
}

#[test]
fn networks_and_sources_make_no_room_for_each_other() {
    let mut ledger = Ledger::new(Capacity { sources: 1, networks: 1 });
    let network = |number: u32, by| Ban { scope: Scope::Network, prefix: 24, ..ban(number << 8, 99, by) };
    ledger.insert(&ban(1, 10, Automatic), at(0)).unwrap();
    assert_eq!(ledger.insert(&network(1, Automatic), at(0)), Ok(None));
    let displaced = ledger.insert(&network(2, Hand), at(0)).unwrap().unwrap();
    assert_eq!(displaced.network(), network(1, Hand).network());
    let refused = ledger.insert(&network(3, Hand), at(0)).unwrap_err();
    assert!(refused.to_string().contains("raise 'limits.networks'"), "{refused}");
    assert_eq!(ledger.len(), 2);
}

#[test]
fn what_lists_take_is_room_that_bans_do_not_have() {
    let mut ledger = ledger(3);
    ledger.insert(&ban(1, 10, Automatic), at(0)).unwrap();
    assert_eq!(ledger.free(Scope::Source), 2);
    ledger.leave_to_lists(2, 0);
    assert_eq!((ledger.free(Scope::Source), ledger.free(Scope::Network)), (0, 3));
    assert_eq!(ledger.insert(&ban(2, 20, Hand), at(0)).unwrap().unwrap().source, source(1));
    assert!(matches!(ledger.insert(&ban(3, 30, Automatic), at(0)), Err(Refused::Full { .. })));
    ledger.leave_to_lists(0, 0);
    assert_eq!(ledger.insert(&ban(3, 30, Automatic), at(0)), Ok(None));
}

#[test]
fn what_the_rules_hold_is_what_their_bans_in_force_do_and_nobody_elses() {
    let network = |prefix| Ban { scope: Scope::Network, prefix, ..ban(1 << 16, 99, Automatic) };
    let v6 = |scope| {
        let source = std::net::Ipv6Addr::from(0x2001_0db8_u128 << 96).into();
        Ban { source, scope, prefix: 56, ..ban(0, 99, Automatic) }
    };
    let of_an_earlier_daemon = Ban { rung: None, ..network(22) };
    let all =
        vec![ban(1, 10, Automatic), ban(2, 10, Hand), network(24), of_an_earlier_daemon, v6(Scope::Network)];
    let held = |ledger: &Ledger| (ledger.held().ipv4, ledger.held().ipv6_networks);
    let mut adopted = ledger(9);
    adopted.adopt(all.clone());
    assert_eq!(held(&adopted), (257, 1));
    let mut ledger = ledger(9);
    for ban in &all {
        ledger.insert(ban, at(0)).unwrap();
    }
    assert_eq!(held(&ledger), (257, 1));
    ledger.remove(network(24).network());
    assert_eq!(held(&ledger), (1, 1));
    ledger.expire(at(99));
    assert_eq!(held(&ledger), (0, 0));
    ledger.insert(&Ban { until: at(200), ..v6(Scope::Source) }, at(100)).unwrap();
    assert_eq!(held(&ledger), (0, 0), "IPv6 sources are not limited");
}
