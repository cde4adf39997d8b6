//! When lines were read, and when they were written.

use std::time::Duration;

use crate::moment::Moment;
use crate::parse::text::number;

/// When a line came.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Time {
    pub(super) read: Moment,
    /// In seconds of its month, if its header says so.
    pub(super) written: Option<u32>,
}

impl Time {
    /// Whether it lies so far back, by more than `life`, that what was said then is of no session of now; or so far ahead, in old logs that are
    /// read in another order.
    pub(super) fn is_past(self, now: Self, life: Duration) -> bool {
        let apart = match (self.written, now.written) {
            (Some(then), Some(now)) => now.abs_diff(then),
            _ => 0,
        };
        let passed = now.read.since(self.read).max(self.read.since(now.read));
        passed > life || u64::from(apart) > life.as_secs()
    }
}

/// The seconds since the month began, of a header's time; that a month ends, or a clock jumps, only makes more time pass.
pub(super) fn written(stamp: &[u8]) -> Option<u32> {
    let (day, time) = match stamp {
        // 2026-11-23T03:12:01.123456+00:00
        [b'0'..=b'9', ..] => (stamp.get(8..10)?, stamp.get(11..19)?),
        // Nov 23 03:12:01, Nov  3 03:12:01, Nov 23 2026 03:12:01
        _ => (stamp.get(4..6)?, stamp.get(stamp.len().checked_sub(8)?..)?),
    };
    let number = |digits: &[u8]| number(digits.trim_ascii());
    let [hour, minute, second] = [&time[0..2], &time[3..5], &time[6..8]].map(number);
    Some(((number(day)? * 24 + hour?) * 60 + minute?) * 60 + second?)
}
