//! Checks what no test checks: format, lints, documents, scripts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Error, Result};

use crate::{
    bench,
    command::{cargo, root, run, say},
    ebpf::{self, Compiler},
    packages::{self, Package},
    setup::{self, HERE},
    toolchain::{self, Kind, Toolchain},
};

/// Runs every check; the first that complains is the error.
pub fn lint() -> Result<()> {
    let compiler = with_clippy(setup::setup()?)?;
    host_tool("fmt", "rustfmt", packages::RUSTFMT)?;
    host_tool("clippy", "clippy", packages::CLIPPY)?;
    run(cargo("fmt").args(["--all", "--check"]))?;
    run(cargo("fmt").args(["--manifest-path", FUZZ, "--check"]))?;
    run(cargo("clippy").args(["--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    run(cargo("clippy").args([
        "--manifest-path",
        FUZZ,
        "--target-dir",
        "target",
        "--",
        "--deny",
        "warnings",
    ]))?;
    for object in [ebpf::OBJECT, bench::OBJECT] {
        run(compiler.command(&root(), &HERE, "clippy", object).args(["--", "--deny", "warnings"]))?;
    }
    run(cargo("doc").args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))?;
    for script in scripts(&root())? {
        run(Command::new("bash").arg("-n").arg(script))?;
    }
    Ok(())
}

/// What is fuzzed is a workspace of its own.
const FUZZ: &str = "fuzz/Cargo.toml";

/// Takes a tool chain with clippy: the one that compiles, else another complete one, else installs it.
fn with_clippy(compiler: Compiler) -> Result<Compiler> {
    let has_clippy = |toolchain: &Toolchain| toolchain.bin.join("cargo-clippy").is_file();
    if has_clippy(&compiler.toolchain) {
        return Ok(compiler);
    }
    let other = toolchain::choose(Kind::forced().map_err(Error::msg)?, |kind| {
        toolchain::find(kind, HERE.target())
            .and_then(|found| if has_clippy(&found) { Ok(found) } else { Err("no clippy".to_owned()) })
    });
    if let Ok(toolchain) = other {
        return Ok(Compiler { toolchain, ..compiler });
    }
    match compiler.toolchain.kind {
        Kind::Debian => packages::ensure(packages::CLIPPY)?,
        Kind::Nightly => component("clippy", "nightly")?,
    }
    Ok(compiler)
}

/// Installs the cargo subcommand `verb` for the compiler of the host, if it has none.
fn host_tool(verb: &str, name: &str, packages: &'static [Package]) -> Result<()> {
    if cargo(verb).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    // Set by rustup for what it starts.
    match env::var("RUSTUP_TOOLCHAIN") {
        Ok(toolchain) => component(name, &toolchain),
        Err(_) => packages::ensure(packages),
    }
}

fn component(name: &str, toolchain: &str) -> Result<()> {
    let rustup = toolchain::rustup().with_context(|| format!("no rustup: it installs '{name}'"))?;
    say(&format!("lint: installing rustup's '{name}' for {toolchain}: checks the code"));
    run(Command::new(rustup).args(["component", "add", name, "--toolchain", toolchain]))
}

/// Finds the shell scripts below a folder, but for what was built or fetched there.
fn scripts(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot list '{}'", folder.display()))? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        let name = path.file_name().unwrap_or_default();
        if kind.is_dir() && ![".git", ".tools", "target"].iter().any(|other| name == *other) {
            found.extend(scripts(&path)?);
        } else if kind.is_file() && is_script(&path, &fs::read(&path)?) {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_script(path: &Path, text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    let mut words = first.strip_prefix("#!").into_iter().flat_map(|line| line.split(['/', ' ']));
    path.extension().is_some_and(|extension| extension == "sh")
        || words.any(|word| matches!(word, "sh" | "bash"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_name_or_its_first_line() {
        let is_script = |name: &str, text: &[u8]| is_script(Path::new(name), text);
        assert!(is_script("a.sh", b"echo") && is_script(".ci/run", b"#!/usr/bin/env bash\nset -e\n"));
        assert!(is_script("postinst", b"#!/bin/sh\n") && is_script("prerm", b"#!/bin/sh -e\n"));
        assert!(!is_script("a.py", b"#!/usr/bin/python3\n"));
        assert!(!is_script("a", b"\x7fELF") && !is_script("b", b""));
    }

    #[test]
    fn the_projects_own_scripts_are_found() {
        let scripts = scripts(&root()).unwrap();
        assert!(scripts.contains(&root().join(".ci/run")), "{scripts:?}");
    }
}
