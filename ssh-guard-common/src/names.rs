//! The names of programs, maps and globals, as they stand in the object. The kernel keeps 15 characters of a name.

/// The XDP program, for kernels and drivers without multi-buffer support.
pub const PROGRAM: &str = "ssh_guard";
/// The same for packets of several buffers (jumbo frames; kernel 5.18 and later).
pub const PROGRAM_FRAGS: &str = "ssh_guard_frags";
/// The same judge behind the traffic control of an interface, where XDP is not to be had.
pub const PROGRAM_TC: &str = "ssh_guard_tc";
/// The program that sees the server answer. The kernel cuts its name to `ssh_guard_witne`.
pub const PROGRAM_WITNESS: &str = "ssh_guard_witness";
/// The program that reads the kernel's clocks; it is only ever test-run.
pub const PROGRAM_CLOCK: &str = "ssh_guard_clock";

/// Banned IPv4 sources, a [flat table](crate::flat).
pub const BLOCKED_V4: &str = "BLOCKED_V4";
/// Banned IPv6 sources, a flat table.
pub const BLOCKED_V6: &str = "BLOCKED_V6";
/// Banned sources that their tables have no room for where they belong.
pub const BLOCKED_BESIDE: &str = "BLOCKED_BESIDE";
/// What is banned of each IPv4 /24: [two bits](crate::networks).
pub const BLOCKED_NETS: &str = "BLOCKED_NETS";
/// Banned IPv4 networks of length 24, a flat table.
pub const BLOCKED_NETS_24: &str = "BLOCKED_NETS_24";
/// All other banned IPv4 networks.
pub const BLOCKED_NETS_V4: &str = "BLOCKED_NETS_V4";
/// Banned IPv6 networks.
pub const BLOCKED_NETS_V6: &str = "BLOCKED_NETS_V6";
/// Networks that are never dropped.
pub const ALLOWLIST: &str = "ALLOWLIST";
/// Known-good IPv4 sources, a flat table.
pub const KNOWN_V4: &str = "KNOWN_V4";
/// Known-good IPv6 sources, a flat table.
pub const KNOWN_V6: &str = "KNOWN_V6";
/// Known-good sources that their tables have no room for where they belong.
pub const KNOWN_BESIDE: &str = "KNOWN_BESIDE";
/// What sources may still ask for: [groups](crate::budget::Group) of budgets.
pub const SYN_BUDGET: &str = "SYN_BUDGET";
/// The sessions.
pub const SESSIONS: &str = "SESSIONS";
/// Which sessions are authenticated.
pub const AUTHENTICATED: &str = "AUTHENTICATED";
/// The sources that hold as many sessions as they may.
pub const CROWDED: &str = "CROWDED";
/// How many records of sources were made for asking alone, lately.
pub const ASKERS: &str = "ASKERS";
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
/// Global: the [shape](crate::flat::Shape) of `BLOCKED_V4`.
pub const BLOCKED_V4_SHAPE: &str = "BLOCKED_V4_SHAPE";
/// Global: the shape of `BLOCKED_V6`.
pub const BLOCKED_V6_SHAPE: &str = "BLOCKED_V6_SHAPE";
/// Global: the shape of `KNOWN_V4`.
pub const KNOWN_V4_SHAPE: &str = "KNOWN_V4_SHAPE";
/// Global: the shape of `KNOWN_V6`.
pub const KNOWN_V6_SHAPE: &str = "KNOWN_V6_SHAPE";
/// Global: the seed and the groups of `SYN_BUDGET`, as a shape.
pub const SYN_BUDGET_SHAPE: &str = "SYN_BUDGET_SHAPE";
/// Global: the [rate](crate::budget::Rate) of new sessions.
pub const SYN_RATE: &str = "SYN_RATE";
/// Global: the shape of `BLOCKED_NETS_24`.
pub const BLOCKED_NETS_24_SHAPE: &str = "BLOCKED_NETS_24_SHAPE";
/// Global: how many records of sources are made in a tick for asking alone.
pub const ASKERS_PER_TICK: &str = "ASKERS_PER_TICK";
/// Global: 1 if nothing is dropped.
pub const DRY_RUN: &str = "DRY_RUN";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_keeps_every_name_whole() {
        let maps = [
            BLOCKED_V4,
            BLOCKED_V6,
            BLOCKED_BESIDE,
            BLOCKED_NETS,
            BLOCKED_NETS_24,
            BLOCKED_NETS_V4,
            BLOCKED_NETS_V6,
            ALLOWLIST,
            KNOWN_V4,
            KNOWN_V6,
            KNOWN_BESIDE,
            SYN_BUDGET,
            SESSIONS,
            AUTHENTICATED,
            CROWDED,
            ASKERS,
            SOURCES,
            VERDICTS,
            SETTINGS,
        ];
        for name in [PROGRAM, PROGRAM_FRAGS, PROGRAM_TC, PROGRAM_CLOCK].into_iter().chain(maps) {
            assert!(name.len() <= 15, "{name}");
        }
    }
}
