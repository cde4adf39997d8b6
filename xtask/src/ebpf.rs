//! Compiles the programs that run in the kernel, for `cargo xtask build-ebpf` and for `ssh-guard/build.rs`.
//!
//! Not with the crate aya-build: it knows tool chains of rustup only, so that Debian's would have to be linked
//! into it and be missing where there is no rustup; it takes any `bpf-linker` that is first on `PATH`; and it
//! builds into `OUT_DIR`, anew for every profile. What it passes to rustc is passed here.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::toolchain::{self, Kind, Toolchain};

/// The package of the programs.
pub const PACKAGE: &str = "ssh-guard-ebpf";

/// The object file of the daemon's programs.
pub const OBJECT: &str = "ssh_guard_xdp";

/// The crates that may use unstable features of a stable compiler; one list, so that cargo builds each but once.
const UNSTABLE: &str = "aya_ebpf,ssh_guard_common,ssh_guard_xdp,ssh_guard_bench";

/// The machine on which the programs will run, in rustc's words.
pub struct Machine<'a> {
    /// Its `target_arch`, which decides where a program finds a function's arguments.
    pub arch: &'a str,
    /// Its `target_endian`.
    pub endian: &'a str,
}

/// What compiles the programs.
pub struct Compiler {
    /// Has the compiler.
    pub toolchain: Toolchain,
    /// Makes one object of what the compiler leaves.
    pub linker: PathBuf,
}

impl Machine<'_> {
    /// The target that programs for this machine are compiled for.
    pub fn target(&self) -> &'static str {
        if self.endian == "big" { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
    }
}

impl Compiler {
    /// Finds tool chain and linker; the error says what is missing.
    pub fn find(root: &Path, machine: &Machine<'_>) -> Result<Self, String> {
        let toolchain = toolchain::choose(Kind::forced()?, |kind| toolchain::find(kind, machine.target()))
            .map_err(|lacks| format!("no tool chain can compile the programs: {lacks}"))?;
        let linker = linker(root).ok_or("no bpf-linker in '.tools/bin' or on PATH")?;
        Ok(Self { toolchain, linker })
    }

    /// Makes the command that builds (`build`) or checks (`clippy`) the programs of `object` in the workspace at `root`.
    ///
    /// They have a target folder of their own: cargo locks the one it builds in, and would wait for itself.
    pub fn command(&self, root: &Path, machine: &Machine<'_>, verb: &str, object: &str) -> Command {
        let Toolchain { kind, bin, release: _ } = &self.toolchain;
        let cargo = bin.join("cargo");
        let mut command = match verb {
            // cargo would look for it in rustup's folder first.
            "clippy" => Command::new(bin.join("cargo-clippy")),
            _ => Command::new(&cargo),
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(leaks)) {
            command.env_remove(name);
        }
        let linker_variable =
            format!("CARGO_TARGET_{}_LINKER", machine.target().replace('-', "_").to_uppercase());
        let flags =
            [&format!("--cfg=bpf_target_arch=\"{}\"", machine.arch), "-Cdebuginfo=2", "-Clink-arg=--btf"];
        command
            .current_dir(root)
            .env("CARGO", cargo)
            .env("RUSTC", bin.join("rustc"))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env(linker_variable, &self.linker)
            .args([verb, "--release", "--package", PACKAGE, "--bin", object])
            .args(["--target", machine.target(), "--target-dir"])
            .arg(target_dir(root));
        match kind {
            // Unstable features for just these crates: aya-ebpf needs inline assembly, which is unstable for BPF.
            Kind::Debian => command.env("RUSTC_BOOTSTRAP", UNSTABLE),
            Kind::Nightly => command.args(["-Z", "build-std=core"]),
        };
        command
    }
}

/// Where an object stands once it is built.
pub fn object(root: &Path, machine: &Machine<'_>, object: &str) -> PathBuf {
    target_dir(root).join(machine.target()).join("release").join(object)
}

/// Finds bpf-linker: the one that set-up installed, else the one on `PATH`.
pub fn linker(root: &Path) -> Option<PathBuf> {
    let own = root.join(".tools/bin/bpf-linker");
    if own.is_file() { Some(own) } else { toolchain::on_path("bpf-linker") }
}

fn target_dir(root: &Path) -> PathBuf {
    root.join("target/bpf")
}

/// Whether the variable is cargo's or rustup's word to the process that starts this build, and would change it.
fn leaks(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "TARGET",
        "CARGO",
        "RUSTUP_TOOLCHAIN",
    ];
    const PREFIXES: [&str; 3] = ["RUSTC", "RUSTDOC", "RUSTFLAGS"];
    // What a person sets to say where cargo finds things, and how it talks.
    const KEPT: [&str; 9] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
        "CARGO_TERM_",
        "CARGO_MAKEFLAGS",
        "CARGO_BUILD_JOBS",
        "CARGO_CACHE_",
    ];
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    NAMES.contains(&name) || starts(&PREFIXES) || (name.starts_with("CARGO_") && !starts(&KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Machine<'_> = Machine { arch: "x86_64", endian: "little" };

    fn command(kind: Kind, verb: &str) -> String {
        let toolchain = Toolchain { kind, bin: "/bin-of-it".into(), release: "1.96.0".to_owned() };
        let compiler = Compiler { toolchain, linker: "/tools/bpf-linker".into() };
        format!("{:?}", compiler.command(Path::new("/tree"), &HERE, verb, OBJECT))
    }

    #[test]
    fn what_the_outer_build_sets_does_not_reach_the_inner_one() {
        for name in
            ["RUSTC", "RUSTC_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO", "CARGO_ENCODED_RUSTFLAGS"]
        {
            assert!(leaks(name), "{name}");
        }
        for name in
            ["CARGO_PKG_NAME", "CARGO_CFG_UNIX", "CARGO_BUILD_TARGET", "CARGO_PROFILE_RELEASE_LTO", "TARGET"]
        {
            assert!(leaks(name), "{name}");
        }
    }

    #[test]
    fn what_a_person_tells_cargo_about_the_network_does_reach_it() {
        for name in
            ["PATH", "HOME", "CI", "CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL"]
        {
            assert!(!leaks(name), "{name}");
        }
    }

    #[test]
    fn only_the_nightly_builds_core() {
        assert!(command(Kind::Nightly, "build").contains("build-std=core"));
        assert!(!command(Kind::Debian, "build").contains("build-std"));
    }

    #[test]
    fn only_the_crates_that_need_it_may_use_unstable_features() {
        let debian = command(Kind::Debian, "build");
        assert!(
            debian.contains("RUSTC_BOOTSTRAP=\"aya_ebpf,ssh_guard_common,ssh_guard_xdp,ssh_guard_bench\""),
            "{debian}"
        );
        assert!(!command(Kind::Nightly, "build").contains("RUSTC_BOOTSTRAP=\""));
    }

    #[test]
    fn cargo_and_clippy_are_those_of_the_tool_chain() {
        assert!(command(Kind::Debian, "build").contains("\"/bin-of-it/cargo\" \"build\""));
        assert!(command(Kind::Debian, "clippy").contains("\"/bin-of-it/cargo-clippy\" \"clippy\""));
    }

    #[test]
    fn the_target_has_the_byte_order_of_the_machine() {
        assert_eq!(HERE.target(), "bpfel-unknown-none");
        assert_eq!(Machine { arch: "s390x", endian: "big" }.target(), "bpfeb-unknown-none");
        let object = object(Path::new("/tree"), &HERE, OBJECT);
        assert_eq!(object, Path::new("/tree/target/bpf/bpfel-unknown-none/release/ssh_guard_xdp"));
    }
}
