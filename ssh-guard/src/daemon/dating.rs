//! Finds out when a line was written that was read late.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::clock;
use crate::input::{LATE, Line, Written};
use crate::moment::Moment;
use crate::parse::Record;
use crate::parse::time::Times;

/// Dates the lines of one input.
pub(super) struct Dating {
    times: Times,
    /// How far back a line is worth being judged.
    reach: Duration,
    /// The time of day at the moment of the last block's reading.
    today: (Moment, Timestamp),
    /// When the last line was written whose header said so: one that has no time follows it.
    last: Option<Moment>,
}

impl Dating {
    /// Makes one that takes times without a zone for those of this machine.
    pub(super) fn new(reach: Duration) -> Self {
        let today = (Moment::EARLIEST, Timestamp::UNIX_EPOCH);
        Self { times: Times::new(TimeZone::system()), reach, today, last: None }
    }

    /// Says when a line was written; nothing if that is so long ago that it is worth nothing. Never later than it was read,
    /// nor before what was read before it.
    pub(super) fn date(&mut self, line: &Line<'_>, record: Option<&Record<'_>>) -> Option<Moment> {
        let (told, since) = match line.written {
            Written::Now => return Some(line.read_at),
            Written::Sent => {
                let stamp = record.map_or(&[][..], |record| record.stamp);
                return self.sent(stamp, line.read_at);
            }
            Written::Before { told, since } => (told, since),
        };
        let told = told.or_else(|| record.and_then(|record| self.header(record.stamp, line.read_at)));
        self.last = told.or(self.last);
        // A writer's clock that is behind ours must not make old what was written after the last look.
        let written = self.last.max(since).unwrap_or(Moment::EARLIEST).min(line.read_at);
        (line.read_at.since(written) < self.reach).then_some(written)
    }

    /// Says when a line was written that somebody sent: when it came, unless its header names an earlier time and the zone
    /// of that. A sender keeps lines while nobody takes them; what a header without a zone means, only he knows.
    fn sent(&mut self, stamp: &[u8], read_at: Moment) -> Option<Moment> {
        let clock = stamp.get(19..).unwrap_or_default();
        let names_zone = clock.iter().any(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'));
        let told = names_zone.then(|| self.header(stamp, read_at)).flatten();
        let Some(told) = told.filter(|told| read_at.since(*told) > LATE) else { return Some(read_at) };
        (read_at.since(told) < self.reach).then_some(told)
    }

    fn header(&mut self, stamp: &[u8], read_at: Moment) -> Option<Moment> {
        if stamp.is_empty() {
            return None;
        }
        if self.today.0 != read_at {
            let ago = clock::now().since(read_at);
            let now = SignedDuration::try_from(clock::since_epoch().saturating_sub(ago))
                .unwrap_or(SignedDuration::MAX);
            self.today = (read_at, Timestamp::from_duration(now).unwrap_or(Timestamp::MAX));
        }
        let now = self.today.1;
        // The writer's clock may be ahead, and its zone another.
        let latest = now.saturating_add(AHEAD).unwrap_or(now);
        let told = self.times.read(stamp, latest)?;
        let age = Duration::try_from(now.duration_since(told)).unwrap_or(Duration::ZERO);
        Some(read_at.minus(age))
    }
}

/// How far ahead of this machine's clock a header's time without a year may be and still be of this year.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Duration = Duration::from_mins(10);

    fn date(dating: &mut Dating, written: Written, stamp: &str, read_at: Moment) -> Option<Duration> {
        let line = Line { process: None, pid: None, text: b"", read_at, written };
        let record = Record { stamp: stamp.as_bytes(), ..Record::default() };
        dating.date(&line, Some(&record)).map(|written| read_at.since(written))
    }

    /// The header's time of so many seconds ago.
    fn ago(seconds: i64) -> String {
        let now = Timestamp::UNIX_EPOCH.saturating_add(clock::since_epoch()).unwrap();
        now.saturating_sub(SignedDuration::from_secs(seconds)).unwrap().to_string()
    }

    fn late(since: Option<Moment>) -> Written {
        Written::Before { told: None, since }
    }

    fn about(age: Option<Duration>, seconds: u64) -> bool {
        age.is_some_and(|age| age.abs_diff(Duration::from_secs(seconds)) < Duration::from_secs(5))
    }

    #[test]
    fn a_line_is_as_old_as_its_header_says_and_never_of_the_future() {
        let (mut dating, now) = (Dating::new(REACH), clock::now());
        assert_eq!(date(&mut dating, Written::Now, &ago(300), now), Some(Duration::ZERO));
        assert!(about(date(&mut dating, late(None), &ago(300), now), 300));
        assert_eq!(date(&mut dating, late(None), &ago(-300), now), Some(Duration::ZERO));
        assert_eq!(date(&mut dating, late(None), &ago(601), now), None);
    }

    #[test]
    fn a_line_of_before_the_boot_is_as_old_as_it_is() {
        let soon_after_boot = Moment::from_start(Duration::from_mins(1));
        let told = Some(soon_after_boot.minus(Duration::from_secs(500)));
        let written = Written::Before { told, since: None };
        let age = date(&mut Dating::new(REACH), written, "", soon_after_boot);
        assert_eq!(age, Some(Duration::from_secs(500)));
        let told = Some(soon_after_boot.minus(Duration::from_secs(700)));
        let written = Written::Before { told, since: None };
        assert_eq!(date(&mut Dating::new(REACH), written, "", soon_after_boot), None);
    }

    #[test]
    fn a_line_that_tells_no_time_is_as_old_as_the_one_before_it_or_the_last_look() {
        let (mut dating, now) = (Dating::new(REACH), clock::now());
        assert_eq!(date(&mut dating, late(None), "", now), None, "nobody knows");
        let look = now.minus(Duration::from_secs(400));
        assert!(about(date(&mut dating, late(Some(look)), "", now), 400));
        assert!(about(date(&mut dating, late(Some(look)), &ago(100), now), 100));
        assert!(about(date(&mut dating, late(Some(look)), "no time", now), 100));
    }

    #[test]
    fn a_writer_whose_clock_is_behind_makes_nothing_older_than_the_last_look() {
        let (mut dating, now) = (Dating::new(REACH), clock::now());
        let look = now.minus(Duration::from_secs(30));
        assert!(about(date(&mut dating, late(Some(look)), &ago(7200), now), 30));
    }

    #[test]
    fn what_was_sent_is_of_the_time_that_it_tells_with_its_zone_and_else_of_now() {
        let read_at = clock::now();
        let mut dating = Dating::new(REACH);
        let mut sent =
            |stamp: &str| date(&mut dating, Written::Sent, stamp, read_at).map(|age| age.as_secs());
        assert_eq!(sent(&ago(5)), Some(0), "on its way");
        assert!((299..=301).contains(&sent(&ago(300)).unwrap()));
        assert_eq!(sent(&ago(700)), None, "too old to be worth anything");
        assert_eq!(sent(&ago(-300)), Some(0), "its clock is ahead");
        assert_eq!(sent("Nov 23 03:12:01"), Some(0), "of which year, in which zone?");
        assert_eq!(sent("2020-11-23T03:12:01"), Some(0), "in which zone?");
        assert_eq!(sent(""), Some(0));
    }

    #[test]
    fn what_was_sent_without_a_header_that_is_known_is_of_now() {
        let read_at = clock::now();
        let line = Line { process: None, pid: None, text: b"rubbish", read_at, written: Written::Sent };
        assert_eq!(Dating::new(REACH).date(&line, None), Some(read_at));
    }
}
