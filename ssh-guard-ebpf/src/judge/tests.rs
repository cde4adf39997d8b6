//! The order of the verdicts, on tables of a few entries.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use ssh_guard_common::flat::{OVERLAPS, SHARED};
use ssh_guard_common::packet::{Doubt, Flags, Segment};

use super::*;

/// Tables of a few entries, which note what they were asked.
#[derive(Default)]
struct Fake {
    blocked: Vec<(Source, u32)>,
    allowed: Vec<Source>,
    /// A banned network, as the addresses in it and the flag.
    blocked_network: Vec<(Source, u32)>,
    excepted: Vec<Source>,
    known_good: Vec<(Source, u32)>,
    /// No daemon answers for the limits.
    unleased: bool,
    over_rate: bool,
    over_flood_budget: bool,
    crowd: u32,
    drawn: Cell<u32>,
    known_good_asked: Cell<u32>,
    counted: RefCell<Vec<(Source, u64, Going)>>,
    hits: RefCell<Vec<(Verdict, u64)>>,
    tallied: RefCell<Vec<(Verdict, u64)>>,
}

impl Tables for Fake {
    type Place = ();

    fn blocked(&self, source: Source) -> Option<(Block, ())> {
        let (_, flags) = self.blocked.iter().find(|(blocked, _)| *blocked == source)?;
        Some((Block { end: *flags, ..Block::default() }, ()))
    }

    fn allowed(&self, address: Source) -> bool {
        self.allowed.contains(&address)
    }

    fn blocked_network(&self, address: Source) -> Option<(Block, ())> {
        let (_, flags) = self.blocked_network.iter().find(|(blocked, _)| *blocked == address)?;
        Some((Block { end: *flags, ..Block::default() }, ()))
    }

    fn excepted(&self, address: Source) -> bool {
        self.excepted.contains(&address) || self.allowed(address)
    }

    fn leased(&self) -> bool {
        !self.unleased
    }

    fn bans_networks(&self) -> bool {
        !self.blocked_network.is_empty()
    }

    fn tally(&self, verdict: Verdict, bytes: u64) {
        self.tallied.borrow_mut().push((verdict, bytes));
    }

    fn is_over_rate(&self, _source: Source) -> bool {
        self.drawn.set(self.drawn.get() + 1);
        self.over_rate
    }

    fn crowd(&self, _source: Source) -> u32 {
        self.crowd
    }

    fn is_over_flood_budget(&self, holds_enough: bool) -> bool {
        self.over_flood_budget || holds_enough
    }

    fn known_good(&self, source: Source) -> Option<KnownGood> {
        self.known_good_asked.set(self.known_good_asked.get() + 1);
        let (_, end) = self.known_good.iter().find(|(known, _)| *known == source)?;
        Some(KnownGood { end: *end })
    }

    fn count(&self, session: SessionKey, source: Source, bytes: u64, going: Going) {
        assert_eq!(self.mask().apply(session.client), source);
        assert_eq!((session.server, session.client_port, session.port), (server(), 40_000, 22));
        self.counted.borrow_mut().push((source, bytes, going));
    }

    fn mask(&self) -> SourceMask {
        SourceMask::new(32, 64)
    }

    fn hit(&self, verdict: Verdict, bytes: u64, _block: &Block, (): &()) {
        self.hits.borrow_mut().push((verdict, bytes));
    }
}

fn source(address: &str) -> Source {
    address.parse::<IpAddr>().unwrap().into()
}

fn server() -> Source {
    source("192.0.2.22")
}

fn segment(address: &str, flags: u8, payload: usize) -> Reading {
    let (source, flags) = (source(address), Flags(flags));
    Reading::Guarded(Segment {
        source,
        source_port: 40_000,
        server: server(),
        port: 22,
        flags,
        sequence: 1,
        payload,
    })
}

const SPEAKS: Going = Going { speaks: true, ends: false };
const SILENT: Going = Going { speaks: false, ends: false };

fn syn(address: &str) -> Reading {
    segment(address, 0x02, 0)
}

fn data(address: &str) -> Reading {
    segment(address, 0x18, 20)
}

fn acknowledgement(address: &str) -> Reading {
    segment(address, 0x10, 0)
}

/// One that can be told for a later one; by the other nobody can tell what it is.
fn fragment(address: &str, later_fragment: bool) -> Reading {
    Reading::Uncertain(Doubt { source: source(address), later_fragment })
}

fn verdict(reading: Reading, tables: &Fake) -> Verdict {
    let evidence = Evidence::from(reading).unwrap();
    let verdict = judge(evidence, 60, tables);
    let hit = matches!(verdict, Verdict::Blocked | Verdict::BlockedNetwork).then_some((verdict, 60));
    assert_eq!(tables.hits.take(), Vec::from_iter(hit));
    // What belongs to a session is counted where its session is.
    let tallied = (hit.is_none() && !matches!(evidence.kind, Kind::Going(_))).then_some((verdict, 60));
    assert_eq!(tables.tallied.take(), Vec::from_iter(tallied));
    verdict
}

#[test]
fn what_is_elsewhere_is_not_judged() {
    assert!(Evidence::from(Reading::Elsewhere).is_none());
}

#[test]
fn a_blocked_source_is_dropped_and_not_counted_among_those_let_through() {
    let tables = Fake { blocked: vec![(source("203.0.113.7"), 0)], ..Fake::default() };
    assert_eq!(verdict(data("203.0.113.7"), &tables), Verdict::Blocked);
    assert_eq!(verdict(data("203.0.113.8"), &tables), Verdict::Passed);
    assert_eq!(*tables.counted.borrow(), [(source("203.0.113.8"), 60, SPEAKS)]);
}

#[test]
fn a_fragment_of_a_blocked_source_is_dropped_and_of_another_one_passes_uncounted() {
    let tables = Fake { blocked: vec![(source("203.0.113.7"), 0)], ..Fake::default() };
    for later in [false, true] {
        assert_eq!(verdict(fragment("203.0.113.7", later), &tables), Verdict::Blocked);
        assert_eq!(verdict(fragment("203.0.113.8", later), &tables), Verdict::Passed);
    }
    assert!(tables.counted.borrow().is_empty());
}

#[test]
fn a_syn_is_counted_in_its_budget_alone_and_what_follows_by_its_source() {
    let tables = Fake { allowed: vec![source("198.51.100.1")], ..Fake::default() };
    for address in ["203.0.113.7", "198.51.100.1"] {
        let (passed, of) = (verdict(syn(address), &tables), source(address));
        assert!(!passed.drops() && tables.counted.take().is_empty());
        verdict(acknowledgement(address), &tables);
        verdict(data(address), &tables);
        assert_eq!(tables.counted.take(), [(of, 60, SILENT), (of, 60, SPEAKS)]);
    }
    assert_eq!(tables.drawn.get(), 1, "an allowed source draws on nothing");
    // With a payload, as for TCP Fast Open, it is a SYN all the same.
    verdict(segment("203.0.113.7", 0x02, 100), &tables);
    assert!(tables.counted.take().is_empty());
    assert_eq!(tables.drawn.get(), 2);
}

#[test]
fn limits_are_for_what_asks_for_a_session_or_may() {
    for (limit, verdict_on) in [
        (Fake { over_rate: true, ..Fake::default() }, Verdict::RateLimited),
        (Fake { over_flood_budget: true, ..Fake::default() }, Verdict::FloodLimited),
        (Fake { over_rate: true, over_flood_budget: true, ..Fake::default() }, Verdict::RateLimited),
        (Fake { crowd: crowd::OPEN, ..Fake::default() }, Verdict::SessionLimited),
        (Fake { crowd: crowd::UNAUTHENTICATED, ..Fake::default() }, Verdict::FloodLimited),
        (Fake { over_flood_budget: true, crowd: crowd::OPEN, ..Fake::default() }, Verdict::FloodLimited),
    ] {
        assert_eq!(verdict(syn("203.0.113.7"), &limit), verdict_on);
        assert_eq!(verdict(fragment("203.0.113.7", false), &limit), verdict_on);
        assert_eq!(limit.drawn.get(), 2);
        let address = "203.0.113.7";
        for reading in [data(address), acknowledgement(address), fragment(address, true)] {
            assert_eq!(verdict(reading, &limit), Verdict::Passed);
        }
        assert_eq!(limit.drawn.get(), 2, "what opens no session draws on no budget");
    }
}

#[test]
fn blocks_and_the_allowlist_come_before_limits() {
    let tables = Fake {
        blocked: vec![(source("203.0.113.7"), 0)],
        allowed: vec![source("198.51.100.1")],
        over_rate: true,
        over_flood_budget: true,
        ..Fake::default()
    };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Blocked);
    assert_eq!(verdict(syn("198.51.100.1"), &tables), Verdict::Allowed);
    assert_eq!(tables.drawn.get(), 0);
}

#[test]
fn without_a_lease_nothing_is_limited_and_nothing_drawn() {
    let tables = Fake {
        unleased: true,
        over_rate: true,
        over_flood_budget: true,
        crowd: crowd::OPEN,
        ..Fake::default()
    };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Passed);
    assert_eq!(tables.drawn.get(), 0);
}

#[test]
fn a_known_good_source_is_not_limited_unless_it_is_shared() {
    for (over_rate, over_flood_budget, limited) in [
        (true, true, Verdict::RateLimited),
        (false, true, Verdict::FloodLimited),
        (false, false, Verdict::SessionLimited),
    ] {
        let tables = Fake {
            known_good: vec![(source("203.0.113.7"), 9), (source("203.0.113.8"), 9 | SHARED)],
            over_rate,
            over_flood_budget,
            crowd: crowd::OPEN,
            ..Fake::default()
        };
        assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Passed);
        assert_eq!(verdict(syn("203.0.113.8"), &tables), limited);
        assert_eq!(verdict(syn("203.0.113.9"), &tables), limited);
    }
}

#[test]
fn whether_a_source_is_known_good_is_asked_only_where_a_limit_would_drop() {
    let tables = Fake { known_good: vec![(source("203.0.113.7"), 9)], ..Fake::default() };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Passed);
    assert_eq!(tables.known_good_asked.get(), 0);
    let tables = Fake { over_rate: true, ..tables };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Passed);
    assert_eq!(tables.known_good_asked.get(), 1);
}

#[test]
fn an_ipv6_block_holds_for_the_whole_prefix() {
    let tables = Fake { blocked: vec![(source("2001:db8:0:1::"), 0)], ..Fake::default() };
    assert_eq!(verdict(syn("2001:db8:0:1:ffff::9"), &tables), Verdict::Blocked);
    assert_eq!(verdict(syn("2001:db8:0:2::9"), &tables), Verdict::Passed);
}

#[test]
fn the_allowlist_is_asked_before_a_block_that_overlaps_it() {
    let tables = Fake {
        blocked: vec![(source("2001:db8:0:1::"), OVERLAPS)],
        allowed: vec![source("2001:db8:0:1::a")],
        ..Fake::default()
    };
    assert_eq!(verdict(syn("2001:db8:0:1::a"), &tables), Verdict::Allowed);
    assert_eq!(verdict(syn("2001:db8:0:1::b"), &tables), Verdict::Blocked);
}

#[test]
fn an_address_that_is_never_banned_is_excepted_from_the_block_of_its_neighbours_and_not_allowed() {
    let tables = Fake {
        blocked: vec![(source("2001:db8:0:1::"), OVERLAPS)],
        excepted: vec![source("2001:db8:0:1::1")],
        ..Fake::default()
    };
    assert_eq!(verdict(syn("2001:db8:0:1::1"), &tables), Verdict::Passed);
    assert_eq!(verdict(syn("2001:db8:0:1::b"), &tables), Verdict::Blocked);
}

#[test]
fn an_address_in_a_banned_network_is_dropped_and_not_counted_among_those_let_through() {
    let tables = Fake { blocked_network: vec![(source("2001:db8:0:1::a"), 0)], ..Fake::default() };
    assert_eq!(verdict(syn("2001:db8:0:1::a"), &tables), Verdict::BlockedNetwork);
    assert_eq!(verdict(fragment("2001:db8:0:1::a", true), &tables), Verdict::BlockedNetwork);
    assert!(tables.counted.borrow().is_empty());
    assert_eq!(verdict(syn("2001:db8:0:1::b"), &tables), Verdict::Passed, "the address is not masked");
}

#[test]
fn a_source_that_is_banned_itself_is_blocked_as_such_in_a_banned_network_too() {
    let address = source("203.0.113.7");
    let tables = Fake { blocked: vec![(address, 0)], blocked_network: vec![(address, 0)], ..Fake::default() };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Blocked);
}

#[test]
fn a_known_good_source_stays_reachable_in_a_banned_network_shared_or_not() {
    let addresses = ["203.0.113.7", "203.0.113.8", "203.0.113.9"].map(source);
    let tables = Fake {
        blocked_network: addresses.map(|address| (address, 0)).to_vec(),
        known_good: vec![(addresses[0], 9), (addresses[1], 9 | SHARED)],
        ..Fake::default()
    };
    let verdicts = addresses.map(|address| verdict(syn(&address.to_string()), &tables));
    assert_eq!(verdicts, [Verdict::Passed, Verdict::Passed, Verdict::BlockedNetwork]);
    let limiting = Fake { over_rate: true, ..tables };
    let verdicts = addresses.map(|address| verdict(syn(&address.to_string()), &limiting));
    assert_eq!(verdicts, [Verdict::Passed, Verdict::RateLimited, Verdict::BlockedNetwork]);
}

#[test]
fn an_allowed_address_passes_in_a_banned_network_flagged_or_not() {
    let tables = Fake {
        allowed: vec![source("203.0.113.7"), source("203.0.113.8")],
        blocked_network: vec![(source("203.0.113.7"), 0), (source("203.0.113.8"), OVERLAPS)],
        ..Fake::default()
    };
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Allowed);
    assert_eq!(verdict(syn("203.0.113.8"), &tables), Verdict::Allowed);
}

#[test]
fn an_address_that_is_never_banned_is_excepted_from_a_banned_network_that_is_flagged() {
    let [own, other] = ["203.0.113.1", "203.0.113.7"].map(source);
    let tables = Fake {
        blocked_network: vec![(own, OVERLAPS), (other, OVERLAPS)],
        excepted: vec![own],
        ..Fake::default()
    };
    assert_eq!(verdict(syn("203.0.113.1"), &tables), Verdict::Passed);
    assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::BlockedNetwork);
}

#[test]
fn an_allowed_source_passes_as_allowed() {
    let tables = Fake { allowed: vec![source("198.51.100.1")], ..Fake::default() };
    assert_eq!(verdict(syn("198.51.100.1"), &tables), Verdict::Allowed);
    assert_eq!(verdict(fragment("198.51.100.1", true), &tables), Verdict::Allowed);
}

#[test]
fn evidence_survives_being_made_numbers_of() {
    for reading in [
        segment("203.0.113.7", 0x11, 0),
        segment("2001:db8::7", 0x18, 9),
        syn("203.0.113.7"),
        fragment("203.0.113.7", true),
    ] {
        let evidence = Evidence::from(reading).unwrap();
        for (bytes, allowed) in [(60, false), (0x0fff_ffff, true)] {
            let (unpacked, same_bytes, same_allowed) = Evidence::unpack(evidence.pack(bytes, allowed));
            assert_eq!((same_bytes, same_allowed), (bytes, allowed));
            assert_eq!(unpacked.address, evidence.address);
            assert!(unpacked.kind == evidence.kind && unpacked.session() == evidence.session());
        }
    }
}

#[test]
fn a_packet_by_which_the_client_hangs_up_is_told_from_others() {
    let tables = Fake::default();
    for (flags, ends) in [(0x11, true), (0x04, true), (0x10, false), (0x18, false)] {
        verdict(segment("203.0.113.7", flags, 0), &tables);
        assert_eq!(tables.counted.take(), [(source("203.0.113.7"), 60, Going { speaks: false, ends })]);
    }
}
