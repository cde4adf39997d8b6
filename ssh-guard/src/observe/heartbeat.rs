//! Whether the guard works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::moment::Moment;

/// When the guard last went round; shared by the guard, which goes round every few seconds at least, and whoever
/// wants to know whether it still does.
#[derive(Clone, Debug)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// A first beat, now.
    #[must_use]
    pub fn start() -> Self {
        let heartbeat = Self(Arc::default());
        heartbeat.beat();
        heartbeat
    }

    /// The guard goes round.
    pub fn beat(&self) {
        let since_boot = clock::now().since_start().as_millis();
        self.0.store(u64::try_from(since_boot).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long ago the last beat was.
    #[must_use]
    pub fn age(&self) -> Duration {
        let last = Moment::from_start(Duration::from_millis(self.0.load(Ordering::Relaxed)));
        clock::now().since(last)
    }
}
