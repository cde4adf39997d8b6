//! Hidden sources: one address that most sessions come from is a proxy or a load balancer in front of the server, and who is
//! behind it cannot be told apart.

use std::time::Duration;

use ssh_guard_common::source::Source;

use crate::moment::Moment;

/// Finds the source that more than half of all sessions come from, if there is one, in the memory of one counter
/// (Boyer and Moore's majority vote); what is long past fades away, by half in `HALF_LIFE`.
#[derive(Clone, Debug, Default)]
pub struct Majority {
    candidate: Option<Source>,
    /// How far ahead of all others the candidate is.
    lead: f64,
    /// Its sessions since it is the candidate: at most those that it had.
    own: f64,
    all: f64,
    faded: Moment,
}

/// How soon what is past counts half.
const HALF_LIFE: Duration = Duration::from_hours(1);

/// With fewer sessions than so many nothing is said: somebody is always the first.
const FEWEST: f64 = 30.0;

impl Majority {
    /// Takes note of sessions.
    pub fn note(&mut self, source: Source, count: f64, now: Moment) {
        self.fade(now);
        self.all += count;
        if self.candidate == Some(source) {
            self.lead += count;
            self.own += count;
        } else if self.lead > count {
            self.lead -= count;
        } else {
            *self = Self { candidate: Some(source), lead: count - self.lead, own: count, ..*self };
        }
    }

    /// Whether more than half of all sessions come from the source.
    #[must_use]
    pub fn is(&self, source: Source) -> bool {
        self.candidate == Some(source) && self.all >= FEWEST && self.own * 2.0 > self.all
    }

    /// A minute at a time: it need not be exact.
    fn fade(&mut self, now: Moment) {
        let passed = now.since(self.faded);
        if passed < Duration::from_mins(1) {
            return;
        }
        let rest = 0.5_f64.powf(passed.as_secs_f64() / HALF_LIFE.as_secs_f64());
        (self.lead, self.own, self.all) = (self.lead * rest, self.own * rest, self.all * rest);
        self.faded = now;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(number: u32) -> Source {
        Ipv4Addr::from(number).into()
    }

    fn at(minutes: u64) -> Moment {
        Moment::from_start(Duration::from_mins(minutes))
    }

    #[test]
    fn whoever_has_more_than_half_of_the_sessions_is_found() {
        let mut majority = Majority::default();
        for number in 0..1000 {
            majority.note(source(7), 1.0, at(0));
            majority.note(source(7), 1.0, at(0));
            majority.note(source(100 + number), 1.0, at(0));
        }
        assert!(majority.is(source(7)));
        assert!(!majority.is(source(100)));
    }

    #[test]
    fn half_is_not_enough_and_neither_are_a_few_sessions() {
        let mut majority = Majority::default();
        (0..29).for_each(|_| majority.note(source(7), 1.0, at(0)));
        assert!(!majority.is(source(7)));
        majority.note(source(7), 1.0, at(0));
        assert!(majority.is(source(7)));
        (0..30).for_each(|_| majority.note(source(8), 1.0, at(0)));
        assert!(!majority.is(source(7)) && !majority.is(source(8)));
    }

    #[test]
    fn what_is_long_past_does_not_count() {
        let mut majority = Majority::default();
        (0..1000).for_each(|_| majority.note(source(7), 1.0, at(0)));
        (0..40).for_each(|_| majority.note(source(8), 1.0, at(24 * 60)));
        assert!(!majority.is(source(7)));
        assert!(majority.is(source(8)));
    }
}
