//! Which privileges the programs take, and which of them this process has.

use std::fs;

/// The capabilities that the programs take, with their numbers (`linux/capability.h`).
const TAKEN: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// Stands for `CAP_PERFMON` and `CAP_BPF` too.
const SYS_ADMIN: u32 = 21;

/// What to do where the kernel does not permit something.
pub(super) fn hint() -> String {
    let all = "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";
    match missing().as_slice() {
        [] => all.to_owned(),
        missing => format!("{all}; here is no {}", missing.join(", no ")),
    }
}

/// The capabilities that this process lacks; none if it cannot be told.
pub(super) fn missing() -> Vec<&'static str> {
    fs::read_to_string("/proc/self/status").map(|status| missing_of(&status)).unwrap_or_default()
}

fn missing_of(status: &str) -> Vec<&'static str> {
    let told = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(held) = told.and_then(|told| u64::from_str_radix(told.trim(), 16).ok()) else {
        return Vec::new();
    };
    let has = |number: u32| held >> number & 1 != 0;
    TAKEN
        .into_iter()
        .filter(|(name, number)| !has(*number) && (*name == "CAP_NET_ADMIN" || !has(SYS_ADMIN)))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_lacks_is_named() {
        let status = |held: &str| format!("Name:\tx\nCapPrm:\tffff\nCapEff:\t{held}\n");
        assert_eq!(missing_of(&status("0000000000000000")), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing_of(&status("000000c000001000")), [""; 0]);
        assert_eq!(missing_of(&status("0000008000001000")), ["CAP_PERFMON"]);
        assert_eq!(
            missing_of(&status("0000000000200000")),
            ["CAP_NET_ADMIN"],
            "CAP_SYS_ADMIN stands for two"
        );
        assert_eq!(missing_of("nothing is told"), [""; 0]);
    }
}
