//! Plays a scenario, and counts what came of it under each policy.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::Duration;

use ssh_guard::moment::Moment;
use ssh_guard::network::Network;

use crate::cast::Cast;
use crate::contenders::counting::Counting;
use crate::contenders::guard::Guard;
use crate::contenders::penalties::Penalties;
use crate::contenders::{Begun, Contender};
use crate::lines::Log;
use crate::scenario::{Ordinary, Scenario};
use crate::session::{Act, Session, Step};

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Played {
    /// The scenario.
    pub scenario: Scenario,
    /// What came of it under each policy: this project's comes first.
    pub results: Vec<Tally>,
    /// Everybody's name, by number.
    pub names: Vec<String>,
}

/// What came of a scenario under one policy. What happened on the ordinary days before is counted apart.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tally {
    /// What the policy is called.
    pub policy: &'static str,
    /// The logins that were tried by those whose sessions are looked at.
    pub attempts: u64,
    /// How many of them reached the server.
    pub reached: u64,
    /// The attempts in each part of the time, all and those that reached the server.
    pub curve: Vec<[u64; 2]>,
    /// The sources that were banned.
    pub sources: BTreeSet<Network>,
    /// The networks that were.
    pub networks: BTreeSet<Network>,
    /// When the first ban began.
    pub first_ban: Option<Duration>,
    /// How many logins of innocent people were tried that would have succeeded.
    pub logins: u64,
    /// How many of them were refused, by who it was.
    pub refused: BTreeMap<u32, u64>,
    /// The innocent people whose own source was banned, with the highest rung.
    pub suffered: BTreeMap<u32, usize>,
    /// How many bans hit innocent people on the ordinary days before.
    pub banned_before: u64,
    /// How many of their logins were refused then.
    pub refused_before: u64,
}

/// Into how many parts the time is divided.
pub const PARTS: usize = 240;

/// Plays a scenario.
#[must_use]
pub fn play(scenario: Scenario, ordinary: &Ordinary) -> Played {
    let cast = Cast::of(&scenario, ordinary);
    let contenders: [Box<dyn Contender>; 3] =
        [Box::<Guard>::default(), Box::<Counting>::default(), Box::<Penalties>::default()];
    let results = contenders.into_iter().map(|contender| Run::of(&cast, contender).finish()).collect();
    let names = cast.people.into_iter().map(|person| person.name).collect();
    Played { scenario, results, names }
}

/// One policy, while a scenario is played.
struct Run<'a> {
    cast: &'a Cast,
    contender: Box<dyn Contender>,
    log: Log,
    tally: Tally,
    steps: Vec<Step>,
    begun: Vec<Begun>,
}

impl<'a> Run<'a> {
    fn of(cast: &'a Cast, contender: Box<dyn Contender>) -> Self {
        let tally = Tally { policy: contender.name(), curve: vec![[0; 2]; PARTS], ..Tally::default() };
        Self { cast, contender, log: Log::default(), tally, steps: Vec::new(), begun: Vec::new() }
    }

    fn finish(mut self) -> Tally {
        for (number, session) in (1..).filter_map(NonZeroU64::new).zip(&self.cast.sessions) {
            self.play(session, number);
        }
        self.tally
    }

    fn play(&mut self, session: &Session, number: NonZeroU64) {
        let (at, from) = (session.at, session.from);
        let dropped = self.contender.drops(from, at);
        if session.act == Act::Syn {
            return;
        }
        let (mut reached, mut is_in) = (0, false);
        if !dropped {
            (reached, is_in) = self.reach(session, number);
        }
        self.count(session, reached, is_in);
        self.note_bans(at);
    }

    /// Lets a session reach the server: how many of its attempts do, and whether it gets in.
    fn reach(&mut self, session: &Session, number: NonZeroU64) -> (u64, bool) {
        let Self { cast, contender, log, steps, begun, .. } = self;
        let account = &cast.accounts[session.account as usize];
        if cast.people[session.who as usize].by_lines {
            log.steps(session, account, number, steps);
        } else {
            session.steps(account, number, steps);
        }
        let mut reached = 0;
        for (nth, step) in steps.iter().enumerate() {
            // Its own failures may have ended it.
            if nth > 0 && contender.drops(session.from, session.at) {
                return (reached, false);
            }
            reached += u64::from(step.begins_attempt);
            if !contender.hear(&step.event, session.at, begun) {
                return (reached, false);
            }
        }
        contender.leave(session.from, session.act.end(account), session.at, begun);
        (reached, session.act.gets_in())
    }

    fn count(&mut self, session: &Session, reached: u64, is_in: bool) {
        let Self { cast, tally, .. } = self;
        let person = &cast.people[session.who as usize];
        let is_login = person.innocent && session.act.gets_in();
        if session.at < cast.begins {
            tally.refused_before += u64::from(is_login && !is_in);
            return;
        }
        tally.logins += u64::from(is_login);
        if is_login && !is_in {
            *tally.refused.entry(session.who).or_default() += 1;
        }
        // Somebody who guesses at others' accounts may log in to the own one.
        if person.watched && (person.innocent || !session.act.gets_in()) {
            let attempts = session.act.attempts();
            tally.attempts += attempts;
            tally.reached += reached;
            let [all, let_through] = &mut tally.curve[part(cast, session.at)];
            *all += attempts;
            *let_through += reached;
        }
    }

    fn note_bans(&mut self, at: Moment) {
        let Self { cast, tally, begun, .. } = self;
        for Begun { banned, is_network, rung } in begun.drain(..) {
            let innocents = cast.innocents_at(banned.first()).filter(|_| !is_network);
            if at < cast.begins {
                tally.banned_before += u64::from(innocents.count() > 0);
                continue;
            }
            for innocent in innocents {
                let highest = tally.suffered.entry(innocent).or_default();
                *highest = rung.max(*highest);
            }
            let of_kind = if is_network { &mut tally.networks } else { &mut tally.sources };
            of_kind.insert(banned);
            tally.first_ban.get_or_insert(at.since(cast.begins));
        }
    }
}

/// In which part of the time a moment lies.
fn part(cast: &Cast, at: Moment) -> usize {
    let (passed, all) = (at.since(cast.begins).as_millis(), cast.ends.since(cast.begins).as_millis());
    let part = passed * PARTS as u128 / all.max(1);
    usize::try_from(part).unwrap_or(usize::MAX).min(PARTS - 1)
}

impl Tally {
    /// What part of the attempts never reached the server; nothing if there were none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "attempts are far from 2^52")]
    pub fn stopped(&self) -> Option<f64> {
        (self.attempts > 0).then(|| 1.0 - self.reached as f64 / self.attempts as f64)
    }
}

impl Played {
    /// What this project's policy missed of what has to come of the scenario, in words.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let Some(ours) = self.results.first() else { return vec!["nothing was played".to_owned()] };
        let expect = &self.scenario.expect;
        let mut missed = Vec::new();
        if let (Some(least), stopped) = (expect.stopped, ours.stopped())
            && stopped.is_none_or(|stopped| stopped < least)
        {
            missed.push(format!("{stopped:?} of the attempts were stopped, not {least}"));
        }
        if expect.nobody_banned && ours.sources.len() + ours.networks.len() > 0 {
            missed.push(format!("banned: {:?}, {:?}", ours.sources, ours.networks));
        }
        let may_suffer = |who: &u32| expect.may_suffer.contains(&(*who as usize));
        for (who, logins) in ours.refused.iter().filter(|(who, _)| !may_suffer(who)) {
            missed.push(format!("{logins} logins of {} were refused", self.names[*who as usize]));
        }
        for (who, rung) in &ours.suffered {
            if *rung > 0 || !may_suffer(who) {
                missed.push(format!("{} was banned on rung {rung}", self.names[*who as usize]));
            }
        }
        if ours.banned_before + ours.refused_before > 0 {
            missed.push("somebody was banned on the ordinary days".to_owned());
        }
        missed
    }
}

#[cfg(test)]
mod tests;
