//! The words for it: sentences that an operator reads at night.

use std::time::Duration;

use super::{Explanation, KnownGood, Shared};
use crate::ban::{Ban, By};
use crate::config::duration::to_text;
use crate::moment::Moment;
use crate::policy::decision::Evidence;
use crate::policy::evidence::{Grounds, Part, Trace};
use crate::policy::spray::Sprayed;
use crate::policy::weight::Weight;

impl Explanation {
    /// What led to where the source stands, a sentence each. `ban`: that of the source, if it is banned; `wall` tells times.
    #[must_use]
    pub fn steps(&self, ban: Option<&Ban>, now: Moment, wall: impl Fn(Moment) -> String) -> Vec<String> {
        let mut steps = Vec::new();
        match ban {
            Some(ban) => self.tell_ban(ban, &wall, &mut steps),
            None if self.is_source => self.tell_no_ban(now, &wall, &mut steps),
            None => steps.push("the network is not banned as such".to_owned()),
        }
        let outdated = self.events.iter().filter(|trace| self.is_outdated(trace, now)).count();
        if outdated > 0 {
            let window = to_text(self.window);
            steps.push(format!("{} older than {window}: no longer counted", are(outdated, "event")));
        }
        let cleared = self.events.iter().filter(|trace| trace.part == Part::Cleared).count();
        if cleared > 0 {
            let are = are(cleared, "event");
            steps.push(format!("{are} cleared by a login to the account, or by an operator: not counted"));
        }
        self.tell_ladder(ban, &wall, &mut steps);
        match &self.known_good {
            Some(known) => steps.push(known.told(&wall)),
            None if self.is_source => {
                steps.push("not known-good: nobody has logged in from there lately".to_owned());
            }
            None => {}
        }
        self.tell_sprays(&mut steps);
        for around in &self.networks {
            let were = were(around.banned, "source");
            steps.push(format!("{were} banned in {} lately; {} ban it", around.network, around.needed));
        }
        steps
    }

    /// Whether an event counted for the score, and is too old for that now.
    #[must_use]
    pub fn is_outdated(&self, trace: &Trace, now: Moment) -> bool {
        trace.part == Part::Score && now.since(trace.at) >= self.window
    }

    /// The score, what it is made of, and what is left.
    #[must_use]
    pub fn sum(&self, now: Moment) -> String {
        let (score, threshold, window) = (self.score.total(), self.threshold, to_text(self.window));
        if score.is_zero() {
            return format!("the score is 0: nothing counts within {window}; above {threshold} bans");
        }
        let counts = |trace: &&Trace| trace.part == Part::Score && !self.is_outdated(trace, now);
        let sum = Sum::of(self.events.iter().filter(counts)).told(score);
        let made_of = made_of(&self.evidence);
        if score > threshold {
            return format!("{made_of} within {window}: {sum}, above {threshold}: the next failure bans");
        }
        format!(
            "{made_of} within {window}: {sum}; above {threshold} bans, {} is left",
            threshold.minus(score)
        )
    }

    fn tell_ban(&self, ban: &Ban, wall: &impl Fn(Moment) -> String, steps: &mut Vec<String>) {
        let (since, until) = (wall(ban.since), wall(ban.until));
        if ban.by == By::Hand {
            let note = ban.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
            steps.push(format!("banned by hand at {since} until {until}{note}"));
        } else if !ban.reason.is_known() {
            let lost = "what led to it is not kept over a restart";
            steps.push(format!("banned until {until} by an earlier daemon; {lost}"));
        } else {
            steps.push(format!("banned at {since} until {until} by the rule: {}", ban.rule));
            match &self.grounds {
                Some(grounds) => steps.push(self.tell_grounds(grounds, wall)),
                None if self.is_source => {
                    steps.push("the events that led to it are not kept ('limits.evidence')".to_owned());
                }
                None => {}
            }
        }
        if ban.extended {
            steps.push("its end was put off once: packets still came when it was about to end".to_owned());
        }
    }

    fn tell_grounds(&self, grounds: &Grounds, wall: &impl Fn(Moment) -> String) -> String {
        let Grounds { score, evidence, .. } = grounds;
        let sum = Sum::of(self.events.iter().filter(|trace| trace.part == Part::Ban));
        let (since, sum) = (wall(evidence.since), sum.told(Weight::new(*score)));
        format!("{} since {since}: {sum}", made_of(evidence))
    }

    fn tell_no_ban(&self, now: Moment, wall: &impl Fn(Moment) -> String, steps: &mut Vec<String>) {
        steps.push(self.sum(now));
        match self.banned {
            Some((since, until)) => {
                steps.push(format!("banned last from {} until {}", wall(since), wall(until.min(now))));
                steps.extend(self.grounds.as_ref().map(|grounds| self.tell_grounds(grounds, wall)));
            }
            None if self.grounds.is_some() => {
                steps.push("the rules called for a ban that is not in force: the log says why".to_owned());
            }
            None => {}
        }
    }

    fn tell_ladder(&self, ban: Option<&Ban>, wall: &impl Fn(Moment) -> String, steps: &mut Vec<String>) {
        let on = |rung: usize, length: Duration| {
            format!("step {} of {} of the ladder, {}", rung + 1, self.steps.max(1), to_text(length))
        };
        let forgotten = self.forgotten.map_or(String::new(), |at| format!("; forgotten at {}", wall(at)));
        if let Some((ban, rung)) = ban.and_then(|ban| Some((ban, ban.rung?))) {
            let length = ban.until.since(ban.since);
            steps.push(format!("offence {}: {}{forgotten}", ban.offences, on(rung, length)));
            return;
        }
        let next = on(self.next.rung, self.next.duration);
        steps.push(match self.offences {
            Some(offences) => format!("{}: a next ban is {next}{forgotten}", banned(offences.count)),
            None => format!("no earlier ban is remembered: a next one is {next}"),
        });
    }

    fn tell_sprays(&self, steps: &mut Vec<String>) {
        for (user, how) in &self.sprayed {
            let what = match how {
                Sprayed::Missing => "does not exist: a failure on it bans".to_owned(),
                Sprayed::Existing => {
                    let (score, most) = self.spraying;
                    format!("exists: a score above {most} on such accounts bans, and it is {score}")
                }
            };
            steps.push(format!("many networks try the account '{user}', which {what}"));
        }
    }
}

impl KnownGood {
    fn told(&self, wall: &impl Fn(Moment) -> String) -> String {
        let Self { accounts, days, until, part, shared } = *self;
        let on = if accounts == 1 { "it" } else { "them" };
        let known = format!(
            "known-good for {} until {}: a failure on {on} counts {part} of its weight",
            many(accounts, "account"),
            wall(until),
        );
        let shared = match shared {
            Shared::Off => return known,
            Shared::Yes => "shared: never banned as a whole, the sessions that fail are closed".to_owned(),
            Shared::Hidden => {
                "most sessions come from there and hide their real source: never banned as a whole".to_owned()
            }
            Shared::No { accounts: of, days: of_days } => {
                format!("not shared: {accounts} of {of} accounts, on {days} of {of_days} days that are over")
            }
        };
        format!("{known}; {shared}")
    }
}

/// Events by what one of them weighs.
#[derive(Default)]
struct Sum {
    parts: Vec<(Weight, u32)>,
    total: Weight,
}

impl Sum {
    fn of<'a>(traces: impl Iterator<Item = &'a Trace>) -> Self {
        let mut sum = Self::default();
        for trace in traces {
            let each = trace.weight.each(trace.count).map(|each| (each, trace.count));
            let (each, count) = each.unwrap_or((trace.weight, 1));
            match sum.parts.iter_mut().find(|(weight, _)| *weight == each) {
                Some((_, counted)) => *counted = counted.saturating_add(count),
                None => sum.parts.push((each, count)),
            }
            sum.total = sum.total.plus(trace.weight);
        }
        sum.parts.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        sum
    }

    /// The arithmetic up to `score`, of which not all need be kept.
    fn told(&self, score: Weight) -> String {
        let parts: Vec<String> =
            self.parts.iter().map(|(weight, count)| format!("{count} × {weight}")).collect();
        let kept = format!("{} = {}", parts.join(" + "), self.total);
        if self.parts.is_empty() {
            format!("a score of {score}")
        } else if self.total == score {
            kept
        } else {
            format!("a score of {score}, of which the events that are kept make {kept}")
        }
    }
}

fn made_of(evidence: &Evidence) -> String {
    let Evidence { failures, pre_auth, accounts, .. } = *evidence;
    let mut parts = Vec::new();
    if failures > 0 {
        let on = if accounts > 0 { format!(" on {}", many(accounts, "account")) } else { String::new() };
        parts.push(format!("{}{on}", many(failures as usize, "failure")));
    }
    if pre_auth > 0 {
        parts.push(many(pre_auth as usize, "pre-auth event"));
    }
    parts.join(" and ")
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn are(count: usize, what: &str) -> String {
    format!("{} {}", many(count, what), if count == 1 { "is" } else { "are" })
}

fn were(count: usize, what: &str) -> String {
    format!("{} {}", many(count, what), if count == 1 { "was" } else { "were" })
}

fn banned(count: u32) -> String {
    if count == 1 { "banned once before".to_owned() } else { format!("banned {count} times before") }
}
