//! Budgets at their bounds, and beside a model of them.

use std::collections::HashMap;

use super::*;

const HZ: u32 = 250;
/// As by default: one each 125 jiffies.
const RATE: Rate = Rate::per_minute(120, HZ);

/// Draws, and does what the answer says.
fn draw(rate: Rate, group: &mut Group, tag: u32, now: u32) -> Draw {
    let draw = rate.draw(group, tag, now);
    if let Draw::Drawn { entry, word, .. } = draw {
        group[entry] = word;
    }
    draw
}

fn passes(rate: Rate, group: &mut Group, tag: u32, now: u32) -> bool {
    draw(rate, group, tag, now) != Draw::UsedUp
}

/// How many of `tries` at once pass.
fn burst(rate: Rate, group: &mut Group, tag: u32, now: u32, tries: usize) -> usize {
    (0..tries).filter(|_| passes(rate, group, tag, now)).count()
}

#[test]
fn a_minutes_sessions_pass_at_once_and_then_one_in_each_interval() {
    for (sessions, hz) in [(1, 100), (2, 250), (120, 250), (120, 100), (6000, 100), (6000, 1000), (7, 300)] {
        let rate = Rate::per_minute(sessions, hz);
        let mut group = Group::default();
        assert_eq!(burst(rate, &mut group, 7, 1000, 7000), usize::from(sessions), "{sessions} at {hz} Hz");
        let interval = 60 * hz / u32::from(sessions);
        for number in 1..=5 {
            let next = 1000 + number * interval;
            assert!(!passes(rate, &mut group, 7, next - 1), "{sessions} at {hz} Hz: early");
            assert_eq!(burst(rate, &mut group, 7, next, 3), 1, "{sessions} at {hz} Hz");
        }
        assert_eq!(burst(rate, &mut group, 7, 1000 + 200 * 60 * hz, 7000), usize::from(sessions));
    }
}

#[test]
fn a_rate_beyond_what_jiffies_can_tell_is_one_a_jiffy() {
    let rate = Rate::per_minute(u16::MAX, 100);
    let mut group = Group::default();
    assert_eq!(burst(rate, &mut group, 7, 0, 70_000), usize::from(u16::MAX));
    assert_eq!(burst(rate, &mut group, 7, 1, 10), 1);
}

#[test]
fn no_sessions_a_minute_are_no_limit() {
    assert_eq!(Rate::per_minute(0, HZ), Rate::UNLIMITED);
    assert!(!Rate::UNLIMITED.limits() && RATE.limits());
}

#[test]
fn twelve_logins_within_two_seconds_are_never_limited_by_default() {
    let mut group = Group::default();
    // Over and over again, ten times a minute.
    for round in 0..100_u32 {
        let logins = (0..12).filter(|login| {
            let now = round * 6 * HZ + login * 2 * HZ / 12;
            passes(RATE, &mut group, 7, now)
        });
        assert_eq!(logins.count(), 12, "round {round}");
    }
}

#[test]
fn a_source_is_counted_for_itself_and_a_fifth_at_once_not_at_all() {
    let mut group = Group::default();
    for tag in 1..=4 {
        assert_eq!(burst(RATE, &mut group, tag, 1000, 500), 120, "source {tag}");
    }
    let full = group;
    for _ in 0..500 {
        assert_eq!(draw(RATE, &mut group, 5, 1000), Draw::Contested);
    }
    assert_eq!(group, full, "what is contested is not written");
    assert!(!passes(RATE, &mut group, 1, 1000), "and the others stay limited");
}

#[test]
fn an_entry_is_taken_when_its_budget_is_full_again_and_not_before() {
    let mut group = Group::default();
    for tag in 1..=4 {
        assert!(passes(RATE, &mut group, tag, 1000));
    }
    assert_eq!(draw(RATE, &mut group, 5, 1000 + 124), Draw::Contested);
    assert!(matches!(draw(RATE, &mut group, 5, 1000 + 125), Draw::Drawn { .. }));
    assert_eq!(burst(RATE, &mut group, 5, 1000 + 125, 500), 119, "it is counted from then on");
    assert_eq!(burst(RATE, &mut group, 2, 1000 + 125, 500), 120, "whose entry it was not has lost nothing");
}

#[test]
fn a_clock_that_stands_still_fills_no_budget() {
    let mut group = Group::default();
    assert_eq!(burst(RATE, &mut group, 7, 5, 100_000), 120);
}

#[test]
fn a_clock_that_wraps_changes_nothing() {
    for start in [u32::MAX - 1000, u32::MAX, 0, 1, 1 << 31, (1 << 31) - 1] {
        let mut group = Group::default();
        assert_eq!(burst(RATE, &mut group, 7, start, 500), 120, "from {start}");
        for number in 1..=20 {
            let now = start.wrapping_add(number * 125);
            assert_eq!(burst(RATE, &mut group, 7, now, 3), 1, "{number} after {start}");
        }
    }
}

#[test]
fn an_entry_of_long_ago_has_passed_however_it_looks_from_now() {
    let left = 1000_u32;
    let entry = u64::from(7_u32) << 32 | u64::from(left);
    for later in [1, 15_000, 1 << 20, 1 << 31, u32::MAX - 100_000, u32::MAX - 20_000] {
        let now = left.wrapping_add(later);
        let mut group = [entry; ENTRIES];
        assert_eq!(burst(RATE, &mut group, 7, now, 500), 120, "{later} jiffies later");
        let mut group = [entry; ENTRIES];
        assert_eq!(burst(RATE, &mut group, 8, now, 500), 120, "{later} jiffies later, another source");
    }
}

#[test]
fn an_empty_group_has_room_at_any_time() {
    // The kernel's clock begins five minutes before it wraps: then the moment of an empty entry lies just ahead.
    for now in [0, 1, u32::MAX, u32::MAX - 10_000, u32::MAX - 75_000] {
        assert_eq!(burst(RATE, &mut Group::default(), 7, now, 500), 120, "at {now}");
    }
}

#[test]
fn a_cpu_that_looked_at_the_clock_a_jiffy_ago_gets_no_second_budget() {
    let mut group = Group::default();
    assert_eq!(burst(RATE, &mut group, 7, 1000, 500), 120);
    for late in 1..=SKEW {
        assert!(!passes(RATE, &mut group, 7, 1000 - late), "{late} jiffies");
    }
}

/// A token bucket as everybody knows it; tokens are counted in jiffies.
struct Model {
    tokens: u32,
    at: u64,
}

impl Model {
    fn passes(&mut self, sessions: u32, interval: u32, now: u64) -> bool {
        let grown = u64::from(self.tokens) + (now - self.at);
        self.tokens = u32::try_from(grown.min(u64::from(sessions * interval))).unwrap();
        self.at = now;
        let passes = self.tokens >= interval;
        if passes {
            self.tokens -= interval;
        }
        passes
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "the clock is the lower half of the jiffies")]
fn four_sources_draw_as_from_token_buckets_of_their_own() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % below
    };
    for round in 0..200 {
        let sessions = 1 + next(if round % 2 == 0 { 4 } else { 200 }) as u16;
        let hz = [100, 250, 300, 1000][next(4) as usize];
        let rate = Rate::per_minute(sessions, hz);
        let mut now = (1_u64 << 32) - next(100_000);
        let mut group = Group::default();
        let mut models = HashMap::new();
        let mut answers = [0; 2];
        for _ in 0..2000 {
            // Some at once, some about as far apart as tokens come, some after long.
            now += match next(8) {
                0..=3 => 0,
                4..=6 => next(2 * u64::from(rate.interval)),
                _ => next(u64::from(rate.interval) * u64::from(sessions)),
            };
            let tag = 1 + next(ENTRIES as u64) as u32;
            let full = Model { tokens: u32::from(sessions) * rate.interval, at: now };
            let model: &mut Model = models.entry(tag).or_insert(full);
            let expected = model.passes(sessions.into(), rate.interval, now);
            assert_eq!(passes(rate, &mut group, tag, now as u32), expected, "{sessions} at {hz} Hz, {now}");
            answers[usize::from(expected)] += 1;
        }
        assert!(answers[1] > 0, "nothing passed");
        assert!(sessions > 4 || answers[0] > 0, "nothing was limited");
    }
}

#[test]
fn two_families_that_meet_in_a_group_have_budgets_of_their_own() {
    use std::net::IpAddr;

    use crate::flat::{Family as _, Shape, V4, V6};
    use crate::source::Source;

    let shape = Shape { seed: [0x51, 0x9e37_79b9_7f4a_7c15, 0xbf58, 0x94d0_49bb], buckets: 1, reserved: 0 };
    let source = |address: &str| -> Source { address.parse::<IpAddr>().unwrap().into() };
    let v4 = V4::place(&shape, source("203.0.113.7"));
    let v6 = V6::place(&shape, source("2001:db8:7::"));
    assert_eq!((v4.bucket, v6.bucket), (0, 0));
    let mut group = Group::default();
    assert_eq!(burst(RATE, &mut group, v4.tag, 9, 500), 120);
    assert_eq!(burst(RATE, &mut group, v6.tag, 9, 500), 120);
    assert!(!passes(RATE, &mut group, v4.tag, 9));
}

#[test]
fn whoever_has_used_up_half_of_the_budget_is_told_from_who_asks_now_and_then() {
    let (mut group, often) = (Group::default(), |draw| matches!(draw, Draw::Drawn { often: true, .. }));
    let told = |group: &mut Group, now| (0..120).filter(|_| often(draw(RATE, group, 5, now))).count();
    assert_eq!(told(&mut group, 1000), 60);
    assert!(!often(draw(RATE, &mut group, 6, 1000)), "another source");
    assert!(!often(draw(RATE, &mut group, 5, 1000 + 60 * 250)), "a minute later");
}
