//! Makes the kernel's maps say again what bans, lists and the allowlist do, where another writer has changed them:
//! another program, an operator with a tool, broken memory.
//!
//! While the daemon runs, the maps change by its hand only, so that what differs is nobody's decision. Once a minute, or
//! when it is asked for, a pass looks at all that stands in the maps and at all that should, a part each time round, and
//! never while a list is half written. Each part compares what is there now with what is to be there now, so whatever
//! the guard does between two parts is no drift. Hits, and when the last one came, are the programs' to write.

mod allowed;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ssh_guard_common::flat::{OVERLAPS, fitting};
use ssh_guard_common::source::Source;
use tokio::sync::watch;
use tracing::{info, warn};

use super::super::command::Reply;
use super::Guard;
use super::enact::overlaps;
use super::work::reply;
use crate::ban::{Ban, Scope};
use crate::control::api::Done;
use crate::fault::Fault;
use crate::kernel::{Allowed, Drift, Look, is_same_end};
use crate::lists::Entry;
use crate::moment::Moment;
use crate::network::Network;

/// When the maps are looked through, and how far that has come.
pub(in crate::daemon) struct Resync {
    pass: Option<Box<Pass>>,
    due: Moment,
    asked: Vec<Reply>,
    /// In how many places the maps differed the last time.
    drift: watch::Sender<Option<u64>>,
}

/// One look through everything.
struct Pass {
    at: Step,
    drift: Drift,
    /// The machine has slept: ends are later than they were meant, and nobody wrote them so.
    slept: bool,
    answers: Vec<Reply>,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Step {
    /// What is blocked beside the tables, whose buckets say that there is any.
    Beside,
    /// The tables, from a bucket on.
    Buckets(u32),
    /// Who is banned, after this one.
    Banned(Option<Network>),
    /// What is listed, from an entry of a list on.
    Listed(usize, usize),
    /// Which networks are blocked, after this one.
    Networks(Option<Network>),
    /// The maps of networks.
    Maps(Look),
    /// What is allowed, after this one.
    Allowed(Option<Network>),
    /// What is excepted from blocks beside that.
    Excepted,
    /// What stands in the kernel's allowlist, after this.
    Passing(Option<Allowed>),
}

impl Resync {
    /// Has the first pass begin a while after `now`; tells in how many places the maps differed.
    pub(in crate::daemon) fn new(now: Moment) -> (Self, watch::Receiver<Option<u64>>) {
        let (drift, told) = watch::channel(None);
        (Self { pass: None, due: now.plus(PERIOD), asked: Vec::new(), drift }, told)
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.pass.is_some()
    }

    /// When the next pass begins.
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Has a pass begin as soon as can be, and answers when it is through.
    pub(super) fn ask(&mut self, answer: Reply) {
        self.due = Moment::default();
        self.asked.push(answer);
    }

    /// Has all ends written as they are meant, after a sleep.
    pub(super) fn wake(&mut self) {
        self.due = Moment::default();
        let drift = self.pass.as_ref().map(|pass| pass.drift).unwrap_or_default();
        let answers = self.pass.take().map(|pass| pass.answers).unwrap_or_default();
        self.pass = Some(Box::new(Pass { at: Step::Beside, drift, slept: true, answers }));
    }

    fn begin(&mut self, now: Moment) {
        if self.pass.is_none() && self.due <= now {
            let answers = std::mem::take(&mut self.asked);
            self.pass =
                Some(Box::new(Pass { at: Step::Beside, drift: Drift::default(), slept: false, answers }));
        }
    }
}

impl Guard {
    /// Does the next part of a pass, if one is due.
    pub(super) fn resync(&mut self, now: Moment) {
        // What a job on a list has not written yet is to be there, and is not.
        if self.work.is_under_way() {
            return;
        }
        self.resync.begin(now);
        let Some(mut pass) = self.resync.pass.take() else { return };
        match self.look(&mut pass) {
            Ok(Some(next)) => {
                pass.at = next;
                self.resync.pass = Some(pass);
            }
            Ok(None) => self.end_pass(*pass, now),
            Err(fault) => {
                warn!(error = fault.told(), "cannot compare the kernel's maps with what is to be in force");
                self.end_pass_early(*pass, &fault, now);
            }
        }
    }

    /// Looks at one part, mends it, and says what comes next.
    fn look(&mut self, pass: &mut Pass) -> Result<Option<Step>, Fault> {
        Ok(Some(match pass.at {
            Step::Beside => {
                let mut there = Vec::new();
                pass.drift += self.maps.blocklist.tidy_beside(|source, end| there.push((source, end)))?;
                self.check_sources(there, pass)?;
                Step::Buckets(0)
            }
            Step::Buckets(first) => {
                let buckets = self.maps.blocklist.buckets();
                let last = first.saturating_add(BUCKETS).min(buckets);
                let mut there = Vec::new();
                for bucket in first..last {
                    pass.drift += self.maps.blocklist.tidy(bucket, |source, end| there.push((source, end)));
                }
                self.check_sources(there, pass)?;
                if last < buckets { Step::Buckets(last) } else { Step::Banned(None) }
            }
            Step::Banned(after) => {
                let banned: Vec<Entry> = self.ledger.after(after).take(PART).map(Ban::entry).collect();
                banned.iter().try_for_each(|entry| self.check_wanted(*entry, pass))?;
                banned.last().map_or(Step::Listed(0, 0), |(last, _)| Step::Banned(Some(*last)))
            }
            Step::Listed(number, first) => {
                let Some(list) = self.lists.iter().nth(number) else { return Ok(Some(Step::Networks(None))) };
                let part = first..(first + PART).min(list.entries.len());
                let listed: Vec<Entry> = part.filter_map(|number| list.entries.get(number)).collect();
                listed.iter().try_for_each(|entry| self.check_wanted(*entry, pass))?;
                if listed.is_empty() {
                    Step::Listed(number + 1, 0)
                } else {
                    Step::Listed(number, first + PART)
                }
            }
            Step::Networks(after) => {
                let blocked = self.maps.networks.after(after, PART);
                blocked.iter().try_for_each(|network| self.check_blocked(*network, pass))?;
                blocked.last().map_or(Step::Maps(Look::START), |last| Step::Networks(Some(*last)))
            }
            Step::Maps(look) => {
                let (drift, next) = self.maps.networks.mend(look, PART)?;
                pass.drift += drift;
                next.map_or(Step::Allowed(None), Step::Maps)
            }
            Step::Allowed(after) => {
                let allowed: Vec<Network> =
                    self.allowlist.after(after).take(PART).map(|(network, _)| network).collect();
                allowed.iter().try_for_each(|network| self.check_allowed(*network, pass))?;
                allowed.last().map_or(Step::Excepted, |last| Step::Allowed(Some(*last)))
            }
            Step::Excepted => {
                for network in self.excepted() {
                    self.check_allowed(network, pass)?;
                }
                Step::Passing(None)
            }
            Step::Passing(after) => return self.check_passing(after, pass),
        }))
    }

    /// Compares sources that are blocked in the kernel, each with the word of its end, with what is to be.
    fn check_sources(&mut self, there: Vec<(Source, u32)>, pass: &mut Pass) -> Result<(), Fault> {
        for (source, end) in there {
            let entry = (Network::new(source, self.mask.prefix_of(source)), Scope::Source);
            // What is no source's first address is nobody's, and no packet finds it.
            match self.wanted(entry).filter(|_| entry.0.first() == source) {
                Some(wanted) if is_same_end(wanted, end) => {}
                Some(wanted) => {
                    self.settle([entry])?;
                    pass.note_other(wanted, end);
                }
                None => {
                    self.maps.blocklist.unblock(source)?;
                    pass.drift.too_many += 1;
                }
            }
        }
        Ok(())
    }

    /// Writes what is banned or listed, and not blocked as it should be.
    fn check_wanted(&mut self, entry: Entry, pass: &mut Pass) -> Result<(), Fault> {
        let Some(wanted) = self.wanted(entry) else { return Ok(()) };
        let (network, scope) = entry;
        let there = match scope {
            Scope::Source => self.maps.blocklist.block_of(network.first())?.map(|block| block.end),
            // What stands in the kernel depends on the networks around it; this is what it was made of.
            Scope::Network => self.maps.networks.asked_for(network).map(|(until, part)| word(until, part)),
        };
        match there {
            Some(end) if is_same_end(wanted, end) => return Ok(()),
            Some(end) => pass.note_other(wanted, end),
            None => pass.drift.missing += 1,
        }
        self.settle([entry])
    }

    /// Lets a network pass that is blocked, and neither banned nor listed.
    fn check_blocked(&mut self, network: Network, pass: &mut Pass) -> Result<(), Fault> {
        let entry = (network, Scope::Network);
        if self.until(entry).is_none() {
            pass.drift.too_many += 1;
            self.settle([entry])?;
        }
        Ok(())
    }

    /// The word of the end that exactly this source or network is to have in the kernel.
    fn wanted(&self, entry: Entry) -> Option<u32> {
        let until = self.until(entry)?;
        let until = self.maps.clock.ticks_at(Some(until).filter(|until| *until != Moment::NEVER));
        Some(word(until, overlaps(entry.0, &self.allowlist, &self.protected)))
    }

    fn end_pass(&mut self, pass: Pass, now: Moment) {
        let Pass { drift, slept, answers, .. } = pass;
        let Drift { missing, too_many, other } = drift;
        let total = drift.total();
        if total > 0 {
            warn!(
                missing,
                too_many,
                other,
                hint = "another program writes the maps that are pinned, or the memory is broken",
                "the kernel's maps were not what this daemon wrote, and are again"
            );
        } else if slept {
            info!("bans end when they were to end, although the machine has slept");
        }
        self.metrics.set_drift(total);
        self.resync.drift.send_replace(Some(total as u64));
        self.publish();
        let done = match total {
            0 => "the kernel's maps say what they should".to_owned(),
            _ => format!(
                "the kernel's maps differed in {total} places, and are mended: {missing} entries were missing, \
                 {too_many} too many, {other} others than they should be"
            ),
        };
        for answer in answers {
            reply(answer, Ok(Done { done: vec![done.clone()] }));
        }
        self.resync.pause(now);
    }

    fn end_pass_early(&mut self, pass: Pass, fault: &Fault, now: Moment) {
        for answer in pass.answers {
            reply(answer, Err(Fault::new(fault.exit(), fault.told())));
        }
        self.resync.pause(now);
    }
}

impl Resync {
    /// Leaves the maps for a while, unless somebody has asked for another pass meanwhile.
    fn pause(&mut self, now: Moment) {
        self.due = if self.asked.is_empty() { now.plus(PERIOD) } else { now };
    }
}

impl Pass {
    /// Counts an entry with another end or flag. Ends that a sleep has put off are nobody's doing.
    fn note_other(&mut self, wanted: u32, there: u32) {
        let only_later = wanted & OVERLAPS == there & OVERLAPS && there > wanted;
        self.drift.other += usize::from(!(self.slept && only_later));
    }
}

fn word(until: u32, overlaps: bool) -> u32 {
    fitting(until) | if overlaps { OVERLAPS } else { 0 }
}

/// Between two passes.
const PERIOD: Duration = Duration::from_mins(1);
/// Entries, or buckets of a few entries each, that are looked at in one part: about a millisecond.
const PART: usize = 512;
const BUCKETS: u32 = 64;
