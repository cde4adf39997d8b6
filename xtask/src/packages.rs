//! Debian's packages: which ones are needed, for what, and how they come onto the machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{as_root, run, say},
    toolchain,
};

/// A package of Debian.
#[derive(PartialEq, Eq, Debug)]
pub struct Package {
    name: &'static str,
    /// A program, or the path of another file, that shows that it is there; so another distribution's will do.
    brings: &'static str,
    reason: &'static str,
}

/// The compiler of the programs.
pub const TOOLCHAIN: &[Package] = &[
    Package { name: "rustc-web", brings: "/usr/bin/rustc", reason: "compiles the programs" },
    Package { name: "cargo-web", brings: "/usr/bin/cargo", reason: "builds the programs" },
    Package { name: "libstd-rust-web-dev-bpf", brings: "", reason: "has core, compiled for BPF" },
];

/// What building bpf-linker takes.
pub const LINKER: &[Package] = &[
    Package {
        name: "llvm-22-dev",
        brings: "/usr/lib/llvm-22/include/llvm-c/Core.h",
        reason: "bpf-linker links to it",
    },
    Package { name: "gcc", brings: "cc", reason: "links Rust programs" },
    Package { name: "libc6-dev", brings: "/usr/include/stdlib.h", reason: "is linked into Rust programs" },
];

/// What the tests start.
pub const TESTS: &[Package] = &[
    Package { name: "bsdutils", brings: "logger", reason: "sends syslog, in tests" },
    Package { name: "curl", brings: "curl", reason: "posts events, in tests and from the hook of PAM" },
    Package {
        name: "dropbear-bin",
        brings: "dropbear",
        reason: "is another server, in tests against real ones; Debian starts none",
    },
    Package { name: "hydra", brings: "hydra", reason: "guesses passwords, in tests" },
    Package { name: "iproute2", brings: "ip", reason: "lays out the tests' networks" },
    Package { name: "openssh-client", brings: "ssh", reason: "logs in, in tests against a real server" },
    Package {
        name: "openssh-server",
        brings: "sshd",
        reason: "is that server; Debian also starts one on port 22",
    },
    Package { name: "pamtester", brings: "pamtester", reason: "fails to log in by PAM, in tests" },
    Package {
        name: "prometheus",
        brings: "promtool",
        reason: "has promtool, which checks the metrics; Debian also starts a server on port 9090",
    },
    Package {
        name: "rsyslog",
        brings: "rsyslogd",
        reason: "sends syslog, in tests; Debian also starts one, which writes to /var/log",
    },
    Package { name: "sshpass", brings: "sshpass", reason: "types wrong passwords in tests" },
    Package { name: "tcpdump", brings: "tcpdump", reason: "counts packets, which tests compare" },
];

/// What the benchmark sets the guard beside, and lays its networks out with.
pub const BENCH: &[Package] = &[
    Package { name: "ethtool", brings: "ethtool", reason: "switches the benchmark's interfaces to NAPI" },
    Package { name: "nftables", brings: "nft", reason: "drops the same packets, in the benchmark" },
    Package { name: "iptables", brings: "iptables", reason: "drops the same packets, in the benchmark" },
    Package { name: "ipset", brings: "ipset", reason: "holds the list that iptables drops by" },
    Package { name: "xdp-tools", brings: "xdp-filter", reason: "has a program that drops the same packets" },
    Package {
        name: "fail2ban",
        brings: "fail2ban-regex",
        reason: "reads the same log; Debian also starts it",
    },
    Package {
        name: "sshguard",
        brings: "/usr/libexec/sshguard/sshg-parser",
        reason: "reads the same log; Debian also starts it",
    },
];

/// What runs the tests on Debian's kernels.
pub const VM: &[Package] = &[
    Package { name: "qemu-system-x86", brings: "qemu-system-x86_64", reason: "imitates a machine" },
    Package { name: "busybox-static", brings: "busybox", reason: "is the shell in that machine" },
    Package { name: "xz-utils", brings: "xz", reason: "unpacks the modules of kernels" },
    Package { name: "zstd", brings: "zstd", reason: "unpacks the modules of kernels" },
    Package {
        name: "debian-archive-keyring",
        brings: "/usr/share/keyrings/debian-archive-keyring.gpg",
        reason: "tells Debian's kernels from others",
    },
];

/// What fuzzing takes.
pub const FUZZ: &[Package] =
    &[Package { name: "g++", brings: "c++", reason: "compiles libFuzzer, which makes up inputs" }];

/// The lints for Debian's compiler.
pub const CLIPPY: &[Package] =
    &[Package { name: "rust-web-clippy", brings: "/usr/bin/cargo-clippy", reason: "lints the programs" }];

/// The formatter for Debian's compiler.
pub const RUSTFMT: &[Package] =
    &[Package { name: "rustfmt-web", brings: "/usr/bin/cargo-fmt", reason: "checks the format" }];

/// Installs those of the packages that are not there; does nothing if all are.
pub fn ensure(packages: &'static [Package]) -> Result<()> {
    let missing = missing(packages, is_there);
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs packages, and says what and why before; none of the installed ones is removed for them.
pub fn install(packages: &[&Package]) -> Result<()> {
    let names: Vec<_> = packages.iter().map(|package| package.name).collect();
    let wanted = format!("apt-get install {}", names.join(" "));
    if toolchain::on_path("apt-get").is_none() {
        bail!("this is not Debian (no 'apt-get'): install what '{wanted}' would");
    }
    as_root("apt-get").with_context(|| format!("this needs '{wanted}'"))?;
    for Package { name, reason, .. } in packages {
        say(&format!("setup: installing Debian's '{name}': {reason}"));
    }
    // Most machines know current packages; asking Debian for the lists first would cost everybody the time.
    if apt_install(&names).is_ok() {
        return Ok(());
    }
    say("setup: perhaps the lists of packages are missing or old: fetching them, then once more");
    run(as_root("apt-get")?.args(["update", "--quiet"]))?;
    apt_install(&names).with_context(|| format!("this needs '{wanted}'"))
}

fn apt_install(names: &[&str]) -> Result<()> {
    let mut install = as_root("env")?;
    install.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--quiet"]);
    // Another installation may be under way: unattended upgrades, say.
    install.args(["-o", "DPkg::Lock::Timeout=120"]);
    // A person's own compiler conflicts with Debian's and must not go.
    install.args(["--no-install-recommends", "--no-remove"]).args(names);
    run(&mut install)
}

fn missing(packages: &'static [Package], is_there: impl Fn(&str) -> bool) -> Vec<&'static Package> {
    packages.iter().filter(|package| !is_there(package.brings)).collect()
}

fn is_there(file: &str) -> bool {
    if file.starts_with('/') { Path::new(file).exists() } else { find(file).is_some() }
}

/// Finds a program. A plain user has the administrator's, but not their folders on `PATH`.
pub fn find(program: &str) -> Option<PathBuf> {
    let system = || {
        ["/usr/sbin", "/sbin"].iter().map(|sbin| Path::new(sbin).join(program)).find(|file| file.is_file())
    };
    toolchain::on_path(program).or_else(system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_installed() {
        let names = |there: &[&str]| -> Vec<_> {
            missing(TESTS, |file| there.contains(&file)).iter().map(|package| package.name).collect()
        };
        let all: Vec<&str> = TESTS.iter().map(|package| package.brings).collect();
        assert_eq!(names(&all), Vec::<&str>::new());
        assert_eq!(names(&all[..all.len() - 1]), [TESTS[all.len() - 1].name]);
    }

    #[test]
    fn every_package_says_what_it_is_for_and_stands_in_one_list() {
        let all: Vec<_> =
            [TOOLCHAIN, LINKER, TESTS, BENCH, VM, FUZZ, CLIPPY, RUSTFMT].into_iter().flatten().collect();
        for package in &all {
            assert!(!package.reason.is_empty(), "{package:?}");
            assert_eq!(all.iter().filter(|other| other.name == package.name).count(), 1, "{package:?}");
        }
    }

    #[test]
    fn a_program_is_found_by_its_name_and_a_file_by_its_path() {
        assert!(is_there("sh") && is_there("/proc/self/exe"));
        assert!(!is_there("no-such-program") && !is_there("/nonexistent"));
    }
}
