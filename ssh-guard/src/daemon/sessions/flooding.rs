//! Counts what comes in a second, for flood mode, and tells when that begins and ends.

use std::sync::atomic::Ordering::Relaxed;

use ssh_guard_common::records::{SessionKey, SessionRecord};
use ssh_guard_common::time::Ticks;
use tracing::{info, warn};

use super::Registrar;
use crate::session::flood::Why;

impl Registrar {
    /// How many proven sessions began since the last time. The tick that it is may bring more of them.
    pub(super) fn new_sessions(&mut self, records: &[(SessionKey, SessionRecord)], now: Ticks) -> u64 {
        let from = self.counted.replace(now).unwrap_or(now);
        let is_new = |record: &SessionRecord| record.is_proven() && (from..now).contains(&record.first_seen);
        records.iter().filter(|(_, record)| is_new(record)).count() as u64
    }

    /// How many failures were heard since the last time.
    pub(super) fn new_failures(&mut self) -> u64 {
        let failures = self.failures.load(Relaxed);
        failures - std::mem::replace(&mut self.failures_before, failures)
    }
}

/// Says that flood mode begins, and why, or that it is over.
pub(super) fn tell(flood: Option<(Why, u32)>, unauthenticated: u32) {
    let Some((why, budget)) = flood else { return info!(unauthenticated, "flood mode is over") };
    let hint = format!("'{}' says what is too much", why.key());
    warn!(unauthenticated, budget, hint, "flood mode: {}; new ones are limited", why.words());
}
