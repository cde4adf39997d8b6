//! Lists and the ledger together, beside a naive model: what is blocked must be what the model says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::parse::Parser;
use super::*;
use crate::ban::{Ban, By, Reason};
use crate::ledger::{Capacity, Ledger};

fn entries_with(text: &str, mask: SourceMask) -> Entries {
    let mut parser = Parser::default();
    parser.feed(text.as_bytes()).unwrap();
    Entries::new(parser.finish().unwrap(), mask)
}

fn entries(text: &str) -> Entries {
    entries_with(text, SourceMask::new(32, 64))
}

fn network(text: &str) -> Network {
    crate::config::network::parse(text).unwrap().into()
}

fn names(entries: impl IntoIterator<Item = Entry>) -> Vec<String> {
    entries.into_iter().map(|(network, _)| network.to_string()).collect()
}

fn all(entries: &Entries) -> Vec<String> {
    names((0..entries.len()).filter_map(|number| entries.get(number)))
}

fn list(name: &str, text: &str, until: u64) -> List {
    let (since, until) = (Moment::default(), Moment::from_start(Duration::from_secs(until)));
    List { name: ListName::File(name.into()), entries: entries(text).into(), since, until, note: None }
}

#[test]
fn an_address_stands_for_its_source_and_a_network_that_is_one_is_one() {
    let text = "2001:db8::7\n2001:db8::8\n2001:db8:0:1::/64\n2001:db8::/48\n2001:db8::9/128\n203.0.113.7/32\n203.0.113.0/24\n";
    let listed = entries(text);
    assert_eq!(
        all(&listed),
        [
            "203.0.113.7/32",
            "2001:db8::/64",
            "2001:db8:0:1::/64",
            "203.0.113.0/24",
            "2001:db8::/48",
            "2001:db8::9/128"
        ]
    );
    assert_eq!(listed.counts(), [1, 2, 3]);
    let wide =
        entries_with("203.0.113.7\n203.0.113.8\n203.0.113.0/24\n203.0.113.9/32\n", SourceMask::new(24, 64));
    assert_eq!(all(&wide), ["203.0.113.0/24", "203.0.113.9/32"]);
    assert_eq!(wide.counts(), [1, 0, 1]);
}

#[test]
fn a_list_touches_the_addresses_and_networks_that_it_blocks_or_a_part_of() {
    let listed = entries("10.0.0.1\n10.1.0.0/16\n2001:db8::7\n2001:db8:1::9/128\n");
    for touched in [
        "10.0.0.1",
        "10.0.0.0/24",
        "10.1.2.3",
        "0.0.0.0/0",
        "2001:db8::8",
        "2001:db8::",
        "2001:db8:1::9",
        "2001:db8:1::/64",
    ] {
        assert!(listed.touch(network(touched)), "{touched}");
    }
    for elsewhere in ["10.0.0.2", "10.2.0.0/16", "2001:db8:0:1::7", "2001:db8:1::8"] {
        assert!(!listed.touch(network(elsewhere)), "{elsewhere}");
    }
}

#[test]
fn what_touches_a_network_is_what_lies_around_it_and_in_it() {
    let mut lists = Lists::new(SourceMask::new(32, 64));
    lists.add(list(
        "a",
        "10.0.0.1\n10.0.0.2\n10.0.1.0/24\n10.0.0.0/16\n2001:db8::7\n2001:db8::/32\n2001:db8::9/128\n",
        9,
    ));
    let touching = |text: &str| -> (Vec<String>, Vec<String>) {
        let (around, spans) = lists.touching(network(text));
        let inside =
            spans.iter().flat_map(|(entries, range)| range.clone().filter_map(|number| entries.get(number)));
        (names(around), names(inside))
    };
    let told = |around: &[&str], inside: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        (owned(around), owned(inside))
    };
    assert_eq!(touching("10.0.0.1/32"), told(&["10.0.0.0/16"], &["10.0.0.1/32"]));
    assert_eq!(touching("10.0.0.0/24"), told(&["10.0.0.0/16"], &["10.0.0.1/32", "10.0.0.2/32"]));
    assert_eq!(touching("10.0.1.0/24"), told(&["10.0.0.0/16"], &["10.0.1.0/24"]));
    assert_eq!(touching("10.0.1.7/32"), told(&["10.0.0.0/16", "10.0.1.0/24"], &[]));
    assert_eq!(
        touching("10.0.0.0/8"),
        told(&[], &["10.0.0.1/32", "10.0.0.2/32", "10.0.0.0/16", "10.0.1.0/24"])
    );
    assert_eq!(touching("2001:db8::9/128"), told(&["2001:db8::/32", "2001:db8::/64"], &["2001:db8::9/128"]));
    assert_eq!(touching("2001:db8::/128"), told(&["2001:db8::/32", "2001:db8::/64"], &[]));
    assert_eq!(touching("192.0.2.0/24"), told(&[], &[]));
}

#[test]
fn a_million_addresses_take_four_bytes_each() {
    let listed = parse::Listed { v4: (0..1_000_000).collect(), ..parse::Listed::default() };
    let entries = Entries::new(listed, SourceMask::new(32, 64));
    assert_eq!(entries.len(), 1_000_000);
    assert_eq!(size_of::<u32>() * entries.counts()[0], 4_000_000);
}

#[test]
fn a_listing_in_pages_tells_each_entry_of_each_list_once() {
    let mut lists = Lists::new(SourceMask::new(32, 64));
    let text = (0..100).map(|number| format!("10.0.0.{number}\n10.{number}.0.0/16\n2001:db8:{number}::7\n"));
    lists.add(list("a", &text.collect::<String>(), 9));
    lists.add(list("b", "10.0.0.7\n10.0.0.200\n::1:2:3:4:5\n", 9));
    let (mut told, mut after) = (Vec::new(), None);
    loop {
        let page = lists.after(after, 7);
        let mut each: Vec<Network> = page.iter().map(|((network, _), _)| *network).collect();
        each.dedup();
        let Some(last) = each.iter().take(7).next_back().copied() else { break };
        told.extend(
            page.iter().filter(|((network, _), _)| *network <= last).map(|((network, _), _)| *network),
        );
        after = Some(last);
    }
    assert_eq!(told.len(), 303);
    assert!(told.is_sorted());
}

const CAPACITY: Capacity = Capacity { sources: 40, networks: 40 };

#[derive(Clone, Debug)]
enum Step {
    Ban(usize, u64, By),
    Load(u8, Vec<usize>, u64),
    Unban(usize),
    Unlist(u8),
    Wait(u64),
    Expire,
}

/// Sources and networks that lie in each other.
fn universe() -> Vec<Entry> {
    let mask = SourceMask::new(32, 64);
    let sources = (0..8_u32).map(|number| Network::new(Ipv4Addr::from(0x0a00_0000 + number).into(), 32));
    let networks = ["10.0.0.0/29", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.0/8"].map(network);
    let v6 = ["2001:db8::/64", "2001:db8::/32", "2001:db8::1/128"].map(network);
    sources.chain(networks).chain(v6).map(|network| (network, scope_of(network, mask))).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![Just(By::Automatic), Just(By::Hand)];
    let entry = 0..15_usize;
    prop_oneof![
        4 => (entry.clone(), 1..30_u64, by).prop_map(|(entry, length, by)| Step::Ban(entry, length, by)),
        3 => (0..3_u8, prop::collection::vec(entry.clone(), 1..9), 1..30_u64)
            .prop_map(|(name, entries, length)| Step::Load(name, entries, length)),
        2 => entry.prop_map(Step::Unban),
        1 => (0..3_u8).prop_map(Step::Unlist),
        2 => (0..10_u64).prop_map(Step::Wait),
        2 => Just(Step::Expire),
    ]
}

/// A list of bans by name; the empty name is the ledger's.
type Model = BTreeMap<(String, Entry), u64>;

proptest! {
    #[test]
    fn what_is_blocked_is_what_bans_and_lists_say(steps in prop::collection::vec(step(), 0..120)) {
        let universe = universe();
        let at = |seconds: u64| Moment::from_start(Duration::from_secs(seconds));
        let mut ledger = Ledger::new(CAPACITY);
        let mut lists = Lists::new(SourceMask::new(32, 64));
        let mut model = Model::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Ban(entry, length, by) => {
                    let entry = universe[entry];
                    let (network, scope) = entry;
                    let ban = Ban {
                        source: network.first(),
                        prefix: network.prefix(),
                        since: at(now),
                        until: at(now + length),
                        reason: Reason::Manual,
                        rule: "r".into(),
                        rung: None,
                        offences: 0,
                        note: None,
                        by,
                        scope,
                        extended: false,
                        forced: false,
                    };
                    if ledger.insert(&ban, at(now)).is_ok() {
                        model.insert((String::new(), entry), now + length);
                    }
                }
                Step::Load(name, listed, length) => {
                    let name = name.to_string();
                    let text = names(listed.iter().map(|entry| universe[*entry])).join("
");
                    let new = list(&name, &text, now + length);
                    let replaced = lists.take(|other| other.name == new.name);
                    let mut size = Size::default();
                    for number in 0..new.entries.len() {
                        let entry = new.entries.get(number).unwrap();
                        let known = lists.hold(entry) || replaced.as_ref().is_some_and(|list| list.entries.find(entry).is_some());
                        if !known {
                            *size.of(entry) += 1;
                        }
                    }
                    lists.add(new);
                    lists.count(size);
                    leave(&mut lists, replaced);
                    model.retain(|(of, _), _| *of != name);
                    model.extend(listed.iter().map(|entry| ((name.clone(), universe[*entry]), now + length)));
                }
                Step::Unban(entry) => {
                    let entry = universe[entry];
                    let banned = ledger.remove(entry.0).is_some();
                    let listed = lists.remove(entry);
                    prop_assert_eq!(banned || listed, model.keys().any(|(_, other)| *other == entry));
                    model.retain(|(_, other), _| *other != entry);
                }
                Step::Unlist(name) => {
                    let name = name.to_string();
                    let taken = lists.take(|list| list.name.as_str() == name);
                    leave(&mut lists, taken);
                    model.retain(|(of, _), _| *of != name);
                }
                Step::Wait(seconds) => now += seconds,
                Step::Expire => {
                    while ledger.expire(at(now)).next.is_some_and(|next| next <= at(now)) {}
                    while let Some(list) = lists.take(|list| list.until <= at(now)) {
                        leave(&mut lists, Some(list));
                    }
                    model.retain(|_, until| *until > now);
                }
            }
            for entry in &universe {
                let blocked = ledger.get(entry.0).map(|ban| ban.until).max(lists.until(*entry));
                let ends = model.iter().filter(|((_, other), _)| other == entry).map(|(_, until)| *until);
                prop_assert_eq!(blocked, ends.max().map(at), "{:?}", entry);
            }
            let mut listed: Vec<Entry> = model.keys().filter(|(name, _)| !name.is_empty()).map(|(_, entry)| *entry).collect();
            listed.sort_unstable();
            listed.dedup();
            let count = |scope: Scope| listed.iter().filter(|(_, other)| *other == scope).count();
            prop_assert_eq!(lists.size().sources(), count(Scope::Source));
            prop_assert_eq!(lists.size().networks, count(Scope::Network));
            let ends = lists.iter().map(|list| list.until).min();
            prop_assert_eq!(lists.next_end(), ends);
        }
    }
}

/// Uncounts what was listed by a list that is no more.
fn leave(lists: &mut Lists, gone: Option<List>) {
    let Some(gone) = gone else { return };
    for number in 0..gone.entries.len() {
        let entry = gone.entries.get(number).unwrap();
        if !lists.hold(entry) {
            lists.uncount(entry);
        }
    }
}
