//! The programs that run in the kernel. What needs no kernel is compiled for the host too, and tested there.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(
    any(target_arch = "bpf", test),
    expect(
        clippy::inline_always,
        reason = "a program has no stack to spare for calls, and each costs it as much as its lookup"
    )
)]
#![cfg_attr(
    target_arch = "bpf",
    expect(clippy::needless_pass_by_value, reason = "an entry point is called with its context by value"),
    expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value a key is copied once more on a small stack"
    )
)]

#[cfg(any(target_arch = "bpf", test))]
mod judge;

#[cfg(target_arch = "bpf")]
mod apart;
#[cfg(target_arch = "bpf")]
mod atomic;
#[cfg(target_arch = "bpf")]
mod blocks;
#[cfg(target_arch = "bpf")]
mod budget;
#[cfg(target_arch = "bpf")]
mod clock;
#[cfg(target_arch = "bpf")]
mod ending;
#[cfg(target_arch = "bpf")]
mod flat;
#[cfg(target_arch = "bpf")]
mod frame;
#[cfg(target_arch = "bpf")]
mod join;
#[cfg(target_arch = "bpf")]
mod known;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod networks;
#[cfg(target_arch = "bpf")]
mod sessions;
#[cfg(target_arch = "bpf")]
mod settings;
#[cfg(target_arch = "bpf")]
mod skb;
#[cfg(target_arch = "bpf")]
mod tc;
#[cfg(target_arch = "bpf")]
mod xdp;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
