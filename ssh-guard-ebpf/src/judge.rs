//! The order of the verdicts.

use ssh_guard_common::packet::{Reading, Segment};
use ssh_guard_common::records::{Block, KnownGood, SessionKey, crowd};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::verdict::Verdict;

/// What the verdict is given on.
#[derive(Clone, Copy)]
pub struct Evidence {
    /// The address in the packet.
    address: Source,
    kind: Kind,
    /// The rest of what makes the packet's session, if the packet belongs to one.
    end: ServerEnd,
}

/// What a packet may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It asks for a new session, or is built so that nobody can tell.
    Opening,
    /// It belongs to a session.
    Going(Going),
    /// It is a fragment other than the first, which by itself opens nothing.
    LaterFragment,
}

/// What a packet of a session does in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Going {
    /// It has a payload.
    pub speaks: bool,
    /// It says that nothing will follow.
    pub ends: bool,
}

/// The server's end of a session, and the client's port.
#[derive(Clone, Copy)]
struct ServerEnd {
    server: Source,
    client_port: u16,
    port: u16,
}

impl ServerEnd {
    const NONE: Self = Self { server: Source::from_words([0; 4]), client_port: 0, port: 0 };

    #[inline(always)]
    fn of(segment: &Segment) -> Self {
        Self { server: segment.server, client_port: segment.source_port, port: segment.port }
    }
}

impl Evidence {
    /// Takes a reading, unless it shows a packet that is not judged at all.
    #[inline(always)]
    pub fn from(reading: Reading) -> Option<Self> {
        let (address, kind, end) = match reading {
            Reading::Elsewhere => return None,
            Reading::Guarded(segment) if segment.flags.opens_session() => {
                (segment.source, Kind::Opening, ServerEnd::NONE)
            }
            Reading::Guarded(segment) => {
                let going = Going { speaks: segment.payload > 0, ends: segment.flags.ends_session() };
                (segment.source, Kind::Going(going), ServerEnd::of(&segment))
            }
            Reading::Uncertain(doubt) if doubt.later_fragment => {
                (doubt.source, Kind::LaterFragment, ServerEnd::NONE)
            }
            Reading::Uncertain(doubt) => (doubt.source, Kind::Opening, ServerEnd::NONE),
        };
        Some(Self { address, kind, end })
    }

    /// The same in numbers, with the packet's bytes and whether it is allowed: a function that the verifier goes through by
    /// itself takes nothing else, and no more than five. The last two are of what belongs to a session alone.
    #[inline(always)]
    pub fn pack(self, bytes: u64, allowed: bool) -> [u64; 5] {
        let Self { address, kind, end: ServerEnd { server, client_port, port } } = self;
        let [high, low] = address.halves();
        let [server_high, server_low] = server.halves();
        let kind = match kind {
            Kind::Opening => 0,
            Kind::LaterFragment => 1,
            Kind::Going(Going { speaks, ends }) => 4 | u64::from(speaks) << 1 | u64::from(ends),
        };
        let ports = u64::from(client_port) << 48 | u64::from(port) << 32;
        // No packet comes near 256 MiB.
        let bytes = bytes & 0x0fff_ffff;
        [high, low, ports | bytes << 4 | u64::from(allowed) << 3 | kind, server_high, server_low]
    }

    /// What [`Evidence::pack`] made numbers of.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "ports are ports, and what lies above was put there")]
    pub fn unpack([high, low, rest, server_high, server_low]: [u64; 5]) -> (Self, u64, bool) {
        let kind = match rest & 7 {
            0 => Kind::Opening,
            1 => Kind::LaterFragment,
            going => Kind::Going(Going { speaks: going & 2 != 0, ends: going & 1 != 0 }),
        };
        let end = ServerEnd {
            server: Source::from_halves([server_high, server_low]),
            client_port: (rest >> 48) as u16,
            port: (rest >> 32) as u16,
        };
        let bytes = rest >> 4 & 0x0fff_ffff;
        (Self { address: Source::from_halves([high, low]), kind, end }, bytes, rest & 8 != 0)
    }

    /// The session that the packet belongs to, if it belongs to one.
    #[inline(always)]
    fn session(self) -> SessionKey {
        let Self { address, end: ServerEnd { server, client_port, port }, .. } = self;
        SessionKey { client: address, server, client_port, port }
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
    /// What the source holds so many of that it may open no more, as bits of [`crowd`].
    fn crowd(&self, source: Source) -> u32;
    /// Whether flood mode has no room for one more session of a source that is not known-good, or `holds_enough` of
    /// those that are not authenticated.
    fn is_over_flood_budget(&self, holds_enough: bool) -> bool;
    /// The source's entry among those that are known-good, in force.
    fn known_good(&self, source: Source) -> Option<KnownGood>;
    /// Counts a packet of a session of the source's that is let through.
    fn count(&self, session: SessionKey, source: Source, bytes: u64, going: Going);
    /// Counts a packet that a block drops.
    fn hit(&self, verdict: Verdict, bytes: u64, block: &Block, place: &Self::Place);

    /// Whether any network is banned.
    fn bans_networks(&self) -> bool;
    /// Counts a packet that asks for a session, or may.
    fn tally(&self, verdict: Verdict, bytes: u64);

    /// [`drops_network`], which the programs have in a function of its own.
    fn drops_network(&self, evidence: Evidence, bytes: u64) -> bool {
        drops_network(evidence, bytes, self)
    }
    /// [`go_on`], in the same way.
    fn go_on(&self, evidence: Evidence, bytes: u64, allowed: bool) -> Verdict {
        go_on(evidence, bytes, allowed, self)
    }
    /// [`open`], in the same way.
    fn open(&self, evidence: Evidence) -> Verdict {
        open(evidence, self)
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
    let source = tables.mask().apply(evidence.address);
    if !allowed
        && tables.bans_networks()
        && tables.known_good(source).is_none()
        && tables.drops_network(evidence, bytes)
    {
        return Verdict::BlockedNetwork;
    }
    let verdict = match evidence.kind {
        Kind::Going(_) => return tables.go_on(evidence, bytes, allowed),
        _ if allowed => Verdict::Allowed,
        Kind::LaterFragment => Verdict::Passed,
        Kind::Opening => match tables.open(evidence) {
            Verdict::Passed => Verdict::Passed,
            // Asked last, where it comes to that: a flood touches a cache line less.
            limited => match tables.known_good(source) {
                Some(known) if !known.shared() => Verdict::Passed,
                _ => limited,
            },
        },
    };
    tables.tally(verdict, bytes);
    verdict
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

/// Whether the block of a network drops the packet of a source that is neither blocked nor allowed nor known-good; counts
/// it then.
#[inline(always)]
pub fn drops_network<T: Tables>(evidence: Evidence, bytes: u64, tables: &T) -> bool {
    let address = evidence.address;
    let Some((block, place)) = tables.blocked_network(address) else { return false };
    if block.overlaps() && tables.excepted(address) {
        return false;
    }
    tables.hit(Verdict::BlockedNetwork, bytes, &block, &place);
    true
}

/// Gives the verdict on a packet of a session that no block drops, and counts it.
#[inline(always)]
pub fn go_on<T: Tables>(evidence: Evidence, bytes: u64, allowed: bool, tables: &T) -> Verdict {
    if let Kind::Going(going) = evidence.kind {
        tables.count(evidence.session(), tables.mask().apply(evidence.address), bytes, going);
    }
    if allowed { Verdict::Allowed } else { Verdict::Passed }
}

/// Gives the verdict on a packet that asks for a session, of a source that is neither blocked nor allowed nor, for all one
/// knows yet, known-good. It is counted nowhere but in its budget: a flood from a million sources must not cost a million
/// records.
#[inline(always)]
pub fn open<T: Tables>(evidence: Evidence, tables: &T) -> Verdict {
    if !tables.leased() {
        return Verdict::Passed;
    }
    let source = tables.mask().apply(evidence.address);
    let over_rate = tables.is_over_rate(source);
    let crowd = tables.crowd(source);
    if over_rate {
        Verdict::RateLimited
    } else if tables.is_over_flood_budget(crowd & crowd::UNAUTHENTICATED != 0) {
        Verdict::FloodLimited
    } else if crowd & crowd::OPEN != 0 {
        Verdict::SessionLimited
    } else {
        Verdict::Passed
    }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
