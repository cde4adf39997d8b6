//! The clocks, for those who may read them: the pure core takes `now` as an argument.

use std::time::Duration;

use jiff::{Timestamp, Unit};
use nix::time::{ClockId, clock_gettime};

use crate::moment::Moment;

/// Reads the clock that never steps back (`CLOCK_BOOTTIME`: time since boot, sleep included).
///
/// # Panics
///
/// On a kernel before 2.6.39, which does not have the clock.
#[must_use]
pub fn now() -> Moment {
    Moment::from_start(read(ClockId::CLOCK_BOOTTIME))
}

/// How long the machine has slept since boot: by how much that clock is ahead of the one that stands still meanwhile
/// (`CLOCK_MONOTONIC`).
///
/// # Panics
///
/// Never: every kernel has the clocks.
#[must_use]
pub fn asleep() -> Duration {
    let awake = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake)
}

/// Reads the time of day, as the time since 1970 (UTC); it may step.
///
/// # Panics
///
/// Never: every kernel has the clock.
#[must_use]
pub fn since_epoch() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

/// The time of day at a moment, to the second, by how far the moment is from now.
#[must_use]
pub fn wall(moment: Moment) -> Timestamp {
    let (now, today) = (now(), Timestamp::UNIX_EPOCH.saturating_add(since_epoch()));
    let shifted = today.and_then(|today| {
        if moment >= now {
            today.saturating_add(moment.since(now))
        } else {
            today.saturating_sub(now.since(moment))
        }
    });
    let shown = shifted.unwrap_or(Timestamp::MAX);
    shown.round(Unit::Second).unwrap_or(shown)
}

/// A time since 1970 in microseconds, as the journal and the store have it.
#[must_use]
pub fn micros(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("the kernel has the clock").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_forward_from_boot() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let first = now();
        assert!(now() >= first);
        assert!((first.since_start().as_secs_f64() - uptime).abs() < 60.0, "{first:?} is not {uptime} s");
    }

    #[test]
    fn a_moment_is_shown_as_far_from_now_as_it_is() {
        let hour = Duration::from_hours(1);
        let (ahead, behind) = (wall(now().plus(hour)), wall(now().minus(hour)));
        assert!((ahead.duration_since(behind).as_secs() - 7200).abs() <= 1, "{behind} to {ahead}");
        assert_eq!(wall(Moment::from_start(Duration::MAX)).subsec_nanosecond(), 0);
    }

    #[test]
    fn the_time_of_day_is_this_century() {
        assert!(since_epoch() > Duration::from_hours(24 * 365 * 30));
    }
}
