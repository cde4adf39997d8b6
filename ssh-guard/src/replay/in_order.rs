//! The auth events of several logs in the order of time, in bounded memory: of each log a block has been read.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::Summary;
use super::clock::Clock;
use super::decisions::Rehearsals;
use super::logs::{Log, Logs, Reader, Told, Unread, together};
use crate::event::AuthEvent;
use crate::input::archive::{Archive, ArchiveError};
use crate::moment::Moment;

/// Sums up logs, and has the rehearsals judge their events in the order of time; those of one log in the order in which they
/// were written.
///
/// # Errors
/// As [`Unread`] says.
pub fn read_in_order(logs: &Logs, summary: &mut Summary, rehearsals: &mut Rehearsals) -> Result<(), Unread> {
    let mut turns: Vec<Turn<'_>> = logs.each().into_iter().map(Turn::new).collect();
    loop {
        for turn in &mut turns {
            turn.read(summary).map_err(Unread::Out)?;
        }
        let Some(first) = (0..turns.len())
            .filter(|turn| turns[*turn].next().is_some())
            .min_by_key(|turn| turns[*turn].next())
        else {
            break;
        };
        let others = turns.iter().enumerate().filter(|(turn, _)| *turn != first);
        let until = others.filter_map(|(_, turn)| turn.next()).min();
        // Its events up to the next one of another log.
        while let Some((at, event)) =
            turns[first].waiting.pop_front_if(|(at, _)| until.is_none_or(|until| *at <= until))
        {
            rehearsals.take(&event, at);
        }
    }
    let mut fault = None;
    for turn in turns {
        rehearsals.note_set_back(turn.clock.set_back());
        fault = together(fault, turn.log.fault);
    }
    fault.map_or(Ok(()), |fault| Err(Unread::In(fault)))
}

/// One of several logs that are read by turns.
struct Turn<'l> {
    log: Log<'l>,
    clock: Clock,
    waiting: VecDeque<(Moment, AuthEvent)>,
    /// Its place in the summary.
    file: Option<usize>,
    ended: bool,
}

impl<'l> Turn<'l> {
    fn new(log: Log<'l>) -> Self {
        Self { log, clock: Clock::default(), waiting: VecDeque::new(), file: None, ended: false }
    }

    fn next(&self) -> Option<Moment> {
        self.waiting.front().map(|(at, _)| *at)
    }

    /// Reads on until an event waits, or the log ends.
    fn read(&mut self, summary: &mut Summary) -> io::Result<()> {
        let before = summary.turn_to(self.file);
        while self.waiting.is_empty() && !self.ended {
            let mut tap = Tap { summary: &mut *summary, clock: &mut self.clock, waiting: &mut self.waiting };
            self.ended = !self.log.read_some(&mut tap)?;
        }
        self.file = summary.turn_to(before);
        Ok(())
    }
}

/// Has all that is read summed up, and keeps the events.
struct Tap<'a> {
    summary: &'a mut Summary,
    clock: &'a mut Clock,
    waiting: &'a mut VecDeque<(Moment, AuthEvent)>,
}

impl Reader for Tap<'_> {
    fn begin(&mut self, file: &Path, archive: &Archive) {
        self.summary.begin(file, archive);
    }

    fn take(&mut self, told: &Told<'_>) {
        self.summary.take(told);
        let at = self.clock.read(told.at);
        self.waiting.extend(told.event.clone().map(|event| (at, event)));
    }

    fn pause(&mut self) -> io::Result<()> {
        self.summary.pause()
    }

    fn end(&mut self, file: &Path, bytes: u64, broken: Option<&ArchiveError>) {
        self.summary.end(file, bytes, broken);
    }
}
