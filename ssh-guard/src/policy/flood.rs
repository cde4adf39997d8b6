//! Surges: failures or proven sessions come many times as fast as they ordinarily do.

use std::time::Duration;

use super::rules;
use crate::moment::Moment;

/// Compares each minute with what is usual here, and says whether there is a surge.
///
/// What is usual is a mean that forgets by half in `HALF_LIFE`. It begins as the mean of the first hour; for the first
/// `UNKNOWN` minutes the floor is held to be usual. After the hour a minute of a surge teaches it little, as no minute counts
/// more than twice what was usual before: whoever floods long enough becomes usual in days, not in minutes.
#[derive(Clone, Debug)]
pub struct Surge {
    began: Option<Moment>,
    /// What came in the minute that goes on.
    minute: f64,
    usual: f64,
    /// How many minutes there were.
    minutes: u32,
    on: bool,
    /// How many minutes in a row were quiet since it is on.
    quiet: u32,
}

/// How soon what was usual counts half.
const HALF_LIFE: f64 = 24.0 * 60.0;

/// For how many minutes it is not known what is usual.
const UNKNOWN: u32 = 10;

/// How many minutes in a row have to be quiet before it is over.
const QUIET: u32 = 5;

impl Surge {
    /// Knows nothing of what is usual: the floor is.
    #[must_use]
    pub fn new() -> Self {
        Self { began: None, minute: 0.0, usual: 0.0, minutes: 0, on: false, quiet: 0 }
    }

    /// Takes note of what has come since the last time, and says whether there is a surge.
    pub fn observe(&mut self, count: u64, rules: &rules::Flood, now: Moment) -> bool {
        let minute = Duration::from_mins(1);
        let began = *self.began.get_or_insert(now);
        let passed = now.since(began);
        if passed >= minute {
            self.end_minute(rules);
            // Whoever was not asked for long has missed quiet minutes: nothing came meanwhile.
            let missed = (passed.as_secs() / 60 - 1).min(60);
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
        let usual = if self.minutes < UNKNOWN { rules.floor } else { self.usual };
        (usual * rules.factor).max(rules.floor)
    }

    fn end_minute(&mut self, rules: &rules::Flood) {
        // Half of what begins it: it does not come and go with each minute.
        self.quiet = if self.minute * 2.0 <= self.most(rules) { self.quiet + 1 } else { 0 };
        if self.quiet >= QUIET {
            self.on = false;
        }
        self.minutes = self.minutes.saturating_add(1);
        if self.minutes <= 60 {
            // What would be a surge is not usual: somebody may flood already.
            let most = rules.floor * rules.factor;
            self.usual += (self.minute.min(most) - self.usual) / f64::from(self.minutes);
        } else {
            let most = (self.usual * 2.0).max(rules.floor / rules.factor);
            self.usual += (self.minute.min(most) - self.usual) * (1.0 - 0.5_f64.powf(1.0 / HALF_LIFE));
        }
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
        assert_eq!(minutes(&mut surge, 0, 60, 15), [false; 15]);
        assert_eq!(minutes(&mut surge, 15, 6000, 2), [true; 2]);
        let after = minutes(&mut surge, 17, 0, 6);
        assert_eq!(after, [true, true, true, true, true, false]);
    }

    #[test]
    fn it_does_not_come_and_go_with_a_rate_about_the_limit() {
        let (mut surge, rules) = (Surge::new(), rules::Flood::default());
        minutes(&mut surge, 0, 60, 100);
        assert_eq!(minutes(&mut surge, 100, 6000, 1), [true]);
        for (minute, count) in (101..).zip([480, 420, 480, 300, 420, 360]) {
            assert_eq!(minutes(&mut surge, minute, count, 1), [true], "{count} of {}", surge.most(&rules));
        }
    }

    #[test]
    fn what_is_usual_on_a_busy_server_is_no_surge_and_a_flood_is_not_usual_soon() {
        let mut surge = Surge::new();
        assert_eq!(minutes(&mut surge, 0, 600, 100), [false; 100]);
        assert_eq!(minutes(&mut surge, 100, 3000, 3), [false; 3]);
        assert_eq!(minutes(&mut surge, 103, 12_000, 1), [true]);
        let usual = surge.usual();
        assert_eq!(minutes(&mut surge, 104, 60_000, 360), [true; 360]);
        assert!(surge.usual() < usual * 1.5, "six hours of a flood are not usual yet");
    }

    #[test]
    fn a_night_without_logins_does_not_make_a_morning_a_surge() {
        let mut surge = Surge::new();
        minutes(&mut surge, 0, 120, 600);
        minutes(&mut surge, 600, 0, 600);
        assert_eq!(minutes(&mut surge, 1200, 300, 30), [false; 30]);
    }

    #[test]
    fn nobody_was_asked_for_an_hour_and_it_is_over() {
        let (mut surge, rules) = (Surge::new(), rules::Flood::default());
        minutes(&mut surge, 0, 60, 15);
        assert_eq!(minutes(&mut surge, 15, 6000, 1), [true]);
        assert!(!surge.observe(1, &rules, at(75, 0)));
    }

    #[test]
    fn before_it_is_known_what_is_usual_it_takes_many_times_the_floor() {
        let mut surge = Surge::new();
        assert_eq!(minutes(&mut surge, 0, 900, 5), [false; 5]);
        assert_eq!(minutes(&mut surge, 5, 1020, 1), [true]);
    }

    #[test]
    fn switched_off_it_never_begins() {
        let mut surge = Surge::new();
        minutes(&mut surge, 0, 60, 15);
        let rules = rules::Flood { enabled: false, ..rules::Flood::default() };
        assert!(!surge.observe(1_000_000, &rules, at(15, 0)));
    }
}
