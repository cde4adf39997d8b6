//! Which CPU does what.

use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, gettid};

/// Sends.
pub const SENDER: usize = 0;
/// Receives, and test-runs programs.
pub const RECEIVER: usize = 1;

/// Has a thread, by its id, or 0 for this one, run on one CPU alone.
///
/// # Errors
/// If the thread is gone, or may not be moved.
pub fn pin(thread: i32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("no set of CPUs holds CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(thread), &set)
        .with_context(|| format!("cannot pin thread {thread} to CPU {cpu}"))
}

/// Has a thread, by its id, or 0 for this one, run whenever it can, before all that are not like it.
///
/// # Errors
/// If the thread is gone, or may not be put there.
pub fn put_first(thread: i32) -> Result<()> {
    let thread = if thread == 0 { gettid().as_raw() } else { thread };
    let output = Command::new("chrt").args(["--fifo", "--pid", "1", &thread.to_string()]).output();
    let output = output.context("cannot run 'chrt' (Debian has it in util-linux)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "'chrt' failed: {}", said.trim());
    Ok(())
}

/// Runs `f` on a thread of its own that stays on a CPU.
///
/// # Errors
/// Those of `f`, or if the thread cannot be pinned.
pub fn on<T: Send>(cpu: usize, f: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            pin(0, cpu)?;
            f()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
