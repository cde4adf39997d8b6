//! The order of the verdicts.

use ssh_guard_common::packet::Reading;
use ssh_guard_common::records::Block;
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::verdict::Verdict;

/// What the verdict is given on.
#[derive(Clone, Copy)]
pub struct Evidence {
    /// The address in the packet.
    address: Source,
    /// Whether the packet asks for a new session.
    opens_session: bool,
    /// Whether the packet certainly is TCP to a guarded port.
    certain: bool,
}

impl Evidence {
    /// Takes a reading, unless it shows a packet that is not judged at all.
    #[inline(always)]
    pub fn from(reading: Reading) -> Option<Self> {
        match reading {
            Reading::Elsewhere => None,
            Reading::Guarded(segment) => Some(Self {
                address: segment.source,
                opens_session: segment.flags.opens_session(),
                certain: true,
            }),
            Reading::Uncertain(doubt) => {
                Some(Self { address: doubt.source, opens_session: false, certain: false })
            }
        }
    }

    /// The same, if the address is an IPv4 one, which the compiler then knows.
    #[inline(always)]
    fn only_v4(self) -> Option<Self> {
        let [_, _, _, word] = self.address.words();
        self.address.is_v4().then(|| Self { address: Source::from_v4(word), ..self })
    }
}

/// What the verdict looks things up in.
pub trait Tables {
    /// Where a block stands.
    type Place;

    /// The source's block, if it is in force, and where it stands.
    fn blocked(&self, source: Source) -> Option<(Block, Self::Place)>;
    /// Whether the address is in the allowlist, and its entry in force.
    fn allowed(&self, address: Source) -> bool;
    /// Whether the address is excepted from blocks that are flagged: by the allowlist, or because it is one that is
    /// never banned.
    fn excepted(&self, address: Source) -> bool;
    /// Counts a packet that is let through.
    fn count(&self, source: Source, bytes: u64, opens_session: bool);
}

/// Gives the verdict on a packet of `bytes` bytes, and, if a block was hit, where that stands and what it is.
#[inline(always)]
pub fn judge<T: Tables>(
    evidence: Evidence,
    bytes: u64,
    mask: &SourceMask,
    tables: &T,
) -> (Verdict, Option<(Block, T::Place)>) {
    // Two copies of the same: in the one for IPv4 no word of an IPv6 address is masked, compared or kept.
    match evidence.only_v4() {
        Some(evidence) => judge_one(evidence, bytes, mask, tables),
        None => judge_one(evidence, bytes, mask, tables),
    }
}

/// The same, compiled once for each family.
#[inline(always)]
fn judge_one<T: Tables>(
    evidence: Evidence,
    bytes: u64,
    mask: &SourceMask,
    tables: &T,
) -> (Verdict, Option<(Block, T::Place)>) {
    let Evidence { address, opens_session, certain } = evidence;
    let source = mask.apply(address);
    if let Some((block, place)) = tables.blocked(source) {
        // A block is only flagged where an address of the source is excepted and others are not.
        if !block.overlaps() || !tables.excepted(address) {
            return (Verdict::Blocked, Some((block, place)));
        }
    }
    if certain {
        tables.count(source, bytes, opens_session);
    }
    (if tables.allowed(address) { Verdict::Allowed } else { Verdict::Passed }, None)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::net::IpAddr;

    use ssh_guard_common::flat::OVERLAPS;
    use ssh_guard_common::packet::{Doubt, Flags, Segment};

    use super::*;

    /// Tables of a few entries, which note what was counted.
    #[derive(Default)]
    struct Fake {
        blocked: Vec<(Source, u32)>,
        allowed: Vec<Source>,
        excepted: Vec<Source>,
        counted: RefCell<Vec<(Source, u64, bool)>>,
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

        fn excepted(&self, address: Source) -> bool {
            self.excepted.contains(&address) || self.allowed(address)
        }

        fn count(&self, source: Source, bytes: u64, opens_session: bool) {
            self.counted.borrow_mut().push((source, bytes, opens_session));
        }
    }

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn syn(address: &str) -> Reading {
        Reading::Guarded(Segment {
            source: source(address),
            source_port: 40_000,
            port: 22,
            flags: Flags(0x02),
            payload: 0,
        })
    }

    fn fragment(address: &str) -> Reading {
        Reading::Uncertain(Doubt { source: source(address), later_fragment: true })
    }

    fn verdict(reading: Reading, tables: &Fake) -> Verdict {
        judge(Evidence::from(reading).unwrap(), 60, &SourceMask::new(32, 64), tables).0
    }

    #[test]
    fn what_is_elsewhere_is_not_judged() {
        assert!(Evidence::from(Reading::Elsewhere).is_none());
    }

    #[test]
    fn a_blocked_source_is_dropped_and_not_counted_among_those_let_through() {
        let tables = Fake { blocked: vec![(source("203.0.113.7"), 0)], ..Fake::default() };
        assert_eq!(verdict(syn("203.0.113.7"), &tables), Verdict::Blocked);
        assert_eq!(verdict(syn("203.0.113.8"), &tables), Verdict::Passed);
        assert_eq!(*tables.counted.borrow(), [(source("203.0.113.8"), 60, true)]);
    }

    #[test]
    fn a_fragment_of_a_blocked_source_is_dropped_and_of_another_one_passes_uncounted() {
        let tables = Fake { blocked: vec![(source("203.0.113.7"), 0)], ..Fake::default() };
        assert_eq!(verdict(fragment("203.0.113.7"), &tables), Verdict::Blocked);
        assert_eq!(verdict(fragment("203.0.113.8"), &tables), Verdict::Passed);
        assert!(tables.counted.borrow().is_empty());
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
    fn an_allowed_source_passes_as_allowed() {
        let tables = Fake { allowed: vec![source("198.51.100.1")], ..Fake::default() };
        assert_eq!(verdict(syn("198.51.100.1"), &tables), Verdict::Allowed);
        assert_eq!(verdict(fragment("198.51.100.1"), &tables), Verdict::Allowed);
    }
}
