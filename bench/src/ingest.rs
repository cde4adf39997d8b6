//! How many log lines a second are read, understood and judged, beside other readers of the same log.

pub mod log;
mod readers;

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use log::Shape;

use crate::bed::Bed;
use crate::daemon::Reader;
use crate::plan::Plan;
use crate::report::Report;
use crate::{clock, cpu};

/// In the log's last lines this source fails so often that it is banned: then everything before was judged.
const LAST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const FAILURES: u32 = 6;
/// As many as fit by default.
const BANS: u32 = 262_144;

/// Has the daemon and the other readers read logs of several numbers of sources, in turn.
///
/// # Errors
/// If a line is not read, or memory grows from one log to the next.
pub fn measure(_object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir().context("there is no room for a log")?;
    for sources in plan.log_sources {
        let shape = Shape { lines: plan.log_lines, sources: *sources };
        report.progress(&format!("ingest: {} lines of {sources} sources", shape.lines));
        let path = folder.path().join("auth.log");
        log::write(&path, shape)?;
        let mut rates = Rates::default();
        for _round in 0..plan.rounds {
            guard(&path, shape, &mut rates)?;
        }
        report.add("ingest", "guard", *sources, "lines/CPU s", &rates.per_cpu_second);
        report.add("ingest", "guard", *sources, "lines/s", &rates.per_second);
        report.add("ingest", "guard", *sources, "MiB of its own, after one log", &rates.memory);
        report.add("ingest", "guard", *sources, "MiB more after three logs", &rates.growth);
        if Some(sources) == plan.log_sources.get(plan.log_sources.len() / 2) {
            readers::measure(&path, shape, plan.rounds, &rates.per_cpu_second, report)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Rates {
    per_cpu_second: Vec<f64>,
    per_second: Vec<f64>,
    memory: Vec<f64>,
    growth: Vec<f64>,
}

/// Has a new daemon, on one CPU, read the log.
fn guard(path: &Path, shape: Shape, rates: &mut Rates) -> Result<()> {
    let bed = Bed::new(0)?;
    let reader = cpu::on(cpu::RECEIVER, || Reader::start(&bed, BANS))?;
    let ready = copy(path, LAST, &reader)?;
    let (cpu, begun) = (reader.cpu_time()?, clock::now());
    read(&ready, LAST, &reader)?;
    let (taken, cpu) = (begun.elapsed(), reader.cpu_time()?.saturating_sub(cpu));
    let lines = u64::from(shape.lines + FAILURES);
    ensure!(reader.lines()? == lines, "{} of {lines} lines were read", reader.lines()?);
    #[expect(clippy::cast_precision_loss, reason = "there are far fewer lines than 2^52")]
    let lines = lines as f64;
    rates.per_cpu_second.push(lines / cpu.as_secs_f64());
    rates.per_second.push(lines / taken.as_secs_f64());

    let memory = reader.own_memory()?;
    for last in [2, 3] {
        let last = Ipv4Addr::new(198, 18, 0, last);
        read(&copy(path, last, &reader)?, last, &reader)?;
    }
    rates.memory.push(memory);
    rates.growth.push(reader.own_memory()? - memory);
    Ok(())
}

/// Copies the log to where the daemon's lies, and has a source fail at the end of it.
fn copy(path: &Path, last: Ipv4Addr, reader: &Reader<'_>) -> Result<PathBuf> {
    let copy = reader.path("ready.log");
    fs::copy(path, &copy).context("there is no room for a second log")?;
    let mut file = fs::OpenOptions::new().append(true).open(&copy).context("the log cannot be opened")?;
    file.write_all(log::failures(last, FAILURES).as_bytes()).context("the log cannot be written")?;
    Ok(copy)
}

/// Has the daemon read a copy of the log to its end.
fn read(copy: &Path, last: Ipv4Addr, reader: &Reader<'_>) -> Result<()> {
    fs::rename(copy, &reader.log).context("the log cannot be renamed")?;
    reader.wait_for_blocks(&[last], Duration::from_millis(1))
}
