//! What a kernel would hold of the bans in force.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::ban::{Ban, Scope};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::extension::falls_quiet;

/// The blocks, as many as there are bans, and when each last dropped a packet.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    blocks: HashMap<Network, Block, RandomState>,
    /// When to look whether a network has fallen quiet; those that are not its block's `look` count no more.
    looks: BinaryHeap<Reverse<(Moment, Network)>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    last_hit: Option<Moment>,
    look: Option<Moment>,
}

impl Blocks {
    /// Blocks what a ban is of.
    pub(super) fn add(&mut self, ban: &Ban, quiet: Duration) {
        self.blocks.insert(ban.network(), Block::default());
        self.follow(ban, quiet);
    }

    pub(super) fn remove(&mut self, banned: Network) {
        self.blocks.remove(&banned);
    }

    pub(super) fn hold(&self, banned: Network) -> bool {
        self.blocks.contains_key(&banned)
    }

    /// Takes note of a packet that is dropped.
    pub(super) fn hit(&mut self, banned: Network, now: Moment) {
        if let Some(block) = self.blocks.get_mut(&banned) {
            block.last_hit = Some(now);
        }
    }

    pub(super) fn last_hit(&self, banned: Network) -> Option<Moment> {
        self.blocks.get(&banned)?.last_hit
    }

    /// Has the network of a ban looked at when it may have fallen quiet, if that is before the ban ends.
    pub(super) fn follow(&mut self, ban: &Ban, quiet: Duration) {
        let Some(block) = self.blocks.get_mut(&ban.network()).filter(|_| ban.scope == Scope::Network) else {
            return;
        };
        let look = falls_quiet(ban, block.last_hit, quiet);
        block.look = (look < ban.until).then_some(look);
        self.looks.extend(block.look.map(|look| Reverse((look, ban.network()))));
    }

    /// A network that is to be looked at by now.
    pub(super) fn look(&mut self, now: Moment) -> Option<Network> {
        while self.next_look().is_some_and(|look| look <= now) {
            let Reverse((look, network)) = self.looks.pop()?;
            if let Some(block) = self.blocks.get_mut(&network)
                && block.look == Some(look)
            {
                block.look = None;
                return Some(network);
            }
        }
        None
    }

    pub(super) fn next_look(&self) -> Option<Moment> {
        self.looks.peek().map(|Reverse((look, _))| *look)
    }
}
