//! What happens often is told seldom.

use std::time::Duration;

use crate::moment::Moment;

/// Told at once, and then once a minute at most, however often it happens.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Seldom {
    told: Option<Moment>,
    untold: u64,
}

const MINUTE: Duration = Duration::from_mins(1);

impl Seldom {
    /// Takes note that it happens; says how often it did since it was told last, if it is to be told now.
    pub(super) fn note(&mut self, now: Moment) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.since(told) < MINUTE) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_a_minute_later_with_all_that_happened_meanwhile() {
        let mut seldom = Seldom::default();
        let told = [0, 1, 59, 60, 61, 600].map(|at| seldom.note(Moment::from_start(Duration::from_secs(at))));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
