//! Makes auth events of an input's lines, and hands them to the guard.

use std::mem;
use std::sync::Arc;

use prometheus::IntCounter;
use tokio::sync::mpsc;

use crate::event::AuthEvent;
use crate::input::{Line, Sink, Stats};
use crate::moment::Moment;
use crate::observe::{LineOutcome, Metrics};
use crate::parse::{Parser, Record, header};

/// An auth event, and when its line was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    pub(super) event: AuthEvent,
    pub(super) read_at: Moment,
}

/// Takes the lines of one input.
pub(super) struct Intake {
    parser: Parser,
    bare: bool,
    understood: IntCounter,
    ignored: IntCounter,
    too_long: IntCounter,
    stats: Arc<Stats>,
    heard: Vec<Heard>,
    guard: mpsc::Sender<Vec<Heard>>,
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
            parser,
            bare,
            understood: metrics.lines(name, LineOutcome::Understood),
            ignored: metrics.lines(name, LineOutcome::Ignored),
            too_long: metrics.lines(name, LineOutcome::TooLong),
            stats,
            heard: Vec::new(),
            guard,
        }
    }

    fn understand(&self, line: &Line<'_>) -> Option<AuthEvent> {
        let record = match line.process {
            Some(process) => Record { process, pid: line.pid, message: line.text },
            None if self.bare => header::bare(line.text)?,
            None => header::split(line.text)?,
        };
        self.parser.parse(&record)
    }
}

impl Sink for Intake {
    fn line(&mut self, line: &Line<'_>) {
        match self.understand(line) {
            Some(event) => {
                self.understood.inc();
                self.heard.push(Heard { event, read_at: line.read_at });
            }
            None => self.ignored.inc(),
        }
    }

    async fn flush(&mut self) {
        self.too_long.inc_by(self.stats.too_long().saturating_sub(self.too_long.get()));
        if !self.heard.is_empty() && self.guard.send(mem::take(&mut self.heard)).await.is_err() {
            tracing::debug!("the guard has ended: lines are read for nobody");
        }
    }
}
