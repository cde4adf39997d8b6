//! Flood mode: when it begins, and when it ends. Either too many sessions are open in which nobody has logged in, or there is
//! a surge: sessions or failures come many times as fast as usual.

use crate::moment::Moment;
use crate::policy::flood::Surge;
use crate::policy::rules;

/// Why flood mode is on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// The budget of unauthenticated sessions is used up.
    Unauthenticated,
    /// Proven sessions come too fast.
    Sessions,
    /// Failures do.
    Failures,
}

/// What came since the last time, and what there is.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// The moment it is.
    pub now: Moment,
    /// Proven sessions that began.
    pub sessions: u64,
    /// Failures that logs told of.
    pub failures: u64,
    /// How many unauthenticated sessions the sources hold together that are not known-good.
    pub unauthenticated: u32,
}

/// Watches for floods.
#[derive(Clone, Debug)]
pub struct FloodMode {
    rules: rules::Flood,
    flood: Flood,
    sessions: Surge,
    failures: Surge,
}

impl FloodMode {
    /// Begins outside flood mode; `budget`: how many unauthenticated sessions there may be, 0 for no limit.
    #[must_use]
    pub fn new(budget: u32, rules: rules::Flood) -> Self {
        Self { rules, flood: Flood::new(budget), sessions: Surge::new(), failures: Surge::new() }
    }

    /// Takes note of what came, and says whether flood mode is on, and how many unauthenticated sessions there may be then.
    pub fn observe(&mut self, came: Came) -> Option<(Why, u32)> {
        let Came { now, sessions, failures, unauthenticated } = came;
        let is_full = self.flood.observe(unauthenticated);
        let sessions = self.sessions.observe(sessions, &self.rules, now);
        let failures = self.failures.observe(failures, &self.rules, now);
        let why = match (failures, sessions, is_full) {
            (true, ..) => Why::Failures,
            (_, true, _) => Why::Sessions,
            (.., true) => return Some((Why::Unauthenticated, self.flood.budget)),
            _ => return None,
        };
        let budgets = [self.rules.sessions, self.flood.budget];
        Some((why, budgets.into_iter().filter(|budget| *budget > 0).min().unwrap_or_default()))
    }
}

impl Why {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Unauthenticated, Self::Sessions, Self::Failures];

    /// The word for it, in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Sessions => "sessions",
            Self::Failures => "failures",
        }
    }

    /// What happens, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unauthenticated => "too many sessions are open in which nobody has logged in",
            Self::Sessions => "sessions come many times as fast as usual",
            Self::Failures => "failures come many times as fast as usual",
        }
    }

    /// The key of the configuration that says what is too much.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Unauthenticated => "limits.unauthenticated-sessions",
            Self::Sessions | Self::Failures => "policy.flood",
        }
    }
}

/// Whether sources that are not known-good hold more unauthenticated sessions together than they may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Flood {
    /// How many they may hold; 0 for no limit.
    budget: u32,
    on: bool,
}

impl Flood {
    fn new(budget: u32) -> Self {
        Self { budget, on: false }
    }

    /// Takes note of how many they hold, and says whether flood mode is on: from when the budget is used up, until a
    /// quarter of it is free again, so that it does not come and go with each session.
    fn observe(&mut self, unauthenticated: u32) -> bool {
        let enough = if self.on { self.budget - self.budget / 4 } else { self.budget };
        self.on = self.budget > 0 && unauthenticated >= enough;
        self.on
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_begins_when_the_budget_is_used_up_and_ends_when_a_quarter_is_free() {
        let mut flood = Flood::new(8);
        let on = [7, 8, 7, 6, 5, 6, 7, 8].map(|held| flood.observe(held));
        assert_eq!(on, [false, true, true, true, false, false, false, true]);
    }

    #[test]
    fn no_budget_is_no_limit_and_the_smallest_is_one() {
        assert!(!Flood::new(0).observe(u32::MAX));
        let mut flood = Flood::new(1);
        assert_eq!([0, 1, 0].map(|held| flood.observe(held)), [false, true, false]);
    }

    #[test]
    fn a_surge_is_flood_mode_with_the_smaller_budget_and_says_of_what_it_is() {
        // At first twice as much as the floor may come.
        let rules = rules::Flood { floor: 30.0, factor: 2.0, sessions: 8, ..rules::Flood::default() };
        let at = |seconds| Moment::from_start(Duration::from_secs(seconds));
        let came = |seconds, sessions, failures, unauthenticated| Came {
            now: at(seconds),
            sessions,
            failures,
            unauthenticated,
        };
        let mut mode = FloodMode::new(100, rules);
        assert_eq!(mode.observe(came(0, 60, 60, 0)), None);
        assert_eq!(mode.observe(came(1, 1, 0, 99)), Some((Why::Sessions, 8)));
        assert_eq!(mode.observe(came(2, 0, 1, 100)), Some((Why::Failures, 8)));
        let after = (3..600).map(|seconds| mode.observe(came(seconds, 0, 0, 0)).is_some());
        assert_eq!(after.filter(|on| *on).count(), 357, "until five minutes were quiet");
        assert_eq!(mode.observe(came(601, 0, 0, 100)), Some((Why::Unauthenticated, 100)));
        let surge = |budget| FloodMode::new(budget, rules).observe(came(0, 0, 61, 0));
        assert_eq!([0, 5, 100].map(surge), [8, 5, 8].map(|budget| Some((Why::Failures, budget))));
        let off = rules::Flood { enabled: false, ..rules };
        assert_eq!(FloodMode::new(100, off).observe(came(0, 1000, 1000, 99)), None);
    }
}
