//! How many sessions a source may ask for: a token bucket, kept as the moment at which it will be full again.
//!
//! That moment is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371, annex A). A bucket that
//! is full needs no entry: one whose moment has passed is free for any source, and nothing is forgotten by it.
//!
//! Entries stand in groups of four, and a seeded hash gives a source its group. Each is one word of 64 bits, read and
//! written whole: CPUs that draw at once may lose a count, and never make one up. Where all four are other sources', the
//! source passes uncounted, since a flood of spoofed sources must not limit anybody else.

use bytemuck::{Pod, Zeroable};

/// Entries of a group; two groups share a cache line.
pub const ENTRIES: usize = 4;

/// The entries of a group: the source's [tag](crate::flat::Place::tag) above, the moment below, in the lower 32 bits of the
/// jiffies.
pub type Group = [u64; ENTRIES];

/// Groups for the budgets of so many sources: half of the entries are free when all of them ask at once, and one source
/// in twenty finds none.
#[must_use]
pub const fn groups_for(sources: u32) -> u32 {
    sources.div_ceil(2)
}

/// How many sessions a source may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Rate {
    /// Jiffies after which it may ask for one more; 0 for no limit.
    interval: u32,
    /// Jiffies that a bucket may be from full, for it to hold one more.
    tolerance: u32,
}

/// What became of a source that asked for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draw {
    /// It may: this word belongs into this entry.
    Drawn {
        /// The entry, below [`ENTRIES`].
        entry: usize,
        /// What it holds from now on.
        word: u64,
        /// Whether more than half of the budget was used up: the source keeps asking.
        often: bool,
    },
    /// It may: there is no entry to count it in.
    Contested,
    /// It may not.
    UsedUp,
}

impl Rate {
    /// As often as one likes.
    pub const UNLIMITED: Self = Self { interval: 0, tolerance: 0 };

    /// So many sessions a minute, all of them at once if need be; 0 for no limit. `hz` jiffies are a second, up to 10,000
    /// of them. Intervals are whole jiffies, rounded down: a limit is rather too high than too low.
    #[must_use]
    pub const fn per_minute(sessions: u16, hz: u32) -> Self {
        if sessions == 0 {
            return Self::UNLIMITED;
        }
        let exact = 60 * hz / sessions as u32;
        let interval = if exact == 0 { 1 } else { exact };
        Self { interval, tolerance: (sessions as u32 - 1) * interval }
    }

    /// Whether there is a limit.
    #[inline(always)]
    #[must_use]
    pub const fn limits(self) -> bool {
        self.interval != 0
    }

    /// Draws on the budget of the source with this tag, at `now`, in the lower 32 bits of the jiffies.
    #[inline(always)]
    #[must_use]
    pub fn draw(self, group: &Group, tag: u32, now: u32) -> Draw {
        if let Some(entry) = group.iter().position(|word| tag_of(*word) == tag) {
            let missing = self.missing(group[entry], now);
            return if missing > self.tolerance {
                Draw::UsedUp
            } else {
                self.drawn(entry, tag, now, missing)
            };
        }
        let is_free = |word: &u64| tag_of(*word) == 0 || self.missing(*word, now) == 0;
        match group.iter().position(is_free) {
            Some(entry) => self.drawn(entry, tag, now, 0),
            None => Draw::Contested,
        }
    }

    #[inline(always)]
    const fn drawn(self, entry: usize, tag: u32, now: u32, missing: u32) -> Draw {
        let full_at = now.wrapping_add(missing).wrapping_add(self.interval);
        Draw::Drawn { entry, word: (tag as u64) << 32 | full_at as u64, often: missing > self.tolerance / 2 }
    }

    /// How many jiffies an entry's bucket is from full.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the moment is the lower half")]
    const fn missing(self, word: u64, now: u32) -> u32 {
        let ahead = (word as u32).wrapping_sub(now);
        // No draw leaves more behind. What seems to lie further ahead has passed, so long ago that the clock has turned
        // since.
        if ahead > self.tolerance + self.interval + SKEW { 0 } else { ahead }
    }
}

/// Jiffies that one CPU may be late with, between the look at the clock and the look at the entry, while others draw.
const SKEW: u32 = 256;

#[inline(always)]
const fn tag_of(word: u64) -> u32 {
    (word >> 32) as u32
}

#[cfg(test)]
mod tests;
