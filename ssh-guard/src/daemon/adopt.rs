//! Takes over what an earlier daemon has in force: writes it into the new maps, before the new program takes the place of
//! the old one. No packet of a banned source passes in between.
//!
//! The kernel knows whom it drops and until when, and not why. What was configured is not taken over: the configuration
//! says whether it still is.

pub(super) mod counters;

use std::cmp::Reverse;
use std::sync::Arc;
use std::thread;

use ssh_guard_common::flat::LAST_END;
use ssh_guard_common::records::Block;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::is_over;
use tracing::{info, warn};

use super::guard::{Enactor, is_exempt};
use crate::ban::{Ban, By, Reason, Scope};
use crate::clock;
use crate::fault::Fault;
use crate::kernel::{Earlier, KernelClock, KnownGood};
use crate::ledger::{Capacity, Ledger};
use crate::lists::{Entry, Lists, scope_of};
use crate::moment::Moment;
use crate::network::Network;

/// What an earlier daemon blocked, as this one may.
type Blocked = Vec<(Entry, Block)>;

/// Blocks what an earlier daemon blocks, and enters the bans that this is into an empty ledger.
///
/// # Errors
/// If its maps cannot be read, or the new ones not be written.
pub(super) fn take_over(
    earlier: &Earlier,
    lists: &Lists,
    capacity: Capacity,
    enactor: &mut Enactor<'_>,
    ledger: &mut Ledger,
) -> Result<(), Fault> {
    let now = enactor.clock.ticks_of(clock::now());
    let mask = earlier.mask();
    let sources = earlier.blocks()?.into_iter();
    let networks = not_covered(earlier.networks()?);
    let mut exempt = 0;
    let (mut of_sources, mut of_networks): (Blocked, Blocked) = sources
        .map(|(source, block)| (Network::new(source, mask.prefix_of(source)), block))
        .chain(networks)
        .filter(|(_, block)| block.until() != LAST_END && !is_over(block.until(), now))
        .filter(|(network, _)| {
            let is_exempt = is_exempt(*network, enactor.protected, enactor.allowlist);
            exempt += usize::from(is_exempt);
            !is_exempt
        })
        .map(|(network, block)| ((network, scope_of(network, lists.mask())), block))
        .partition(|((_, scope), _)| *scope == Scope::Source);
    for (scope, blocked, room) in [
        (Scope::Source, &mut of_sources, capacity.sources),
        (Scope::Network, &mut of_networks, capacity.networks),
    ] {
        let room = room.saturating_sub(lists.size().of_scope(scope));
        if blocked.len() > room {
            let (what, lost) = (scope.plural(), blocked.len() - room);
            // What has no end was listed, and can be listed again: it makes room for bans.
            blocked.sort_by_key(|(_, block)| (is_endless(block), Reverse(block.until())));
            blocked.truncate(room);
            warn!(
                hint = format!("set '{}' to {} or more", scope.limit(), room + lost),
                "there is room for {room} {what}: {lost} of an earlier daemon's are lifted, what was listed first, then what ends first"
            );
        }
    }
    let mut blocked: Blocked = of_sources.into_iter().chain(of_networks).collect();
    // Once here, and not in each of the ledger's trees.
    blocked.sort_unstable_by_key(|((network, _), _)| *network);
    // Neither needs the other, and with a million bans each takes a third of a second.
    let kernel_clock = enactor.clock;
    thread::scope(|scope| {
        scope.spawn(|| ledger.adopt(bans_of(&blocked, kernel_clock)));
        enactor.restore(blocked.iter().copied(), lists)
    })?;
    if exempt > 0 {
        info!(
            "{exempt} bans of an earlier daemon are lifted: what they drop is in the allowlist, or never banned"
        );
    }
    if !blocked.is_empty() {
        info!(bans = blocked.len(), "took over what an earlier daemon has in force");
    }
    Ok(())
}

/// Keeps whom an earlier daemon had known-good, each until its end; says whether there is anybody.
///
/// # Errors
/// If its maps cannot be read.
pub(super) fn know(
    earlier: &Earlier,
    mask: SourceMask,
    known_good: &mut KnownGood,
    kernel_clock: &KernelClock,
) -> Result<bool, Fault> {
    if earlier.mask() != mask {
        return Ok(false);
    }
    let now = kernel_clock.ticks_of(clock::now());
    let mut known = earlier.known_good()?;
    known.retain(|(_, known)| !is_over(known.until(), now));
    let sources = known.len();
    for (kept, (source, known)) in known.into_iter().enumerate() {
        if let Err(fault) = known_good.know(source, known.until(), known.shared()) {
            warn!(error = fault.told(), lost = sources - kept, "not all that were known-good still are");
            break;
        }
    }
    Ok(sources > 0)
}

/// The bans that blocks of an earlier daemon are.
fn bans_of(blocked: &[(Entry, Block)], kernel_clock: &KernelClock) -> Vec<Ban> {
    let (rule, since): (Arc<str>, _) = (Arc::from("in force when the daemon started"), clock::now());
    let ban = |((network, scope), block): (Entry, Block)| Ban {
        source: network.first(),
        prefix: network.prefix(),
        since,
        until: if is_endless(&block) { Moment::UNTIL_LIFTED } else { kernel_clock.moment_of(block.until()) },
        reason: Reason::Unknown,
        rule: Arc::clone(&rule),
        rung: None,
        offences: 0,
        note: None,
        by: By::Automatic,
        scope,
        extended: false,
        forced: false,
    };
    blocked.iter().copied().map(ban).collect()
}

/// Whether it is for somebody to end it, as with what is loaded from a list.
fn is_endless(block: &Block) -> bool {
    block.until() >= LAST_END - 1
}

/// Leaves out what lies in a network that is blocked as long: the kernel has for it the end of what is around it, and its
/// own, if that is earlier, is not known.
fn not_covered(mut networks: Vec<(Network, Block)>) -> Vec<(Network, Block)> {
    networks.sort_unstable_by_key(|(network, block)| (*network, Reverse(block.until())));
    let mut kept: Vec<(Network, Block)> = Vec::new();
    let mut around: Vec<(Network, u32)> = Vec::new();
    for (network, block) in networks {
        while around.last().is_some_and(|(outer, _)| !outer.contains(&network)) {
            around.pop();
        }
        if around.last().is_some_and(|(_, until)| *until >= block.until()) {
            continue;
        }
        around.push((network, block.until()));
        kept.push((network, block));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(end: u32) -> Block {
        Block { end, ..Block::default() }
    }

    fn network(text: &str) -> Network {
        text.parse::<ipnet::IpNet>().unwrap().into()
    }

    #[test]
    fn what_ends_with_the_network_around_it_is_not_a_ban_of_its_own() {
        let networks = [
            ("10.1.2.0/24", 7),
            ("10.1.0.0/16", 7),
            ("10.1.2.0/25", 9),
            ("10.1.2.64/26", 9),
            ("10.2.0.0/24", 3),
            ("2001:db8::/48", 3),
        ];
        let kept = not_covered(networks.map(|(text, end)| (network(text), block(end))).to_vec());
        let kept: Vec<_> =
            kept.into_iter().map(|(network, block)| (network.to_string(), block.end)).collect();
        let expected = [("10.1.0.0/16", 7), ("10.1.2.0/25", 9), ("10.2.0.0/24", 3), ("2001:db8::/48", 3)];
        assert_eq!(kept, expected.map(|(text, end)| (text.to_owned(), end)));
    }
}
