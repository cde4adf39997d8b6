//! What is known of sessions, for those who ask.

use std::net::IpAddr;
use std::sync::Arc;

use ssh_guard_common::source::{Source, SourceMask};

use crate::clock;
use crate::control::api::{SessionEntry, Sessions};
use crate::daemon::guard::plain;
use crate::kernel::KernelClock;
use crate::network::Network;
use crate::recent::Recent;
use crate::session::accounts::Accounts;
use crate::session::flood::Why;
use crate::session::{Census, Session, Stage};

/// The last that was found out.
pub(in crate::daemon) struct Book {
    pub(in crate::daemon) census: Arc<Census>,
    pub(in crate::daemon) accounts: Accounts,
    /// What is known of sources beside what the kernel has of them.
    pub(in crate::daemon) past: Recent<Source, Past>,
    pub(in crate::daemon) sensor_blind: bool,
    pub(in crate::daemon) witness_blind: bool,
    /// Why flood mode is on, if it is.
    pub(in crate::daemon) flood: Option<Why>,
}

/// What is known of a source's sessions that are no more.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::daemon) struct Past {
    /// In how many of its sessions somebody has logged in.
    pub(in crate::daemon) authenticated: u64,
    /// What was sent in sessions whose end the kernel did not tell.
    pub(in crate::daemon) packets: u64,
    /// Its bytes.
    pub(in crate::daemon) bytes: u64,
}

impl Book {
    /// Begins with nothing known of at most so many sources. `last`: the greatest number that an account has already.
    pub(in crate::daemon) fn new(sources: usize, last: u32) -> Self {
        Self {
            census: Arc::default(),
            accounts: Accounts::new(ACCOUNTS, last),
            past: Recent::new(sources),
            sensor_blind: false,
            witness_blind: false,
            flood: None,
        }
    }

    /// Those of a census that touch a network, those that are not closed first, of these the busiest first, and of these
    /// the newest.
    pub(in crate::daemon) fn tell(
        &self,
        of: Option<Network>,
        limit: usize,
        mask: SourceMask,
        clock: &KernelClock,
    ) -> Sessions {
        let wanted = |session: &&Session| of.is_none_or(|of| of.overlaps(&source_of(session, mask)));
        let mut sessions: Vec<&Session> = self.census.sessions.iter().filter(wanted).collect();
        let total = sessions.len();
        let order = |session: &&Session| {
            let Session { key, record, stage, .. } = session;
            let busiest = std::cmp::Reverse((record.packets, record.first_seen));
            (*stage == Stage::Closed, busiest, key.client, key.client_port)
        };
        if sessions.len() > limit {
            sessions.select_nth_unstable_by_key(limit, order);
            sessions.truncate(limit);
        }
        sessions.sort_unstable_by_key(order);
        let tell = |session: &Session| {
            let Session { key, record, stage, account } = *session;
            SessionEntry {
                source: plain(source_of(session, mask)),
                address: address(key.client),
                port: key.client_port,
                server: address(key.server),
                server_port: key.port,
                stage: stage.as_str().to_owned(),
                closing: session.is_closing(),
                unproven: session.is_unproven(),
                account: account.and_then(|number| self.accounts.name(number)).map(str::to_owned),
                packets: record.packets,
                bytes: record.bytes,
                since: clock::wall(clock.moment_of(record.first_seen)),
                last_seen: clock::wall(clock.moment_of(record.last_seen)),
            }
        };
        Sessions { sessions: sessions.into_iter().map(tell).collect(), total }
    }
}

fn source_of(session: &Session, mask: SourceMask) -> Network {
    Network::new(session.key.client, mask.prefix_of(session.key.client))
}

fn address(source: Source) -> IpAddr {
    source.address()
}

/// Names of accounts that are remembered.
const ACCOUNTS: usize = 65_536;
