//! Builds the daemon and becomes it.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    command::{as_root, say, shown},
};

/// Builds for use and runs the daemon as root with these arguments; returns only if that fails.
pub fn run(arguments: &[String]) -> Result<()> {
    let daemon = build::build()?;
    let daemon = daemon.to_str().context("the path of the workspace is not UTF-8")?;
    let mut command = as_root(daemon)?;
    command.arg("run").args(arguments);
    say(&format!("$ {}", shown(&command)));
    bail!("cannot run '{daemon}': {}", command.exec())
}
