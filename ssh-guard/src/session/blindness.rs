//! Whether the witness is blind: logins succeed, and no server is ever seen to answer.

use ssh_guard_common::time::Ticks;

/// What was seen since the last time.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The tick it is.
    pub now: Ticks,
    /// When a server last answered in any session, or 0.
    pub answered: Ticks,
    /// Successes that the log told since.
    pub successes: usize,
    /// Packets to guarded ports that were let through, ever.
    pub packets: u64,
}

/// What has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It is blind.
    Begins,
    /// It sees.
    Ends,
}

/// Keeps watch over the witness.
#[derive(Clone, Debug)]
pub struct Blindness {
    /// How long it takes to be sure, in ticks.
    patience: Ticks,
    /// When a server last answered, as of the last time.
    answered: Ticks,
    /// The successes since then: when the first was told, what had been let through by then, how many there are.
    since: Option<(Ticks, u64, usize)>,
    blind: bool,
}

impl Blindness {
    /// Begins with a witness that sees.
    #[must_use]
    pub fn new(patience: Ticks) -> Self {
        Self { patience, answered: 0, since: None, blind: false }
    }

    /// Whether it is blind.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.blind
    }

    /// Takes note of what was seen.
    pub fn observe(&mut self, seen: Seen) -> Option<Change> {
        let Seen { now, answered, successes, packets } = seen;
        if answered > self.answered {
            self.answered = answered;
            self.since = None;
            return std::mem::take(&mut self.blind).then_some(Change::Ends);
        }
        if successes > 0 {
            self.since.get_or_insert((now, packets, 0)).2 += successes;
        }
        let (first, packets_then, count) = self.since?;
        let sure = now.saturating_sub(first) >= self.patience && count >= ENOUGH && packets > packets_then;
        (sure && !std::mem::replace(&mut self.blind, true)).then_some(Change::Begins)
    }
}

/// Fewer successes may have come in by an interface that is not guarded.
const ENOUGH: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(now: Ticks, answered: Ticks, successes: usize, packets: u64) -> Seen {
        Seen { now, answered, successes, packets }
    }

    #[test]
    fn three_successes_in_a_minute_without_an_answer_are_blindness_and_an_answer_ends_it() {
        let mut watch = Blindness::new(60);
        assert_eq!(watch.observe(seen(100, 90, 5, 10)), None, "a server has answered");
        assert_eq!(watch.observe(seen(110, 90, 2, 20)), None);
        assert_eq!(watch.observe(seen(180, 90, 0, 30)), None, "two are not enough");
        assert_eq!(watch.observe(seen(181, 90, 1, 40)), Some(Change::Begins));
        assert_eq!(watch.observe(seen(182, 90, 1, 50)), None, "it is told once");
        assert!(watch.is_blind());
        assert_eq!(watch.observe(seen(183, 183, 0, 60)), Some(Change::Ends));
        assert!(!watch.is_blind());
    }

    #[test]
    fn it_is_not_blind_where_no_packet_comes_or_too_soon() {
        let mut watch = Blindness::new(60);
        assert_eq!(watch.observe(seen(10, 0, 9, 7)), None);
        assert_eq!(watch.observe(seen(69, 0, 9, 8)), None, "too soon");
        assert_eq!(watch.observe(seen(71, 0, 9, 7)), None, "sshd is reached by another way");
        assert_eq!(watch.observe(seen(72, 0, 0, 8)), Some(Change::Begins));
    }
}
