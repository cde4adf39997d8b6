//! Every metric. All series are there from the start, at zero; labels are words of a closed list, never an address,
//! an account or a port.

mod labels;

use std::time::Duration;

use prometheus::core::{AtomicU64, GenericCounter, GenericCounterVec};
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use ssh_guard_common::records::VerdictCount;
use ssh_guard_common::verdict::Verdict;

use crate::ban::Reason;
use crate::config::settings::Mode;
use crate::event::{Kind, Outcome};
use crate::input::Refused;
use crate::policy::blast::Beyond;
use crate::session::{Stage, Totals};
pub use labels::{LineOutcome, MapOperation, Unbanned};

type CounterVec = GenericCounterVec<AtomicU64>;
type Counter = GenericCounter<AtomicU64>;

/// The metrics, counted where things happen and written out when somebody scrapes.
pub struct Metrics {
    registry: Registry,
    packets: CounterVec,
    bytes: CounterVec,
    /// By outcome and kind, found once: each event counts in one of them.
    auth_events: [[Counter; Kind::ALL.len()]; Outcome::ALL.len()],
    log_lines: CounterVec,
    lines_lost: CounterVec,
    input_refused: CounterVec,
    bans: CounterVec,
    unbans: CounterVec,
    bans_extended: Counter,
    bans_withheld: CounterVec,
    map_errors: CounterVec,
    evictions: Counter,
    sockets_closed: Counter,
    logins_lost: Counter,
    logins_unseen: Counter,
    sessions: IntGaugeVec,
    sensor_blind: IntGauge,
    witness_blind: IntGauge,
    flood_mode: IntGauge,
    event_to_block: Histogram,
    bans_active: IntGaugeVec,
    attached: IntGaugeVec,
    attach_mode: IntGaugeVec,
    blocklist_entries: IntGauge,
    blocklist_capacity: IntGauge,
    blocklist_drift: IntGauge,
    networks_entries: IntGauge,
    networks_capacity: IntGauge,
    sources_tracked: IntGauge,
}

/// What is set, not counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Gauges {
    /// Active bans of IPv4 sources.
    pub ipv4: usize,
    /// Active bans of IPv6 sources.
    pub ipv6: usize,
    /// Active bans of networks.
    pub networks: usize,
    /// Sources that have a score.
    pub sources_tracked: usize,
}

impl Metrics {
    /// Makes every series. `inputs` and `interfaces` are those of the configuration.
    ///
    /// # Errors
    /// If two metrics have one name.
    pub fn new(inputs: &[String], interfaces: &[String]) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = CounterVec::new(Opts::new(name, help).namespace(NAMESPACE), labels)?;
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let gauges = IntGaugeVec::new(Opts::new(name, help).namespace(NAMESPACE), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            prometheus::Result::Ok(gauges)
        };
        let event_to_block = Histogram::with_opts(
            HistogramOpts::new(
                "event_to_block_seconds",
                "Time from reading a log line to the block in the kernel",
            )
            .namespace(NAMESPACE)
            .buckets(LATENCY_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(event_to_block.clone()))?;
        let none: &[&str] = &[];
        let gauge = |name, help| gauges(name, help, none).map(|one| one.with_label_values(none));
        let counter = |name, help| counters(name, help, none).map(|one| one.with_label_values(none));
        let auth_events =
            counters("auth_events_total", "What log lines said about logins", &["event", "kind"])?;
        let version = gauges("build_info", "The version that runs; always 1", &["version"])?;
        version.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);

        let metrics = Self {
            packets: counters("packets_total", "Packets to guarded ports, by verdict", &["verdict"])?,
            bytes: counters("bytes_total", "Bytes to guarded ports, by verdict", &["verdict"])?,
            auth_events: Outcome::ALL.map(|outcome| {
                Kind::ALL.map(|kind| auth_events.with_label_values(&[outcome.as_str(), kind.as_str()]))
            }),
            log_lines: counters("log_lines_total", "Log lines read", &["input", "outcome"])?,
            lines_lost: counters(
                "lines_lost_total",
                "Log lines that were there and were not read",
                &["input"],
            )?,
            input_refused: counters(
                "input_refused_total",
                "Datagrams and connections that an input did not take",
                &["input", "reason"],
            )?,
            bans: counters("bans_total", "Bans begun", &["reason"])?,
            unbans: counters("unbans_total", "Bans ended", &["cause"])?,
            bans_extended: counter(
                "bans_extended_total",
                "Bans whose end was put off, as packets still came",
            )?,
            bans_withheld: counters(
                "bans_withheld_total",
                "Times that a ban had to wait, by the limit of what may be banned automatically",
                &["limit"],
            )?,
            map_errors: counters("map_errors_total", "What the kernel refused to do", &["map", "operation"])?,
            evictions: counter("blocklist_evictions_total", "Bans that made room for another one")?,
            sockets_closed: counter(
                "sockets_closed_total",
                "Sockets that were closed: of banned sources, and of sessions that failed at shared ones",
            )?,
            logins_lost: counter(
                "logins_lost_total",
                "Logins for which no session was looked for, as too many came at once",
            )?,
            logins_unseen: counter(
                "logins_unseen_total",
                "Logins that count for nothing, as no session was seen",
            )?,
            sessions: gauges("sessions", "Sessions that are followed", &["stage"])?,
            sensor_blind: gauge("sensor_blind", "1 if sessions are served and no log line tells of any")?,
            witness_blind: gauge("witness_blind", "1 if logins succeed and no server is seen to answer")?,
            flood_mode: gauge("flood_mode", "1 while new sessions are limited for all")?,
            event_to_block,
            bans_active: gauges(
                "bans_active",
                "Active bans and listed entries: of IPv4 sources, of IPv6 sources, of networks of both",
                &["family"],
            )?,
            attached: gauges("attached", "1 if the program is attached to the interface", &["interface"])?,
            attach_mode: gauges("attach_mode", "1 for the mode of the attachment", &["interface", "mode"])?,
            blocklist_entries: gauge("blocklist_entries", "Sources in the blocklist")?,
            blocklist_capacity: gauge("blocklist_capacity", "Sources the blocklist has room for")?,
            blocklist_drift: gauge(
                "blocklist_drift",
                "Places where the maps were not what was written, when last compared",
            )?,
            networks_entries: gauge("networks_entries", "Banned networks")?,
            networks_capacity: gauge("networks_capacity", "Banned networks that there is room for")?,
            sources_tracked: gauge("sources_tracked", "Sources that have a score")?,
            registry,
        };
        metrics.show_zeros(inputs, interfaces);
        Ok(metrics)
    }

    fn show_zeros(&self, inputs: &[String], interfaces: &[String]) {
        for verdict in Verdict::ALL {
            self.packets.with_label_values(&[verdict.as_str()]);
            self.bytes.with_label_values(&[verdict.as_str()]);
        }
        for (input, outcome) in
            inputs.iter().flat_map(|input| LineOutcome::ALL.map(|outcome| (input, outcome)))
        {
            self.log_lines.with_label_values(&[input.as_str(), outcome.as_str()]);
        }
        for input in inputs {
            self.lines_lost.with_label_values(&[input.as_str()]);
            for why in Refused::ALL {
                self.input_refused.with_label_values(&[input.as_str(), why.as_str()]);
            }
        }
        for interface in interfaces {
            self.set_attached(interface, None);
        }
        for reason in Reason::ALL {
            self.bans.with_label_values(&[reason.as_str()]);
        }
        for cause in Unbanned::ALL {
            self.unbans.with_label_values(&[cause.as_str()]);
        }
        for limit in Beyond::ALL {
            self.bans_withheld.with_label_values(&[limit.as_str()]);
        }
        for refused in MapOperation::ALL {
            self.map_errors.with_label_values(&refused.labels());
        }
        self.set(Gauges::default());
        self.set_sessions(Totals::default());
    }

    /// Counts an auth event.
    pub fn heard(&self, outcome: Outcome, kind: Kind, times: u32) {
        self.auth_events[outcome as usize][kind as usize].inc_by(u64::from(times));
    }

    /// The counter of an input's lines of one outcome, to be kept by who counts them.
    #[must_use]
    pub fn lines(&self, input: &str, outcome: LineOutcome) -> Counter {
        self.log_lines.with_label_values(&[input, outcome.as_str()])
    }

    /// The counter of an input's lines that were lost, to be kept by who counts them.
    #[must_use]
    pub fn lines_lost(&self, input: &str) -> Counter {
        self.lines_lost.with_label_values(&[input])
    }

    /// The counter of what an input refused for one reason, to be kept by who counts it.
    #[must_use]
    pub fn refusals(&self, input: &str, why: Refused) -> Counter {
        self.input_refused.with_label_values(&[input, why.as_str()])
    }

    /// The counter of sockets that were closed, to be kept by who closes them.
    #[must_use]
    pub fn sockets_closed(&self) -> Counter {
        self.sockets_closed.clone()
    }

    /// The counter of logins that no session was looked for, to be kept by who loses them.
    #[must_use]
    pub fn logins_lost(&self) -> Counter {
        self.logins_lost.clone()
    }

    /// The counter of logins of which no session was seen.
    #[must_use]
    pub fn logins_unseen(&self) -> &Counter {
        &self.logins_unseen
    }

    /// Notes how many sessions there are.
    pub fn set_sessions(&self, totals: Totals) {
        for stage in Stage::ALL {
            let count = match stage {
                Stage::Open => totals.open,
                Stage::Authenticated => totals.authenticated,
                Stage::Closed => totals.closed,
            };
            self.sessions.with_label_values(&[stage.as_str()]).set(saturated(count));
        }
    }

    /// Notes whether the sensor is blind.
    pub fn set_sensor_blind(&self, blind: bool) {
        self.sensor_blind.set(i64::from(blind));
    }

    /// Notes whether the witness is blind.
    pub fn set_witness_blind(&self, blind: bool) {
        self.witness_blind.set(i64::from(blind));
    }

    /// Notes whether flood mode is on.
    pub fn set_flood_mode(&self, on: bool) {
        self.flood_mode.set(i64::from(on));
    }

    /// Counts so many bans.
    pub fn banned(&self, reason: Reason, count: usize) {
        self.bans.with_label_values(&[reason.as_str()]).inc_by(count as u64);
    }

    /// Counts a ban whose end was put off.
    pub fn extended(&self) {
        self.bans_extended.inc();
    }

    /// Counts that a ban has to wait.
    pub fn withheld(&self, limit: Beyond) {
        self.bans_withheld.with_label_values(&[limit.as_str()]).inc();
    }

    /// Counts the end of so many bans.
    pub fn unbanned(&self, cause: Unbanned, count: usize) {
        self.unbans.with_label_values(&[cause.as_str()]).inc_by(count as u64);
        if cause == Unbanned::Displaced {
            self.evictions.inc_by(count as u64);
        }
    }

    /// Counts something that the kernel refused.
    pub fn refused(&self, what: MapOperation) {
        self.map_errors.with_label_values(&what.labels()).inc();
    }

    /// Notes how long it took from reading a line to the block that it led to.
    pub fn blocked_after(&self, time: Duration) {
        self.event_to_block.observe(time.as_secs_f64());
    }

    /// Notes what the program has counted since it was loaded.
    pub fn sampled(&self, verdicts: &[VerdictCount; Verdict::ALL.len()]) {
        for (verdict, count) in Verdict::ALL.iter().zip(verdicts) {
            raise(&self.packets.with_label_values(&[verdict.as_str()]), count.packets);
            raise(&self.bytes.with_label_values(&[verdict.as_str()]), count.bytes);
        }
    }

    /// Notes what is set, not counted.
    pub fn set(&self, gauges: Gauges) {
        let Gauges { ipv4, ipv6, networks, sources_tracked } = gauges;
        self.bans_active.with_label_values(&["ipv4"]).set(saturated(ipv4));
        self.bans_active.with_label_values(&["ipv6"]).set(saturated(ipv6));
        self.bans_active.with_label_values(&["networks"]).set(saturated(networks));
        self.blocklist_entries.set(saturated(ipv4 + ipv6));
        self.networks_entries.set(saturated(networks));
        self.sources_tracked.set(saturated(sources_tracked));
    }

    /// Notes how many sources and networks there is room for.
    pub fn set_capacity(&self, sources: usize, networks: usize) {
        self.blocklist_capacity.set(saturated(sources));
        self.networks_capacity.set(saturated(networks));
    }

    /// Notes in how many places the maps were not what was written.
    pub fn set_drift(&self, places: usize) {
        self.blocklist_drift.set(saturated(places));
    }

    /// Notes in which mode an interface is guarded, if it is.
    pub fn set_attached(&self, interface: &str, mode: Option<Mode>) {
        self.attached.with_label_values(&[interface]).set(i64::from(mode.is_some()));
        for one in Mode::OBTAINED {
            let is_it = i64::from(mode == Some(one));
            self.attach_mode.with_label_values(&[interface, one.as_str()]).set(is_it);
        }
    }

    /// Writes everything in Prometheus' text format.
    ///
    /// # Errors
    /// If a metric has no series; there is none.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// The content type of [`Metrics::text`].
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const NAMESPACE: &str = "ssh_guard";

/// 25 µs to 1 s: a block is in the kernel within a fraction of a millisecond, unless the machine is busy.
const LATENCY_BUCKETS: [f64; 14] =
    [25e-6, 50e-6, 100e-6, 200e-6, 400e-6, 700e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 100e-3, 500e-3, 1.0];

/// Raises a counter to what the kernel has counted.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

fn saturated(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.text().unwrap()).unwrap()
    }

    #[test]
    fn every_series_is_there_at_zero_from_the_start() {
        let text = text(&Metrics::new(&["auth".into()], &["eth0".into()]).unwrap());
        for series in [
            "ssh_guard_packets_total{verdict=\"blocked\"} 0",
            "ssh_guard_bytes_total{verdict=\"passed\"} 0",
            "ssh_guard_auth_events_total{event=\"failure\",kind=\"password\"} 0",
            "ssh_guard_log_lines_total{input=\"auth\",outcome=\"too-long\"} 0",
            "ssh_guard_lines_lost_total{input=\"auth\"} 0",
            "ssh_guard_input_refused_total{input=\"auth\",reason=\"stranger\"} 0",
            "ssh_guard_bans_total{reason=\"threshold\"} 0",
            "ssh_guard_bans_extended_total 0",
            "ssh_guard_bans_withheld_total{limit=\"rate\"} 0",
            "ssh_guard_unbans_total{cause=\"expired\"} 0",
            "ssh_guard_bans_active{family=\"ipv6\"} 0",
            "ssh_guard_bans_active{family=\"networks\"} 0",
            "ssh_guard_bans_total{reason=\"list\"} 0",
            "ssh_guard_networks_entries 0",
            "ssh_guard_map_errors_total{map=\"blocklist\",operation=\"insert\"} 0",
            "ssh_guard_event_to_block_seconds_count 0",
            "ssh_guard_blocklist_evictions_total 0",
            "ssh_guard_sockets_closed_total 0",
            "ssh_guard_logins_lost_total 0",
            "ssh_guard_sessions{stage=\"authenticated\"} 0",
            "ssh_guard_sensor_blind 0",
            "ssh_guard_witness_blind 0",
            "ssh_guard_flood_mode 0",
            "ssh_guard_map_errors_total{map=\"crowded\",operation=\"insert\"} 0",
            "ssh_guard_blocklist_drift 0",
            "ssh_guard_attached{interface=\"eth0\"} 0",
            "ssh_guard_attach_mode{interface=\"eth0\",mode=\"tc\"} 0",
            "ssh_guard_build_info{version=\"0.1.0\"} 1",
        ] {
            assert!(text.lines().any(|line| line == series), "no '{series}' in\n{text}");
        }
    }

    #[test]
    fn what_the_kernel_counted_is_told_once_however_often_it_is_read() {
        let metrics = Metrics::new(&[], &[]).unwrap();
        let mut counts = [VerdictCount::default(); Verdict::ALL.len()];
        counts[Verdict::Blocked as usize] =
            VerdictCount { packets: 7, bytes: 420, ..VerdictCount::default() };
        metrics.sampled(&counts);
        metrics.sampled(&counts);
        let text = text(&metrics);
        assert!(text.contains("ssh_guard_packets_total{verdict=\"blocked\"} 7\n"), "{text}");
        assert!(text.contains("ssh_guard_bytes_total{verdict=\"blocked\"} 420\n"), "{text}");
    }

    #[test]
    fn a_displaced_ban_is_an_eviction() {
        let metrics = Metrics::new(&[], &[]).unwrap();
        metrics.unbanned(Unbanned::Displaced, 1);
        metrics.unbanned(Unbanned::Expired, 1);
        let text = text(&metrics);
        assert!(text.contains("ssh_guard_blocklist_evictions_total 1\n"), "{text}");
        assert!(text.contains("ssh_guard_unbans_total{cause=\"expired\"} 1\n"), "{text}");
    }
}
