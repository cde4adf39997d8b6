//! Reads from the kernel, every second, what the programs count, and now and then what the machine cannot do without.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ssh_guard_common::records::SourceRecord;
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::Ticks;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::board::KernelNote;
use super::sessions;
use super::sessions::book::{Book, Past};
use super::sessions::half_open::HalfOpen;
use crate::clock;
use crate::fault::{Exit, Fault};
use crate::interface::Network;
use crate::kernel::{KernelClock, Sampler};
use crate::observe::{MapOperation, Metrics};
use crate::policy::bannable::Protected;
use crate::session::Held;

/// What is sampled, and where it is written down.
pub(super) struct Sampling {
    pub(super) sampler: Arc<Mutex<Sampler>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) note: watch::Sender<KernelNote>,
    pub(super) protected: watch::Sender<Protected>,
}

impl Sampling {
    /// Samples until `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut every_second = interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = false;
        let mut seconds = 0_u64;
        loop {
            tokio::select! {
                _ = every_second.tick() => {}
                () = stop.cancelled() => return,
            }
            seconds += 1;
            // Reading all routes takes a router a while.
            if seconds.is_multiple_of(LOOK_AROUND) {
                self.look_around().await;
            }
            match self.sample() {
                Ok(note) => {
                    reported = false;
                    self.note.send_replace(note);
                }
                Err(fault) if reported => tracing::debug!(error = fault.told(), "cannot sample"),
                Err(fault) => {
                    reported = true;
                    self.metrics.refused(MapOperation::Read);
                    warn!(error = fault.told(), "cannot read from the kernel what is counted");
                }
            }
        }
    }

    fn sample(&self) -> Result<KernelNote, Fault> {
        let verdicts = lock(&self.sampler).verdicts()?;
        self.metrics.sampled(&verdicts);
        Ok(KernelNote { verdicts })
    }

    /// Tells the guard if the machine's own addresses or its gateways are others now.
    async fn look_around(&self) {
        let network = match Network::survey().await {
            Ok(network) => network,
            Err(fault) => {
                return tracing::debug!(error = fault.told(), "cannot read the machine's addresses");
            }
        };
        let protected = Protected::from(network);
        self.protected.send_if_modified(|before| {
            let changed = *before != protected;
            *before = protected;
            changed
        });
    }
}

/// Seconds between two looks at the machine's addresses and gateways.
const LOOK_AROUND: u64 = 10;

/// What is known of a source, all in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) opened: u32,
    pub(super) open: u32,
    pub(super) authenticated: u64,
    pub(super) half_open: u64,
    pub(super) last_seen: Ticks,
}

impl Tally {
    fn of(record: &SourceRecord, held: Held, in_sessions: (u64, u64), past: Past, half_open: u64) -> Self {
        Self {
            packets: record.packets.saturating_add(in_sessions.0).saturating_add(past.packets),
            bytes: record.bytes.saturating_add(in_sessions.1).saturating_add(past.bytes),
            opened: record.opened,
            open: held.open,
            authenticated: past.authenticated,
            half_open,
            last_seen: record.last_seen.max(held.last_seen),
        }
    }
}

/// What sources are looked up in.
#[derive(Clone)]
pub(super) struct Sight {
    pub(super) sampler: Arc<Mutex<Sampler>>,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) ports: Arc<[u16]>,
    pub(super) mask: SourceMask,
    pub(super) clock: KernelClock,
}

impl Sight {
    /// The `limit` sources that sent most, read on a thread of its own: a large table takes tens of milliseconds.
    pub(super) async fn busiest(&self, limit: usize) -> Result<Vec<(Source, Tally)>, Fault> {
        let sight = self.clone();
        let read = tokio::task::spawn_blocking(move || sight.look(limit));
        read.await.map_err(|error| Fault::new(Exit::Failure, "cannot read the sources").because(error))?
    }

    fn look(&self, limit: usize) -> Result<Vec<(Source, Tally)>, Fault> {
        let lately = self.clock.ticks_of(clock::now().minus(HALF_OPEN_FOR));
        let half_open = HalfOpen::look(&self.ports, self.mask, lately)?;
        // What the registrar forgets meanwhile is missing, too.
        let book = sessions::lock(&self.book);
        let (records, in_sessions) = {
            let sampler = lock(&self.sampler);
            // The sources first: what ends between the two looks is missing then, and not there twice.
            (sampler.sources()?, sampler.in_sessions(self.mask)?)
        };
        let census = Arc::clone(&book.census);
        let tally = |(source, record): (Source, SourceRecord)| {
            let held = census.sources.get(&source).copied().unwrap_or_default();
            let past = book.past.get(&source).copied().unwrap_or_default();
            let in_sessions = in_sessions.get(&source).copied().unwrap_or_default();
            let half_open = half_open.of(&source, &record);
            (source, Tally::of(&record, held, in_sessions, past, half_open))
        };
        let mut sources: Vec<_> = records.into_iter().map(tally).collect();
        drop(book);
        sources.sort_unstable_by_key(|(source, tally)| (Reverse((tally.packets, tally.half_open)), *source));
        sources.truncate(limit);
        Ok(sources)
    }
}

/// The kernel answers a SYN again for 63 s.
const HALF_OPEN_FOR: Duration = Duration::from_secs(64);

/// Nothing is half-written behind this lock, so a reader that panicked spoilt nothing.
fn lock(sampler: &Mutex<Sampler>) -> std::sync::MutexGuard<'_, Sampler> {
    sampler.lock().unwrap_or_else(PoisonError::into_inner)
}
