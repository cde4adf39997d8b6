//! Sends SYNs, each from the next source of a list, as fast as one CPU can.

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
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
    sources: u32,
    template: Template,
    /// Frames a second, about.
    rate: f64,
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
        let programs = Programs::load(object, &[FLOOD], sources, &[])?;
        let sources = u32::try_from(sources.len()).context("too many sources")?;
        Ok(Self { programs, sources, template: Template::syn(PORT), rate: 6e6 })
    }

    /// Floods a bed, and counts through a window in the midst of it.
    ///
    /// # Errors
    /// If frames cannot be sent, or the flood ends before the window does, whatever is tried.
    pub fn flood(&mut self, bed: &Bed, length: Duration) -> Result<Flood> {
        let before = settled(bed)?;
        for _attempt in 0..6 {
            let Template { ip_sum, tcp_sum, .. } = self.template;
            let interface = bed.sending_interface()?;
            self.programs.begin(Walk {
                count: self.sources,
                interface,
                ip_sum,
                tcp_sum,
                ..Walk::default()
            })?;
            // One call: at the end of each the kernel waits, and the receiver would run out of frames.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "10 s at 100 Mpps")]
            let frames = (self.rate * (SETTLE + length).as_secs_f64() * 1.15) as u32;
            let window = self.window(bed, length, frames)?;
            let after = settled(bed)?;
            if let Some(window) = window {
                self.rate = window.rate_sent() * 1e6;
                return Ok(Flood { window, whole: after - before });
            }
            self.rate *= 1.4;
        }
        bail!("the flood is over before the window is, at {} Mpps", self.rate / 1e6)
    }

    /// Sends frames, and counts through a window meanwhile; nothing if the frames were too few.
    fn window(&self, bed: &Bed, length: Duration, frames: u32) -> Result<Option<Window>> {
        thread::scope(|scope| {
            let sending = scope.spawn(|| bed.sender.within(|| self.send(frames)));
            thread::sleep(SETTLE);
            let opened = Opened::now(bed.counters()?, self.programs.frames()?);
            thread::sleep(length);
            let over = sending.is_finished();
            let window = opened.close(bed.counters()?, self.programs.frames()?);
            let over = over || sending.is_finished();
            sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((!over).then_some(window))
        })
    }

    fn send(&self, frames: u32) -> Result<()> {
        cpu::pin(0, cpu::SENDER)?;
        let options = TestRunOptions {
            data_in: Some(&self.template.bytes),
            repeat: frames,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        self.programs
            .program(FLOOD)?
            .test_run(options)
            .context("cannot send frames (Linux 5.18 and later can)")?;
        let made = self.programs.frames()?;
        ensure!(made == frames, "{made} frames of {frames} were made");
        Ok(())
    }
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
