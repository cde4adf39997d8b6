//! Builds the benchmark, installs what the guard is set beside, and runs it as root.

use anyhow::Result;

use crate::{
    build,
    command::{as_root, cargo, root, run},
    ebpf, packages,
    setup::{self, HERE},
};

/// The object file of the benchmark's own programs.
pub const OBJECT: &str = "ssh_guard_bench";

/// Sets up, builds and runs the benchmark with these arguments.
pub fn bench(arguments: &[String]) -> Result<()> {
    let compiler = setup::setup()?;
    packages::ensure(packages::TESTS)?;
    packages::ensure(packages::BENCH)?;
    run(&mut compiler.command(&root(), &HERE, "build", OBJECT))?;
    run(cargo("build").args(["--release", "--package", "ssh-guard-bench", "--package", "ssh-guard"]))?;
    let program = build::release().join("ssh-guard-bench");
    let object = ebpf::object(&root(), &HERE, OBJECT);
    run(as_root(&program.to_string_lossy())?
        .current_dir(root())
        .arg("--programs")
        .arg(object)
        .args(arguments))
}
