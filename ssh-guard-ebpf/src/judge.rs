//! The order of the verdicts.

use ssh_guard_common::packet::Reading;
use ssh_guard_common::records::{Block, KnownGood};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::verdict::Verdict;

/// What the verdict is given on.
#[derive(Clone, Copy)]
pub struct Evidence {
    /// The address in the packet.
    address: Source,
    kind: Kind,
}

/// What a packet may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It asks for a new session, or is built so that nobody can tell.
    Opening,
    /// It belongs to a session.
    Going {
        /// Whether it has a payload.
        speaks: bool,
    },
    /// It is a fragment other than the first, which by itself opens nothing.
    LaterFragment,
}

impl Evidence {
    /// Takes a reading, unless it shows a packet that is not judged at all.
    #[inline(always)]
    pub fn from(reading: Reading) -> Option<Self> {
        let (address, kind) = match reading {
            Reading::Elsewhere => return None,
            Reading::Guarded(segment) if segment.flags.opens_session() => (segment.source, Kind::Opening),
            Reading::Guarded(segment) => (segment.source, Kind::Going { speaks: segment.payload > 0 }),
            Reading::Uncertain(doubt) if doubt.later_fragment => (doubt.source, Kind::LaterFragment),
            Reading::Uncertain(doubt) => (doubt.source, Kind::Opening),
        };
        Some(Self { address, kind })
    }

    /// The same in numbers, with the packet's bytes and whether it is allowed: a function that the verifier goes through by
    /// itself takes nothing else.
    #[cfg_attr(
        not(target_arch = "bpf"),
        expect(dead_code, reason = "only programs have calls that take numbers alone")
    )]
    #[inline(always)]
    pub fn pack(self, bytes: u64, allowed: bool) -> [u64; 3] {
        let [high, low] = self.address.halves();
        let kind = match self.kind {
            Kind::Opening => 0,
            Kind::Going { speaks: false } => 1,
            Kind::Going { speaks: true } => 2,
            Kind::LaterFragment => 3,
        };
        [high, low, bytes << 3 | u64::from(allowed) << 2 | kind]
    }

    /// What [`Evidence::pack`] made numbers of.
    #[cfg_attr(not(target_arch = "bpf"), expect(dead_code, reason = "as above"))]
    #[inline(always)]
    pub fn unpack([high, low, rest]: [u64; 3]) -> (Self, u64, bool) {
        let kind = match rest & 3 {
            0 => Kind::Opening,
            1 => Kind::Going { speaks: false },
            2 => Kind::Going { speaks: true },
            _ => Kind::LaterFragment,
        };
        (Self { address: Source::from_halves([high, low]), kind }, rest >> 3, rest & 4 != 0)
    }

    /// The same, if the address is an IPv4 one, which the compiler then knows.
    #[inline(always)]
    fn only_v4(self) -> Option<Self> {
        let [_, _, _, word] = self.address.words();
        self.address.is_v4().then(|| Self { address: Source::from_v4(word), ..self })
    }
}

/// What the verdict looks things up in.
pub trait Tables: Sized {
    /// Where a block stands.
    type Place;

    /// How much of an address makes a source.
    fn mask(&self) -> SourceMask;
    /// The source's block, if it is in force, and where it stands.
    fn blocked(&self, source: Source) -> Option<(Block, Self::Place)>;
    /// Whether the address is in the allowlist, and its entry in force.
    fn allowed(&self, address: Source) -> bool;
    /// The block of the narrowest banned network around the address, if it is in force, and where it stands.
    fn blocked_network(&self, address: Source) -> Option<(Block, Self::Place)>;
    /// Whether the address is excepted from blocks that are flagged: by the allowlist, or because it is one that is
    /// never banned.
    fn excepted(&self, address: Source) -> bool;
    /// Whether limits hold: a daemon answers for them.
    fn leased(&self) -> bool;
    /// Counts a session that the source asks for; says whether it may not.
    fn is_over_rate(&self, source: Source) -> bool;
    /// Whether flood mode has no room for one more session of a source that is not known-good.
    fn is_over_flood_budget(&self) -> bool;
    /// The source's entry among those that are known-good, in force.
    fn known_good(&self, source: Source) -> Option<KnownGood>;
    /// Counts a packet of a session that is let through; the first that is counted of a source `speaks`.
    fn count(&self, source: Source, bytes: u64, speaks: bool);
    /// Counts a packet that a block drops.
    fn hit(&self, verdict: Verdict, bytes: u64, block: &Block, place: &Self::Place);

    /// [`drops_network`], which the programs have in a function of its own.
    fn drops_network(&self, evidence: Evidence, bytes: u64) -> bool {
        drops_network(evidence, bytes, self)
    }
    /// [`go_on`], in the same way.
    fn go_on(&self, evidence: Evidence, bytes: u64, allowed: bool) -> Verdict {
        go_on(evidence, bytes, allowed, self)
    }
}

/// Gives the verdict on a packet of `bytes` bytes.
#[inline(always)]
pub fn judge<T: Tables>(evidence: Evidence, bytes: u64, tables: &T) -> Verdict {
    // Two copies of the same: in the one for IPv4 no word of an IPv6 address is masked, compared or kept.
    let blocked = match evidence.only_v4() {
        Some(evidence) => blocked(evidence, tables),
        None => blocked(evidence, tables),
    };
    if let Some((block, place)) = blocked {
        tables.hit(Verdict::Blocked, bytes, &block, &place);
        return Verdict::Blocked;
    }
    let allowed = tables.allowed(evidence.address);
    if !allowed && tables.drops_network(evidence, bytes) {
        return Verdict::BlockedNetwork;
    }
    tables.go_on(evidence, bytes, allowed)
}

/// The source's block, if it drops the packet.
#[inline(always)]
fn blocked<T: Tables>(evidence: Evidence, tables: &T) -> Option<(Block, T::Place)> {
    let address = evidence.address;
    // A block is only flagged where an address of the source is excepted and others are not.
    tables
        .blocked(tables.mask().apply(address))
        .filter(|(block, _)| !block.overlaps() || !tables.excepted(address))
}

/// Whether the block of a network drops the packet of a source that is neither blocked nor allowed; counts it then.
#[inline(always)]
pub fn drops_network<T: Tables>(evidence: Evidence, bytes: u64, tables: &T) -> bool {
    let address = evidence.address;
    let Some((block, place)) = tables.blocked_network(address) else { return false };
    if block.overlaps() && tables.excepted(address) {
        return false;
    }
    if tables.known_good(tables.mask().apply(address)).is_some() {
        return false;
    }
    tables.hit(Verdict::BlockedNetwork, bytes, &block, &place);
    true
}

/// Gives the verdict on a packet that no block drops, and counts it if it belongs to a session.
#[inline(always)]
pub fn go_on<T: Tables>(evidence: Evidence, bytes: u64, allowed: bool, tables: &T) -> Verdict {
    let Evidence { address, kind } = evidence;
    let source = tables.mask().apply(address);
    // A SYN is counted nowhere but in its budget: a flood from a million sources must not cost a million records.
    if let Kind::Going { speaks } = kind {
        tables.count(source, bytes, speaks);
    }
    if allowed {
        Verdict::Allowed
    } else if kind == Kind::Opening && tables.leased() {
        limited(source, tables)
    } else {
        Verdict::Passed
    }
}

/// Gives the verdict on a packet that asks for a session, of a source that is neither blocked nor allowed.
#[inline(always)]
fn limited<T: Tables>(source: Source, tables: &T) -> Verdict {
    let limited = if tables.is_over_rate(source) {
        Verdict::RateLimited
    } else if tables.is_over_flood_budget() {
        Verdict::FloodLimited
    } else {
        return Verdict::Passed;
    };
    // Asked last, where it comes to that: a flood touches a cache line less.
    match tables.known_good(source) {
        Some(known) if !known.shared() => Verdict::Passed,
        _ => limited,
    }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
