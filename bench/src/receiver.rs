//! What the receiving side counts: packets, how far they came, and the CPU time they took.

use std::fs;
use std::ops::Sub;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::clock;

/// Counts of a receiving namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Packets that the driver took from its ring, whatever became of them.
    pub packets: u64,
    /// Packets that reached IP.
    pub at_ip: u64,
    /// Packets that IP itself threw away: malformed, or from or to addresses that cannot be.
    pub refused_by_ip: u64,
    /// Packets that IP handed on, past every packet filter.
    pub past_filters: u64,
    /// Segments that reached TCP.
    pub at_tcp: u64,
    /// CPU time of the thread that receives.
    pub busy: Duration,
}

impl Counters {
    /// Reads the counts of the namespace this is called in.
    ///
    /// # Errors
    /// If `/proc` says something else than it should.
    pub fn read(interface: &str, thread: i32) -> Result<Self> {
        let read = |file: &str| fs::read_to_string(file).with_context(|| format!("cannot read '{file}'"));
        let snmp = read("/proc/thread-self/net/snmp")?;
        let dev = read("/proc/thread-self/net/dev")?;
        let schedstat = read(&format!("/proc/{thread}/schedstat"))?;
        let count = |protocol, name| {
            snmp_count(&snmp, protocol, name)
                .with_context(|| format!("the kernel does not count {protocol} {name}"))
        };
        let busy = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).context("no CPU time")?;
        Ok(Self {
            packets: received(&dev, interface).with_context(|| format!("no interface '{interface}'"))?,
            at_ip: count("Ip", "InReceives")?,
            refused_by_ip: count("Ip", "InHdrErrors")? + count("Ip", "InAddrErrors")?,
            past_filters: count("Ip", "InDelivers")?,
            at_tcp: count("Tcp", "InSegs")?,
            busy: Duration::from_nanos(busy),
        })
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            at_ip: self.at_ip - before.at_ip,
            refused_by_ip: self.refused_by_ip - before.refused_by_ip,
            past_filters: self.past_filters - before.past_filters,
            at_tcp: self.at_tcp - before.at_tcp,
            busy: self.busy.saturating_sub(before.busy),
        }
    }
}

/// What happened in a window of time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// How long it was.
    pub length: Duration,
    /// What was counted in it.
    pub counted: Counters,
    /// Frames that were sent in it, those that the receiver's full ring did not take among them.
    pub sent: u64,
}

/// Counts through a window.
#[derive(Clone, Copy, Debug)]
pub struct Opened {
    at: Instant,
    counters: Counters,
    sent: u32,
}

impl Opened {
    /// Opens a window now.
    #[must_use]
    pub fn now(counters: Counters, sent: u32) -> Self {
        Self { at: clock::now(), counters, sent }
    }

    /// Closes it now.
    #[must_use]
    pub fn close(self, counters: Counters, sent: u32) -> Window {
        let sent = u64::from(sent.wrapping_sub(self.sent));
        Window { length: self.at.elapsed(), counted: counters - self.counters, sent }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
impl Window {
    /// Packets received in a microsecond, which is millions in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.counted.packets as f64 / self.length.as_secs_f64() / 1e6
    }

    /// Frames sent in a microsecond.
    #[must_use]
    pub fn rate_sent(&self) -> f64 {
        self.sent as f64 / self.length.as_secs_f64() / 1e6
    }

    /// Whether packets were left over although the thread had not all of its CPU: something else ran there.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.share() < 80.0 && self.rate() < 0.9 * self.rate_sent()
    }

    /// CPU time of the receiving thread for a packet, in nanoseconds.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.counted.busy.as_secs_f64() * 1e9 / self.counted.packets as f64
    }

    /// How much of its CPU the receiving thread had, in per cent.
    #[must_use]
    pub fn share(&self) -> f64 {
        100.0 * self.counted.busy.as_secs_f64() / self.length.as_secs_f64()
    }
}

/// How many packets the namespace this is called in has sent by way of IP.
///
/// # Errors
/// If `/proc` says something else than it should.
pub fn sent_by_ip() -> Result<u64> {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp").context("cannot read what was sent")?;
    snmp_count(&snmp, "Ip", "OutRequests").context("the kernel does not count Ip OutRequests")
}

/// The packets that an interface received, from `/proc/net/dev`.
fn received(dev: &str, interface: &str) -> Option<u64> {
    dev.lines().find_map(|line| {
        let (name, counts) = line.split_once(':')?;
        if name.trim() != interface {
            return None;
        }
        counts.split_whitespace().nth(1)?.parse().ok()
    })
}

/// A count from `/proc/net/snmp`, where a line of names comes before a line of counts.
fn snmp_count(snmp: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let place = lines.next()?.split(' ').position(|found| found == name)?;
    lines.next()?.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_those_received_on_the_interface() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets errs\n    lo:  9 1 0 0\n  b1n0: 600 10 0 0 0 0 0 0 5 7\n";
        assert_eq!(
            (received(dev, "b1n0"), received(dev, "lo"), received(dev, "b1n")),
            (Some(10), Some(1), None)
        );
    }

    #[test]
    fn counts_stand_below_their_names() {
        let snmp = "Ip: Forwarding InReceives InDelivers\nIp: 1 20 -3\nTcp: InSegs OutSegs\nTcp: 7 8\n";
        assert_eq!(snmp_count(snmp, "Ip", "InReceives"), Some(20));
        assert_eq!(snmp_count(snmp, "Tcp", "InSegs"), Some(7));
        assert_eq!((snmp_count(snmp, "Ip", "InSegs"), snmp_count(snmp, "Udp", "InSegs")), (None, None));
    }

    #[test]
    fn a_window_tells_rates_and_costs() {
        let none = Counters {
            packets: 0,
            at_ip: 0,
            refused_by_ip: 0,
            past_filters: 0,
            at_tcp: 0,
            busy: Duration::ZERO,
        };
        let counted = Counters { packets: 5_000_000, busy: Duration::from_millis(750), ..none };
        let window = Window { length: Duration::from_secs(1), counted, sent: 8_000_000 };
        let told = [window.rate(), window.rate_sent(), window.cost(), window.share()];
        for (told, wanted) in told.into_iter().zip([5.0, 8.0, 150.0, 75.0]) {
            assert!((told - wanted).abs() < 1e-6, "{told} is not {wanted}");
        }
    }

    #[test]
    fn packets_that_nobody_takes_from_an_idle_cpu_are_a_disturbance() {
        let window = |packets, busy, sent| {
            let busy = Duration::from_millis(busy);
            let counted = Counters { packets, at_ip: 0, refused_by_ip: 0, past_filters: 0, at_tcp: 0, busy };
            Window { length: Duration::from_secs(1), counted, sent }
        };
        assert!(window(2_000_000, 400, 5_000_000).is_disturbed());
        assert!(!window(2_000_000, 950, 5_000_000).is_disturbed(), "the filter is the limit");
        assert!(!window(5_000_000, 400, 5_000_000).is_disturbed(), "the sender is the limit");
    }

    #[test]
    fn this_namespace_has_counts() {
        let own = i32::try_from(std::process::id()).unwrap();
        let counters = Counters::read("lo", own).unwrap();
        assert!(counters.busy > Duration::ZERO);
        assert!(Counters::read("no-such-thing", own).is_err());
    }
}
