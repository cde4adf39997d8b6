//! Sessions, as the programs count them: how far each has come, who holds how many, who may open no more, and which are
//! over.
//!
//! A [`Census`] is taken of all of them at once, and owes nothing to the one before: whatever was missed is right again
//! the next time.

pub mod accounts;
pub mod blindness;
pub mod flood;
pub mod presence;
pub mod sensor;
pub mod successes;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord, crowd};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::Ticks;

/// What holds for sessions. Times are in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How much of an address makes a source.
    pub mask: SourceMask,
    /// How many open sessions a source may hold; 0 for no limit.
    pub most_open: u32,
    /// How long a session that is *closing* counts without a packet of the server's: a FIN or RST can be forged, and a
    /// server that is there answers it.
    pub closing: Ticks,
    /// How long a session is kept when it has ended and the server is silent. What it sends again meanwhile must not be
    /// taken for a new session.
    pub kept: Ticks,
    /// How long neither end says a word in a session before it is silent.
    pub silent: Ticks,
}

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// The server has answered it, or it is *unproven*; nobody has logged in.
    Open,
    /// A log says that somebody has logged in.
    Authenticated,
    /// The server has ended it, or has no socket for it any more.
    Closed,
}

/// One session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Its two ends.
    pub key: SessionKey,
    /// What is counted of it.
    pub record: SessionRecord,
    /// How far it has come.
    pub stage: Stage,
    /// The number of the account that logged in, also when it is closed by now.
    pub account: Option<u32>,
}

/// What a source holds now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Held {
    /// Sessions that are open, authenticated or not, *unproven* ones included.
    pub open: u32,
    /// Those of them that are authenticated.
    pub authenticated: u32,
    /// Those that count for the limit of open sessions.
    pub counted: u32,
    /// Those of these that are not authenticated.
    pub unauthenticated: u32,
    /// When the last packet of its sessions came that have not ended.
    pub last_seen: Ticks,
}

/// How many sessions there are of each stage.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Open, and not authenticated.
    pub open: usize,
    /// Authenticated.
    pub authenticated: usize,
    /// Closed, and not forgotten yet.
    pub closed: usize,
}

/// All sessions at a tick.
#[derive(Clone, Default, Debug)]
pub struct Census {
    /// Each of them, in no order.
    pub sessions: Vec<Session>,
    /// What their sources hold.
    pub sources: HashMap<Source, Held>,
    /// How many there are.
    pub totals: Totals,
    /// How many unauthenticated sessions the sources hold together that are not known-good.
    pub unauthenticated: u32,
    /// Sessions to be forgotten.
    pub over: Vec<Session>,
    /// Marks of sessions that are not there any more, or were others.
    pub stale_marks: Vec<SessionKey>,
}

/// What is known of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What is counted, each session once.
    pub records: &'a [(SessionKey, SessionRecord)],
    /// Which are authenticated.
    pub marks: &'a HashMap<SessionKey, Authenticated>,
    /// Those that the server, which is this machine, has no socket for.
    pub without_socket: &'a HashSet<SessionKey>,
    /// Those of them that had none the last time either.
    pub gone: &'a HashSet<SessionKey>,
    /// The tick it is.
    pub now: Ticks,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 3] = [Self::Open, Self::Authenticated, Self::Closed];

    /// The word for it, in metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Authenticated => "authenticated",
            Self::Closed => "closed",
        }
    }
}

impl Session {
    /// Whether the client has said that it will send nothing more, which anybody may forge, and the server has not yet.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.stage != Stage::Closed && self.record.closing != 0
    }

    /// Whether the server was never seen to answer.
    #[must_use]
    pub fn is_unproven(&self) -> bool {
        !self.record.is_proven()
    }
}

/// When anything last came in a session, from either end.
#[must_use]
pub fn last_word(record: &SessionRecord) -> Ticks {
    record.last_seen.max(record.answered).max(record.ended)
}

/// Whether it is worth asking whether a session still has a socket: the client may have gone, and the server not said so.
#[must_use]
pub fn is_doubtful(record: &SessionRecord, now: Ticks, rules: &Rules) -> bool {
    record.ended == 0 && (record.closing != 0 || now.saturating_sub(last_word(record)) >= rules.silent)
}

impl Census {
    /// Counts everything.
    pub fn take(
        evidence: Evidence<'_>,
        rules: &Rules,
        mut is_known_good: impl FnMut(Source) -> bool,
    ) -> Self {
        let Evidence { records, marks, without_socket, gone, now } = evidence;
        let mut census = Self { sessions: Vec::with_capacity(records.len()), ..Self::default() };
        let mut there = HashSet::with_capacity(if marks.is_empty() { 0 } else { records.len() });
        for (key, record) in records {
            let account = account_of(key, record, marks);
            if account.is_some() {
                there.insert(*key);
            }
            let closed = record.ended != 0 || without_socket.contains(key);
            let stage = match (closed, account) {
                (true, _) => Stage::Closed,
                (false, Some(_)) => Stage::Authenticated,
                (false, None) => Stage::Open,
            };
            let session = Session { key: *key, record: *record, stage, account };
            census.count(&session, rules, now);
            if is_over(record, now, rules) || gone.contains(key) {
                census.over.push(session);
            }
            census.sessions.push(session);
        }
        census.stale_marks = marks.keys().filter(|key| !there.contains(*key)).copied().collect();
        let unknown = census.sources.iter().filter(|(source, _)| !is_known_good(**source));
        census.unauthenticated = unknown.fold(0, |sum, (_, held)| sum.saturating_add(held.unauthenticated));
        census
    }

    /// Who holds so many that they may open no more, as bits of [`crowd`]; `flooded`: flood mode is on.
    #[must_use]
    pub fn crowded(
        &self,
        rules: &Rules,
        flooded: bool,
        mut is_known_good: impl FnMut(Source) -> bool,
    ) -> HashMap<Source, u32> {
        let mut crowded = HashMap::new();
        for (source, held) in &self.sources {
            let mut bits = 0;
            if rules.most_open > 0 && held.counted >= rules.most_open {
                bits |= crowd::OPEN;
            }
            if flooded && held.unauthenticated >= MOST_IN_FLOOD && !is_known_good(*source) {
                bits |= crowd::UNAUTHENTICATED;
            }
            if bits != 0 {
                crowded.insert(*source, bits);
            }
        }
        crowded
    }

    fn count(&mut self, session: &Session, rules: &Rules, now: Ticks) {
        let Session { key, record, stage, .. } = session;
        let of_stage = match stage {
            Stage::Open => &mut self.totals.open,
            Stage::Authenticated => &mut self.totals.authenticated,
            Stage::Closed => &mut self.totals.closed,
        };
        *of_stage += 1;
        if record.ended != 0 {
            return;
        }
        let held = self.sources.entry(rules.mask.apply(key.client)).or_default();
        held.last_seen = held.last_seen.max(record.last_seen);
        if *stage == Stage::Closed || is_as_good_as_closed(record, now, rules) {
            return;
        }
        let authenticated = u32::from(*stage == Stage::Authenticated);
        held.open += 1;
        held.authenticated += authenticated;
        if record.is_proven() {
            held.counted += 1;
            held.unauthenticated += 1 - authenticated;
        }
    }
}

/// So many unauthenticated sessions a source that is not known-good may hold in flood mode.
pub const MOST_IN_FLOOD: u32 = 2;

/// The account that a session is authenticated as, if the mark is of this session, and not of an earlier one between the
/// same ends.
fn account_of(
    key: &SessionKey,
    record: &SessionRecord,
    marks: &HashMap<SessionKey, Authenticated>,
) -> Option<u32> {
    marks.get(key).filter(|mark| mark.session == record.first_seen).map(|mark| mark.account)
}

/// Whether a client has hung up, as it seems, and the server has kept silent since.
fn is_as_good_as_closed(record: &SessionRecord, now: Ticks, rules: &Rules) -> bool {
    record.closing != 0 && now.saturating_sub(record.closing.max(record.answered)) >= rules.closing
}

/// Whether nothing will come any more that could be taken for a new session.
fn is_over(record: &SessionRecord, now: Ticks, rules: &Rules) -> bool {
    // Nobody sees the server hang up in a session that is unproven.
    let ended = record.ended != 0 || (record.closing != 0 && !record.is_proven());
    ended && now.saturating_sub(last_word(record)) >= rules.kept
}
