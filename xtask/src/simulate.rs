//! Builds the simulations for use, and runs them.

use anyhow::Result;

use crate::{
    build,
    command::{cargo, run},
    setup,
};

/// Sets up, builds and runs the simulations with these arguments.
pub fn simulate(arguments: &[String]) -> Result<()> {
    setup::setup()?;
    run(cargo("build").args(["--release", "--package", "ssh-guard-simulation"]))?;
    run(std::process::Command::new(build::release().join("ssh-guard-simulation")).args(arguments))
}
