//! Banned networks in a real kernel, one frame at a time, by both programs.

use ssh_guard::kernel::Networks;
use ssh_guard_common::flat::LAST_END;
use ssh_guard_common::records::Settings;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet::{self, Packet};
use ssh_guard_tests::programs::{Action, Programs, Which, network_of};
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

use Action::{Drop, Pass};
use Verdict::{Allowed, Blocked, BlockedNetwork, Passed};

/// An end that does not come while a test runs, and one that has come.
const LATE: u32 = 1_000_000;
const OVER: u32 = 0;

fn syn(source: &str) -> Packet {
    packet::from(source.parse().expect("it is an address")).tcp(22).syn()
}

#[track_caller]
fn check(programs: &mut Programs, packet: &Packet, action: Action, verdict: Verdict) {
    let frame = packet.to_bytes();
    for which in Which::ALL {
        let once = vec![(verdict, 1, frame.len() as u64)];
        assert_eq!(programs.judge(which, &frame), (action, once), "{packet:?}, {which:?}");
    }
}

#[track_caller]
fn dropped(programs: &mut Programs, addresses: &[&str]) {
    for address in addresses {
        check(programs, &syn(address), Drop, BlockedNetwork);
    }
}

#[track_caller]
fn passed(programs: &mut Programs, addresses: &[&str]) {
    for address in addresses {
        check(programs, &syn(address), Pass, Passed);
    }
}

fn unblock(programs: &mut Programs, network: &str) {
    programs.loaded.networks.unblock(network_of(network)).expect("the network is unblocked");
}

#[test]
fn a_banned_network_drops_its_first_and_its_last_address_and_none_beside_it() {
    needs!(Need::Root, Need::Bpf);
    let rows = [
        ("203.0.113.0/24", ["203.0.113.0", "203.0.113.255"], ["203.0.112.255", "203.0.114.0"]),
        ("203.0.0.0/16", ["203.0.0.0", "203.0.255.255"], ["202.255.255.255", "203.1.0.0"]),
        ("203.0.112.0/23", ["203.0.112.0", "203.0.113.255"], ["203.0.111.255", "203.0.114.0"]),
        ("203.0.113.128/25", ["203.0.113.128", "203.0.113.255"], ["203.0.113.127", "203.0.114.0"]),
        ("203.0.113.7/32", ["203.0.113.7", "64:ff9b::203.0.113.7"], ["203.0.113.6", "203.0.113.8"]),
        ("203.0.113.0/24", ["64:ff9b::203.0.113.9", "::ffff:203.0.113.9"], ["203.0.114.9", "2001:db8::1"]),
        (
            "2001:db8:0:100::/56",
            ["2001:db8:0:100::", "2001:db8:0:1ff:ffff::1"],
            ["2001:db8::", "2001:db8:0:200::"],
        ),
        ("2001:db8:7::/48", ["2001:db8:7::", "2001:db8:7:ffff:ffff::1"], ["2001:db8:6::", "2001:db8:8::"]),
        ("2001:db8::/96", ["2001:db8::", "2001:db8::ffff:ffff"], ["2001:db8::1:0:0", "203.0.113.7"]),
        ("2001:db8::7/128", ["2001:db8::7", "2001:db8::7"], ["2001:db8::6", "2001:db8::8"]),
    ];
    for (network, inside, beside) in rows {
        let mut programs = Programs::new();
        passed(&mut programs, &inside);
        programs.block_network(network, NEVER, false);
        dropped(&mut programs, &inside);
        passed(&mut programs, &beside);
        unblock(&mut programs, network);
        passed(&mut programs, &inside);
    }
}

#[test]
fn all_of_a_family_can_be_banned_and_the_other_is_not_touched() {
    needs!(Need::Root, Need::Bpf);
    let v4 = ["0.0.0.1", "10.0.0.1", "203.0.113.7", "255.255.255.254"];
    let v6 = ["2001:db8::1", "ffff::1"];
    let mut programs = Programs::new();
    programs.block_network("0.0.0.0/0", NEVER, false);
    dropped(&mut programs, &v4);
    passed(&mut programs, &v6);
    unblock(&mut programs, "0.0.0.0/0");
    passed(&mut programs, &v4);
    // The trie of IPv4 is asked, and holds nothing for most of the /24.
    programs.block_network("203.0.113.128/25", NEVER, false);
    programs.block_network("::/0", NEVER, false);
    dropped(&mut programs, &v6);
    passed(&mut programs, &v4);
    unblock(&mut programs, "::/0");
    passed(&mut programs, &v6);
}

#[test]
fn a_network_that_ends_first_opens_no_hole_in_one_around_it() {
    needs!(Need::Root, Need::Bpf);
    let rows = [
        ("203.0.113.0/24", "203.0.0.0/16", "203.0.113.7", "203.0.7.7"),
        ("203.0.113.128/25", "203.0.113.0/24", "203.0.113.200", "203.0.113.7"),
        ("203.0.113.7/32", "0.0.0.0/0", "203.0.113.7", "203.0.113.8"),
        ("2001:db8:7:100::/56", "2001:db8:7::/48", "2001:db8:7:1ff::1", "2001:db8:7:200::1"),
    ];
    for (narrow, wide, inside, beside) in rows {
        for wide_first in [true, false] {
            let mut programs = Programs::new();
            if wide_first {
                programs.block_network(wide, LATE, false);
            }
            programs.block_network(narrow, OVER, false);
            if !wide_first {
                passed(&mut programs, &[inside, beside]);
                programs.block_network(wide, LATE, false);
            }
            dropped(&mut programs, &[inside, beside]);
            unblock(&mut programs, wide);
            passed(&mut programs, &[inside, beside]);
            // Nor does a wall stay where the one around it ended first.
            programs.block_network(narrow, LATE, false);
            programs.block_network(wide, OVER, false);
            dropped(&mut programs, &[inside]);
            passed(&mut programs, &[beside]);
            programs.block_network(wide, LATE, false);
            unblock(&mut programs, narrow);
            dropped(&mut programs, &[inside, beside]);
        }
    }
}

#[test]
fn a_banned_network_ends_by_itself() {
    needs!(Need::Root, Need::Bpf);
    for (network, address) in
        [("203.0.113.0/24", "203.0.113.7"), ("203.0.0.0/16", "203.0.113.7"), ("2001:db8::/32", "2001:db8::1")]
    {
        let mut programs = Programs::new();
        programs.block_network(network, OVER, false);
        passed(&mut programs, &[address]);
        programs.block_network(network, LATE, false);
        dropped(&mut programs, &[address]);
        programs.block_network(network, 1, false);
        let frame = syn(address).to_bytes();
        eventually(PATIENCE, "the first tick ends", || programs.run(Which::Frags, &frame) == Pass);
    }
}

#[test]
fn a_banned_network_does_not_drop_the_allowlisted_address_in_it() {
    needs!(Need::Root, Need::Bpf);
    let rows = [
        ("203.0.113.0/24", "203.0.113.7", "203.0.113.8"),
        ("203.0.0.0/16", "203.0.113.7", "203.0.113.8"),
        ("2001:db8::/32", "2001:db8::7", "2001:db8::8"),
    ];
    for (network, friend, other) in rows {
        let mut programs = Programs::new();
        programs.allow_until(friend, NEVER);
        programs.block_network(network, NEVER, true);
        check(&mut programs, &syn(friend), Pass, Allowed);
        check(&mut programs, &syn(friend).fragment(1480, false), Pass, Allowed);
        dropped(&mut programs, &[other]);
        // What is never banned stands in the same map, and no packet is looked up there but those of flagged blocks.
        programs.loaded.settings.put_to_use(Settings::ALLOWLIST, false).unwrap();
        check(&mut programs, &syn(friend), Pass, Passed);
        dropped(&mut programs, &[other]);
        programs.block_network(network, NEVER, false);
        dropped(&mut programs, &[friend, other]);
    }
}

#[test]
fn a_banned_source_counts_as_such_in_a_banned_network_too() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.block("203.0.113.7");
    programs.block_network("203.0.113.0/24", NEVER, false);
    check(&mut programs, &syn("203.0.113.7"), Drop, Blocked);
    dropped(&mut programs, &["203.0.113.8"]);
}

#[test]
fn a_network_narrower_than_a_source_is_compared_with_the_whole_address() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::with(&[22], SourceMask::new(24, 48), false);
    programs.block_network("203.0.113.7/32", NEVER, false);
    programs.block_network("2001:db8::/64", NEVER, false);
    dropped(&mut programs, &["203.0.113.7", "2001:db8::ffff"]);
    passed(&mut programs, &["203.0.113.8", "2001:db8:0:1::"]);
}

#[test]
fn fragments_and_whatever_hides_its_port_are_dropped_from_a_banned_network() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.block_network("203.0.113.0/24", NEVER, false);
    programs.block_network("2001:db8::/48", NEVER, false);
    for address in ["203.0.113.7", "2001:db8::7"] {
        check(&mut programs, &syn(address).fragment(0, true), Drop, BlockedNetwork);
        check(&mut programs, &syn(address).fragment(1480, false), Drop, BlockedNetwork);
        let tags = (0..9).fold(syn(address), |packet, _| packet.vlan(0));
        check(&mut programs, &tags, Drop, BlockedNetwork);
        check(&mut programs, &syn(address).ack().payload(b"x"), Drop, BlockedNetwork);
    }
    let frame = packet::v4("203.0.113.7").tcp(443).syn().to_bytes();
    assert_eq!(programs.judge(Which::Frags, &frame), (Pass, vec![]), "another port is left alone");
    assert!(programs.loaded.sampler.sources().unwrap().is_empty(), "none was let through");
}

#[test]
fn a_dry_run_counts_what_a_banned_network_would_drop() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::with(&[22], SourceMask::new(32, 64), true);
    programs.block_network("203.0.113.0/24", NEVER, false);
    check(&mut programs, &syn("203.0.113.7"), Pass, BlockedNetwork);
}

#[test]
fn hits_are_counted_for_the_narrowest_network_and_about_right() {
    needs!(Need::Root, Need::Bpf);
    let drops = 3200;
    let rows = [
        ("203.0.113.0/24", "203.0.0.0/16", "203.0.113.7"),
        ("203.0.113.0/28", "203.0.113.0/24", "203.0.113.7"),
        ("2001:db8:7::/48", "2001:db8::/32", "2001:db8:7::7"),
    ];
    for (narrow, wide, address) in rows {
        let mut programs = Programs::new();
        programs.block_network(wide, NEVER, true);
        programs.block_network(narrow, NEVER, false);
        let frame = syn(address).to_bytes();
        for _ in 0..drops {
            assert_eq!(programs.run(Which::Frags, &frame), Drop);
        }
        let block = |network| programs.loaded.networks.block_of(network_of(network)).unwrap().unwrap();
        // Each CPU counts 64 drops at once, and each tick with a hit counts for one.
        assert!((drops - 64 * 8..drops + 64 * 8).contains(&block(narrow).hits), "{}", block(narrow).hits);
        assert_eq!(block(wide).hits, 0);
        assert_eq!((block(wide).until(), block(wide).overlaps()), (LAST_END, true));
        assert!(!block(narrow).overlaps());
    }
}

#[test]
fn a_list_that_does_not_fit_is_refused_whole_and_what_to_do_is_said() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    programs.block_network("203.0.113.0/24", NEVER, false);
    let nets = &mut programs.loaded.networks;
    let list = (0..64).map(|third| (network_of(&format!("198.51.{third}.0/24")), NEVER, false));
    let fault = nets.block_all(list.clone()).unwrap_err();
    assert_eq!(fault.told(), "there is no room for 64 more networks: 64 can be banned");
    assert!(fault.way_out().unwrap().contains("'limits.networks'"));
    assert_eq!(nets.len(), 1);
    passed(&mut programs, &["198.51.0.1"]);
    // A network that is there takes no more room.
    let nets = &mut programs.loaded.networks;
    nets.block_all(list.skip(1)).unwrap();
    nets.block(network_of("203.0.113.0/24"), LATE, false).unwrap();
    let fault = nets.block(network_of("192.0.2.0/25"), NEVER, false).unwrap_err();
    assert_eq!(fault.told(), "there is no room for one more network: 64 can be banned");
    dropped(&mut programs, &["198.51.1.1", "198.51.63.1", "203.0.113.1"]);
    passed(&mut programs, &["192.0.2.1", "198.51.0.1"]);
    let nets = &mut programs.loaded.networks;
    nets.unblock(network_of("198.51.1.0/24")).unwrap();
    nets.block(network_of("192.0.2.0/25"), NEVER, false).unwrap();
    assert_eq!((nets.len(), nets.is_empty()), (64, false));
}

#[test]
fn a_full_trie_still_takes_changes_of_what_is_in_it() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    for last in 0..64 {
        programs.block_network(&format!("203.0.113.{last}/32"), NEVER, false);
    }
    for last in 0..64 {
        programs.block_network(&format!("203.0.113.{last}/32"), LATE, true);
    }
    let block = programs.loaded.networks.block_of(network_of("203.0.113.63/32")).unwrap().unwrap();
    assert_eq!((block.until(), block.overlaps()), (LATE, true));
}

#[test]
fn families_say_whether_they_are_in_use() {
    needs!(Need::Root, Need::Bpf);
    let mut programs = Programs::new();
    assert_eq!(programs.loaded.networks.in_use(), 0);
    programs.block_network("203.0.113.0/24", NEVER, false);
    assert_eq!(programs.loaded.networks.in_use(), Settings::NETWORKS_V4);
    programs.block_network("2001:db8::/48", NEVER, false);
    assert_eq!(programs.loaded.networks.in_use(), Settings::NETWORKS_V4 | Settings::NETWORKS_V6);
    unblock(&mut programs, "203.0.113.0/24");
    assert_eq!(programs.loaded.networks.in_use(), Networks::flag_of(network_of("2001:db8::/48")));
}
