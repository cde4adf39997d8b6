//! Runs the tests, and installs what they start.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{
    command::{as_root, cargo, is_root, run, say},
    fuzz, packages, setup, vm,
};

/// The package of the tests that need a kernel, a network namespace or a real server.
const KERNEL_TESTS: &str = "ssh-guard-tests";

/// Where the kernel keeps what outlives a process.
const BPFFS: &str = "/sys/fs/bpf";

/// Sets up and runs every test; `arguments` go to cargo test, and one that names a package runs that one only.
pub fn test(arguments: &[String]) -> Result<()> {
    setup::setup()?;
    packages::ensure(packages::TESTS)?;
    mount_bpffs()?;
    if names_a_package(arguments) {
        return run(kernel_test().args(arguments));
    }
    run(cargo("test").args(["--workspace", "--exclude", KERNEL_TESTS]).args(arguments))?;
    run(kernel_test().args(["--package", KERNEL_TESTS]).args(arguments))?;
    // Whoever chooses tests waits for these only.
    if !arguments.is_empty() {
        return Ok(());
    }
    fuzz::shortly()?;
    if vm::is_left_out() {
        say(&format!("test: {}=1: not on Debian's kernels", vm::LEFT_OUT));
        return Ok(());
    }
    vm::vm(&[], &[])
}

/// Makes a `cargo test` whose tests run as root.
fn kernel_test() -> std::process::Command {
    let mut test = cargo("test");
    if !is_root() {
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH).replace('-', "_").to_uppercase();
        test.env(format!("CARGO_TARGET_{host}_RUNNER"), "sudo --preserve-env");
    }
    test
}

fn mount_bpffs() -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read '/proc/mounts'")?;
    if has_bpffs(&mounts) {
        return Ok(());
    }
    say("test: mounting the BPF file system: pinned maps and links live there");
    run(as_root("mount")?.args(["-t", "bpf", "bpf", BPFFS]))
}

fn has_bpffs(mounts: &str) -> bool {
    mounts.lines().any(|mount| {
        let mut fields = mount.split(' ').skip(1);
        (fields.next(), fields.next()) == (Some(BPFFS), Some("bpf"))
    })
}

fn names_a_package(arguments: &[String]) -> bool {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    own.into_iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_bpf_file_system_is_seen() {
        assert!(has_bpffs("proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,nosuid 0 0\n"));
        assert!(!has_bpffs(
            "sysfs /sys sysfs rw 0 0\nbpf /mnt/bpf bpf rw 0 0\nnone /sys/fs/bpf tmpfs rw 0 0\n"
        ));
    }

    #[test]
    fn a_package_is_named_before_the_arguments_of_the_tests() {
        let names = |arguments: &[&str]| {
            names_a_package(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(names(&["-p", "xtask"]) && names(&["--release", "--package=xtask"]) && names(&["-pxtask"]));
        assert!(!names(&["a_ban_ends"]) && !names(&["--", "-p"]) && !names(&[]));
    }
}
