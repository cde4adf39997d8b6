//! Points in time, as the pure core sees them.

use std::time::Duration;

/// A point on a clock that never steps back: nanoseconds since boot, sleep included (`CLOCK_BOOTTIME`), in the
/// daemon; the time that the log lines tell, in a replay. What happened before the clock's start has a moment too, up to
/// 73 years back: a log that is read after a reboot tells of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

/// The clock's start.
const START: u64 = 1 << 61;

/// What is rounded away of a coarse moment.
const COARSE: u64 = (1 << 20) - 1;

impl Moment {
    /// The end of what has none; it never comes.
    pub const NEVER: Self = Self(u64::MAX);
    /// The end of what somebody has to end by a command; it never comes either.
    pub const UNTIL_LIFTED: Self = Self(u64::MAX - 1);
    /// The earliest there is: what nobody knows the time of.
    pub const EARLIEST: Self = Self(0);

    /// The moment `since_start` after the clock's start.
    #[must_use]
    pub fn from_start(since_start: Duration) -> Self {
        Self(START).plus(since_start)
    }

    /// Whether it ever comes.
    #[must_use]
    pub fn comes(self) -> bool {
        self < Self::UNTIL_LIFTED
    }

    /// The time since the clock's start; nothing before it.
    #[must_use]
    pub fn since_start(self) -> Duration {
        self.since(Self(START))
    }

    /// The time since `earlier`, or nothing if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// It, rounded down to units of 2^20 ns; the lowest 20 bits are free.
    #[must_use]
    pub(crate) fn coarse(self) -> u64 {
        self.0 & !COARSE
    }

    /// The moment that [`Moment::coarse`] gave, whatever the lowest 20 bits are now.
    #[must_use]
    pub(crate) fn of_coarse(coarse: u64) -> Self {
        Self(coarse & !COARSE)
    }

    /// The moment `after` later, or the last one there is.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(nanos(after)))
    }

    /// The moment `before` earlier, or the earliest one there is.
    #[must_use]
    pub fn minus(self, before: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(before)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_clamped_at_both_ends() {
        let moment = Moment::from_start(Duration::from_secs(5));
        assert_eq!(moment.minus(Duration::MAX), Moment::EARLIEST);
        assert_eq!(moment.minus(Duration::from_secs(9)).since_start(), Duration::ZERO);
        assert_eq!(Moment::default().since(moment), Duration::ZERO);
        assert_eq!(moment.plus(Duration::MAX), Moment::NEVER);
    }

    #[test]
    fn what_happened_before_the_start_is_as_far_back_as_it_was() {
        let now = Moment::from_start(Duration::from_mins(2));
        assert_eq!(now.since(now.minus(Duration::from_mins(7))), Duration::from_mins(7));
    }
}
