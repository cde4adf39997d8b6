//! Measures what the guard's programs cost, beside an empty program and other packet filters, in one run.
//!
//! Nine benchmarks, each in a file of its name: [`program`] (nanoseconds a packet, by test runs), [`drops`] and
//! [`flood`] (packets through a veth pair, by packet filter), [`goodput`] (how long those wait meanwhile who are let in),
//! [`loading`] (bans into the kernel), [`restart`] (a daemon that was killed), [`judging`] (auth events through the policy),
//! [`ingest`] (lines of a log, beside other readers) and [`reaction`] (from a line to its block).

mod bed;
mod clock;
mod cpu;
mod daemon;
mod drops;
mod flood;
mod frame;
mod generator;
mod goodput;
mod guard;
mod ingest;
mod judging;
mod loading;
mod machine;
mod peers;
mod plan;
mod program;
mod programs;
mod reaction;
mod receiver;
mod report;
mod restart;
mod sources;
mod statistics;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the programs compute checksums, the tests do it after them")
)]
#[path = "../../ssh-guard-ebpf/bench/walk.rs"]
mod walk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use machine::Machine;
use plan::Plan;
use report::Report;

/// Measure what the guard's programs cost, beside an empty program and other packet filters
#[derive(Parser)]
#[command(name = "cargo xtask bench", override_usage = "cargo xtask bench [OPTIONS]")]
struct Arguments {
    /// Few rounds and small lists: shows that it works, in less than two minutes
    #[arg(long)]
    quick: bool,
    /// Run this benchmark only
    #[arg(long, value_name = "NAME")]
    only: Option<Benchmark>,
    /// Where the results go as JSON [default: a new file in 'target/bench']
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// The object of the benchmark's own programs
    #[arg(long, hide = true, value_name = "PATH")]
    programs: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Benchmark {
    /// Nanoseconds a packet, by test runs of the program
    Program,
    /// Banned packets through a veth pair, by packet filter
    Drops,
    /// A SYN flood from sources that nobody banned, in front of a listener
    Flood,
    /// Time to the server's banner for who is let in, under a flood of banned packets
    Goodput,
    /// Bans into the kernel
    Loading,
    /// A daemon that is killed and takes over its bans, under a flood of banned packets
    Restart,
    /// Auth events through the policy alone
    Judging,
    /// Log lines read, understood and judged, beside other readers
    Ingest,
    /// From a log line to the block in the kernel
    Reaction,
}

type Measure = fn(&Path, &Plan, &mut Report) -> Result<()>;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "this loads programs into the kernel: run it as root");
    let machine = Machine::look()?;
    ensure!(machine.cpus >= 2, "one CPU sends while another one receives: this machine has only one");
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    let mut report = Report::new(machine, arguments.quick);
    let all: [(Benchmark, Measure); 9] = [
        (Benchmark::Program, program::measure),
        (Benchmark::Drops, drops::measure),
        (Benchmark::Flood, flood::measure),
        (Benchmark::Goodput, goodput::measure),
        (Benchmark::Loading, loading::measure),
        (Benchmark::Restart, restart::measure),
        (Benchmark::Judging, judging::measure),
        (Benchmark::Ingest, ingest::measure),
        (Benchmark::Reaction, reaction::measure),
    ];
    for (benchmark, measure) in all {
        if arguments.only.is_none_or(|only| only == benchmark) {
            measure(&arguments.programs, &plan, &mut report)?;
        }
    }
    report.write(arguments.json.as_deref())
}
