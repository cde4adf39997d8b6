//! The names of programs, maps and globals, as they stand in the object. The kernel keeps 15 characters of a name.

/// The XDP program, for kernels and drivers without multi-buffer support.
pub const PROGRAM: &str = "ssh_guard";
/// The same for packets of several buffers (jumbo frames; kernel 5.18 and later).
pub const PROGRAM_FRAGS: &str = "ssh_guard_frags";
/// The program that reads the kernel's clocks; it is only ever test-run.
pub const PROGRAM_CLOCK: &str = "ssh_guard_clock";

/// Banned sources.
pub const BLOCKLIST: &str = "BLOCKLIST";
/// Networks that are never dropped.
pub const ALLOWLIST: &str = "ALLOWLIST";
/// What each source sent.
pub const SOURCES: &str = "SOURCES";
/// How often each verdict was given.
pub const VERDICTS: &str = "VERDICTS";
/// What may change while the program runs.
pub const SETTINGS: &str = "SETTINGS";

/// Global: the guarded ports, [`MAX_PORTS`](crate::MAX_PORTS) of them, 0 for none.
pub const PORTS: &str = "PORTS";
/// Global: how much of an address makes a source.
pub const SOURCE_MASK: &str = "SOURCE_MASK";
/// Global: 1 if nothing is dropped.
pub const DRY_RUN: &str = "DRY_RUN";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_every_name_whole() {
        for name in [PROGRAM, PROGRAM_FRAGS, PROGRAM_CLOCK, BLOCKLIST, ALLOWLIST, SOURCES, VERDICTS, SETTINGS]
        {
            assert!(name.len() <= 15, "{name}");
        }
    }
}
