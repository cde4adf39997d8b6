//! The kernel's clock beside the daemon's.

use std::time::Duration;

use aya::programs::{TestRun as _, Xdp};
use aya::{EbpfLoader, TestRunOptions};
use nix::time::{ClockId, clock_getres};
use ssh_guard_common::names;
use ssh_guard_common::time::{NEVER, TICK_SHIFT, Ticks, ticks};

use super::load::load_program;
use super::object::OBJECT;
use super::refusal::refused;
use crate::clock;
use crate::fault::{Exit, Fault};
use crate::moment::Moment;

/// What turns moments into ticks and back.
#[derive(Clone, Copy, Debug)]
pub struct KernelClock {
    /// Jiffies in a second.
    hz: u64,
    /// The jiffies from which ticks are counted.
    base: u64,
    /// A point of both clocks.
    jiffies: u64,
    moment: Moment,
    /// How long the machine had slept by then.
    asleep: Duration,
}

impl KernelClock {
    /// Reads both clocks alone, with maps of one entry each, and counts ticks from `base`.
    ///
    /// # Errors
    /// If the caller may not load BPF programs, or the kernel is too old for them.
    pub(super) fn alone(base: u64) -> Result<Self, Fault> {
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(|error| refused(&error))?;
        Self::start(load_program(&mut ebpf, names::PROGRAM_CLOCK)?, Some(base))
    }

    /// Reads both clocks through the clock program, and counts ticks from `base`, or from now on.
    ///
    /// # Errors
    /// If the kernel refuses to run the program (before 5.6 it has none of this), or its tick is not known.
    pub(super) fn start(program: &mut Xdp, base: Option<u64>) -> Result<Self, Fault> {
        let (jiffies, moment) = read_both(program)?;
        // No tick that comes is 0, which is when an entry was last hit that never was.
        let base = base.unwrap_or(jiffies.saturating_sub(1 << TICK_SHIFT));
        Ok(Self { hz: tick_rate()?.into(), base, jiffies, moment, asleep: clock::asleep() })
    }

    /// Takes note of how long the machine has slept since boot: jiffies stood still then, and moments did not. What was
    /// made ticks of before ends as much later. Returns how long it slept since the last time, if it did.
    pub fn wake(&mut self, asleep: Duration) -> Option<Duration> {
        let slept = asleep.checked_sub(self.asleep).filter(|slept| *slept >= NO_SLEEP)?;
        self.moment = self.moment.plus(slept);
        self.asleep = asleep;
        Some(slept)
    }

    /// The tick in which both clocks were read.
    #[must_use]
    pub(super) fn now(&self) -> Ticks {
        ticks(self.jiffies, self.base)
    }

    /// The jiffies from which ticks are counted.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The first tick that does not begin before `end`; [`NEVER`] for no end. An end is never early, and late by less
    /// than two ticks: one is rounded up here, and jiffies are counted late.
    #[must_use]
    pub fn ticks_at(&self, end: Option<Moment>) -> Ticks {
        let Some(end) = end else { return NEVER };
        let ahead = self.to_jiffies(end.since(self.moment));
        let behind = self.to_jiffies(self.moment.since(end));
        let jiffies = self.jiffies.saturating_add(ahead).saturating_sub(behind).max(self.base);
        let last_of_tick = (1 << TICK_SHIFT) - 1;
        ticks(
            jiffies.saturating_add(last_of_tick).min(self.base + (u64::from(NEVER - 1) << TICK_SHIFT)),
            self.base,
        )
    }

    /// The tick that a moment lies in.
    #[must_use]
    pub fn ticks_of(&self, moment: Moment) -> Ticks {
        let ahead = self.to_jiffies(moment.since(self.moment));
        ticks(self.jiffies.saturating_add(ahead), self.base)
    }

    /// So many ticks a time is at least.
    #[must_use]
    pub fn ticks_in(&self, time: Duration) -> Ticks {
        Ticks::try_from(self.to_jiffies(time).div_ceil(1 << TICK_SHIFT)).unwrap_or(NEVER)
    }

    /// The moment at which a tick begins.
    #[must_use]
    pub fn moment_of(&self, tick: Ticks) -> Moment {
        let jiffies = self.base + (u64::from(tick) << TICK_SHIFT);
        let time =
            |jiffies: u64| Duration::from_secs(jiffies / self.hz) + self.jiffy() * fraction(jiffies, self.hz);
        self.moment
            .plus(time(jiffies.saturating_sub(self.jiffies)))
            .minus(time(self.jiffies.saturating_sub(jiffies)))
    }

    fn to_jiffies(self, time: Duration) -> u64 {
        let whole = time.as_secs().saturating_mul(self.hz);
        let rest = u128::from(time.subsec_nanos()).div_ceil(self.jiffy().as_nanos());
        whole.saturating_add(u64::try_from(rest).unwrap_or(u64::MAX))
    }

    fn jiffy(&self) -> Duration {
        Duration::from_secs(1) / u32::try_from(self.hz).unwrap_or(u32::MAX)
    }
}

/// The clocks are read one after the other: so far apart they may seem to be without a sleep.
const NO_SLEEP: Duration = Duration::from_millis(500);

fn fraction(jiffies: u64, hz: u64) -> u32 {
    u32::try_from(jiffies % hz).unwrap_or(u32::MAX)
}

/// Runs the clock program, which writes both clocks over a frame.
fn read_both(program: &mut Xdp) -> Result<(u64, Moment), Fault> {
    let unreadable = || Fault::new(Exit::Failure, "cannot read the kernel's clock");
    // The shortest frame that the kernel runs a program on is an Ethernet header.
    let frame = [0; 64];
    let mut out = [0; 64];
    program
        .test_run(TestRunOptions {
            data_in: Some(&frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        })
        .map_err(|error| unreadable().because(error))?;
    let [jiffies, boot_ns]: [u64; 2] = bytemuck::pod_read_unaligned(&out[..16]);
    if boot_ns == 0 {
        return Err(unreadable());
    }
    Ok((jiffies, Moment::from_start(Duration::from_nanos(boot_ns))))
}

/// How many jiffies a second has: the coarse clock advances by one at a time (`clock_getres(2)`).
pub(super) fn tick_rate() -> Result<u32, Fault> {
    let unknown = || Fault::new(Exit::Failure, "cannot tell the kernel's tick");
    let resolution =
        clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_err(|error| unknown().because(error))?;
    let nanos = Duration::from(resolution).as_nanos();
    // 250 Hz is 4 ms; 1024 Hz, which no divisor of a second meets, is rounded to the nearest.
    u32::try_from((1_000_000_000 + nanos / 2).checked_div(nanos).unwrap_or(0))
        .ok()
        .filter(|hz| (1..=10_000).contains(hz))
        .ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(500);

    fn clock(hz: u64) -> KernelClock {
        let (moment, asleep) = (Moment::from_start(START), Duration::ZERO);
        KernelClock { hz, base: 10_000, jiffies: 10_000, moment, asleep }
    }

    #[test]
    fn an_end_is_never_early_and_late_by_less_than_two_ticks() {
        for hz in [100, 250, 300, 1000] {
            let clock = clock(hz);
            let tick = Duration::from_secs(256) / u32::try_from(hz).unwrap();
            for seconds in [0, 1, 59, 600, 3600, 30 * 24 * 3600] {
                let end = Moment::from_start(START + Duration::from_millis(seconds * 1000 + 37));
                let told = clock.moment_of(clock.ticks_at(Some(end)));
                assert!(told.plus(Duration::from_millis(10)) >= end, "{hz} Hz, {seconds} s: early");
                assert!(told.since(end) < 2 * tick, "{hz} Hz, {seconds} s: late by {:?}", told.since(end));
            }
        }
    }

    #[test]
    fn an_end_is_told_as_far_ahead_after_a_sleep_as_before_it() {
        let mut clock = clock(250);
        let end = |clock: &KernelClock, now: u64| {
            clock.ticks_at(Some(Moment::from_start(Duration::from_secs(now + 60))))
        };
        let before = end(&clock, 500);
        assert_eq!(clock.wake(Duration::from_millis(100)), None);
        assert_eq!(clock.wake(Duration::from_hours(1)), Some(Duration::from_hours(1)));
        assert_eq!(clock.wake(Duration::from_hours(1)), None);
        assert_eq!(end(&clock, 500 + 3600), before, "no jiffy has gone by");
    }

    #[test]
    fn a_time_is_so_many_ticks_rounded_up() {
        let in_ticks = |hz, seconds| clock(hz).ticks_in(Duration::from_secs(seconds));
        assert_eq!([in_ticks(250, 0), in_ticks(250, 1), in_ticks(250, 130)], [0, 1, 127]);
        assert_eq!([in_ticks(100, 60), in_ticks(1000, 60)], [24, 235]);
    }

    #[test]
    fn what_has_no_end_never_ends_and_what_is_long_over_is_over() {
        assert_eq!(clock(250).ticks_at(None), NEVER);
        assert_eq!(clock(250).ticks_at(Some(Moment::default())), 0);
    }

    #[test]
    fn an_end_beyond_the_range_is_the_last_there_is_and_not_never() {
        let end = Moment::from_start(Duration::MAX);
        assert_eq!(clock(250).ticks_at(Some(end)), NEVER - 1);
    }
}
