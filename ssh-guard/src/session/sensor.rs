//! Whether the sensor is blind: servers serve sessions, and no log line tells of any.

use ssh_guard_common::time::Ticks;

use super::blindness::Change;

/// What happened since the last time.
#[derive(Clone, Copy, Debug)]
pub struct Noticed {
    /// The tick it is.
    pub now: Ticks,
    /// Auth events that were understood, ever.
    pub understood: u64,
}

/// Keeps watch over the inputs, all of them together.
///
/// Every session ends in a line at least, a minute or two after it began if nobody logs in (`LoginGraceTime`), so that a
/// patience above that has no false alarms from those who come, look and go.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// How long nothing is understood before it is believed, in ticks; nothing for never.
    patience: Option<Ticks>,
    understood: u64,
    /// Sessions that began before this tick are counted, or began under another daemon.
    counted: Option<Ticks>,
    /// The sessions that began since something was understood: when the first one did, and how many there are.
    since: Option<(Ticks, usize)>,
    blind: bool,
}

impl Sensor {
    /// Begins with a sensor that sees.
    #[must_use]
    pub fn new(patience: Option<Ticks>) -> Self {
        Self { patience, understood: 0, counted: None, since: None, blind: false }
    }

    /// Whether it is blind.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// Takes note of what was noticed, and of the ticks at which the sessions began that are known now, none of them
    /// in the future.
    pub fn observe(&mut self, noticed: Noticed, sessions: impl Iterator<Item = Ticks>) -> Option<Change> {
        let Noticed { now, understood } = noticed;
        let patience = self.patience?;
        // The tick that it is may bring more of them.
        let from = self.counted.replace(now).unwrap_or(now);
        let began = sessions.filter(|began| (from..now).contains(began));
        let (first, count) =
            began.fold((Ticks::MAX, 0), |(first, count), began| (first.min(began), count + 1));
        if understood != self.understood {
            self.understood = understood;
            self.since = None;
            return std::mem::take(&mut self.blind).then_some(Change::Ends);
        }
        if count > 0 {
            self.since.get_or_insert((first, 0)).1 += count;
        }
        let (first, count) = self.since?;
        let sure = count >= ENOUGH && now.saturating_sub(first) >= patience;
        (sure && !std::mem::replace(&mut self.blind, true)).then_some(Change::Begins)
    }

    /// How many sessions began since something was understood.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.since.map_or(0, |(_, count)| count)
    }
}

/// One session may hang, and another be that of somebody who just watches.
const ENOUGH: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    struct Watch {
        sensor: Sensor,
        sessions: Vec<Ticks>,
    }

    impl Watch {
        /// Begins at tick 100, with nothing understood.
        fn new() -> Self {
            let mut watch = Self { sensor: Sensor::new(Some(300)), sessions: vec![] };
            assert_eq!(watch.at(100, 0), None);
            watch
        }

        fn at(&mut self, now: Ticks, understood: u64) -> Option<Change> {
            self.sensor.observe(Noticed { now, understood }, self.sessions.iter().copied())
        }
    }

    #[test]
    fn three_sessions_and_not_a_line_for_so_long_are_blindness_and_a_line_ends_it() {
        let mut watch = Watch::new();
        watch.sessions = vec![110, 111, 112];
        assert_eq!(watch.at(200, 0), None, "too soon");
        assert_eq!(watch.at(409, 0), None, "too soon");
        assert_eq!(watch.at(410, 0), Some(Change::Begins));
        assert_eq!(watch.sensor.untold(), 3);
        assert_eq!(watch.at(500, 0), None, "it is told once");
        assert!(watch.sensor.is_blind());
        assert_eq!(watch.at(501, 1), Some(Change::Ends));
        assert!(!watch.sensor.is_blind());
        assert_eq!(watch.at(2000, 1), None, "nobody came since");
    }

    #[test]
    fn sessions_that_were_forgotten_meanwhile_count_and_none_counts_twice() {
        let mut watch = Watch::new();
        for began in [110, 150, 190] {
            watch.sessions = vec![began];
            for now in began..began + 40 {
                assert_eq!(watch.at(now, 0), None);
            }
        }
        assert_eq!(watch.sensor.untold(), 3);
        watch.sessions.clear();
        assert_eq!(watch.at(410, 0), Some(Change::Begins));
    }

    #[test]
    fn two_sessions_are_too_few_and_those_of_an_earlier_daemon_are_none() {
        let mut watch = Watch::new();
        watch.sessions = vec![1, 2, 3, 110, 111];
        assert_eq!(watch.at(1000, 0), None);
        watch.sessions.push(1001);
        assert_eq!(watch.at(1002, 0), Some(Change::Begins));
    }

    #[test]
    fn a_line_now_and_then_is_enough() {
        let mut watch = Watch::new();
        for now in 100..3000 {
            watch.sessions.push(now);
            assert_eq!(watch.at(now + 1, u64::from(now / 250)), None);
        }
    }

    #[test]
    fn it_can_be_switched_off() {
        let mut sensor = Sensor::new(None);
        assert_eq!(sensor.observe(Noticed { now: 100, understood: 0 }, [].into_iter()), None);
        assert_eq!(sensor.observe(Noticed { now: 900, understood: 0 }, [200; 9].into_iter()), None);
    }
}
