//! Other programs that read sshd's log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::log::{self, Shape};
use crate::report::Report;
use crate::statistics::paired;

/// A program that reads a log and says what it found.
struct Reader {
    name: &'static str,
    /// How many times as many lines the guard reads.
    ratio: &'static str,
    program: &'static str,
    /// Whether the log is an argument, followed by these, or its standard input.
    arguments: Option<&'static [&'static str]>,
    /// What part of the log it gets: it is slow.
    share: u32,
}

const ALL: [Reader; 2] = [
    Reader {
        name: "sshguard's parser",
        ratio: "times the lines of sshguard's parser",
        program: "/usr/libexec/sshguard/sshg-parser",
        arguments: None,
        share: 1,
    },
    Reader {
        name: "fail2ban-regex",
        ratio: "times the lines of fail2ban-regex",
        program: "/usr/bin/fail2ban-regex",
        arguments: Some(&["sshd"]),
        share: 20,
    },
];

/// Has each read the log as often, and sets the guard's rates against its own.
pub fn measure(path: &Path, shape: Shape, rounds: u32, guard: &[f64], report: &mut Report) -> Result<()> {
    for reader in &ALL {
        if !Path::new(reader.program).exists() {
            report.progress(&format!("'{}' is left out: there is no '{}'", reader.name, reader.program));
            continue;
        }
        let lines = shape.lines / reader.share;
        let part: PathBuf = path.with_extension("part");
        log::write(&part, Shape { lines, ..shape })?;
        let mut rates = Vec::new();
        for _round in 0..rounds {
            rates.push(f64::from(lines) / cpu_seconds(reader, &part)?);
        }
        report.add("ingest", reader.name, shape.sources, "lines/CPU s", &rates);
        report.add(
            "ingest",
            "guard",
            shape.sources,
            reader.ratio,
            &paired(guard, &rates, |guard, other| guard / other),
        );
    }
    Ok(())
}

/// The seconds of CPU time that it takes.
fn cpu_seconds(reader: &Reader, log: &Path) -> Result<f64> {
    let mut command = Command::new(reader.program);
    match reader.arguments {
        Some(arguments) => command.arg(log).args(arguments).stdin(Stdio::null()),
        None => command.stdin(File::open(log).context("the log is gone")?),
    };
    let before = children()?;
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run '{}'", reader.program))?;
    ensure!(status.success(), "'{}' failed: {status}", reader.program);
    Ok(children()? - before)
}

/// The CPU time of all programs that this one has run to their end, in seconds.
fn children() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the CPU time")?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "that is far less than 2^52 microseconds")]
    let seconds = micros as f64 / 1e6;
    Ok(seconds)
}
