//! Plays scenarios, and shows what came of them.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use ssh_guard_simulation::document::Project;
use ssh_guard_simulation::report::section;
use ssh_guard_simulation::run::{Played, play};

/// Plays scenarios under three policies, and shows what came of them
#[derive(Parser)]
#[command(name = "cargo xtask simulate", bin_name = "cargo xtask simulate")]
struct Simulate {
    /// Names of files in 'tests/scenarios'; all of them if none is named
    names: Vec<String>,
    /// Write tables and pictures of all of them into 'docs/policy.md' and 'docs/policy'
    #[arg(long, conflicts_with_all = ["names", "check"])]
    write: bool,
    /// Fail unless the document says what came of them, and that is what has to
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match simulate(&Simulate::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn simulate(asked: &Simulate) -> Result<()> {
    let project = Project::here();
    let (ordinary, mut scenarios) = (project.ordinary()?, project.scenarios()?);
    if !asked.names.is_empty() {
        let known: Vec<String> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        if let Some(name) = asked.names.iter().find(|name| !known.contains(name)) {
            bail!("there is no scenario '{name}'; there are {}", known.join(", "));
        }
        scenarios.retain(|scenario| asked.names.contains(&scenario.name));
    }
    let mut all: Vec<Played> = Vec::new();
    let mut missed = Vec::new();
    for scenario in scenarios {
        let name = scenario.name.clone();
        tell(&format!("playing {name}"));
        let played = play(scenario, &ordinary);
        show(&section(&played));
        missed.extend(played.missed().into_iter().map(|missed| format!("{name}: {missed}")));
        if asked.check {
            project.check(&played)?;
        }
        all.push(played);
    }
    if asked.write {
        project.write(&all)?;
    }
    ensure!(missed.is_empty(), "not what has to come of it:\n{}", missed.join("\n"));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a person waits for it; standard output is the results'")]
fn tell(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn show(text: &str) {
    println!("{text}");
}
