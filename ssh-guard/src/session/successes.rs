//! Finds the sessions that the log says are authenticated: a line names the client's address and port, and not the
//! server's. A login is taken for true only if the witness has seen its session: a line alone can be forged.

use std::collections::{HashMap, HashSet, VecDeque};

use smol_str::SmolStr;
use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use crate::moment::Moment;
use crate::policy::Login;

/// What a line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Success {
    /// The client's address, whole.
    pub client: Source,
    /// The client's port, if the line names it.
    pub port: Option<u16>,
    /// Who logged in, if the line names somebody.
    pub account: Option<SmolStr>,
    /// When that was.
    pub at: Ticks,
    /// What is to be taken for true once the session is found, and when it happened.
    pub login: Option<(Login, Moment)>,
    /// The line lay unread for so long that its session may be forgotten.
    pub late: bool,
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

/// What became of successes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settled {
    /// The sessions that were not known to be authenticated, each once.
    pub found: Vec<Found>,
    /// Those of sessions that the witness has seen. Without a port, any session of the client's stands for it.
    pub seen: Vec<Success>,
    /// Those of sessions that it has not, and those that have waited too long.
    pub unseen: Vec<Success>,
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

    /// Finds their sessions, and gives up those that have waited too long.
    pub fn settle(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        marks: &HashMap<SessionKey, Authenticated>,
        now: Ticks,
    ) -> Settled {
        let mut settled = Settled::default();
        if self.waiting.is_empty() {
            return settled;
        }
        let wanted: HashSet<(Source, Option<u16>)> =
            self.waiting.iter().map(|success| (success.client, success.port)).collect();
        let mut candidates: HashMap<_, Vec<&(SessionKey, SessionRecord)>> = HashMap::new();
        for entry in records {
            let (key, record) = entry;
            let portless = record.is_proven().then_some((key.client, None));
            for client in [(key.client, Some(key.client_port))].into_iter().chain(portless) {
                if wanted.contains(&client) {
                    candidates.entry(client).or_default().push(entry);
                }
            }
        }
        let mut found: HashMap<SessionKey, Found> = HashMap::new();
        for success in std::mem::take(&mut self.waiting) {
            let sessions = candidates.get(&(success.client, success.port)).map_or(&[][..], Vec::as_slice);
            let Some((key, record)) = session_of(&success, sessions, self.slack) else {
                if now.saturating_sub(success.at) <= self.slack {
                    self.waiting.push_back(success);
                } else {
                    settled.unseen.push(success);
                }
                continue;
            };
            let first_seen = record.first_seen;
            // The second line about a session says nothing new, and one without a port does not say which it is about.
            if success.port.is_some() && marks.get(key).is_none_or(|mark| mark.session != first_seen) {
                let account = success.account.clone();
                found.entry(*key).or_insert(Found { key: *key, first_seen, account });
            }
            if record.is_proven() {
                settled.seen.push(success);
            } else {
                settled.unseen.push(success);
            }
        }
        settled.found = found.into_values().collect();
        settled
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
