//! How long bans take into the kernel, one call of the library each, as the daemon makes them.

use std::path::Path;

use anyhow::{Result, ensure};
use ssh_guard_common::source::Source;

use crate::guard::Guard;
use crate::plan::Plan;
use crate::report::Report;
use crate::{clock, sources};

/// Loads lists of each size into a new guard each time.
///
/// # Errors
/// If a ban does not get into the kernel.
pub fn measure(_: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    for (size, rounds) in plan.loads {
        report.progress(&format!("loading: {size} bans"));
        let bans: Vec<Source> = sources::strangers_v4().take(*size as usize).map(Source::from).collect();
        let mut seconds = Vec::new();
        for _round in 0..*rounds {
            let mut guard = Guard::load(*size)?;
            let start = clock::now();
            guard.block(bans.iter().copied())?;
            seconds.push(start.elapsed().as_secs_f64());
            for ban in bans.iter().step_by(bans.len() / 1000) {
                ensure!(guard.blocks(*ban)?, "{ban} was loaded and is not blocked");
            }
        }
        report.add("loading", "guard", *size, "s", &seconds);
        let rate: Vec<_> = seconds.iter().map(|seconds| f64::from(*size) / seconds).collect();
        report.add("loading", "guard", *size, "bans/s", &rate);
    }
    Ok(())
}
