//! Makes auth events of an input's lines, and hands them to the guard.

use std::mem;
use std::sync::Arc;

use prometheus::IntCounter;
use tokio::sync::mpsc;
use tracing::warn;

use crate::event::AuthEvent;
use crate::input::{Line, Refused, Sink, Stats};
use crate::moment::Moment;
use crate::observe::{LineOutcome, Metrics};
use crate::parse::{Interpreter, Parser, Record};

/// An auth event, and when its line was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) event: AuthEvent,
    pub(super) read_at: Moment,
    /// When it happened, as far as that is known.
    pub(super) at: Moment,
}

/// Takes the lines of one input.
pub(super) struct Intake {
    interpreter: Interpreter,
    bare: bool,
    understood: IntCounter,
    ignored: IntCounter,
    too_long: IntCounter,
    missed: Missed,
    name: String,
    stats: Arc<Stats>,
    heard: Vec<Heard>,
    /// Lines of servers that are known, since the last block.
    of_servers: u64,
    guard: mpsc::Sender<Vec<Heard>>,
    /// Lines in a row, from the first on, that have no header that is known; none once one has.
    strange: Option<u32>,
}

impl Intake {
    /// `bare`: the lines of a file have no header of a transport's.
    pub(super) fn new(
        name: &str,
        parser: Parser,
        bare: bool,
        metrics: &Metrics,
        stats: Arc<Stats>,
        guard: mpsc::Sender<Vec<Heard>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            interpreter: Interpreter::new(parser),
            bare,
            understood: metrics.lines(name, LineOutcome::Understood),
            ignored: metrics.lines(name, LineOutcome::Ignored),
            too_long: metrics.lines(name, LineOutcome::TooLong),
            missed: Missed::new(name, metrics),
            stats,
            heard: Vec::new(),
            of_servers: 0,
            guard,
            strange: Some(0),
        }
    }

    fn understand(&mut self, line: &Line<'_>) -> Option<AuthEvent> {
        let record = match line.process {
            Some(process) => Some(Record { process, pid: line.pid, message: line.text, ..Record::default() }),
            None => self.interpreter.record(line.text, self.bare),
        };
        self.note_strange(record.is_none());
        let record = Record { read_at: line.read_at, ..record? };
        self.of_servers += u64::from(self.interpreter.knows(record.process));
        self.interpreter.event(&record)
    }

    /// Says, once, if the first lines all have no header: then nothing of this input will ever be understood.
    fn note_strange(&mut self, strange: bool) {
        let Some(count) = self.strange else { return };
        self.strange = strange.then_some(count + 1).filter(|count| *count < STRANGE_LINES);
        if strange && self.strange.is_none() {
            warn!(
                input = self.name,
                hint = "lines of 'sshd -E' and container logs need bare = true; others a syslog header of RFC 3164 \
                        or RFC 5424",
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
        match self.understand(line) {
            Some(event) => {
                self.understood.inc();
                self.heard.push(Heard { event, read_at: line.read_at, at: line.read_at });
            }
            None => self.ignored.inc(),
        }
    }

    async fn flush(&mut self) {
        self.stats.add_of_servers(mem::take(&mut self.of_servers));
        raise(&self.too_long, self.stats.too_long());
        self.missed.note(&self.stats);
        if !self.heard.is_empty() && self.guard.send(mem::take(&mut self.heard)).await.is_err() {
            tracing::debug!("the guard has ended: lines are read for nobody");
        }
    }
}
