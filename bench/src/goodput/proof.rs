//! Proves that the client's packets were let in, and those of the flood were not.

use std::fs;
use std::ops::Sub;

use anyhow::{Context as _, Result, ensure};
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::wait::{PATIENCE, poll};

use crate::bed::{Bed, CLIENT};
use crate::guard::Guard;
use crate::receiver::{Counters, sent_by_ip};

/// What stands before a server.
pub enum Filter {
    /// Nothing: the flood reaches it.
    Nothing,
    /// Rules in the receiver's namespace.
    Nftables,
    /// The guard, for as long as this is kept.
    Guard(Box<Guard>),
}

/// What was counted on both sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    receiver: Counters,
    /// The client's packets: nothing else leaves its namespace by way of IP.
    client: u64,
    /// Verdicts of the guard, where it stands.
    blocked: u64,
    allowed: u64,
}

impl Count {
    /// Reads the counters of a site once nothing of the client is under way there.
    ///
    /// # Errors
    /// If something stays, or a counter cannot be read.
    pub fn of(bed: &Bed, filter: &Filter) -> Result<Self> {
        let settled = poll(PATIENCE, || {
            let sockets = bed.receiver.within(|| fs::read_to_string("/proc/thread-self/net/tcp")).ok()?;
            (!speaks_to_client(&sockets)).then_some(())
        });
        settled.context("the server still has connections of the client")?;
        let (blocked, allowed) = match filter {
            Filter::Guard(guard) => (guard.count(Verdict::Blocked)?, guard.count(Verdict::Allowed)?),
            Filter::Nothing | Filter::Nftables => (0, 0),
        };
        let client = bed.sender.within(sent_by_ip)?;
        Ok(Self { receiver: bed.counters()?, client, blocked, allowed })
    }

    /// Proves that every packet came from the client, and reached its server.
    ///
    /// # Errors
    /// If one did not.
    pub fn prove_calm(&self, row: &str, filter: &Filter) -> Result<()> {
        let Counters { packets, at_tcp, .. } = self.receiver;
        let Self { client, allowed, .. } = *self;
        ensure!(
            client > 0 && packets == client && at_tcp == client,
            "'{row}': of the client's {client} packets {packets} came, and {at_tcp} reached TCP"
        );
        ensure!(
            !matches!(filter, Filter::Guard(_)) || allowed == client,
            "'{row}': {allowed} of the client's {client} packets were allowed"
        );
        Ok(())
    }

    /// Proves that a flood reached what it should, and nothing beyond it.
    ///
    /// # Errors
    /// If a packet of it got past the filter, or one of the client's did not.
    pub fn prove_flooded(&self, row: &str, filter: &Filter) -> Result<()> {
        let Counters { packets, at_ip, refused_by_ip, at_tcp, .. } = self.receiver;
        let Self { client, blocked, allowed, .. } = *self;
        ensure!(packets > client, "'{row}': no packet of the flood came");
        ensure!(
            at_ip == at_tcp && refused_by_ip == 0,
            "'{row}': {at_tcp} of the {at_ip} packets that reached IP reached TCP, {refused_by_ip} were refused"
        );
        match filter {
            Filter::Nothing => {
                ensure!(at_tcp == packets, "'{row}': {at_tcp} of {packets} packets reached TCP");
            }
            // The ring may have lost some of the client's.
            Filter::Nftables => {
                ensure!(at_ip <= client, "'{row}': {at_ip} packets got past, the client sent {client}");
            }
            Filter::Guard(_) => {
                ensure!(
                    blocked + allowed == packets && at_ip == allowed && allowed <= client,
                    "'{row}': of {packets} packets {blocked} were blocked and {allowed} allowed, {at_ip} reached \
                     IP, and the client sent {client}"
                );
            }
        }
        Ok(())
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            receiver: self.receiver - before.receiver,
            client: self.client - before.client,
            blocked: self.blocked - before.blocked,
            allowed: self.allowed - before.allowed,
        }
    }
}

/// Whether a connection to the client is in a list of sockets, as `/proc/net/tcp` has it.
fn speaks_to_client(sockets: &str) -> bool {
    let client = format!("{:08X}:", u32::from_ne_bytes(CLIENT.octets()));
    sockets.lines().any(|line| line.split_whitespace().nth(2).is_some_and(|peer| peer.starts_with(&client)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_and_a_flood_are_no_connections_of_the_client() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let listener = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000\n";
        let flood = "   1: 01004D0A:0016 04030201:9C40 03 00000000:00000000\n";
        let client = "   2: 01004D0A:0016 03004D0A:9C40 04 00000000:00000017\n";
        assert!(!speaks_to_client(&[head, listener, flood].concat()));
        assert!(speaks_to_client(&[head, listener, flood, client].concat()));
    }
}
