//! Where the figures were measured.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::utsname::uname;
use nix::time::{ClockId, clock_getres};
use serde::Serialize;

/// What of a machine bears on the figures.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The kernel's release and version.
    pub kernel: String,
    /// What the CPU calls itself.
    pub cpu: String,
    /// How many CPUs are there.
    pub cpus: usize,
    /// Ticks of the kernel in a second.
    pub hz: u64,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Whether the kernel compiles BPF programs to machine code; unknown where it does not say.
    pub jit: Option<bool>,
    /// Whether `kernel.bpf_stats_enabled` is on, which makes every program slower.
    pub bpf_stats: Option<bool>,
    /// How many threads wanted a CPU before this began (the load of the last minute).
    pub load: f64,
    /// What is in the way of each call and return.
    pub mitigations: Vec<String>,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// If `/proc` is not mounted.
    pub fn look() -> Result<Self> {
        let name = uname().context("cannot ask for the kernel's name")?;
        let [cpuinfo, meminfo, loadavg] =
            [read("/proc/cpuinfo")?, read("/proc/meminfo")?, read("/proc/loadavg")?];
        let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).context("cannot tell the kernel's tick")?;
        let on = |file| Some(read(file).ok()?.trim() != "0");
        Ok(Self {
            kernel: format!("{} {}", name.release().display(), name.version().display()),
            cpu: field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cpus: std::thread::available_parallelism()?.get(),
            hz: 1_000_000_000 / u64::try_from(tick.tv_nsec()).unwrap_or(1).max(1),
            memory_mib: field(&meminfo, "MemTotal")
                .and_then(|kb| kb.split(' ').next()?.parse().ok())
                .unwrap_or(0)
                / 1024,
            jit: on("/proc/sys/net/core/bpf_jit_enable"),
            bpf_stats: on("/proc/sys/kernel/bpf_stats_enabled"),
            load: loadavg.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
            mitigations: mitigations(),
        })
    }
}

/// What the kernel does against the CPU's leaks where it does anything.
fn mitigations() -> Vec<String> {
    let folder = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").into_iter().flatten().flatten();
    let mut found: Vec<_> = folder
        .filter_map(|entry| {
            let said = fs::read_to_string(entry.path()).ok()?;
            let how = said.trim().strip_prefix("Mitigation: ")?.to_owned();
            Some(format!("{}: {how}", entry.file_name().to_string_lossy()))
        })
        .collect();
    found.sort();
    found
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read '{file}'"))
}

/// The value of `name : value` in a file of such lines.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_can_be_looked_at() {
        let machine = Machine::look().unwrap();
        assert!(
            machine.cpus > 0 && machine.memory_mib > 0 && (100..=1024).contains(&machine.hz),
            "{machine:?}"
        );
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 17\nmodel name\t: EPYC: the 4th\n";
        assert_eq!(field(text, "model name").as_deref(), Some("EPYC: the 4th"));
        assert_eq!(field(text, "name"), None);
    }
}
