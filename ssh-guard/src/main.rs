//! The binary `ssh-guard`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    ssh_guard::cli::CommandLine::parse().run()
}
