//! How long it takes from a log line to the block in the kernel.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::bed::Bed;
use crate::daemon::Reader;
use crate::ingest::log::{self, Shape};
use crate::plan::Plan;
use crate::report::Report;
use crate::statistics::percentile;
use crate::{clock, cpu, sources};

/// So many lines are written each time, and so often.
const AT_ONCE: usize = 20;
const PAUSE: Duration = Duration::from_millis(1);
/// Every so many times a source fails often enough to be banned.
const EVERY: u32 = 10;
/// The log of others, over and over again.
const OTHERS: Shape = Shape { lines: 200_000, sources: 20_000 };
/// Sources that fail all at once.
const BURST: usize = 1_000;
const FAILURES: u32 = 6;
/// Room for all of them, and no more: what is in force is looked through again and again.
const BANS: u32 = 16_384;

/// Measures with nothing else in the log, with 20,000 lines of others a second, and for many sources at once.
///
/// # Errors
/// If a source is not blocked.
pub fn measure(_object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    report.progress("reaction: from a line to its block");
    let bed = Bed::new(0)?;
    let reader = Reader::start(&bed, BANS)?;
    File::create(&reader.log).context("the log cannot be made")?;
    let mut log = OpenOptions::new().append(true).open(&reader.log).context("the log cannot be opened")?;
    // Not those of the log of others.
    let mut strangers = sources::strangers_v4().skip(1_000_000).filter(|address| !address.is_link_local());
    let mut next = || strangers.next().context("the internet has no more addresses");
    let others = others(&reader)?;
    cpu::pin(0, cpu::SENDER)?;

    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..plan.reactions {
        std::thread::sleep(PAUSE * EVERY);
        quiet.push(micros(block(&reader, &mut log, next()?)?));
    }
    let begun = clock::now();
    let mut lines = others.lines().cycle();
    let (mut written, mut times) = (0_u32, 0_u32);
    while busy.len() < plan.reactions as usize {
        let due = PAUSE * times;
        if let Some(wait) = due.checked_sub(begun.elapsed()) {
            std::thread::sleep(wait);
        }
        let mut text = String::new();
        for line in lines.by_ref().take(AT_ONCE) {
            writeln!(text, "{line}")?;
            written += 1;
        }
        log.write_all(text.as_bytes()).context("the log cannot be written")?;
        times += 1;
        if times.is_multiple_of(EVERY) {
            busy.push(micros(block(&reader, &mut log, next()?)?));
        }
    }
    let rate = f64::from(written) / begun.elapsed().as_secs_f64();
    let mut bursts = Vec::new();
    for _round in 0..plan.rounds {
        let many = (0..BURST).map(|_| next()).collect::<Result<Vec<_>>>()?;
        let text: String = many.iter().map(|source| log::failures(*source, FAILURES)).collect();
        let begun = clock::now();
        log.write_all(text.as_bytes()).context("the log cannot be written")?;
        reader.wait_for_blocks(&many, Duration::ZERO)?;
        bursts.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    report.add("reaction", "alone", 1, "µs to the block, median", &quiet);
    report.add("reaction", "alone", 1, "µs to the block, p99", &p99(&quiet));
    report.add("reaction", "beside others", 1, "µs to the block, median", &busy);
    report.add("reaction", "beside others", 1, "µs to the block, p99", &p99(&busy));
    report.add("reaction", "beside others", 1, "lines of others/s", &[rate]);
    report.set_aside();
    report.add("reaction", "burst", 1_000, "ms until all are blocked", &bursts);
    ensure!(rate > 19_000.0, "only {rate:.0} lines a second were written: let nothing else run");
    Ok(())
}

/// Has a source fail until it is blocked: how long the last one takes.
fn block(reader: &Reader<'_>, log: &mut File, source: Ipv4Addr) -> Result<Duration> {
    let text = log::failures(source, FAILURES);
    let begun = clock::now();
    log.write_all(text.as_bytes()).context("the log cannot be written")?;
    reader.wait_for_blocks(&[source], Duration::ZERO)?;
    Ok(begun.elapsed())
}

fn others(reader: &Reader<'_>) -> Result<String> {
    let path = reader.path("others.log");
    log::write(&path, OTHERS)?;
    std::fs::read_to_string(&path).context("the log of others is gone")
}

fn p99(numbers: &[f64]) -> Vec<f64> {
    percentile(numbers, 99).into_iter().collect()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
