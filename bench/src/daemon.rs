//! The daemon that was built for use, on one CPU, reading a log of the benchmark's.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
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
    /// Starts one; where the thread that calls may run, it may run as well.
    ///
    /// # Errors
    /// If what it has in force cannot be read.
    pub fn start(bed: &'bed Bed) -> Result<Self> {
        let site = Site::of(&program()?, "");
        let log = site.folder().join("auth.log");
        site.configure(&format!(
            "guard.interfaces = ['{}']\n[[input]]\nkind = 'file'\npath = '{}'\n",
            bed.interface,
            log.display()
        ));
        let daemon = Daemon::start_at(site, &bed.receiver, &[]);
        let pins = Pins::find(daemon.pin_path()).map_err(|fault| anyhow::anyhow!("{}", fault.told()))?;
        let blocks = Earlier::find(&pins).map_err(|fault| anyhow::anyhow!("{}", fault.told()))?;
        let blocks = blocks.context("the daemon has pinned no map")?;
        Ok(Self { daemon, blocks, log })
    }

    /// Where files lie that go with the daemon.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.log.with_file_name(name)
    }

    /// Whether a source is blocked.
    ///
    /// # Errors
    /// If the kernel refuses to read.
    pub fn has_block(&self, source: Source) -> Result<bool> {
        self.blocks.has_block(source).map_err(|fault| anyhow::anyhow!("{}", fault.told()))
    }

    /// Waits until a source is blocked; it is looked at all the time, or after each `pause`.
    ///
    /// # Errors
    /// If it never is.
    pub fn wait_for_block(&self, source: Source, pause: Duration) -> Result<()> {
        let begun = clock::now();
        while !self.has_block(source)? {
            ensure!(begun.elapsed() < PATIENCE, "{source} is not blocked: {}", self.daemon.output());
            if pause.is_zero() {
                std::hint::spin_loop();
            } else {
                std::thread::sleep(pause);
            }
        }
        Ok(())
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
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib: f64 =
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).context("no RssAnon")?;
        Ok(kib / 1024.0)
    }
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
