//! How long a ban lasts, by the earlier bans of the source or network.

use std::time::Duration;

use super::rules::Rules;
use crate::moment::Moment;
use crate::network::Network;
use crate::recent::Recent;

/// The offences of sources and networks: how often each was banned. At most `Rules::capacity` of them are remembered, at about
/// 130 bytes each; those without an offence for longest are evicted first.
#[derive(Debug)]
pub struct Ladder {
    offences: Recent<Network, Offences>,
}

/// How often a source was banned, and when the last of these bans ends or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offences {
    /// How many bans are remembered.
    pub count: u32,
    /// The end of the last one.
    pub until: Moment,
}

/// A step of the ladder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number, from 0.
    pub rung: usize,
    /// How long a ban on it lasts.
    pub duration: Duration,
}

/// Serves where the rules have no ladder at all.
const ONLY_STEP: Duration = Duration::from_mins(10);

impl Ladder {
    /// Makes room for `capacity` sources.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { offences: Recent::new(capacity) }
    }

    /// The offences of a source that are not forgotten yet.
    #[must_use]
    pub fn offences(&self, banned: Network, rules: &Rules, now: Moment) -> u32 {
        self.remembered(banned, rules, now).map_or(0, |offences| offences.count)
    }

    /// The same, with the end of the last ban.
    #[must_use]
    pub fn remembered(&self, banned: Network, rules: &Rules, now: Moment) -> Option<Offences> {
        self.offences.get(&banned).copied().filter(|offences| !offences.is_forgotten(rules.forget, now))
    }

    /// The step that the next ban stands on: a step for each offence, counted from the first one that lasts `first`.
    #[must_use]
    pub fn step(&self, banned: Network, first: Duration, rules: &Rules, now: Moment) -> Step {
        let offences = usize::try_from(self.offences(banned, rules, now)).unwrap_or(usize::MAX);
        let begins = rules.ladder.iter().position(|length| *length >= first).unwrap_or(usize::MAX);
        let rung = begins.saturating_add(offences).min(rules.ladder.len().saturating_sub(1));
        Step { rung, duration: rules.ladder.get(rung).copied().unwrap_or(ONLY_STEP) }
    }

    /// Remembers that a source has that many offences, the last of them a ban until `until`.
    pub fn remember(&mut self, banned: Network, offences: Offences) {
        *self.offences.touch(&banned) = offences;
    }

    /// Takes back the last offence of a source.
    pub fn take_back(&mut self, banned: Network, now: Moment) {
        let Some(offences) = self.offences.get_mut(&banned) else { return };
        offences.count = offences.count.saturating_sub(1);
        offences.until = offences.until.min(now);
        if offences.count == 0 {
            self.offences.remove(&banned);
        }
    }

    /// Forgets the offences whose time has passed, at most `limit`, and says how many.
    pub fn sweep(&mut self, limit: usize, rules: &Rules, now: Moment) -> usize {
        self.offences.sweep(limit, |offences| offences.is_forgotten(rules.forget, now))
    }

    /// Changes for how many sources there is room.
    pub fn resize(&mut self, capacity: usize) {
        self.offences.resize(capacity);
    }

    /// How many sources have offences.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offences.len()
    }

    /// Whether no source has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offences.is_empty()
    }

    /// How many sources' offences were forgotten for want of room so far.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.offences.evicted()
    }
}

impl Offences {
    fn is_forgotten(&self, forget: Duration, now: Moment) -> bool {
        now.since(self.until) >= forget
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(number: u32) -> Network {
        Network::new(Ipv4Addr::from(number).into(), 32)
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn each_offence_is_a_step_up_and_the_last_step_serves_for_all_further_ones() {
        let (mut ladder, rules) = (Ladder::new(9), Rules::default());
        let minutes =
            |ladder: &Ladder| ladder.step(source(1), Duration::ZERO, &rules, at(0)).duration.as_secs() / 60;
        let mut seen = Vec::new();
        for count in [0, 1, 2, 3, 4, u32::MAX] {
            ladder.remember(source(1), Offences { count, until: at(0) });
            seen.push(minutes(&ladder));
        }
        assert_eq!(seen, [10, 60, 1440, 10_080, 10_080, 10_080]);
        assert_eq!(ladder.step(source(2), Duration::ZERO, &rules, at(0)).rung, 0);
    }

    #[test]
    fn offences_are_forgotten_a_month_after_the_last_ban_has_ended() {
        let (mut ladder, rules) = (Ladder::new(9), Rules::default());
        ladder.remember(source(1), Offences { count: 2, until: at(100) });
        let month = rules.forget.as_secs();
        assert_eq!(ladder.offences(source(1), &rules, at(0)), 2);
        assert_eq!(ladder.offences(source(1), &rules, at(99 + month)), 2);
        assert_eq!(ladder.offences(source(1), &rules, at(100 + month)), 0);
        assert_eq!(ladder.sweep(9, &rules, at(99 + month)), 0);
        assert_eq!((ladder.sweep(9, &rules, at(100 + month)), ladder.len()), (1, 0));
    }

    #[test]
    fn an_offence_that_is_taken_back_is_a_step_down() {
        let (mut ladder, rules) = (Ladder::new(9), Rules::default());
        ladder.remember(source(1), Offences { count: 2, until: at(100) });
        ladder.take_back(source(1), at(50));
        assert_eq!(ladder.step(source(1), Duration::ZERO, &rules, at(50)).rung, 1);
        ladder.take_back(source(1), at(50));
        ladder.take_back(source(1), at(50));
        assert!(ladder.is_empty());
    }

    #[test]
    fn a_rule_may_begin_higher_up_and_climbs_from_there() {
        let (mut ladder, rules) = (Ladder::new(9), Rules::default());
        let day = Duration::from_hours(24);
        let rung = |ladder: &Ladder, first| ladder.step(source(1), first, &rules, at(0)).rung;
        assert_eq!((rung(&ladder, day), rung(&ladder, day * 30)), (2, 3), "the last step is the longest");
        ladder.remember(source(1), Offences { count: 1, until: at(0) });
        assert_eq!((rung(&ladder, Duration::from_hours(1)), rung(&ladder, day)), (2, 3));
    }

    #[test]
    fn rules_without_a_ladder_ban_for_ten_minutes() {
        let rules = Rules { ladder: Vec::new(), ..Rules::default() };
        let step = Ladder::new(9).step(source(1), Duration::ZERO, &rules, at(0));
        assert_eq!((step.rung, step.duration), (0, Duration::from_mins(10)));
    }
}
