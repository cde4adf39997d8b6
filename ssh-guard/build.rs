//! Compiles the programs that run in the kernel and leaves the object in `OUT_DIR`, where the library embeds it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ebpf::{Compiler, Machine};

#[path = "../xtask/src/ebpf.rs"]
mod ebpf;
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

fn main() -> ExitCode {
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error={why}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<(), String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = package.parent().ok_or("the package stands outside its workspace")?;
    let (arch, endian) = (variable("CARGO_CFG_TARGET_ARCH")?, variable("CARGO_CFG_TARGET_ENDIAN")?);
    let machine = Machine { arch: &arch, endian: &endian };
    // Not the benchmark's programs, which stand in a folder beside.
    for input in ["src", "build.rs", "Cargo.toml"] {
        watch(&root.join("ssh-guard-ebpf").join(input));
    }
    for input in ["ssh-guard-common", "Cargo.toml", "Cargo.lock"] {
        watch(&root.join(input));
    }
    println!("cargo::rerun-if-env-changed={}", toolchain::FORCED);

    let compiler = Compiler::find(root, &machine).map_err(|why| format!("{why}: run 'cargo xtask setup'"))?;
    watch(&compiler.linker);
    let mut command = compiler.command(root, &machine, "build", ebpf::OBJECT);
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if !status.success() {
        return Err(format!("the programs do not compile ({status}): 'cargo xtask build-ebpf' shows why"));
    }
    let object = ebpf::object(root, &machine, ebpf::OBJECT);
    let embedded = Path::new(&variable("OUT_DIR")?).join(ebpf::OBJECT);
    fs::copy(&object, &embedded).map_err(|error| format!("cannot copy '{}': {error}", object.display()))?;
    Ok(())
}

fn watch(file: &Path) {
    println!("cargo::rerun-if-changed={}", file.display());
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo does not set {name}: {error}"))
}
