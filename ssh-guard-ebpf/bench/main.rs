//! The programs that the benchmark needs beside the guard's: `ssh-guard-bench` loads them, the daemon never does.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(
    target_arch = "bpf",
    expect(clippy::inline_always, reason = "calls cost a program as much as what is measured"),
    expect(clippy::needless_pass_by_value, reason = "aya's macro hands a program its context by value")
)]

#[cfg(target_arch = "bpf")]
mod empty;
#[cfg(target_arch = "bpf")]
#[path = "../src/ending.rs"]
mod ending;
#[cfg(target_arch = "bpf")]
mod flood;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod sources;
#[cfg(target_arch = "bpf")]
mod walk;
#[cfg(target_arch = "bpf")]
mod walker;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
