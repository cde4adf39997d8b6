//! What the guard tells about what it knows.

use std::net::IpAddr;

use ssh_guard_common::records::{Block, SourceRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::is_over;

use super::Guard;
use crate::allowlist::Covered;
use crate::ban::Ban;
use crate::clock;
use crate::control::api::{BanEntry, Bans, SourceEntry, Sources};
use crate::moment::Moment;
use crate::network::Network;

impl Guard {
    /// At most `limit` bans of the sources after `after`, with what the kernel has counted for each.
    pub(super) fn tell_bans(&self, after: Option<IpAddr>, limit: usize) -> Bans {
        let page = self.ledger.page(after.map(Source::from), limit);
        let next = if page.len() == limit { page.last().map(|ban| ban.source.address()) } else { None };
        let now = clock::now();
        Bans { bans: page.iter().map(|ban| self.tell_ban(ban, now)).collect(), next }
    }

    fn tell_ban(&self, ban: &Ban, now: Moment) -> BanEntry {
        let block = self.maps.blocklist.block_of(ban.source).unwrap_or_default();
        let in_force = |block: &Block| !is_over(block.until(), self.maps.clock.ticks_of(now));
        let last_hit =
            block.filter(|block| block.hits > 0).map(|block| self.maps.clock.moment_of(block.last_hit));
        BanEntry {
            source: shown(ban.source, ban.prefix),
            family: if ban.source.is_v4() { "ipv4" } else { "ipv6" }.to_owned(),
            reason: ban.reason.as_str().to_owned(),
            rule: ban.note.clone().unwrap_or_else(|| ban.rule.to_string()),
            since: clock::wall(ban.since),
            until: clock::wall(ban.until),
            rung: ban.rung,
            offences: ban.offences,
            hits: block.map_or(0, |block| u64::from(block.hits)),
            last_hit: last_hit.map(clock::wall),
            in_kernel: block.as_ref().is_some_and(in_force),
        }
    }

    /// The sources with what is known of them beside what the program counted.
    pub(super) fn tell_sources(&self, sources: Vec<(Source, SourceRecord)>) -> Sources {
        let now = clock::now();
        let tell = |(source, record): (Source, SourceRecord)| {
            let prefix = self.mask.prefix_of(source);
            SourceEntry {
                source: shown(source, prefix),
                packets: record.packets,
                bytes: record.bytes,
                sessions_opened: None,
                last_seen: clock::wall(self.maps.clock.moment_of(record.last_seen)),
                score: self.policy.score(source, now),
                banned: self.ledger.is_banned(source, now),
                allowed: self.allowlist.covers(source, prefix) == Covered::Whole,
            }
        };
        Sources { sources: sources.into_iter().map(tell).collect() }
    }
}

/// A source as people write it: an address, or a network where a source is one.
fn shown(source: Source, prefix: u8) -> String {
    let whole = if source.is_v4() { 32 } else { 128 };
    if prefix == whole { source.to_string() } else { Network::new(source, prefix).to_string() }
}
