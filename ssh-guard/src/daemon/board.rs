//! What is known about the daemon from outside: written where things happen, read by whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use prometheus::IntCounter;
use ssh_guard_common::records::VerdictCount;
use ssh_guard_common::verdict::Verdict;
use tokio::sync::watch;

use super::sessions::{self, Book};
use crate::clock;
use crate::control::api::{
    BanCounts, BlocklistStatus, Count, InputStatus, InterfaceStatus, NetworksStatus, Status,
};
use crate::input::Stats;
use crate::ledger;
use crate::moment::Moment;
use crate::session::presence::Presence;

/// The last that was written down.
pub(super) struct Board {
    pub(super) started: Moment,
    pub(super) dry_run: bool,
    pub(super) inputs: Arc<[InputNote]>,
    pub(super) bans: watch::Receiver<BanCounts>,
    pub(super) interfaces: watch::Receiver<Vec<InterfaceStatus>>,
    pub(super) kernel: watch::Receiver<KernelNote>,
    pub(super) capacity: ledger::Capacity,
    pub(super) sockets_closed: IntCounter,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) drift: watch::Receiver<Option<u64>>,
    pub(super) presence: watch::Receiver<Arc<Presence>>,
}

/// An input, as it is shown.
pub(super) struct InputNote {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) stats: Arc<Stats>,
    pub(super) understood: IntCounter,
}

/// What the sampler read from the kernel.
#[derive(Clone, Default, Debug)]
pub(super) struct KernelNote {
    pub(super) verdicts: [VerdictCount; Verdict::ALL.len()],
}

impl Board {
    pub(super) fn status(&self) -> Status {
        let kernel = self.kernel.borrow();
        let bans = *self.bans.borrow();
        let (sensor_blind, witness_blind, flood) = {
            let book = sessions::lock(&self.book);
            (book.sensor_blind, book.witness_blind, book.flood)
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: clock::now().since(self.started).as_secs(),
            interfaces: self.interfaces.borrow().clone(),
            dry_run: self.dry_run,
            bans,
            blocklist: BlocklistStatus {
                entries: bans.ipv4 + bans.ipv6,
                capacity: self.capacity.sources as u64,
                drift: *self.drift.borrow(),
            },
            networks: NetworksStatus { entries: bans.networks, capacity: self.capacity.networks as u64 },
            sensor_blind,
            witness_blind,
            flood_mode: flood.is_some(),
            flood_why: flood.map(|why| why.as_str().to_owned()),
            protected: self.presence.borrow().count() as u64,
            sockets_closed: self.sockets_closed.get(),
            verdicts: verdicts(&kernel.verdicts),
            inputs: self.inputs.iter().map(InputNote::status).collect(),
        }
    }
}

impl InputNote {
    fn status(&self) -> InputStatus {
        InputStatus {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            lines: self.stats.lines(),
            understood: self.understood.get(),
            lost: self.stats.lost(),
            lag_seconds: self.stats.lag(clock::now()).as_secs_f64(),
            error: self.stats.fault(),
        }
    }
}

fn verdicts(counts: &[VerdictCount; Verdict::ALL.len()]) -> BTreeMap<String, Count> {
    let count = |count: &VerdictCount| Count { packets: count.packets, bytes: count.bytes };
    Verdict::ALL
        .iter()
        .zip(counts)
        .map(|(verdict, counted)| (verdict.as_str().to_owned(), count(counted)))
        .collect()
}
