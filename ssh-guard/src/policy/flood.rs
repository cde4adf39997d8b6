//! Surges: failures or proven sessions come many times as fast as they ordinarily do.

use std::time::Duration;

use super::rules;
use crate::moment::Moment;

/// Compares each minute with what is usual here, and says whether there is a surge.
///
/// What is usual is a mean that forgets by half in [`HALF_LIFE`]. A minute of a surge teaches it little, as no minute counts
/// more than twice what was usual before: whoever floods long enough becomes usual in days, not in minutes.
#[derive(Clone, Debug)]
pub struct Surge {
    began: Option<Moment>,
    /// What came in the minute that goes on.
    minute: f64,
    usual: f64,
    on: bool,
    /// How many minutes in a row were quiet since it is on.
    quiet: u32,
}

/// How soon what was usual counts half.
const HALF_LIFE: f64 = 24.0 * 60.0;

/// How many minutes in a row have to be quiet before it is over.
const QUIET: u32 = 5;

impl Surge {
    /// Knows nothing of what is usual: the floor is.
    #[must_use]
    pub fn new() -> Self {
        Self { began: None, minute: 0.0, usual: 0.0, on: false, quiet: 0 }
    }

    /// Takes note of what has come since the last time, and says whether there is a surge.
    pub fn observe(&mut self, count: u64, rules: &rules::Flood, now: Moment) -> bool {
        let minute = Duration::from_mins(1);
        let began = *self.began.get_or_insert(now);
        let passed = now.since(began);
        if passed >= minute {
            self.end_minute(rules);
            // Whoever was not asked for long has missed quiet minutes: nothing came meanwhile.
            let missed = (passed.as_secs() / 60 - 1).min(u64::from(QUIET));
            (0..missed).for_each(|_| self.end_minute(rules));
            self.began = Some(began.plus(minute * u32::try_from(passed.as_secs() / 60).unwrap_or(u32::MAX)));
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let count = count as f64;
        self.minute += count;
        // It begins as soon as there is too much, and not at the end of the minute.
        if self.minute > self.most(rules) {
            self.on = true;
            self.quiet = 0;
        }
        self.on &= rules.enabled;
        self.on
    }

    /// What comes in a minute as a rule.
    #[must_use]
    pub fn usual(&self) -> f64 {
        self.usual
    }

    /// How much may come in a minute.
    #[must_use]
    pub fn most(&self, rules: &rules::Flood) -> f64 {
        (self.usual * rules.factor).max(rules.floor)
    }

    fn end_minute(&mut self, rules: &rules::Flood) {
        // Half of what begins it: it does not come and go with each minute.
        self.quiet = if self.minute * 2.0 <= self.most(rules) { self.quiet + 1 } else { 0 };
        if self.quiet >= QUIET {
            self.on = false;
        }
        let learned = self.minute.min((self.usual * 2.0).max(rules.floor / rules.factor.max(1.0)));
        let part = 1.0 - 0.5_f64.powf(1.0 / HALF_LIFE);
        self.usual += (learned - self.usual) * part;
        self.minute = 0.0;
    }
}

impl Default for Surge {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64, seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(minutes * 60 + seconds))
    }

    /// Lets `count` come each minute, evenly, and says in which minutes there was a surge at the end.
    fn minutes(surge: &mut Surge, from: u64, count: u64, for_minutes: u64) -> Vec<bool> {
        let rules = rules::Flood::default();
        (from..from + for_minutes)
            .map(|minute| {
                (0..60).fold(false, |_, second| surge.observe(count / 60, &rules, at(minute, second)))
            })
            .collect()
    }

    #[test]
    fn it_begins_within_the_minute_and_ends_after_five_quiet_ones() {
        let mut surge = Surge::new();
        assert_eq!(minutes(&mut surge, 0, 60, 3), [false; 3]);
        assert_eq!(minutes(&mut surge, 3, 6000, 2), [true; 2]);
        let after = minutes(&mut surge, 5, 0, 6);
        assert_eq!(after, [true, true, true, true, true, false]);
    }

    #[test]
    fn it_does_not_come_and_go_with_a_rate_about_the_limit() {
        let mut surge = Surge::new();
        let rules = rules::Flood::default();
        minutes(&mut surge, 0, 6000, 1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let little_less = (surge.most(&rules) * 0.9) as u64;
        assert_eq!(minutes(&mut surge, 1, little_less, 20), [true; 20]);
    }

    #[test]
    fn what_is_usual_on_a_busy_server_is_no_surge() {
        let mut surge = Surge::new();
        minutes(&mut surge, 0, 600, 5 * 24 * 60);
        assert!(surge.usual() > 300.0, "{}", surge.usual());
        let usual = surge.usual();
        assert_eq!(minutes(&mut surge, 5 * 24 * 60 + 10, 1800, 3), [false; 3]);
        assert_eq!(minutes(&mut surge, 5 * 24 * 60 + 13, 12_000, 1), [true]);
        minutes(&mut surge, 5 * 24 * 60 + 14, 60_000, 360);
        assert!(surge.usual() < usual * 1.5, "six hours of a flood are not usual yet");
    }

    #[test]
    fn switched_off_it_never_begins() {
        let mut surge = Surge::new();
        let rules = rules::Flood { enabled: false, ..rules::Flood::default() };
        assert!(!surge.observe(1_000_000, &rules, at(0, 0)));
    }
}
