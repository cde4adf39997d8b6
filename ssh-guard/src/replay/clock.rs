//! What time it is while an old log is read.

use std::time::Duration;

use jiff::Timestamp;

use crate::moment::Moment;

/// The time of one log, which goes on whatever its lines say.
///
/// A line that tells no time follows the one before. One that is a little late was written by another process: it counts as
/// written when the one before was. Where times step back further, a clock was set back, or a year is told wrong: time
/// goes on from there by the distances that the lines tell, until they tell a later time again. A step ahead is taken at its
/// word.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    last: Moment,
    /// How far the time that goes on is ahead of what lines tell.
    ahead: Duration,
    set_back: u64,
}

/// How late a line may be and its clock not be set back.
pub const LATE: Duration = Duration::from_mins(5);

impl Clock {
    /// The time of the next line, which tells this.
    pub fn read(&mut self, told: Option<Timestamp>) -> Moment {
        let Some(told) = told.map(moment) else { return self.last };
        if told >= self.last {
            (self.last, self.ahead) = (told, Duration::ZERO);
            return told;
        }
        let goes_on = told.plus(self.ahead);
        if self.last.since(goes_on) > LATE {
            self.ahead = self.last.since(told);
            self.set_back += 1;
        }
        self.last = self.last.max(goes_on);
        self.last
    }

    /// How often the times stepped back.
    #[must_use]
    pub fn set_back(&self) -> u64 {
        self.set_back
    }
}

/// The moment of a time; those before 1970 are one.
#[must_use]
pub fn moment(at: Timestamp) -> Moment {
    let since_epoch = at.duration_since(Timestamp::UNIX_EPOCH);
    Moment::from_start(Duration::try_from(since_epoch).unwrap_or(Duration::ZERO))
}

/// The time of a moment; none if no line has told one by then.
#[must_use]
pub fn timestamp(at: Moment) -> Option<Timestamp> {
    let known = at >= Moment::from_start(Duration::ZERO);
    known.then(|| Timestamp::UNIX_EPOCH.checked_add(at.since_start()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Moment {
        moment(time.parse().unwrap())
    }

    fn read(times: &[&str]) -> (Vec<Moment>, Clock) {
        let mut clock = Clock::default();
        (times.iter().map(|time| clock.read(time.parse().ok())).collect(), clock)
    }

    #[test]
    fn a_line_without_a_time_follows_the_one_before() {
        let (moments, _) = read(&["", "2026-11-23T03:00:00Z", ""]);
        let told = at("2026-11-23T03:00:00Z");
        assert_eq!(moments, [Moment::EARLIEST, told, told]);
        assert_eq!((timestamp(moments[0]), timestamp(told)), (None, "2026-11-23T03:00:00Z".parse().ok()));
    }

    #[test]
    fn a_line_that_is_late_counts_as_written_when_the_one_before_was() {
        let (moments, clock) =
            read(&["2026-11-23T03:00:00Z", "2026-11-23T02:56:00Z", "2026-11-23T03:00:01Z"]);
        assert_eq!(
            moments,
            [0, 0, 1].map(|after| at("2026-11-23T03:00:00Z").plus(Duration::from_secs(after)))
        );
        assert_eq!(clock.set_back(), 0);
    }

    #[test]
    fn where_a_clock_was_set_back_time_goes_on_until_it_is_told_again() {
        let (moments, clock) = read(&[
            "2026-10-25T02:59:59Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T02:30:00Z",
            "2026-10-25T02:29:00Z",
            "2026-10-25T03:40:00Z",
        ]);
        let first = at("2026-10-25T02:59:59Z");
        let half = first.plus(Duration::from_mins(30));
        assert_eq!(moments, [first, first, half, half, at("2026-10-25T03:40:00Z")]);
        assert_eq!(clock.set_back(), 1);
    }

    #[test]
    fn a_year_that_is_told_too_high_leaves_distances_as_they_are() {
        let (moments, clock) =
            read(&["2026-11-23T23:59:00Z", "2025-11-24T00:01:00Z", "2025-11-24T00:02:00Z"]);
        let first = at("2026-11-23T23:59:00Z");
        assert_eq!(moments, [first, first, first.plus(Duration::from_mins(1))]);
        assert_eq!(clock.set_back(), 1);
    }
}
