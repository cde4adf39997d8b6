//! The daemon that was built for use, on one CPU, reading a log of the benchmark's.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ssh_guard::kernel::{Earlier, Pins};
use ssh_guard_common::source::Source;
use ssh_guard_tests::daemon::{Daemon, Site};

use crate::bed::Bed;
use crate::clock;

/// A daemon, and what it has in force.
pub struct Reader<'bed> {
    daemon: Daemon<'bed>,
    blocks: Earlier,
    /// The log that it reads; nobody has made it yet.
    pub log: PathBuf,
}

impl<'bed> Reader<'bed> {
    /// Starts one with room for so many bans; where the thread that calls may run, it may run as well.
    ///
    /// # Errors
    /// If what it has in force cannot be read.
    pub fn start(bed: &'bed Bed, bans: u32) -> Result<Self> {
        let site = Site::of(&program()?, "");
        let log = site.folder().join("auth.log");
        site.configure(&format!(
            "guard.interfaces = ['{}']\nlimits.blocklist = {bans}\n[[input]]\nkind = 'file'\npath = '{}'\n",
            bed.interface,
            log.display()
        ));
        let daemon = Daemon::start_at(site, &bed.receiver, &[]);
        let pins = Pins::find(daemon.pin_path())?;
        let blocks = Earlier::find(&pins)?.context("the daemon has pinned no map")?;
        Ok(Self { daemon, blocks, log })
    }

    /// Where files lie that go with the daemon.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.log.with_file_name(name)
    }

    /// Waits until all of these sources are blocked; what is in force is looked at all the time, or after each `pause`.
    ///
    /// # Errors
    /// If they never are.
    pub fn wait_for_blocks(&self, sources: &[Ipv4Addr], pause: Duration) -> Result<()> {
        let begun = clock::now();
        let mut missing: HashSet<Source> = sources.iter().copied().map(Source::from).collect();
        loop {
            for (source, _) in self.blocks.blocks()? {
                missing.remove(&source);
            }
            if missing.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let said = self.daemon.output();
                let last: Vec<&str> = said.lines().rev().take(5).collect();
                bail!("{} sources are not blocked: {}", missing.len(), last.join("; "));
            }
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }

    /// How many lines it has read.
    ///
    /// # Errors
    /// If it does not say.
    pub fn lines(&self) -> Result<u64> {
        self.daemon.json(&["status"])["inputs"][0]["lines"].as_u64().context("the daemon counts no lines")
    }

    /// How long its threads have been on a CPU, all together.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu_time(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.daemon.pid()))? {
            // A thread may end meanwhile: it has done little then.
            let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += schedstat.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The memory that is its own, in MiB: neither the program's text nor the kernel's maps.
    ///
    /// # Errors
    /// If it has ended.
    pub fn own_memory(&self) -> Result<f64> {
        memory_of(self.daemon.pid())
    }
}

/// The memory that is a process's own, in MiB.
///
/// # Errors
/// If there is no such process.
pub fn memory_of(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: f64 =
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).context("no RssAnon")?;
    Ok(kib / 1024.0)
}

/// The daemon that was built for use, beside this program.
///
/// # Errors
/// If it was not built.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program has no path")?;
    let daemon = own.with_file_name("ssh-guard");
    ensure!(daemon.exists(), "'{}' is missing: 'cargo xtask bench' builds it", daemon.display());
    Ok(daemon)
}

/// Longer than any log here takes.
const PATIENCE: Duration = Duration::from_mins(1);
