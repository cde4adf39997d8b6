//! Makes auth events of an input's lines, and hands them to the guard.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::dating::Dating;
use super::positions::Reached;
use crate::event::AuthEvent;
use crate::input::{Line, Place, Refused, Sink, Stats, Written};
use crate::moment::Moment;
use crate::observe::{LineOutcome, Metrics};
use crate::parse::{Interpreter, Parser, Record};
use crate::policy::evidence::Trace;

/// An auth event, and when its line was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) event: AuthEvent,
    pub(super) read_at: Moment,
    /// When it happened: when it was read, or before, if the line lay unread for long.
    pub(super) at: Moment,
    /// Where its line is, if there is one and it names an address.
    pub(super) line: Option<Span>,
}

/// Where a line lies among those of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

/// What an input hands to the guard at once.
#[derive(Default, Debug)]
pub(super) struct Batch {
    pub(super) heard: Vec<Heard>,
    /// The lines that told of it, as much of each as is kept to explain what it led to: one block for all, so that a line costs
    /// no allocation of its own.
    lines: Vec<u8>,
    /// How far the input has been read with it.
    pub(super) reached: Option<Reached>,
}

/// The ways to the guard.
#[derive(Clone, Debug)]
pub(super) struct ToGuard {
    /// For what happens now.
    pub(super) live: mpsc::Sender<Batch>,
    /// For what happened while nobody read, which waits behind the live events of all inputs.
    pub(super) late: mpsc::Sender<Batch>,
}

impl From<Vec<Heard>> for Batch {
    fn from(heard: Vec<Heard>) -> Self {
        Self { heard, ..Self::default() }
    }
}

impl Batch {
    /// The line that told of an event of this batch.
    pub(super) fn line_of(&self, heard: &Heard) -> Option<&[u8]> {
        heard.line.and_then(|Span { start, end }| self.lines.get(start..end))
    }
}

/// Takes the lines of one input.
pub(super) struct Intake {
    interpreter: Interpreter,
    bare: bool,
    understood: IntCounter,
    ignored: IntCounter,
    too_long: IntCounter,
    missed: Missed,
    name: Arc<str>,
    stats: Arc<Stats>,
    heard: Vec<Heard>,
    lines: Vec<u8>,
    place: Option<Place>,
    /// Lines of servers that are known, since the last block.
    of_servers: u64,
    guard: ToGuard,
    dating: Dating,
    /// Lines of the batch were written long before they were read.
    is_late: bool,
    /// So was the last batch.
    was_late: bool,
    /// Lines that were read too late to be worth anything, since the last that was not.
    too_old: u64,
    reach: Duration,
    /// Lines in a row, from the first on, that have no header that is known; none once one has.
    strange: Option<u32>,
}

impl Intake {
    /// `bare`: the lines of a file have no header of a transport's. `reach`: how far back a line is worth being judged.
    pub(super) fn new(
        name: &str,
        (parser, bare): (Parser, bool),
        reach: Duration,
        metrics: &Metrics,
        stats: Arc<Stats>,
        guard: ToGuard,
    ) -> Self {
        Self {
            name: name.into(),
            interpreter: Interpreter::new(parser),
            bare,
            understood: metrics.lines(name, LineOutcome::Understood),
            ignored: metrics.lines(name, LineOutcome::Ignored),
            too_long: metrics.lines(name, LineOutcome::TooLong),
            missed: Missed::new(name, metrics),
            stats,
            heard: Vec::new(),
            lines: Vec::new(),
            place: None,
            of_servers: 0,
            guard,
            dating: Dating::new(reach),
            is_late: false,
            was_late: false,
            too_old: 0,
            reach,
            strange: Some(0),
        }
    }

    /// Says what a line tells, and when that happened.
    fn understand(&mut self, line: &Line<'_>) -> Option<(AuthEvent, Moment)> {
        let record = match line.process {
            Some(process) => Some(Record { process, pid: line.pid, message: line.text, ..Record::default() }),
            None => self.interpreter.record(line.text, self.bare),
        };
        self.note_strange(record.is_none());
        if let Some(record) = &record {
            self.of_servers += u64::from(self.interpreter.knows(record.process));
        }
        self.is_late |= matches!(line.written, Written::Before { .. });
        let Some(at) = self.dating.date(line, record.as_ref()) else {
            self.too_old += 1;
            return None;
        };
        self.is_late |= at < line.read_at;
        let record = Record { read_at: at, ..record? };
        Some((self.interpreter.event(&record)?, at))
    }

    /// Keeps what may be shown of a line later.
    fn keep(&mut self, text: &[u8]) -> Span {
        let start = self.lines.len();
        self.lines.extend_from_slice(&text[..text.len().min(Trace::LINE_BYTES)]);
        Span { start, end: self.lines.len() }
    }

    /// Tells of lines that were too old, once the last of them was read.
    fn tell_too_old(&mut self) {
        if self.is_late || self.too_old == 0 {
            return;
        }
        info!(
            input = &*self.name,
            lines = mem::take(&mut self.too_old),
            "what was logged longer than {} ago, while nobody read it, was passed over",
            humantime::format_duration(self.reach)
        );
    }

    /// Says, once, if the first lines all have no header: then nothing of this input will ever be understood.
    fn note_strange(&mut self, strange: bool) {
        let Some(count) = self.strange else { return };
        self.strange = strange.then_some(count + 1).filter(|count| *count < STRANGE_LINES);
        if strange && self.strange.is_none() {
            warn!(
                input = &*self.name,
                hint = "the logs that SFTPGo and vsftpd write need their parser, lines of 'sshd -E' and container logs \
                        bare = true; others a syslog header of RFC 3164 or RFC 5424",
                "no line of this input has a header that is known: nothing can be understood"
            );
        }
    }
}

/// The counters of what an input did not read.
pub(super) struct Missed {
    lost: IntCounter,
    refused: [IntCounter; Refused::ALL.len()],
}

impl Missed {
    pub(super) fn new(name: &str, metrics: &Metrics) -> Self {
        Self { lost: metrics.lines_lost(name), refused: Refused::ALL.map(|why| metrics.refusals(name, why)) }
    }

    /// Shows what the input has counted.
    pub(super) fn note(&self, stats: &Stats) {
        raise(&self.lost, stats.lost());
        for (counter, why) in self.refused.iter().zip(Refused::ALL) {
            raise(counter, stats.refused(why));
        }
    }
}

fn raise(counter: &IntCounter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

/// So many first lines without a header are no accident.
const STRANGE_LINES: u32 = 10;

impl Sink for Intake {
    fn line(&mut self, line: &Line<'_>) {
        let too_old = self.too_old;
        match self.understand(line) {
            Some((event, at)) => {
                self.understood.inc();
                let line_at = event.address.map(|_| self.keep(line.text));
                self.heard.push(Heard { event, read_at: line.read_at, at, line: line_at });
            }
            None => self.ignored.inc(),
        }
        self.stats.lose(self.too_old - too_old);
    }

    fn reached(&mut self, place: Place) {
        self.place = Some(place);
    }

    async fn flush(&mut self) {
        self.stats.add_of_servers(mem::take(&mut self.of_servers));
        self.stats.add_named(self.heard.iter().filter(|heard| heard.event.address.is_some()).count() as u64);
        raise(&self.too_long, self.stats.too_long());
        self.missed.note(&self.stats);
        self.tell_too_old();
        let is_late = mem::take(&mut self.is_late);
        let place = self.place.take();
        if self.heard.is_empty() && place.is_none() {
            return;
        }
        // What comes now waits until the guard has what came before.
        if self.was_late && !is_late {
            drop(self.guard.late.reserve_many(self.guard.late.max_capacity()).await);
        }
        self.was_late = is_late;
        let reached = place.map(|place| Reached { input: Arc::clone(&self.name), place });
        let (heard, lines) = (mem::take(&mut self.heard), mem::take(&mut self.lines));
        let batch = Batch { heard, lines, reached };
        let way = if is_late { &self.guard.late } else { &self.guard.live };
        if way.send(batch).await.is_err() {
            tracing::debug!("the guard has ended: lines are read for nobody");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::clock;

    fn intake(guard: &ToGuard) -> Intake {
        let metrics = Metrics::new(&["log".to_owned()], &[]).unwrap();
        let reach = Duration::from_mins(10);
        Intake::new("log", (Parser::Auto, false), reach, &metrics, Arc::default(), guard.clone())
    }

    fn fail(intake: &mut Intake, written: Written) {
        let text = b"Nov 23 03:12:01 lab sshd[1]: Failed password for root from 203.0.113.7 port 22 ssh2";
        intake.line(&Line { process: None, pid: None, text, read_at: clock::now(), written });
    }

    #[tokio::test]
    async fn what_happens_now_waits_for_what_the_same_input_heard_before_and_for_nothing_else() {
        let ((live, mut events), (late, mut before)) = (mpsc::channel(4), mpsc::channel(1));
        let guard = ToGuard { live, late };
        let (mut one, mut other) = (intake(&guard), intake(&guard));
        let written = Written::Before { told: None, since: Some(clock::now()) };
        fail(&mut one, written);
        one.flush().await;
        fail(&mut one, Written::Now);
        let mut flush = Box::pin(one.flush());
        assert!((&mut flush).now_or_never().is_none(), "the guard has not taken the first");
        fail(&mut other, Written::Now);
        other.flush().await;
        assert_eq!(events.try_recv().unwrap().heard.len(), 1, "of the other input");
        assert_eq!(before.recv().await.unwrap().heard.len(), 1);
        flush.await;
        let heard = events.try_recv().unwrap().heard;
        assert_eq!(heard[0].at, heard[0].read_at);
    }

    #[tokio::test]
    async fn a_line_goes_with_its_event_if_that_names_an_address_and_up_to_as_much_as_is_kept() {
        let ((live, mut events), (late, _before)) = (mpsc::channel(4), mpsc::channel(1));
        let guard = ToGuard { live, late };
        let mut intake = intake(&guard);
        let head = "Nov 23 03:12:01 lab sshd[1]: ";
        let name = "x".repeat(300);
        let texts = [
            format!("{head}Failed password for root from 203.0.113.7 port 22 ssh2"),
            // Of a process of which nothing was heard before: nobody knows from where.
            "Nov 23 03:12:01 lab sshd[2]: Failed password for root from UNKNOWN port 65535 ssh2".to_owned(),
            format!("{head}Server listening on 0.0.0.0 port 22."),
            format!("{head}Failed password for invalid user {name} from 203.0.113.8 port 22 ssh2"),
        ];
        for text in &texts {
            let (text, read_at) = (text.as_bytes(), clock::now());
            intake.line(&Line { process: None, pid: None, text, read_at, written: Written::Now });
        }
        intake.flush().await;
        let batch = events.try_recv().unwrap();
        let with_address = batch.heard.iter().filter(|heard| heard.event.address.is_some());
        let lines: Vec<_> = with_address.map(|heard| batch.line_of(heard).unwrap()).collect();
        assert_eq!(lines, [texts[0].as_bytes(), &texts[3].as_bytes()[..Trace::LINE_BYTES]]);
        assert_eq!(batch.lines.len(), texts[0].len() + Trace::LINE_BYTES, "nothing else is kept");
    }
}
