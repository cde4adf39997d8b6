//! How much is measured: enough to believe it, or just enough to see that it works.

use std::time::Duration;

/// Sizes of lists, rounds, and how long each measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many sources are banned, in one benchmark after the other.
    pub sizes: &'static [u32],
    /// How often everything is measured, each round in the same order.
    pub rounds: u32,
    /// How long a call that test-runs a program takes, about.
    pub test_run: Duration,
    /// How long packets are counted.
    pub window: Duration,
    /// How many sources are banned while others flood.
    pub banned_in_flood: u32,
    /// How many sources flood.
    pub flooding: u32,
    /// For how long good clients begin to connect.
    pub connecting: Duration,
    /// How long each waits for the banner.
    pub patience: Duration,
    /// How many bans are loaded, and how often.
    pub loads: &'static [(u32, u32)],
    /// How many lines a log has.
    pub log_lines: u32,
    /// How many sources try to log in, in one log after the other; other readers get the one in the middle.
    pub log_sources: &'static [u32],
    /// How many sources the policy follows, in one benchmark after the other.
    pub judged: &'static [u32],
    /// How often the time from a line to its block is taken.
    pub reactions: u32,
}

impl Plan {
    /// The figures to quote.
    pub const FULL: Self = Self {
        sizes: &[1_000, 100_000, 1_000_000],
        rounds: 5,
        test_run: Duration::from_millis(300),
        window: Duration::from_secs(1),
        banned_in_flood: 100_000,
        flooding: 1_000_000,
        connecting: Duration::from_secs(2),
        patience: Duration::from_secs(2),
        loads: &[(100_000, 5), (1_000_000, 3)],
        log_lines: 1_000_000,
        log_sources: &[200, 20_000, 200_000],
        judged: &[10_000, 100_000, 1_000_000],
        reactions: 500,
    };

    /// The figures to look at once.
    pub const QUICK: Self = Self {
        sizes: &[1_000, 10_000],
        rounds: 2,
        test_run: Duration::from_millis(60),
        window: Duration::from_millis(300),
        banned_in_flood: 10_000,
        flooding: 100_000,
        connecting: Duration::from_millis(500),
        patience: Duration::from_millis(600),
        loads: &[(10_000, 2)],
        log_lines: 100_000,
        log_sources: &[2_000],
        judged: &[10_000],
        reactions: 100,
    };
}
