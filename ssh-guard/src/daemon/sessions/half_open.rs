//! What sources have asked for and not come back for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};

use ssh_guard_common::records::SourceRecord;
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::Ticks;

use crate::fault::Fault;
use crate::kernel::{Sockets, Stage};

/// How many sessions are half-open.
pub(in crate::daemon) enum HalfOpen {
    /// The server is this machine: its sockets say it.
    Sockets(HashMap<Source, u64>),
    /// It is another one: what asked again and again lately, since a tick.
    Records(Ticks),
}

impl HalfOpen {
    /// Looks at the sockets of the guarded ports, if this machine listens on one of them. `lately`: since when a SYN may
    /// still be answered again (63 s with Linux's five times).
    pub(in crate::daemon) fn look(ports: &[u16], mask: SourceMask, lately: Ticks) -> Result<Self, Fault> {
        if !["tcp", "tcp6"].into_iter().any(|file| listens(file, ports)) {
            return Ok(Self::Records(lately));
        }
        let mut counts = HashMap::new();
        for socket in Sockets::open()?.list(ports)? {
            if socket.stage() == Stage::HalfOpen {
                *counts.entry(mask.apply(socket.remote().ip().into())).or_default() += 1;
            }
        }
        Ok(Self::Sockets(counts))
    }

    /// Those of a source.
    pub(in crate::daemon) fn of(&self, source: &Source, record: &SourceRecord) -> u64 {
        match self {
            Self::Sockets(counts) => counts.get(source).copied().unwrap_or(0),
            Self::Records(lately) if record.asked >= *lately && record.asked != 0 => {
                u64::from(record.half_open)
            }
            Self::Records(_) => 0,
        }
    }
}

/// Whether one of the sockets that `/proc/net/tcp` lists first, those that listen, is of one of these ports.
fn listens(file: &str, ports: &[u16]) -> bool {
    let Ok(file) = File::open(format!("/proc/thread-self/net/{file}")) else { return false };
    let lines = BufReader::new(file).lines().map_while(Result::ok).skip(1);
    lines.map_while(|line| listener(&line)).any(|port| ports.contains(&port))
}

/// The port of a line, if it is of a socket that listens (state 0A; Linux, `net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`).
fn listener(line: &str) -> Option<u16> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (state == "0A").then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_listens_says_that_the_server_is_here() {
        let rest = "00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0";
        assert_eq!(listener(&format!("   0: 00000000:0016 00000000:0000 0A {rest}")), Some(22));
        let v6 = "   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A";
        assert_eq!(listener(&format!("{v6} {rest}")), Some(22));
        assert_eq!(listener(&format!("   2: 0100007F:0016 0100007F:9C40 01 {rest}")), None);
        assert_eq!(listener(""), None);
    }

    #[test]
    fn where_the_server_is_elsewhere_only_what_asked_lately_is_half_open() {
        let source = Source::from_words([0; 4]);
        let record = |asked| SourceRecord { half_open: 9, asked, ..SourceRecord::default() };
        assert_eq!(
            [0, 99, 100, 101].map(|asked| HalfOpen::Records(100).of(&source, &record(asked))),
            [0, 0, 9, 9]
        );
        assert_eq!(HalfOpen::Records(0).of(&source, &record(0)), 0, "it never asked");
        assert_eq!(HalfOpen::Sockets(HashMap::from([(source, 3)])).of(&source, &record(100)), 3);
        assert_eq!(HalfOpen::Sockets(HashMap::new()).of(&source, &record(100)), 0);
    }
}
