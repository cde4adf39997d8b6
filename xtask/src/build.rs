//! Builds the daemon with the programs in it.

use std::{env, path::PathBuf};

use anyhow::Result;

use crate::{
    command::{cargo, root, run},
    setup,
};

/// Sets up and builds for use; the path of what was built.
pub fn build() -> Result<PathBuf> {
    setup::setup()?;
    run(cargo("build").args(["--release", "--package", "ssh-guard"]))?;
    Ok(release().join("ssh-guard"))
}

/// The folder of what was built for use.
pub fn release() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("release")
}
