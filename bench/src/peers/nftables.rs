//! nftables: a set of addresses, asked at the earliest hook or at the usual one.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use crate::bed::Bed;
use crate::guard::PORT;

/// How many addresses are named in one line of the script.
const LINE: usize = 10_000;

/// Drops at the interface's ingress hook, before IP.
///
/// # Errors
/// If nft refuses.
pub fn put_ingress(bed: &Bed, list: &[Ipv4Addr]) -> Result<()> {
    put(bed, list, "netdev", &format!("ingress device \"{}\" priority 0", bed.interface))
}

/// Drops where a host's rules usually stand.
///
/// # Errors
/// If nft refuses.
pub fn put_input(bed: &Bed, list: &[Ipv4Addr]) -> Result<()> {
    put(bed, list, "inet", "input priority 0")
}

fn put(bed: &Bed, list: &[Ipv4Addr], family: &str, hook: &str) -> Result<()> {
    bed.run(Command::new("nft").args(["-f", "-"]), &script(list, family, hook))
}

fn script(list: &[Ipv4Addr], family: &str, hook: &str) -> String {
    let mut script = format!(
        "table {family} bench {{\n  set banned {{ type ipv4_addr; size {}; }}\n  chain drops {{\n    \
         type filter hook {hook};\n    ip saddr @banned tcp dport {PORT} drop\n  }}\n}}\n",
        list.len().max(1)
    );
    for line in list.chunks(LINE) {
        let line: Vec<_> = line.iter().map(ToString::to_string).collect();
        // Writing to a string cannot fail.
        let _written = writeln!(script, "add element {family} bench banned {{ {} }}", line.join(", "));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources;

    #[test]
    fn every_address_is_named_once() {
        let list: Vec<_> = sources::strangers_v4().take(LINE + 1).collect();
        let script = script(&list, "inet", "input priority 0");
        assert_eq!(script.matches("add element inet bench banned {").count(), 2);
        assert_eq!(script.matches(", ").count(), LINE - 1);
        assert!(script.contains(&format!("size {};", LINE + 1)) && script.contains("tcp dport 22 drop"));
    }
}
