//! How far the maps have come from what was written into them: somebody else can write them too.

use std::ops::AddAssign;

use ssh_guard_common::flat::{LAST_END, OVERLAPS};

/// What differed from what should stand there, and does no more.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Drift {
    /// Entries that were not there.
    pub missing: usize,
    /// Entries that nobody wrote, or that stood where nobody finds them.
    pub too_many: usize,
    /// Entries with another end or flag, and marks that led nowhere.
    pub other: usize,
}

impl Drift {
    /// How much it is in all.
    #[must_use]
    pub fn total(self) -> usize {
        self.missing + self.too_many + self.other
    }
}

impl AddAssign for Drift {
    fn add_assign(&mut self, more: Self) {
        self.missing += more.missing;
        self.too_many += more.too_many;
        self.other += more.other;
    }
}

/// Whether two words of ends mean the same. What was taken over ends at the beginning of a tick, which may be rounded up
/// to the next one when it is written again; the last two ends are no times, but kinds.
#[must_use]
pub fn is_same_end(one: u32, other: u32) -> bool {
    let is_time = |end: u32| end & !OVERLAPS < LAST_END - 1;
    one == other
        || one & OVERLAPS == other & OVERLAPS && is_time(one) && is_time(other) && one.abs_diff(other) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_same_to_a_tick_and_flags_and_kinds_exactly() {
        assert!(is_same_end(7, 7) && is_same_end(7, 8) && is_same_end(8 | OVERLAPS, 7 | OVERLAPS));
        assert!(!is_same_end(7, 9) && !is_same_end(7, 7 | OVERLAPS));
        assert!(is_same_end(LAST_END, LAST_END) && !is_same_end(LAST_END, LAST_END - 1));
        assert!(!is_same_end(LAST_END - 1, LAST_END - 2));
    }
}
