//! The compiled programs.

/// The object that the build script made of `ssh-guard-ebpf`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ssh_guard_xdp"));

#[cfg(test)]
mod stack;
