//! Reads from the kernel, every second, what the program counts and whether it still is where it was put.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ssh_guard_common::records::SourceRecord;
use ssh_guard_common::source::Source;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::board::KernelNote;
use crate::config::settings::Mode;
use crate::control::api::InterfaceStatus;
use crate::fault::{Exit, Fault};
use crate::interface::{Interface, Network};
use crate::kernel::Sampler;
use crate::observe::{MapOperation, Metrics};
use crate::policy::bannable::Protected;

/// What is sampled, and where it is written down.
pub(super) struct Sampling {
    pub(super) sampler: Arc<Mutex<Sampler>>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) mode: Mode,
    /// The kernel's number of our program.
    pub(super) program: u32,
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
            match self.sample().await {
                Ok(note) => {
                    reported = false;
                    let before = self.note.send_replace(note);
                    tell_changes(&before, &self.note.borrow());
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

    async fn sample(&self) -> Result<KernelNote, Fault> {
        let now = Network::interfaces().await?;
        let interfaces = self.interfaces.iter().map(|interface| self.look_at(interface, &now)).collect();
        let verdicts = lock(&self.sampler).verdicts()?;
        self.metrics.sampled(&verdicts);
        Ok(KernelNote { interfaces, verdicts })
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

    fn look_at(&self, interface: &Interface, now: &[Interface]) -> InterfaceStatus {
        let now = now.iter().find(|other| other.index == interface.index);
        let degraded = match now.map(|now| now.xdp_program) {
            Some(Some(program)) if program == self.program => None,
            Some(Some(program)) => Some(format!("another XDP program is attached (id {program})")),
            Some(None) => Some("the program is no longer attached".to_owned()),
            None => Some("the interface is gone".to_owned()),
        };
        let attached = degraded.is_none();
        self.metrics.set_attached(&interface.name, self.mode.as_str(), attached);
        InterfaceStatus {
            name: now.map_or_else(|| interface.name.clone(), |now| now.name.clone()),
            mode: self.mode.as_str().to_owned(),
            attached,
            degraded,
        }
    }
}

/// Seconds between two looks at the machine's addresses and gateways.
const LOOK_AROUND: u64 = 10;

/// Says in the log which interfaces are guarded no longer, and which are again.
fn tell_changes(before: &KernelNote, now: &KernelNote) {
    for (before, now) in before.interfaces.iter().zip(&now.interfaces) {
        if before.degraded == now.degraded {
            continue;
        }
        let interface = now.name.as_str();
        if let Some(why) = &now.degraded {
            error!(
                interface,
                why,
                hint = "restart the daemon to attach again",
                "nothing is blocked there any more"
            );
        } else {
            info!(interface, "the program is attached again");
        }
    }
}

/// The `limit` sources that sent most, read on a thread of its own: a large table takes tens of milliseconds.
pub(super) async fn busiest(
    sampler: &Arc<Mutex<Sampler>>,
    limit: usize,
) -> Result<Vec<(Source, SourceRecord)>, Fault> {
    let sampler = Arc::clone(sampler);
    let read = tokio::task::spawn_blocking(move || lock(&sampler).sources());
    let sources =
        read.await.map_err(|error| Fault::new(Exit::Failure, "cannot read the sources").because(error))??;
    let mut sources: Vec<_> = sources.into_iter().collect();
    sources.sort_unstable_by_key(|(source, record)| (Reverse(record.packets), *source));
    sources.truncate(limit);
    Ok(sources)
}

/// Nothing is half-written behind this lock, so a reader that panicked spoilt nothing.
fn lock(sampler: &Mutex<Sampler>) -> std::sync::MutexGuard<'_, Sampler> {
    sampler.lock().unwrap_or_else(PoisonError::into_inner)
}
