//! Flood mode: when it begins, and when it ends.

/// Whether sources that are not known-good hold more unauthenticated sessions together than they may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flood {
    /// How many they may hold; 0 for no limit.
    budget: u32,
    on: bool,
}

impl Flood {
    /// Begins outside flood mode.
    #[must_use]
    pub fn new(budget: u32) -> Self {
        Self { budget, on: false }
    }

    /// Takes note of how many they hold, and says whether flood mode is on: from when the budget is used up, until a
    /// quarter of it is free again, so that it does not come and go with each session.
    pub fn observe(&mut self, unauthenticated: u32) -> bool {
        let enough = if self.on { self.budget - self.budget / 4 } else { self.budget };
        self.on = self.budget > 0 && unauthenticated >= enough;
        self.on
    }

    /// The budget.
    #[must_use]
    pub fn budget(&self) -> u32 {
        self.budget
    }
}

#[cfg(test)]
mod tests {
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
}
