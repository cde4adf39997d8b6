//! Who is banned: the rules that turn auth events into decisions.
//!
//! An event passes through three tables, each bounded by `Rules::capacity`: [`attempts`] says what it adds to what
//! its session has counted already, [`sources`] sums that up over the window, [`ladder`] says how long a ban lasts.
//! Which account each part of a score belongs to is kept, so that a success clears the score of its account only.

pub mod account;
pub mod attempts;
pub mod bannable;
pub mod known_good;
pub mod ladder;
pub mod rules;
pub mod sources;
pub mod weight;
pub mod window;

mod decision;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ssh_guard_common::source::Source;

use crate::ban::{Ban, Reason};
use crate::event::{AuthEvent, Kind};
use crate::moment::Moment;
use account::{Account, Accounts};
use attempts::{Attempts, Charge, PORTLESS_LIFE, Who};
pub use decision::{Decision, Evidence};
use known_good::KnownGood;
use ladder::{Ladder, Offences};
pub use rules::{Rules, Weights};
use sources::{Limits, Sources};
use weight::Weight;
use window::Entry;

/// The policy and all that it remembers; O(1) an event.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    /// The threshold's rule in words.
    rule: Arc<str>,
    threshold: Weight,
    accounts: Accounts,
    attempts: Attempts,
    sources: Sources,
    ladder: Ladder,
    known_good: KnownGood,
}

/// What is known of a source beside its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is judged.
    Judged,
    /// It is banned already: what it did before its packets were dropped still comes in, and neither extends the
    /// ban nor counts after it.
    Banned,
    /// It is in the allowlist or never bannable: its score is kept, and nothing follows from it.
    Exempt,
}

/// What one event led to.
#[derive(Clone, PartialEq, Debug)]
pub struct Judgement {
    /// What it added to the score.
    pub weight: f64,
    /// The score of its source with it.
    pub score: f64,
    /// The ban that it calls for.
    pub ban: Option<Decision>,
}

/// What was forgotten for want of room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evicted {
    /// Sources that had a score.
    pub sources: u64,
    /// Sessions, whose attempts may then have counted twice.
    pub sessions: u64,
    /// Sources that had offences.
    pub offenders: u64,
}

impl Policy {
    /// Makes a policy that remembers nothing yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let threshold = Weight::new(rules.threshold);
        Self {
            rule: rule_text(&rules),
            threshold,
            accounts: Accounts::default(),
            attempts: Attempts::new(rules.capacity),
            sources: Sources::new(limits(&rules)),
            ladder: Ladder::new(rules.capacity),
            known_good: KnownGood::new(rules.capacity),
            rules,
        }
    }

    /// Takes other rules from now on; what is remembered is kept, as far as it fits.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rule = rule_text(&rules);
        self.threshold = Weight::new(rules.threshold);
        self.attempts.resize(rules.capacity);
        self.sources.set_limits(limits(&rules));
        self.ladder.resize(rules.capacity);
        self.known_good.resize(rules.capacity);
        self.rules = rules;
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes an event of `source`, the event's address masked. Only a failure that adds to the score calls for a
    /// ban; until [`Policy::punish`] is told of it, each further one does so again. How the source stands is asked only
    /// if the event weighs anything.
    pub fn observe(
        &mut self,
        event: &AuthEvent,
        source: Source,
        now: Moment,
        standing: impl FnOnce() -> Standing,
    ) -> Judgement {
        let account = event.user.as_deref().map(|name| self.accounts.of(name));
        let address = event.address.map_or(source, Source::from);
        let charge = self.attempts.observe(event, Who { address, account }, &self.rules.weights, now);
        let (weight, pre_auth) = match charge {
            Charge::Success => {
                if let Some(account) = account {
                    self.sources.forgive(source, account, now);
                    self.known_good.note(source, account, now);
                }
                (Weight::ZERO, false)
            }
            Charge::Failure(weight) if !weight.is_zero() && self.is_known_good(source, account, now) => {
                (weight.part(self.rules.known_good_weight), false)
            }
            Charge::Failure(weight) => (weight, false),
            Charge::PreAuth(_) if self.ends_a_counted_attempt(event, source, now) => (Weight::ZERO, true),
            Charge::PreAuth(weight) => (weight, true),
        };
        let standing = if weight.is_zero() { Standing::Exempt } else { standing() };
        if standing == Standing::Banned || weight.is_zero() {
            let score = self.sources.score(source, now).total();
            return Judgement { weight: weight.value(), score: score.value(), ban: None };
        }
        let count = u16::try_from(event.count.get()).unwrap_or(u16::MAX);
        let (score, added) = self.sources.add(source, Entry { at: now, account, weight, count, pre_auth });
        let calls = !pre_auth && standing == Standing::Judged && score.total() > self.threshold;
        Judgement {
            weight: added.value(),
            score: score.total().value(),
            ban: calls.then(|| self.decide(source, score.total(), now)),
        }
    }

    /// Takes note of a ban that is in force: its source's score has been answered, and an automatic ban is an
    /// offence.
    pub fn punish(&mut self, ban: &Ban) {
        self.sources.remove(ban.source);
        if ban.rung.is_some() {
            self.restore(ban.source, ban.offences, ban.until);
        }
    }

    /// Takes note of an operator's `unban`: clears the score. The ban that it lifted, if it was an automatic one,
    /// is no offence any more, since the operator says that it was wrong.
    pub fn pardon(&mut self, source: Source, lifted: Option<&Ban>, now: Moment) {
        self.sources.remove(source);
        if lifted.is_some_and(|ban| ban.rung.is_some()) {
            self.ladder.take_back(source, now);
        }
    }

    /// Remembers offences that were stored: their number and the end of the last ban. Those restored first are the
    /// first to be evicted.
    pub fn restore(&mut self, source: Source, offences: u32, until: Moment) {
        self.ladder.remember(source, Offences { count: offences, until });
    }

    /// Looks at a bounded part of what is remembered, at the next one with each call, and drops what has passed.
    pub fn expire(&mut self, now: Moment) {
        self.attempts.sweep(LOOK_AT_ONCE, now);
        self.sources.sweep(LOOK_AT_ONCE, now);
        self.ladder.sweep(LOOK_AT_ONCE, &self.rules, now);
        self.known_good.sweep(LOOK_AT_ONCE, self.rules.known_good, now);
    }

    /// The score of a source.
    #[must_use]
    pub fn score(&self, source: Source, now: Moment) -> f64 {
        self.sources.score(source, now).total().value()
    }

    /// The automatic bans of a source that are remembered.
    #[must_use]
    pub fn offences(&self, source: Source, now: Moment) -> u32 {
        self.ladder.offences(source, &self.rules, now)
    }

    /// How many sources have a score.
    #[must_use]
    pub fn sources_tracked(&self) -> usize {
        self.sources.len()
    }

    /// What was forgotten for want of room so far.
    #[must_use]
    pub fn evicted(&self) -> Evicted {
        let (sources, sessions) = (self.sources.evicted(), self.attempts.evicted());
        Evicted { sources, sessions, offenders: self.ladder.evicted() }
    }

    fn decide(&self, source: Source, score: Weight, now: Moment) -> Decision {
        let step = self.ladder.step(source, &self.rules, now);
        Decision {
            source,
            reason: Reason::Threshold,
            rule: Arc::clone(&self.rule),
            rung: step.rung,
            duration: step.duration,
            offences: self.offences(source, now).saturating_add(1),
            score: score.value(),
            evidence: Evidence::of(self.sources.entries(source, now)),
        }
    }

    fn is_known_good(&self, source: Source, account: Option<Account>, now: Moment) -> bool {
        account.is_some_and(|account| self.known_good.is(source, account, self.rules.known_good, now))
    }

    /// Whether a line with neither port nor name is the end of what was counted a moment ago: OpenSSH before 7.2
    /// ends each session with such a line.
    fn ends_a_counted_attempt(&self, event: &AuthEvent, source: Source, now: Moment) -> bool {
        event.port.is_none()
            && event.process.is_none()
            && matches!(event.kind, Kind::Closed | Kind::Reset | Kind::Timeout)
            && self
                .sources
                .entries(source, now)
                .any(|entry| !entry.pre_auth && now.since(entry.at) <= PORTLESS_LIFE)
    }
}

/// How many entries of each table are looked at in one call: with a call a second, a full table of the default size is
/// looked through in half a minute.
const LOOK_AT_ONCE: usize = 4096;

fn limits(rules: &Rules) -> Limits {
    let half = Weight::new(rules.threshold).half();
    Limits { capacity: rules.capacity, window: rules.window, half }
}

fn rule_text(rules: &Rules) -> Arc<str> {
    let window = Duration::from_secs(rules.window.as_secs());
    format!("score above {} within {}", rules.threshold, humantime::format_duration(window)).into()
}
