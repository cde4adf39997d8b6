//! Sends SYNs, each from the next source of a list, as fast as one CPU can, or at a rate.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, MapData};
use aya::programs::TestRun as _;
use aya::{TestRunAttrs, TestRunOptions};
use ssh_guard_tests::wait::{PATIENCE, poll};

use crate::bed::Bed;
use crate::cpu;
use crate::frame::Template;
use crate::guard::PORT;
use crate::programs::{FLOOD, Programs};
use crate::receiver::{Counters, Opened, Window};
use crate::walk::Walk;

/// How long frames are sent before they are counted.
const SETTLE: Duration = Duration::from_millis(200);
/// In which the receiver takes at least one packet, if there is one.
const DRAIN: Duration = Duration::from_millis(20);
/// How many frames the kernel sends at once; it takes up to 256.
const BATCH: u32 = 64;

/// The program that sends, and what it sends.
pub struct Generator {
    programs: Programs,
    /// Ends the call before its time.
    stop: Array<MapData, u32>,
    sources: u32,
    template: Template,
    /// Runs of the program a second, about: at full speed, and at a rate, where most runs send nothing.
    runs: [f64; 2],
}

/// How fast frames are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// As fast as the CPU can.
    Full,
    /// One in so many nanoseconds.
    Every(u32),
}

impl Pace {
    /// So many million frames a second.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
    pub fn of(rate: f64) -> Self {
        Self::Every((1e3 / rate).round() as u32)
    }

    /// Million frames a second, if nothing is in the way.
    #[must_use]
    pub fn rate(self) -> f64 {
        match self {
            Self::Full => f64::INFINITY,
            Self::Every(interval) => 1e3 / f64::from(interval),
        }
    }

    /// Whether that many were sent; at full speed any number is right.
    #[must_use]
    pub fn is_kept(self, sent: f64) -> bool {
        self == Self::Full || (sent / self.rate() - 1.0).abs() < 0.15
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// What was counted while it went on.
    pub window: Window,
    /// What was counted from before its beginning until after its end, attempts that were too short included: no
    /// packet is missing in it.
    pub whole: Counters,
}

impl Generator {
    /// Loads the program, with the sources it takes in turn.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn load(object: &Path, sources: &[Ipv4Addr]) -> Result<Self> {
        let mut programs = Programs::load(object, &[FLOOD], sources, &[])?;
        let stop = programs.take_stop()?;
        let sources = u32::try_from(sources.len()).context("too many sources")?;
        Ok(Self { programs, stop, sources, template: Template::syn(PORT), runs: [6e6, 10e6] })
    }

    /// Floods a bed, and counts through a window in the midst of it.
    ///
    /// # Errors
    /// If frames cannot be sent, or the flood ends before the window does, whatever is tried.
    pub fn flood(&mut self, bed: &Bed, length: Duration) -> Result<Flood> {
        let before = settled(bed)?;
        let (window, ()) = self.flood_while(bed, Pace::Full, length, || {
            thread::sleep(length);
            Ok(())
        })?;
        Ok(Flood { window, whole: settled(bed)? - before })
    }

    /// Floods a bed while something else is done, which takes no longer than `length`, and counts meanwhile. What was
    /// done is done again when the flood was over too early.
    ///
    /// # Errors
    /// If frames cannot be sent, the flood is over too early whatever is tried, or those of `meanwhile`.
    pub fn flood_while<T>(
        &mut self,
        bed: &Bed,
        pace: Pace,
        length: Duration,
        mut meanwhile: impl FnMut() -> Result<T>,
    ) -> Result<(Window, T)> {
        let (kind, interval) = match pace {
            Pace::Full => (0, 0),
            Pace::Every(interval) => (1, interval),
        };
        for _attempt in 0..6 {
            let Template { ip_sum, tcp_sum, .. } = self.template;
            let (count, interface) = (self.sources, bed.sending_interface()?);
            self.programs.begin(Walk { count, interface, ip_sum, tcp_sum, interval, ..Walk::default() })?;
            // One call: at the end of each the kernel waits, and the receiver would run out of frames.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "10 s at 100 Mpps")]
            let runs = (self.runs[kind] * (SETTLE + length).as_secs_f64() * 1.15) as u32;
            let (window, held, over, done) = self.window(bed, runs, &mut meanwhile)?;
            let rate = window.rate_sent() * 1e6 + f64::from(held) / window.length.as_secs_f64();
            if !over {
                // Too many are no harm: they are over soon once the flood is stopped.
                self.runs[kind] = self.runs[kind].max(rate);
                return Ok((window, done));
            }
            self.runs[kind] *= 1.4;
        }
        bail!("the flood is over before the window is, at {} million frames a second", self.runs[kind] / 1e6)
    }

    /// Sends frames, and counts meanwhile those sent and the runs that sent none; and whether the runs were too few.
    fn window<T>(
        &mut self,
        bed: &Bed,
        runs: u32,
        mut meanwhile: impl FnMut() -> Result<T>,
    ) -> Result<(Window, u32, bool, T)> {
        let Self { programs, stop, template, .. } = self;
        let programs = &*programs;
        stop.set(0, 0, 0).context("cannot start the flood")?;
        thread::scope(|scope| {
            let sending = scope.spawn(|| bed.sender.within(|| send(programs, template, runs)));
            thread::sleep(SETTLE);
            let held = programs.held()?;
            let opened = Opened::now(bed.counters()?, programs.frames()?);
            let done = meanwhile();
            let over = sending.is_finished();
            let window = opened.close(bed.counters()?, programs.frames()?);
            let held = programs.held()?.wrapping_sub(held);
            let over = over || sending.is_finished();
            stop.set(0, 1, 0).context("cannot stop the flood")?;
            sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((window, held, over, done?))
        })
    }
}

fn send(programs: &Programs, template: &Template, runs: u32) -> Result<()> {
    cpu::pin(0, cpu::SENDER)?;
    let options = TestRunOptions {
        data_in: Some(&template.bytes),
        repeat: runs,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::default()
    };
    programs.program(FLOOD)?.test_run(options).context("cannot send frames (Linux 5.18 and later can)")?;
    let (made, held) = (programs.frames()?, programs.held()?);
    ensure!(made.wrapping_add(held) == runs, "{made} frames were made and {held} held, in {runs} runs");
    Ok(())
}

/// The counters once no packet is under way any more.
fn settled(bed: &Bed) -> Result<Counters> {
    let mut last = bed.counters()?;
    thread::sleep(DRAIN);
    let settled = poll(PATIENCE, || {
        let now = bed.counters().ok()?;
        let same = now.packets == last.packets;
        last = now;
        same.then_some(now)
    });
    settled.context("packets come without an end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::SLACK;

    #[test]
    fn a_pace_is_missed_by_a_sixth() {
        let pace = Pace::of(4.0);
        assert_eq!(pace, Pace::Every(250));
        let kept = [3.3, 3.5, 4.0, 4.5, 4.7].map(|sent| pace.is_kept(sent));
        assert_eq!(kept, [false, true, true, true, false]);
        assert!(Pace::Full.is_kept(0.1));
    }

    /// Runs the generator's program at these times; how many frames it sends.
    fn sent(due: u32, interval: u32, times: impl IntoIterator<Item = u32>) -> usize {
        let mut due = due;
        let sends = |now: &u32| {
            let next = Walk::due_after(due, interval, *now);
            due = next.unwrap_or(due);
            next.is_some()
        };
        times.into_iter().filter(sends).count()
    }

    #[test]
    fn a_frame_is_sent_once_in_an_interval_also_when_the_clock_runs_over() {
        let times = (0..10_000_u32).map(|run| (u32::MAX - 300_000).wrapping_add(run * 61));
        assert_eq!(sent(u32::MAX - 300_000, 1000, times), 610);
    }

    #[test]
    fn what_is_missed_is_made_up_for_unless_it_was_missed_for_too_long() {
        assert_eq!(sent(1000, 100, [1000; 50]), 1, "one is due, the next is not yet");
        assert_eq!(sent(1000, 100, [6000; 100]), 51, "all since are");
        assert_eq!(sent(1000, 100, [1001 + SLACK; 100]), 1, "none of a long pause is");
    }

    #[test]
    fn a_walk_that_was_never_told_a_time_begins_at_once() {
        for now in [0, 1, 1 << 20, 1 << 31, u32::MAX - 1000] {
            assert!(Walk::due_after(0, 250, now).is_some(), "{now}");
        }
    }
}
