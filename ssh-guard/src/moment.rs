//! Points in time, as the pure core sees them.

use std::time::Duration;

/// A point on a clock that never steps back: nanoseconds since boot, sleep included (`CLOCK_BOOTTIME`), in the
/// daemon; the time that the log lines tell, in a replay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    /// The end of what has none; it never comes.
    pub const NEVER: Self = Self(u64::MAX);
    /// The end of what somebody has to end by a command; it never comes either.
    pub const UNTIL_LIFTED: Self = Self(u64::MAX - 1);

    /// The moment `since_start` after the clock's start.
    #[must_use]
    pub fn from_start(since_start: Duration) -> Self {
        Self(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whether it ever comes.
    #[must_use]
    pub fn comes(self) -> bool {
        self < Self::UNTIL_LIFTED
    }

    /// The time since the clock's start.
    #[must_use]
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time since `earlier`, or nothing if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `after` later, or the last one there is.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_start(after).0))
    }

    /// The moment `before` earlier, or the clock's start.
    #[must_use]
    pub fn minus(self, before: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from_start(before).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_clamped_at_both_ends() {
        let moment = Moment::from_start(Duration::from_secs(5));
        assert_eq!(moment.minus(Duration::from_secs(9)), Moment::default());
        assert_eq!(Moment::default().since(moment), Duration::ZERO);
        assert_eq!(moment.plus(Duration::MAX).since_start(), Duration::from_nanos(u64::MAX));
    }
}
