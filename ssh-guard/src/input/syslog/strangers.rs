//! Says who sends without being a sender, once in a while: whoever sends to a port must not fill the log with it.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;

use crate::moment::Moment;

/// How long a stranger is not told again.
const AGAIN: Duration = Duration::from_hours(1);
/// How many are told in that time; all are counted.
const MOST: u32 = 20;
/// How many are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(256).expect("it is not zero");

/// Who was told.
#[derive(Debug)]
pub(super) struct Strangers<T: Hash + Eq> {
    told: LruCache<T, Moment>,
    since: Moment,
    count: u32,
}

impl<T: Hash + Eq> Strangers<T> {
    pub(super) fn new() -> Self {
        Self { told: LruCache::new(REMEMBERED), since: Moment::default(), count: 0 }
    }

    /// Whether this one is to be told now.
    pub(super) fn is_news(&mut self, stranger: T, now: Moment) -> bool {
        if now.since(self.since) >= AGAIN {
            (self.since, self.count) = (now, 0);
        }
        let known = self.told.get(&stranger).is_some_and(|told| now.since(*told) < AGAIN);
        if known || self.count >= MOST {
            return false;
        }
        self.count += 1;
        self.told.put(stranger, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Moment {
        Moment::from_start(Duration::from_secs(100_000 + 60 * minutes))
    }

    #[test]
    fn a_stranger_is_told_once_an_hour() {
        let mut strangers = Strangers::new();
        assert!(strangers.is_news(1, at(0)));
        assert!(!strangers.is_news(1, at(59)));
        assert!(strangers.is_news(2, at(59)));
        assert!(strangers.is_news(1, at(61)));
    }

    #[test]
    fn many_strangers_fill_neither_the_log_nor_the_memory() {
        let mut strangers = Strangers::new();
        let told = (0..100_000).filter(|stranger| strangers.is_news(*stranger, at(0))).count();
        assert_eq!(told, MOST as usize);
        assert!(strangers.told.len() <= REMEMBERED.get());
        assert!(strangers.is_news(7_000_000, at(60)), "an hour later they are told again");
    }
}
