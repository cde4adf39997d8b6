//! What is known about an input from outside.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::moment::Moment;

/// The counts and the state of one input; its task writes them, whoever shows them reads them.
#[derive(Debug, Default)]
pub struct Stats {
    lines: AtomicU64,
    bytes: AtomicU64,
    too_long: AtomicU64,
    unreadable: AtomicU64,
    not_vouched: AtomicU64,
    of_servers: AtomicU64,
    named: AtomicU64,
    lost: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
    restarts: AtomicU64,
    errors: AtomicU64,
    last_line: AtomicU64,
    behind_since: AtomicU64,
    fault: Mutex<Option<String>>,
}

/// What one read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
    pub(crate) too_long: u64,
    pub(crate) unreadable: u64,
    pub(crate) not_vouched: u64,
    pub(crate) lost: u64,
}

/// Why an input that others send to did not take something; it is no line then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// A datagram or a connection of somebody who is none of the senders.
    Stranger,
    /// A connection, as there are as many as there may be; or one that made room for the sender's next.
    Crowded,
    /// A connection whose frames cannot be told apart.
    Framing,
    /// A connection that said nothing for too long, or took too long over a line.
    Slow,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Stranger, Self::Crowded, Self::Framing, Self::Slow];

    /// The word for it, in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Crowded => "crowded",
            Self::Framing => "framing",
            Self::Slow => "slow",
        }
    }
}

impl Stats {
    /// Lines handed on.
    pub fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }

    /// Bytes of the lines handed on, their ends not counted.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Lines thrown away because they were over the limit.
    pub fn too_long(&self) -> u64 {
        self.too_long.load(Relaxed)
    }

    /// Lines that were written and not handed on, those too long apart: those of files that were gone before they could be
    /// Journal entries thrown away because they could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// Journal entries thrown away because nothing but their own word said that sshd wrote them.
    pub fn not_vouched(&self) -> u64 {
        self.not_vouched.load(Relaxed)
    }

    /// Lines that a server wrote which is known here, whether they were understood or not.
    pub fn of_servers(&self) -> u64 {
        self.of_servers.load(Relaxed)
    }

    /// Counts lines that such a server wrote.
    pub(crate) fn add_of_servers(&self, lines: u64) {
        self.of_servers.fetch_add(lines, Relaxed);
    }

    /// Auth events that name an address.
    pub fn named(&self) -> u64 {
        self.named.load(Relaxed)
    }

    /// Counts auth events that name an address.
    pub(crate) fn add_named(&self, events: u64) {
        self.named.fetch_add(events, Relaxed);
    }

    /// Lines that were there, and that nobody has read: they came faster than they could be taken.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// What was not taken for a reason.
    pub fn refused(&self, why: Refused) -> u64 {
        self.refused[why as usize].load(Relaxed)
    }

    /// How often the command that reads the journal was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Relaxed)
    }

    /// How often reading failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// When the last line was read, if any was.
    pub fn last_line(&self) -> Option<Moment> {
        moment(self.last_line.load(Relaxed))
    }

    /// How far the input is behind: how long ago it was last at the end of what there is to read (a file), or
    /// the age of the entry it is at (the journal).
    pub fn lag(&self, now: Moment) -> Duration {
        moment(self.behind_since.load(Relaxed)).map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Why the input cannot be read at the moment.
    pub fn fault(&self) -> Option<String> {
        self.lock_fault().clone()
    }

    pub(crate) fn add(&self, counts: Counts, read_at: Moment) {
        let Counts { lines, bytes, too_long, lost, unreadable, not_vouched } = counts;
        self.lines.fetch_add(lines, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.too_long.fetch_add(too_long, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
        self.unreadable.fetch_add(unreadable, Relaxed);
        self.not_vouched.fetch_add(not_vouched, Relaxed);
        if lines > 0 {
            self.last_line.store(nanos(read_at), Relaxed);
        }
    }

    pub(crate) fn refuse(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// Counts lines that were lost.
    pub(crate) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
    }

    /// Notes that the input is behind, since `since` unless it was before.
    pub(crate) fn behind(&self, since: Moment) {
        if self.behind_since.load(Relaxed) == 0 {
            self.behind_since.store(nanos(since), Relaxed);
        }
    }

    /// Notes that there is nothing left to read.
    pub(crate) fn caught_up(&self) {
        self.behind_since.store(0, Relaxed);
    }

    pub(crate) fn restarted(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    /// Counts a fault; says whether it is another one than the last.
    pub(crate) fn failed(&self, fault: &str) -> bool {
        self.errors.fetch_add(1, Relaxed);
        let mut last = self.lock_fault();
        let new = last.as_deref() != Some(fault);
        if new {
            *last = Some(fault.to_owned());
        }
        new
    }

    /// Notes that reading works; says whether it did not before.
    pub(crate) fn works(&self) -> bool {
        self.lock_fault().take().is_some()
    }

    fn lock_fault(&self) -> MutexGuard<'_, Option<String>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Zero means never; nothing is read in the first nanosecond after boot.
fn moment(nanos: u64) -> Option<Moment> {
    (nanos > 0).then(|| Moment::from_start(Duration::from_nanos(nanos)))
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since_start().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_new_once_until_reading_works_again() {
        let stats = Stats::default();
        assert!(stats.failed("permission denied"));
        assert!(!stats.failed("permission denied"));
        assert!(stats.failed("input/output error"));
        assert_eq!(stats.fault().as_deref(), Some("input/output error"));
        assert!(stats.works());
        assert!(!stats.works());
        assert!(stats.failed("input/output error"));
        assert_eq!(stats.errors(), 4);
    }

    #[test]
    fn each_reason_to_refuse_is_counted_apart() {
        let stats = Stats::default();
        Refused::ALL.into_iter().enumerate().for_each(|(number, why)| {
            (0..=number).for_each(|_| stats.refuse(why));
        });
        assert_eq!(Refused::ALL.map(|why| stats.refused(why)), [1, 2, 3, 4]);
    }

    #[test]
    fn the_lag_grows_from_the_first_unread_line_until_the_end_is_reached() {
        let stats = Stats::default();
        let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
        assert_eq!(stats.lag(at(100)), Duration::ZERO);
        stats.behind(at(100));
        stats.behind(at(105));
        assert_eq!(stats.lag(at(107)), Duration::from_secs(7));
        stats.caught_up();
        assert_eq!(stats.lag(at(108)), Duration::ZERO);
    }
}
