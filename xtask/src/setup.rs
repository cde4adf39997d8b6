//! Installs what building the programs takes, and nothing twice.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Error, Result, bail};

use crate::{
    command::{cargo, root, run, say},
    ebpf::{self, Compiler, Machine},
    packages,
    toolchain::{self, Kind, LINKER_LLVM, Toolchain},
};

/// The bpf-linker that is wanted: this one, or a later patch of it.
const LINKER_VERSION: &str = "0.13";

/// This machine, for which the programs are compiled.
pub const HERE: Machine<'_> = Machine {
    arch: std::env::consts::ARCH,
    endian: if cfg!(target_endian = "big") { "big" } else { "little" },
};

/// Sets up all that compiling takes; says in one line what there is.
pub fn setup() -> Result<Compiler> {
    let (toolchain, installed_toolchain) = toolchain()?;
    let installed_linker = linker()?;
    let found = match (installed_toolchain, installed_linker) {
        (false, false) => "nothing to do",
        _ => "done",
    };
    let compiler = Compiler::find(&root(), &HERE).map_err(Error::msg)?;
    say(&format!("setup: {found}: {toolchain}, {}", compiler.linker.display()));
    Ok(compiler)
}

fn toolchain() -> Result<(Toolchain, bool)> {
    let forced = Kind::forced().map_err(Error::msg)?;
    let find = |kind| toolchain::find(kind, HERE.target());
    if let Ok(found) = toolchain::choose(forced, find) {
        return Ok((found, false));
    }
    let install_and_find = |kind| {
        install(kind, find(kind)).map_err(|error| format!("{error:#}"))?;
        find(kind)
    };
    let installed = toolchain::choose(forced, install_and_find).map_err(Error::msg);
    Ok((installed.context("no tool chain for the programs could be installed")?, true))
}

fn install(kind: Kind, found: Result<Toolchain, String>) -> Result<()> {
    let Err(lacks) = found else { return Ok(()) };
    say(&format!("setup: {kind} cannot compile the programs yet: {lacks}"));
    match kind {
        Kind::Debian => packages::install(&packages::TOOLCHAIN.iter().collect::<Vec<_>>()),
        Kind::Nightly => {
            let rustup = toolchain::rustup().context("no rustup: it installs 'rust-src' of a nightly")?;
            say("setup: installing rustup's nightly with 'rust-src': compiles the programs and core");
            let toolchain =
                ["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"];
            let component = ["component", "add", "rust-src", "--toolchain", "nightly"];
            let there =
                Command::new(&rustup).args(["run", "nightly", "rustc", "-vV"]).output()?.status.success();
            run(Command::new(rustup).args(if there { &component[..] } else { &toolchain[..] }))
        }
    }
}

/// Installs bpf-linker unless it is there; whether it did.
fn linker() -> Result<bool> {
    let found = ebpf::linker(&root());
    if found.is_some_and(|linker| is_wanted(&version_of(&linker))) {
        return Ok(false);
    }
    packages::ensure(packages::LINKER)?;
    let llvm = format!("/usr/lib/llvm-{LINKER_LLVM}");
    if !Path::new(&llvm).is_dir() {
        bail!("no LLVM {LINKER_LLVM} in '{llvm}': install it, or put bpf-linker {LINKER_VERSION} on PATH");
    }
    say(&format!(
        "setup: installing bpf-linker {LINKER_VERSION} into '.tools': links the programs (about a minute)"
    ));
    let mut install = cargo("install");
    install.args([
        "bpf-linker",
        "--version",
        &format!("^{LINKER_VERSION}"),
        "--locked",
        "--force",
        "--quiet",
    ]);
    install.args(["--no-default-features", "--features", &format!("llvm-{LINKER_LLVM}")]);
    install.args(["--root", ".tools", "--target-dir", "target/bpf-linker"]).env("LLVM_PREFIX", llvm);
    run(&mut install)?;
    let version = version_of(&root().join(".tools/bin/bpf-linker"));
    if !is_wanted(&version) {
        bail!("the bpf-linker just installed does not run: it says '{version}'");
    }
    Ok(true)
}

/// What a linker says of its version; empty if it does not run, as when the libraries it was built for are gone.
fn version_of(linker: &Path) -> String {
    let output = Command::new(linker).arg("--version").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn is_wanted(version: &str) -> bool {
    let number = version.trim().strip_prefix("bpf-linker ").and_then(|number| number.rsplit_once('.'));
    number.is_some_and(|(minor, patch)| minor == LINKER_VERSION && patch.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linker_of_the_wanted_version_is_kept() {
        assert!(is_wanted("bpf-linker 0.13.0\n") && is_wanted("bpf-linker 0.13.12\n"));
        for other in [
            "",
            "bpf-linker 0.9.15",
            "bpf-linker 0.130.0",
            "bpf-linker 1.0.13",
            "ld 0.13.0",
            "bpf-linker 0.13.x",
        ] {
            assert!(!is_wanted(other), "{other}");
        }
    }

    #[test]
    fn a_linker_that_does_not_run_has_no_version() {
        assert_eq!(version_of(Path::new("/nonexistent/bpf-linker")), "");
    }
}
