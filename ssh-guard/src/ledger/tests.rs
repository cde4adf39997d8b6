mod model;
mod sentences;

use std::net::Ipv4Addr;
use std::time::Duration;

use ssh_guard_common::source::Source;

use super::{Capacity, Ledger, Refused};
use crate::ban::{Ban, By, Reason, Scope};
use crate::moment::Moment;
use crate::network::Network;

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn source(number: u32) -> Source {
    Ipv4Addr::from(0x0a00_0000 + number).into()
}

fn host(number: u32) -> Network {
    Network::new(source(number), 32)
}

/// A ledger for so many sources, and as many networks.
fn ledger(capacity: usize) -> Ledger {
    Ledger::new(Capacity { sources: capacity, networks: capacity })
}

/// A ban of a source from 0 until that second.
fn ban(number: u32, until: u64, by: By) -> Ban {
    let (reason, rung, offences) = match by {
        By::Automatic => (Reason::Threshold, Some(1), 2),
        By::Hand => (Reason::Manual, None, 0),
    };
    let (source, prefix, note) = (source(number), 32, None);
    let (since, until, scope, forced) = (at(0), at(until), Scope::Source, false);
    let extended = false;
    Ban {
        source,
        prefix,
        since,
        until,
        reason,
        rule: "r".into(),
        rung,
        offences,
        note,
        by,
        scope,
        extended,
        forced,
    }
}
