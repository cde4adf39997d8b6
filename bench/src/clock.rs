//! The clocks that are measured with.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

/// Now, on the wall.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads clocks, and the pure core has no part in it"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// How long this thread has been on a CPU: what other processes take of it does not count, nor what it sleeps.
///
/// # Errors
/// If the kernel has no such clock.
pub fn own_cpu_time() -> Result<Duration> {
    let time =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("cannot read the thread's CPU time")?;
    Ok(time.into())
}
