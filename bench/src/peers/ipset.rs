//! iptables with a set of addresses, as it is used by most of those who drop lists.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use crate::bed::Bed;
use crate::guard::PORT;

/// Drops in the chain INPUT.
///
/// # Errors
/// If ipset or iptables refuses.
pub fn put(bed: &Bed, list: &[Ipv4Addr]) -> Result<()> {
    let size = list.len().max(1);
    let mut script = format!("create banned hash:ip family inet hashsize {size} maxelem {size}\n");
    for address in list {
        // Writing to a string cannot fail.
        let _written = writeln!(script, "add banned {address}");
    }
    bed.run(Command::new("ipset").arg("restore"), &script)?;
    let port = PORT.to_string();
    let rule = [
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "--dport",
        &port,
        "-m",
        "set",
        "--match-set",
        "banned",
        "src",
        "-j",
        "DROP",
    ];
    bed.run(Command::new("iptables").args(rule), "")
}
