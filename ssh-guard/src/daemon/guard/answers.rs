//! What the guard tells about what it knows.

use ssh_guard_common::records::Block;
use ssh_guard_common::source::Source;
use ssh_guard_common::time::is_over;

use super::Guard;
use super::banning::plain;
use crate::allowlist::Covered;
use crate::ban::{Ban, Reason};
use crate::clock;
use crate::control::api::{AllowEntry, Allowlist, BanEntry, Bans, SourceEntry, Sources};
use crate::daemon::sampler::Tally;
use crate::lists::{Entry, List};
use crate::moment::Moment;
use crate::network::Network;

impl Guard {
    /// The bans, and what is listed, of at most `limit` sources and networks after `after`, with what the kernel has
    /// counted for each.
    pub(super) fn tell_bans(&self, after: Option<Network>, limit: usize) -> Bans {
        let listed = self.lists.after(after, limit);
        let banned: Vec<&Ban> = self.ledger.after(after).take(limit).collect();
        let mut each: Vec<Network> = banned.iter().map(|ban| ban.network()).collect();
        each.extend(listed.iter().map(|((network, _), _)| *network));
        each.sort_unstable();
        each.dedup();
        each.truncate(limit);
        let last = each.last().copied();
        let now = clock::now();
        let bans = banned.into_iter().filter(|ban| Some(ban.network()) <= last);
        // What is allowed is listed and not blocked.
        let listed = listed
            .into_iter()
            .filter(|((network, _), _)| Some(*network) <= last && !self.is_exempt(*network));
        let mut told: Vec<(Network, BanEntry)> =
            bans.map(|ban| (ban.network(), self.tell_ban(ban, now))).collect();
        told.extend(listed.map(|(entry, list)| (entry.0, self.tell_listed(entry, list, now))));
        told.sort_by_key(|(network, _)| *network);
        let next = last.filter(|_| each.len() == limit).map(|last| last.to_string());
        Bans { bans: told.into_iter().map(|(_, entry)| entry).collect(), next }
    }

    pub(super) fn tell_ban(&self, ban: &Ban, now: Moment) -> BanEntry {
        BanEntry {
            reason: ban.reason.is_known().then(|| ban.reason.as_str().to_owned()),
            rule: ban.note.clone().unwrap_or_else(|| ban.rule.to_string()),
            since: ban.reason.is_known().then(|| clock::wall(ban.since)),
            until: Some(ban.until).filter(|until| until.comes()).map(clock::wall),
            rung: ban.rung,
            offences: ban.offences,
            extended: ban.extended,
            ..self.tell_block(ban.entry(), now)
        }
    }

    pub(super) fn tell_listed(&self, entry: Entry, list: &List, now: Moment) -> BanEntry {
        let rule = match &list.note {
            Some(note) => note.to_string(),
            None => format!("listed in {}", list.name.as_str()),
        };
        BanEntry {
            reason: Some(Reason::List.as_str().to_owned()),
            rule,
            since: Some(clock::wall(list.since)),
            until: Some(list.until).filter(|until| until.comes()).map(clock::wall),
            ..self.tell_block(entry, now)
        }
    }

    /// What the kernel has of it; the rest is for somebody else to fill in.
    fn tell_block(&self, entry: Entry, now: Moment) -> BanEntry {
        let (network, _) = entry;
        let block = self.block_of(entry);
        let in_force = |block: &Block| !is_over(block.until(), self.maps.clock.ticks_of(now));
        let last_hit =
            block.filter(|block| block.hits > 0).map(|block| self.maps.clock.moment_of(block.last_hit));
        BanEntry {
            source: plain(network),
            family: if network.is_v4() { "ipv4" } else { "ipv6" }.to_owned(),
            hits: block.map_or(0, |block| u64::from(block.hits)),
            last_hit: last_hit.map(clock::wall),
            in_kernel: block.as_ref().is_some_and(in_force),
            ..BanEntry::default()
        }
    }

    /// At most `limit` networks of the allowlist after `after`.
    pub(super) fn tell_allowed(&self, after: Option<Network>, limit: usize) -> Allowlist {
        let told: Vec<_> = self.allowlist.after(after).take(limit).collect();
        let next = told.last().filter(|_| told.len() == limit).map(|(last, _)| last.to_string());
        let tell = |(network, until): (Network, Option<Moment>)| AllowEntry {
            network: plain(network),
            until: until.map(clock::wall),
        };
        Allowlist { allowlist: told.into_iter().map(tell).collect(), next }
    }

    /// The sources with what is known of them beside what the program counted.
    pub(super) fn tell_sources(&self, sources: Vec<(Source, Tally)>) -> Sources {
        let now = clock::now();
        let tell = |(source, tally): (Source, Tally)| {
            let network = Network::new(source, self.mask.prefix_of(source));
            SourceEntry {
                source: plain(network),
                packets: tally.packets,
                bytes: tally.bytes,
                sessions_opened: u64::from(tally.opened),
                sessions_open: u64::from(tally.open),
                sessions_authenticated: tally.authenticated,
                half_open: tally.half_open,
                last_seen: clock::wall(self.maps.clock.moment_of(tally.last_seen)),
                score: self.policy.score(source, now),
                banned: self.is_blocked(network, now),
                allowed: self.allowlist.covers(source, network.prefix()) == Covered::Whole,
            }
        };
        Sources { sources: sources.into_iter().map(tell).collect() }
    }
}
