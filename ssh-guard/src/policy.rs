//! Who is banned: the rules that turn auth events into decisions.
//!
//! An event passes through tables, each of them bounded: [`attempts`] says what it adds to what its session has counted
//! already, [`known_good`] how it weighs for who has logged in before, [`sources`] sums that up over the window; [`bait`],
//! [`spray`] and [`networks`] look at what the source alone does not show, and [`ladder`] says how long a ban lasts. Which
//! account each part of a score belongs to is kept, so that a success clears the score of its account only.
//!
//! A *shared* source is not banned as a whole, whatever rule calls for it: the session that fails is closed instead.

pub mod account;
pub mod attempts;
pub mod bait;
pub mod bannable;
pub mod blast;
pub mod evidence;
pub mod extension;
pub mod flood;
pub mod hidden;
pub mod known_good;
pub mod ladder;
pub mod networks;
pub mod rules;
pub mod sources;
pub mod spray;
pub mod weight;
pub mod why;
pub mod window;

mod decision;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use ssh_guard_common::source::Source;

use crate::ban::{Ban, By, Reason, Scope};
use crate::event::{AuthEvent, Kind};
use crate::moment::Moment;
use crate::network::Network;
use account::{Account, Accounts};
use attempts::{Attempts, Charge, PORTLESS_LIFE, Who};
use bait::Bait;
use blast::{Beyond, Blast, Held};
pub use decision::{Decision, Evidence};
use evidence::{Added, Trace, Trails};
use hidden::Majority;
use known_good::{KnownGood, Many};
use ladder::{Ladder, Offences};
use networks::Networks;
pub use rules::{Rules, Weights};
use sources::{Limits, Sources};
use spray::{Spray, Sprayed};
use weight::Weight;
use window::Entry;

/// The policy and all that it remembers; O(1) an event.
#[derive(Debug)]
pub struct Policy {
    rules: Rules,
    texts: Texts,
    threshold: Weight,
    accounts: Accounts,
    attempts: Attempts,
    sources: Sources<Source>,
    /// What shared sources fail at, each account by itself.
    shared: Sources<(Source, Account)>,
    known_good: KnownGood,
    bait: Bait,
    spray: Spray,
    networks: Networks,
    majority: Majority,
    ladder: Ladder,
    blast: Blast,
    trails: Trails,
}

/// The rules in words, as decisions record them.
#[derive(Debug)]
struct Texts {
    threshold: Arc<str>,
    bait: Arc<str>,
    missing: Arc<str>,
    existing: Arc<str>,
    network: Arc<str>,
}

/// What is known of a source beside its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is judged.
    Judged,
    /// It is banned already: what it did before its packets were dropped still comes in, and neither extends the
    /// ban nor counts after it.
    Banned,
    /// It is in the allowlist, never bannable or an operator's: its score is kept, and nothing follows from it.
    Exempt,
}

/// What one event led to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Judgement {
    /// What it added to the score.
    pub weight: f64,
    /// The score of its source with it.
    pub score: f64,
    /// How it was added to that, if it was.
    pub added: Option<Added>,
    /// The ban of its source that it calls for.
    pub ban: Option<Decision>,
    /// The ban of a network around it.
    pub network: Option<Decision>,
    /// The session is to be closed, as its source is shared and not banned as a whole.
    pub close: Option<Closing>,
    /// Somebody has logged in: nothing has followed from it yet, see [`Policy::admit`].
    pub login: Option<Login>,
}

/// Why a session is to be closed.
#[derive(Clone, PartialEq, Debug)]
pub struct Closing {
    /// What kind of rule calls for it.
    pub reason: Reason,
    /// The rule in words.
    pub rule: Arc<str>,
    /// Whether the source is shared only because most sessions come from it: the real sources are hidden.
    pub hidden: bool,
}

/// A login that was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Login {
    /// From where.
    pub source: Source,
    /// To what account.
    pub account: Account,
}

/// What a login makes of its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// Until when the source is known-good.
    pub until: Moment,
    /// Whether it is shared, so that limits hold for it all the same.
    pub shared: bool,
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

/// A failure that weighs something, of a source that is judged.
#[derive(Clone, Copy, Debug)]
struct Failure {
    source: Source,
    account: Option<Account>,
    weight: Weight,
    /// The server says that there is no such account.
    missing: bool,
    /// Whether the source is known-good for any account.
    known: bool,
    entry: Entry,
}

/// A rule that a failure has broken.
struct Broken {
    reason: Reason,
    rule: Arc<str>,
    /// How long the first ban lasts, at least.
    first: Duration,
    score: Weight,
}

impl Policy {
    /// Makes a policy that remembers nothing yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::seeded(rules, RandomState::new().hash_one(0))
    }

    /// Makes a policy that decides alike whenever it sees the same: for those who are not attacked meanwhile, since whoever
    /// knows the seed can choose addresses that look like fewer than they are.
    #[must_use]
    pub fn seeded(rules: Rules, seed: u64) -> Self {
        let threshold = Weight::new(rules.threshold);
        let accounts = Accounts::default();
        Self {
            texts: Texts::of(&rules),
            threshold,
            attempts: Attempts::new(rules.capacity),
            sources: Sources::new(limits(&rules)),
            shared: Sources::new(limits(&rules)),
            known_good: KnownGood::new(rules.capacity),
            bait: Bait::new(rules.bait.iter().map(|name| &**name), &accounts),
            spray: Spray::new(rules.capacity),
            networks: Networks::new(rules.capacity, seed),
            majority: Majority::default(),
            ladder: Ladder::new(rules.capacity),
            blast: Blast::default(),
            trails: Trails::new(rules.evidence),
            accounts,
            rules,
        }
    }

    /// Takes other rules from now on; what is remembered is kept, as far as it fits.
    pub fn set_rules(&mut self, rules: Rules) {
        self.texts = Texts::of(&rules);
        self.threshold = Weight::new(rules.threshold);
        self.attempts.resize(rules.capacity);
        self.sources.set_limits(limits(&rules));
        self.spray.resize(rules.capacity);
        self.shared.set_limits(limits(&rules));
        self.known_good.resize(rules.capacity);
        self.bait = Bait::new(rules.bait.iter().map(|name| &**name), &self.accounts);
        self.networks.resize(rules.capacity);
        self.ladder.resize(rules.capacity);
        self.trails.resize(rules.evidence);
        self.rules = rules;
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes an event of `source`, the event's address masked. Only a failure that adds to the score calls for
    /// anything; until [`Policy::punish`] is told of a ban, each further one calls for it again. How the source stands is
    /// asked only if the event weighs anything.
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
                self.majority.note(source, 1.0, now);
                let login = account.map(|account| Login { source, account });
                return Judgement { login, ..self.nothing(source, Weight::ZERO, now) };
            }
            Charge::Failure(weight) => (weight, false),
            Charge::PreAuth(_) if self.ends_a_counted_attempt(event, source, now) => (Weight::ZERO, true),
            Charge::PreAuth(weight) => (weight, true),
        };
        if weight.is_zero() {
            return self.nothing(source, weight, now);
        }
        self.majority.note(source, f64::from(event.count.get()), now);
        let (mut own, mut known) = (false, false);
        for login in self.known_good.logins(source, self.rules.known_good, now) {
            known = true;
            own |= Some(login) == account;
        }
        let weight = if own && !pre_auth { weight.part(self.rules.known_good_weight) } else { weight };
        let bait = known && !pre_auth && account.is_some_and(|account| self.bait.is(account));
        let weight = if bait { Bait::weigh(weight) } else { weight };
        let standing = if weight.is_zero() { Standing::Exempt } else { standing() };
        if standing == Standing::Banned || weight.is_zero() {
            return self.nothing(source, weight, now);
        }
        let count = u16::try_from(event.count.get()).unwrap_or(u16::MAX);
        let entry = Entry { at: now, account, weight, count, pre_auth };
        let (score, weight) = self.sources.add(source, entry);
        let added = Added { account, own: own && !pre_auth, bait, rank: score.rank(self.threshold.half()) };
        let judgement = Judgement {
            weight: weight.value(),
            score: score.total().value(),
            added: (!weight.is_zero()).then_some(added),
            ..Judgement::default()
        };
        if pre_auth || standing == Standing::Exempt {
            return judgement;
        }
        let missing = event.kind == Kind::InvalidUser;
        let failure = Failure { source, account, weight, missing, known, entry };
        self.judge(failure, score.total(), judgement)
    }

    /// Keeps an event to explain later what it led to, if it weighs anything or is a login; `line`: what told of it. That is
    /// apart from [`Policy::observe`] since nothing is decided by it.
    pub fn keep(
        &mut self,
        event: &AuthEvent,
        source: Source,
        judgement: &Judgement,
        line: Option<&[u8]>,
        now: Moment,
    ) {
        let login = judgement.login.map(|login| login.account);
        if (judgement.added.is_none() && login.is_none()) || self.trails.is_off() {
            return;
        }
        let account = judgement.added.map_or(login, |added| added.account);
        let trace = Trace::new(event, account, line, now);
        let Some(added) = judgement.added else { return self.trails.note(source, trace, None) };
        let weight = Weight::new(judgement.weight);
        self.trails.note(source, trace.added(added, weight), Some(added));
        if let Some(decision) = &judgement.ban {
            self.trails.call(source, decision);
        }
    }

    /// Takes a login for true: clears the score of its source for that account, and makes the source known-good for it.
    pub fn admit(&mut self, login: Login, now: Moment) -> Admitted {
        let Login { source, account } = login;
        self.sources.forgive(source, account, now);
        self.trails.forgive(source, account);
        self.shared.remove((source, account));
        self.spray.admit(source, account);
        self.known_good.note(source, account, now);
        let life = self.rules.known_good;
        let shared = self.rules.shared.enabled && self.known_good.is_shared(source, self.many(), life, now);
        Admitted { until: now.plus(life), shared }
    }

    /// Takes note of a ban that is in force: its source's score has been answered, and an automatic ban is an offence.
    /// Gives the ban of a network around it that is called for now; whether that may be is for who enacts it to know.
    pub fn punish(&mut self, ban: &Ban) -> Option<Decision> {
        if ban.scope == Scope::Source {
            self.sources.remove(ban.source);
            self.spray.answer(ban.source);
            self.trails.ban(ban.source, (ban.since, ban.until), ban.by == By::Automatic);
        }
        self.networks.answer(ban.network());
        ban.rung?;
        self.restore(ban.network(), ban.offences, ban.until);
        if !self.rules.networks.enabled || ban.scope == Scope::Network {
            return None;
        }
        let network = self.networks.note_ban(ban.network(), &self.rules.networks, ban.since)?;
        Some(self.widen(network, ban.since))
    }

    /// Takes an automatic ban for granted, or says why it has to wait: until then the source's score stays, and its next
    /// failure calls for it again. `held`: what the automatic bans in force hold.
    ///
    /// # Errors
    /// With the limit that it would go beyond.
    pub fn restrain(&mut self, ban: &Ban, held: Held, now: Moment) -> Result<(), Beyond> {
        self.blast.take(ban, held, &self.rules.blast, now)
    }

    /// Takes note of an operator's `unban`: clears the score. The ban that it lifted, if it was an automatic one,
    /// is no offence any more, since the operator says that it was wrong.
    pub fn pardon(&mut self, banned: Network, lifted: Option<&Ban>, now: Moment) {
        self.sources.remove(banned.first());
        self.spray.answer(banned.first());
        self.trails.pardon(banned.first());
        self.networks.answer(banned);
        if lifted.is_some_and(|ban| ban.rung.is_some()) {
            self.ladder.take_back(banned, now);
        }
    }

    /// Remembers offences that were stored: their number and the end of the last ban. Those restored first are the
    /// first to be evicted.
    pub fn restore(&mut self, banned: Network, offences: u32, until: Moment) {
        self.ladder.remember(banned, Offences { count: offences, until });
    }

    /// Looks at a bounded part of what is remembered, at the next one with each call, and drops what has passed.
    pub fn expire(&mut self, now: Moment) {
        let Self { rules, .. } = self;
        self.attempts.sweep(LOOK_AT_ONCE, now);
        self.sources.sweep(LOOK_AT_ONCE, now);
        self.shared.sweep(LOOK_AT_ONCE, now);
        self.ladder.sweep(LOOK_AT_ONCE, rules, now);
        self.known_good.sweep(LOOK_AT_ONCE, rules.known_good, now);
        self.spray.sweep(LOOK_AT_ONCE, &rules.spray, now);
        self.networks.sweep(LOOK_AT_ONCE, &rules.networks, rules.window, now);
        self.trails.sweep(LOOK_AT_ONCE, rules.window, now);
    }

    /// The score of a source.
    #[must_use]
    pub fn score(&self, source: Source, now: Moment) -> f64 {
        self.sources.score(source, now).total().value()
    }

    /// The automatic bans of a source or network that are remembered.
    #[must_use]
    pub fn offences(&self, banned: Network, now: Moment) -> u32 {
        self.ladder.offences(banned, &self.rules, now)
    }

    /// Whether somebody has logged in from the source lately, to whatever account.
    #[must_use]
    pub fn is_known_good(&self, source: Source, now: Moment) -> bool {
        self.known_good.logins(source, self.rules.known_good, now).next().is_some()
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

    /// What is left to say of an event that calls for nothing.
    fn nothing(&self, source: Source, weight: Weight, now: Moment) -> Judgement {
        let score = self.sources.score(source, now).total().value();
        Judgement { weight: weight.value(), score, ..Judgement::default() }
    }

    /// Holds a failure against all rules.
    fn judge(&mut self, failure: Failure, score: Weight, judgement: Judgement) -> Judgement {
        let Failure { source, entry, .. } = failure;
        let broken = self.broken(failure, score);
        let network = self.failing_network(failure);
        let incident = self.sources.entries(source, entry.at).map(|entry| entry.at).min().unwrap_or(entry.at);
        // To look up whether it is shared is worth it only where something follows from it.
        let is_called = broken.is_some() || network.is_some() || failure.known;
        let shared = if is_called { self.shared_how(source, incident) } else { None };
        let Some(shared) = shared else {
            let ban = broken.map(|broken| self.decide(source, &broken, entry.at));
            return Judgement { ban, network, ..judgement };
        };
        // Each account's failures are judged by themselves; what is broken beside the threshold is so in any case.
        let over = failure
            .account
            .is_some_and(|account| self.shared.add((source, account), entry).0.total() > self.threshold);
        let broken = broken.filter(|broken| over || broken.reason != Reason::Threshold);
        let called = match broken {
            Some(Broken { reason, rule, .. }) => Some((reason, rule)),
            None => over.then(|| (Reason::Threshold, Arc::clone(&self.texts.threshold))),
        };
        let close = called.map(|(reason, rule)| Closing { reason, rule, hidden: shared.hidden });
        Judgement { close, ..judgement }
    }

    /// The rule that a failure breaks; of several, the one that says most.
    fn broken(&mut self, failure: Failure, score: Weight) -> Option<Broken> {
        let Failure { source, account, weight, missing, known, entry } = failure;
        let rule = |reason, rule: &Arc<str>, first, score| {
            Some(Broken { reason, rule: Arc::clone(rule), first, score })
        };
        let spray = self.rules.spray;
        let sprayed = account
            .filter(|_| spray.enabled && !known)
            .and_then(|account| self.spray.note(account, source, missing, &spray, entry.at));
        if !known && account.is_some_and(|account| self.bait.is(account)) {
            return rule(Reason::Bait, &self.texts.bait, Duration::ZERO, score);
        }
        match sprayed {
            Some(Sprayed::Missing) => {
                return rule(Reason::Spray, &self.texts.missing, spray.missing_ban, score);
            }
            Some(Sprayed::Existing) => {
                let score = self.spray.add(source, weight, &spray, entry.at);
                if score > Weight::new(spray.threshold) {
                    return rule(Reason::Spray, &self.texts.existing, spray.existing_ban, score);
                }
            }
            None => {}
        }
        if score <= self.threshold {
            return None;
        }
        rule(Reason::Threshold, &self.texts.threshold, Duration::ZERO, score)
    }

    /// The ban of a network whose sources fail together.
    fn failing_network(&mut self, failure: Failure) -> Option<Decision> {
        let rules = self.rules.networks;
        if !rules.enabled || rules.failures == 0.0 || failure.known {
            return None;
        }
        let most = (Weight::new(self.rules.threshold * rules.failures), self.rules.window);
        let now = failure.entry.at;
        let source = self.network_of(failure.source);
        let network = self.networks.note_failure(source, failure.weight, &rules, most, now)?;
        Some(self.widen(network, now))
    }

    fn shared_how(&self, source: Source, incident: Moment) -> Option<SharedHow> {
        let rules = self.rules.shared;
        if !rules.enabled {
            return None;
        }
        let life = self.rules.known_good;
        if self.known_good.is_shared(source, self.many(), life, incident) {
            return Some(SharedHow { hidden: false });
        }
        let is_hidden = rules.hidden
            && self.majority.is(source)
            && self.known_good.logins(source, life, incident).take(rules.accounts).count() >= rules.accounts;
        is_hidden.then_some(SharedHow { hidden: true })
    }

    fn many(&self) -> Many {
        Many { accounts: self.rules.shared.accounts, days: self.rules.shared.days }
    }

    fn network_of(&self, source: Source) -> Network {
        Network::new(source, self.rules.mask.prefix_of(source))
    }

    fn decide(&self, source: Source, broken: &Broken, now: Moment) -> Decision {
        let banned = self.network_of(source);
        let step = self.ladder.step(banned, broken.first, &self.rules, now);
        Decision {
            banned,
            scope: Scope::Source,
            reason: broken.reason,
            rule: Arc::clone(&broken.rule),
            rung: step.rung,
            duration: step.duration,
            offences: self.offences(banned, now).saturating_add(1),
            score: broken.score.value(),
            evidence: Evidence::of(self.sources.entries(source, now)),
        }
    }

    fn widen(&self, banned: Network, now: Moment) -> Decision {
        let step = self.ladder.step(banned, Duration::ZERO, &self.rules, now);
        Decision {
            banned,
            scope: Scope::Network,
            reason: Reason::Network,
            rule: Arc::clone(&self.texts.network),
            rung: step.rung,
            duration: step.duration,
            offences: self.offences(banned, now).saturating_add(1),
            score: 0.0,
            evidence: Evidence::default(),
        }
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

/// How a source is shared.
#[derive(Clone, Copy, Debug)]
struct SharedHow {
    /// Only because most sessions come from it.
    hidden: bool,
}

/// How many entries of each table are looked at in one call: with a call a second, a full table of the default size is
/// looked through in half a minute.
const LOOK_AT_ONCE: usize = 4096;

fn limits(rules: &Rules) -> Limits {
    let half = Weight::new(rules.threshold).half();
    Limits { capacity: rules.capacity, window: rules.window, half }
}

impl Texts {
    fn of(rules: &Rules) -> Self {
        let time = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
        let Rules { threshold, window, spray, networks, .. } = rules;
        let tried = format!("an account that {} networks try within {}", spray.sources, time(spray.window));
        let many =
            format!("{} sources of the network banned within {}", networks.sources, time(networks.window));
        Self {
            threshold: format!("score above {threshold} within {}", time(*window)).into(),
            bait: "a bait account was tried".into(),
            missing: format!("{tried} and that does not exist").into(),
            existing: format!(
                "score above {} within {} on {tried}",
                spray.threshold,
                time(spray.existing_window)
            )
            .into(),
            network: if networks.failures == 0.0 {
                many.into()
            } else {
                let most = threshold * networks.failures;
                format!("{many}, or a score above {most} of as many together within {}", time(*window)).into()
            },
        }
    }
}
