//! The verbs a developer types, as `cargo xtask VERB`: each one shows the commands it runs.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use command::say;

mod bench;
mod build;
mod build_ebpf;
mod command;
mod ebpf;
mod fuzz;
mod lint;
mod packages;
mod run;
mod setup;
mod simulate;
mod test;
mod toolchain;
mod vm;

/// What a developer of ssh-guard does: set up, build, run, test, lint
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what building takes: a compiler for the programs and bpf-linker
    Setup,
    /// Build the programs that run in the kernel
    BuildEbpf,
    /// Set up and build the daemon for use
    Build,
    /// Set up, build for use and run the daemon as root
    Run {
        /// Arguments of 'ssh-guard run', after '--'
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Set up, install what the tests start, and run every test
    Test {
        /// Arguments of 'cargo test', after '--'
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Set up, and run tests on Debian's kernels in imitated machines
    Vm {
        /// 5.10, 6.1, 6.12, backports; all of them if none is named
        kernels: Vec<String>,
        /// Arguments of the test programs, after '--', instead of the tests that usually run
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Fuzz all that reads what strangers may write, with an address sanitizer where the compiler brings one
    Fuzz {
        /// Names of targets; all of them if none is named
        targets: Vec<String>,
        /// For how many seconds each runs
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
        /// Arguments of libFuzzer, after '--', instead of running for some seconds: a file that it found, -help=1
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Check format, lints, documents and scripts
    Lint,
    /// Set up, build for use, and measure what the programs cost beside other packet filters (docs/benchmarks.md)
    #[command(disable_help_flag = true)]
    Bench {
        /// Arguments of the benchmark: --quick, --only NAME, --json PATH, --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Set up, build for use, and play attacks and accidents under this policy and two others (docs/policy.md)
    #[command(disable_help_flag = true)]
    Simulate {
        /// Arguments of the simulations: names of scenarios, --write, --check, --help
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match Xtask::parse().verb.carry_out() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

impl Verb {
    fn carry_out(self) -> Result<()> {
        match self {
            Self::Setup => setup::setup().map(drop),
            Self::BuildEbpf => build_ebpf::build_ebpf(),
            Self::Build => build::build().map(drop),
            Self::Run { arguments } => run::run(&arguments),
            Self::Test { arguments } => test::test(&arguments),
            Self::Vm { kernels, arguments } => vm::vm(&kernels, &arguments),
            Self::Fuzz { targets, seconds, arguments } => fuzz::fuzz(&targets, seconds, &arguments),
            Self::Lint => lint::lint(),
            Self::Bench { arguments } => bench::bench(&arguments),
            Self::Simulate { arguments } => simulate::simulate(&arguments),
        }
    }
}
