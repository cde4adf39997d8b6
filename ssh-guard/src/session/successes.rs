//! Finds the sessions that the log says are authenticated: a line names the client's address and port, and not the
//! server's.

use std::collections::{HashMap, HashSet, VecDeque};

use smol_str::SmolStr;
use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Success {
    /// The client's address, whole.
    pub client: Source,
    /// The client's port.
    pub port: u16,
    /// Who logged in, if the line names somebody.
    pub account: Option<SmolStr>,
    /// When the line was read.
    pub at: Ticks,
}

/// Successes whose sessions have not been found yet, a bounded number of them.
#[derive(Debug)]
pub struct Successes {
    waiting: VecDeque<Success>,
    slack: Ticks,
    capacity: usize,
    lost: u64,
}

/// A session that a success was found to be of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The session.
    pub key: SessionKey,
    /// When it was first counted.
    pub first_seen: Ticks,
    /// Who logged in.
    pub account: Option<SmolStr>,
}

impl Successes {
    /// Room for `capacity` of them; lines may be `slack` ticks off their sessions, early or late.
    #[must_use]
    pub fn new(capacity: usize, slack: Ticks) -> Self {
        Self { waiting: VecDeque::new(), slack, capacity, lost: 0 }
    }

    /// Takes one; where there is no room, the oldest one is lost.
    pub fn add(&mut self, success: Success) {
        if self.waiting.len() >= self.capacity {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(success);
    }

    /// How many were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Finds their sessions, each session once, and gives up those that have waited too long.
    pub fn settle(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        marks: &HashMap<SessionKey, Authenticated>,
        now: Ticks,
    ) -> Vec<Found> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let wanted: HashSet<(Source, u16)> =
            self.waiting.iter().map(|success| (success.client, success.port)).collect();
        let mut candidates: HashMap<(Source, u16), Vec<&(SessionKey, SessionRecord)>> = HashMap::new();
        for entry in records {
            let client = (entry.0.client, entry.0.client_port);
            if wanted.contains(&client) {
                candidates.entry(client).or_default().push(entry);
            }
        }
        let mut found: HashMap<SessionKey, Found> = HashMap::new();
        let slack = self.slack;
        self.waiting.retain(|success| {
            let sessions = candidates.get(&(success.client, success.port)).map_or(&[][..], Vec::as_slice);
            let Some((key, record)) = session_of(success, sessions, slack) else {
                return now.saturating_sub(success.at) <= slack;
            };
            let first_seen = record.first_seen;
            // The second line about a session says nothing new.
            if marks.get(key).is_none_or(|mark| mark.session != first_seen) {
                let account = success.account.clone();
                found.entry(*key).or_insert(Found { key: *key, first_seen, account });
            }
            false
        });
        found.into_values().collect()
    }
}

/// The session that was there when the line was written: of several the one that began last by then, or else the one that
/// began first after it.
fn session_of<'a>(
    success: &Success,
    sessions: &[&'a (SessionKey, SessionRecord)],
    slack: Ticks,
) -> Option<&'a (SessionKey, SessionRecord)> {
    let fits = |(_, record): &(SessionKey, SessionRecord)| {
        record.first_seen <= success.at.saturating_add(slack)
            && (record.ended == 0 || success.at <= record.ended.saturating_add(slack))
    };
    let fitting = || sessions.iter().copied().filter(|session| fits(session));
    // Both clocks are read in ticks, one of them late.
    let before = fitting().filter(|(_, record)| record.first_seen <= success.at.saturating_add(1));
    before
        .max_by_key(|(_, record)| (record.ended == 0 || record.ended >= success.at, record.first_seen))
        .or_else(|| fitting().min_by_key(|(_, record)| record.first_seen))
}
