//! Who tries sprayed accounts that exist, a few times in a long window.

use std::time::Duration;

use ssh_guard_common::source::Source;

use crate::moment::Moment;
use crate::policy::weight::Weight;
use crate::recent::{Rank, Recent};

/// What sources fail at on sprayed accounts that exist: at most as many as the other tables hold, at about 70 bytes each.
///
/// A window of a day would take a list of all failures. They are summed up in eighths of the window instead, so that none
/// counts longer than the window, nor less than seven eighths of it.
#[derive(Debug)]
pub(super) struct Slow {
    sums: Recent<Source, Sums>,
}

const PARTS: u32 = 8;

/// The sums of the last eighths.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// The number of the eighth that the last failure was in, counted from [`Moment::EARLIEST`].
    latest: u32,
    /// By the number of the eighth, round and round.
    parts: [Weight; PARTS as usize],
}

impl Slow {
    pub(super) fn new(capacity: usize) -> Self {
        Self { sums: Recent::new(capacity) }
    }

    /// Adds a failure, and gives the sum of the window with it.
    pub(super) fn add(&mut self, source: Source, weight: Weight, window: Duration, now: Moment) -> Weight {
        let part = part(window, now);
        self.sums.update(&source, |sums| {
            sums.turn(part);
            // What is told late may be over.
            if sums.latest - part < PARTS {
                let own = &mut sums.parts[(part % PARTS) as usize];
                *own = own.plus(weight);
            }
            let sum = sums.parts.iter().fold(Weight::ZERO, |sum, part| sum.plus(*part));
            // Whoever has failed more than once is a step nearer to a ban.
            (Some(if sum > weight { Rank::Middle } else { Rank::Low }), sum)
        })
    }

    /// The sum of the window.
    pub(super) fn score(&self, source: Source, window: Duration, now: Moment) -> Weight {
        let part = part(window, now);
        let counts = |sums: &Sums, age: u32| part.saturating_sub(sums.latest.saturating_sub(age)) < PARTS;
        let Some(sums) = self.sums.get(&source) else { return Weight::ZERO };
        (0..PARTS).filter(|age| counts(sums, *age)).fold(Weight::ZERO, |sum, age| sum.plus(sums.part(age)))
    }

    pub(super) fn remove(&mut self, source: Source) {
        self.sums.remove(&source);
    }

    /// Looks at the next `limit` sources, and drops those whose window is over.
    pub(super) fn sweep(&mut self, limit: usize, window: Duration, now: Moment) {
        let part = part(window, now);
        self.sums.sweep(limit, |sums| part.saturating_sub(sums.latest) >= PARTS);
    }

    pub(super) fn resize(&mut self, capacity: usize) {
        self.sums.resize(capacity);
    }
}

impl Sums {
    /// What was summed up so many eighths before the latest.
    fn part(&self, age: u32) -> Weight {
        self.parts[(self.latest.wrapping_sub(age) % PARTS) as usize]
    }

    /// Empties what is too old when `part` begins.
    fn turn(&mut self, part: u32) {
        let passed = part.saturating_sub(self.latest).min(PARTS);
        for begun in 0..passed {
            self.parts[((part - begun) % PARTS) as usize] = Weight::ZERO;
        }
        self.latest = self.latest.max(part);
    }
}

/// The number of the eighth of a window that a moment lies in.
fn part(window: Duration, now: Moment) -> u32 {
    let length = (window / PARTS).as_secs().max(1);
    u32::try_from(now.since(Moment::EARLIEST).as_secs() / length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn nothing_counts_longer_than_the_window_nor_less_than_seven_eighths_of_it(
            waits in prop::collection::vec(prop_oneof![Just(0), 0..5_000_u64, 0..100_000_u64, 0..1_000_000_u64], 1..60)
        ) {
            let (mut slow, mut past, mut now) = (Slow::new(9), Vec::new(), 0);
            for wait in waits {
                now += wait;
                past.push(now);
                let sum = slow.add(Ipv4Addr::LOCALHOST.into(), Weight::new(1.0), DAY, at(now));
                let within = |seconds: u64| {
                    let count = past.iter().filter(|at| **at + seconds > now).count();
                    Weight::new(f64::from(u32::try_from(count).unwrap()))
                };
                prop_assert!(sum <= within(DAY.as_secs()), "{sum:?} of {past:?}");
                prop_assert!(sum >= within(DAY.as_secs() * 7 / 8), "{sum:?} of {past:?}");
            }
        }
    }

    #[test]
    fn a_source_is_dropped_when_its_window_is_over() {
        let mut slow = Slow::new(9);
        slow.add(Ipv4Addr::LOCALHOST.into(), Weight::new(1.0), DAY, at(0));
        slow.sweep(9, DAY, at(60));
        assert_eq!(slow.sums.len(), 1);
        slow.sweep(9, DAY, at(DAY.as_secs()));
        assert_eq!(slow.sums.len(), 0);
    }
}
