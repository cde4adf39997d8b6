//! Builds the programs.

use anyhow::{Error, Result};

use crate::{
    command::{root, run, say},
    ebpf::{self, Compiler},
    setup::HERE,
};

/// Compiles the programs for this machine and says where the object is.
pub fn build_ebpf() -> Result<()> {
    let root = root();
    let compiler =
        Compiler::find(&root, &HERE).map_err(|why| Error::msg(format!("{why}: run 'cargo xtask setup'")))?;
    run(&mut compiler.command(&root, &HERE, "build", ebpf::OBJECT))?;
    say(&format!("build-ebpf: {}", ebpf::object(&root, &HERE, ebpf::OBJECT).display()));
    Ok(())
}
