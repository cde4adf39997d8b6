//! Hands to the guard what applications post, as an input of its own.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lru::LruCache;
use prometheus::IntCounter;
use smol_str::SmolStr;
use tokio::sync::mpsc;

use super::intake::{self, Heard, Missed};
use crate::clock;
use crate::control::events::{Batch, Declined, EventsTaken, MOST_EVENTS, Posted};
use crate::event::AuthEvent;
use crate::input::{Counts, Stats};
use crate::moment::Moment;
use crate::observe::{LineOutcome, Metrics};

/// The input of posted events.
pub(super) struct Poster {
    pub(super) stats: Arc<Stats>,
    pub(super) understood: IntCounter,
    /// The longest line, in bytes.
    pub(super) line_bytes: usize,
    ignored: IntCounter,
    too_long: IntCounter,
    missed: Missed,
    guard: mpsc::Sender<intake::Batch>,
    sessions: Mutex<Sessions>,
}

impl Poster {
    pub(super) fn new(
        name: &str,
        line_bytes: usize,
        metrics: &Metrics,
        guard: mpsc::Sender<intake::Batch>,
    ) -> Self {
        Self {
            line_bytes,
            stats: Arc::new(Stats::default()),
            understood: metrics.lines(name, LineOutcome::Understood),
            ignored: metrics.lines(name, LineOutcome::Ignored),
            too_long: metrics.lines(name, LineOutcome::TooLong),
            missed: Missed::new(name, metrics),
            guard,
            sessions: Mutex::new(Sessions::default()),
        }
    }

    /// Has a request's events judged, all of them or none: whoever posts must know which to post again.
    pub(super) async fn take(&self, batch: Batch) -> Result<EventsTaken, Declined> {
        let Batch { events, refused, errors, bytes, too_long } = batch;
        if events.len() > MOST_EVENTS {
            return Err(Declined::TooMany);
        }
        let read_at = clock::now();
        let taken = events.len() as u64;
        let waiting = self.guard.reserve_many(events.len().div_ceil(TOGETHER));
        let permits = match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(permits)) => permits,
            Ok(Err(_)) => return Err(Declined::Ending),
            Err(_) => {
                self.stats.add(Counts { lost: taken, ..Counts::default() }, read_at);
                self.missed.note(&self.stats);
                return Err(Declined::Busy);
            }
        };
        let lines = taken + refused - too_long;
        self.stats.add(Counts { lines, bytes, too_long, ..Counts::default() }, read_at);
        self.understood.inc_by(taken);
        self.stats.add_named(taken);
        self.ignored.inc_by(refused - too_long);
        self.too_long.inc_by(too_long);
        let mut heard = self.heard(events, read_at).into_iter();
        for permit in permits {
            permit.send(heard.by_ref().take(TOGETHER).collect::<Vec<_>>().into());
        }
        Ok(EventsTaken { taken, refused, errors })
    }

    fn heard(&self, events: Vec<Posted>, read_at: Moment) -> Vec<Heard> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let today = clock::since_epoch();
        let understand = |Posted { mut event, at, session }| {
            if let Some(session) = session {
                sessions.complete(&mut event, session);
            }
            let at = at.map_or(read_at, |at| moment(at, today, read_at));
            Heard { event, read_at, at, line: None }
        };
        events.into_iter().map(understand).collect()
    }
}

/// The moment of a time of day, at the latest now.
fn moment(at: Timestamp, today: Duration, now: Moment) -> Moment {
    let at = Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
    now.minus(today.saturating_sub(at))
}

/// What the sessions have said of themselves that applications name.
#[derive(Debug)]
struct Sessions {
    known: LruCache<(IpAddr, String), Known>,
}

#[derive(Clone, Default, Debug)]
struct Known {
    port: Option<u16>,
    user: Option<SmolStr>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { known: LruCache::new(REMEMBERED) }
    }
}

impl Sessions {
    /// Adds to an event what an earlier one of its session said, and remembers what it says itself.
    fn complete(&mut self, event: &mut AuthEvent, session: String) {
        let Some(address) = event.address else { return };
        let known = self.known.get_or_insert_mut((address, session), Known::default);
        known.port = event.port.or(known.port);
        event.port = known.port;
        if event.user.is_some() {
            known.user = event.user.clone().filter(|user| user.len() <= LONGEST_USER);
        } else {
            event.user.clone_from(&known.user);
        }
    }
}

/// How long a request waits for the guard.
const PATIENCE: Duration = Duration::from_secs(1);
/// Events that are judged together, as those of one read of a file are.
const TOGETHER: usize = 256;
/// How many sessions are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");
/// The longest name of an account that is remembered.
const LONGEST_USER: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::events::Form;

    fn poster(capacity: usize) -> (Poster, mpsc::Receiver<intake::Batch>, Arc<Metrics>) {
        let (guard, heard) = mpsc::channel(capacity);
        let metrics = Arc::new(Metrics::new(&["socket".to_owned()], &[]).unwrap());
        (Poster::new("socket", 8192, &metrics, guard), heard, metrics)
    }

    fn batch(lines: &[&str]) -> Batch {
        Batch::parse(Form::Lines, lines.join("\n").as_bytes(), 8192)
    }

    const FAILURE: &str = r#"{"source":"203.0.113.7","event":"failure"}"#;

    fn has(metrics: &Metrics, series: &str) -> bool {
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        text.lines().any(|line| line == series)
    }

    #[tokio::test]
    async fn good_lines_are_heard_and_all_lines_are_counted() {
        let (poster, mut heard, metrics) = poster(4);
        let taken = poster.take(batch(&[FAILURE, "rubbish", FAILURE])).await.unwrap();
        assert_eq!((taken.taken, taken.refused, taken.errors[0].line), (2, 1, 2));
        let heard = heard.recv().await.unwrap().heard;
        assert_eq!(heard.len(), 2);
        assert!(heard[0].at == heard[0].read_at);
        assert_eq!(poster.stats.lines(), 3);
        assert!(has(&metrics, r#"ssh_guard_log_lines_total{input="socket",outcome="understood"} 2"#));
        assert!(has(&metrics, r#"ssh_guard_log_lines_total{input="socket",outcome="ignored"} 1"#));
    }

    #[tokio::test]
    async fn a_busy_guard_takes_all_of_a_request_or_nothing_and_what_is_not_taken_is_counted() {
        let (poster, mut heard, metrics) = poster(2);
        poster.take(batch(&[FAILURE])).await.unwrap();
        let many = vec![FAILURE; 2 * TOGETHER];
        assert_eq!(poster.take(batch(&many)).await, Err(Declined::Busy));
        assert!(has(&metrics, r#"ssh_guard_lines_lost_total{input="socket"} 512"#));
        assert_eq!(heard.recv().await.unwrap().heard.len(), 1);
        assert_eq!(poster.take(batch(&many)).await.unwrap().taken, 512);
        drop(heard);
        assert_eq!(poster.take(batch(&[FAILURE])).await, Err(Declined::Ending));
    }

    #[tokio::test]
    async fn a_request_with_too_much_in_it_is_declined_at_once() {
        let (poster, _heard, _) = poster(64);
        assert_eq!(poster.take(batch(&vec![FAILURE; MOST_EVENTS + 1])).await, Err(Declined::TooMany));
        assert!(poster.take(batch(&vec![FAILURE; MOST_EVENTS])).await.is_ok());
    }

    #[tokio::test]
    async fn what_a_session_has_said_need_not_be_said_again() {
        let (poster, mut heard, _) = poster(4);
        let of = |rest: &str| format!(r#"{{"source":"203.0.113.7","event":"failure"{rest}}}"#);
        let lines = [
            of(r#","session":"a","port":41022"#),
            of(r#","session":"b","user":"bob""#),
            of(r#","session":"a","user":"alice""#),
            of(r#","session":"a""#),
            of(r#","session":"b""#),
            of(""),
        ];
        poster.take(batch(&lines.each_ref().map(String::as_str))).await.unwrap();
        let heard = heard.recv().await.unwrap().heard;
        let said: Vec<_> =
            heard.iter().map(|heard| (heard.event.port, heard.event.user.as_deref())).collect();
        let expected = [
            (Some(41022), None),
            (None, Some("bob")),
            (Some(41022), Some("alice")),
            (Some(41022), Some("alice")),
            (None, Some("bob")),
            (None, None),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn an_event_is_of_the_time_that_it_tells_and_never_of_the_future() {
        let now = Moment::from_start(Duration::from_secs(1000));
        let today = Duration::from_secs(1_700_000_000);
        let at = |seconds: i64| moment(Timestamp::from_second(seconds).unwrap(), today, now);
        let ago = |seconds| now.minus(Duration::from_secs(seconds));
        assert_eq!(at(1_700_000_000), now);
        assert_eq!(at(1_700_000_060), now);
        assert_eq!(at(1_699_999_400), ago(600));
        assert_eq!(at(1_699_998_800), ago(1200), "before the machine started");
        assert_eq!(at(-5), ago(1_700_000_000), "before times of day began");
    }

    #[tokio::test]
    async fn what_happened_before_the_machine_started_is_heard_as_well() {
        let (poster, mut heard, _) = poster(4);
        let taken = poster
            .take(batch(&[r#"{"source":"203.0.113.7","event":"failure","at":"1990-11-23T03:12:01Z"}"#]));
        assert_eq!(taken.await.unwrap().taken, 1);
        let heard = heard.recv().await.unwrap().heard;
        assert!(heard[0].at < Moment::from_start(Duration::ZERO));
    }
}
