//! Where log lines come from: a file that is followed, the journal, syslog that others send, standard input.
//!
//! An input reads a block, hands every line of it to its [`Sink`] by a plain call, and then waits for
//! [`Sink::flush`]. So a line that means nothing costs no more than being cut and looked at, and a guard that is
//! slow makes the reading wait: the lines lie in the file or the journal meanwhile, or with their sender, none is lost. Only
//! UDP does not wait: what of it finds no room is counted.
//!
//! A file is read on the task itself, without a thread of its own: what a log holds at its end is in the page
//! cache.

pub mod archive;
mod auto;
mod error;
mod file;
mod journal;
mod lines;
mod place;
mod stats;
mod stdin;
mod syslog;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::auto::{Candidates, Choice, auto};
pub use self::error::InputError;
pub(crate) use self::file::Watch;
pub use self::journal::{Journal, Writer};
pub use self::place::{FilePlace, Head, JournalPlace, Mark, Place};
pub(crate) use self::stats::Counts;
pub use self::stats::{Refused, Stats};
pub use self::syslog::{Listen, NoListen, Senders, Syslog};
use crate::moment::Moment;

/// One log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The program that wrote it, where the transport vouches for it (the journal); a file does not.
    pub process: Option<&'a [u8]>,
    /// The process that wrote it, under the same condition.
    pub pid: Option<u32>,
    /// What was written: for a file the whole line with the header that a syslog daemon put there, without its
    /// end; for the journal the message alone, which may hold newlines.
    pub text: &'a [u8],
    /// When it was read, to the block.
    pub read_at: Moment,
    /// When it was written.
    pub written: Written,
}

/// When a line was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// A moment before it was read: the time of reading is vouched for, and a header's is not.
    Now,
    /// A moment before, or long before if its header says so and names the zone: it may have lain with its sender.
    Sent,
    /// Long before: it lay there while nobody read.
    Before {
        /// When that was, where the transport knows (the journal).
        told: Option<Moment>,
        /// It was after this, if that is known.
        since: Option<Moment>,
    },
}

/// What lay unread for longer than this was written before, not now.
pub(crate) const LATE: Duration = Duration::from_secs(10);

/// Takes the lines of an input.
pub trait Sink: Send {
    /// Takes one line. It is called for every line, so it must neither wait nor block.
    fn line(&mut self, line: &Line<'_>);

    /// Takes note of how far the input has been read: all lines before that place were handed to [`Sink::line`]. It
    /// may be kept only once whatever came of them is dealt with.
    fn reached(&mut self, _place: Place) {}

    /// Hands on what came of the lines since the last call; the input reads no further until it is done. When
    /// the input is stopped, the future may be dropped unfinished.
    fn flush(&mut self) -> impl Future<Output = ()> + Send;
}

/// An input, as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// Its name, for messages.
    pub name: String,
    /// What is read.
    pub origin: Origin,
    /// The longest line that is handed on, in bytes without its end.
    pub line_bytes: usize,
    /// Where an earlier daemon has stopped; none to begin anew.
    pub resume: Option<Resume>,
}

/// Where to go on reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resume {
    /// The place that was reached.
    pub place: Place,
    /// How far back what was written since is worth reading.
    pub reach: Duration,
}

/// What an input reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A file that a syslog daemon writes, by its path; it need not exist yet.
    File(PathBuf),
    /// The journal of systemd.
    Journal(Journal),
    /// What syslog daemons send.
    Syslog(Syslog),
    /// Standard input.
    Stdin,
}

impl Origin {
    /// Tries whether it can be read now.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub async fn check(&self) -> Result<(), InputError> {
        match self {
            Self::File(path) => file::check(path),
            Self::Journal(journal) => journal.check().await,
            Self::Syslog(syslog) => syslog.check().await,
            Self::Stdin => Ok(()),
        }
    }
}

/// Reads an input until it is stopped. What cannot be read is reported once, in the log and in `stats`, and tried
/// again: an input never ends by itself, and of standard input the end is reported. It goes on where an earlier daemon has
/// stopped, if that is told; else a file is read from its end, or from its beginning if it appears later, and the
/// journal from now on.
pub async fn follow<S: Sink>(spec: Spec, sink: S, stats: Arc<Stats>, stop: CancellationToken) {
    let Spec { name, origin, line_bytes, resume } = spec;
    let mut feed =
        Feed { name, line_bytes, sink, stats, stop, counts: Counts::default(), interrupted: false };
    match origin {
        Origin::File(path) => file::follow(path, resume, &mut feed).await,
        Origin::Journal(journal) => journal::follow(journal, resume, &mut feed).await,
        Origin::Syslog(syslog) => syslog::follow(syslog, &mut feed).await,
        Origin::Stdin => stdin::follow(&mut feed).await,
    }
}

/// What all kinds of input share: where lines go, and whom to tell.
struct Feed<S> {
    name: String,
    line_bytes: usize,
    sink: S,
    stats: Arc<Stats>,
    stop: CancellationToken,
    counts: Counts,
    /// Lines were read, and not handed on since the input was told to stop.
    interrupted: bool,
}

/// The input was told to stop.
struct Stopped;

impl<S: Sink> Feed<S> {
    fn line(&mut self, line: &Line<'_>) {
        self.counts.lines += 1;
        self.counts.bytes += line.text.len() as u64;
        self.sink.line(line);
    }

    /// Ends a block that was read at `read_at`.
    async fn flush(&mut self, read_at: Moment) -> Result<(), Stopped> {
        self.stats.add(std::mem::take(&mut self.counts), read_at);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                self.interrupted = true;
                return Err(Stopped);
            }
            () = self.sink.flush() => {}
        }
        // A long backlog must not keep the other tasks of this thread waiting.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Hands on the last place, unless lines before it were not.
    async fn end(&mut self, place: Place) {
        if !self.interrupted {
            self.sink.reached(place);
            self.sink.flush().await;
        }
    }

    fn failed(&self, error: &InputError) {
        if self.stats.failed(&error.chain()) {
            let hint = error.hint();
            tracing::warn!(
                input = self.name,
                error = error.chain(),
                hint,
                "input cannot be read, trying again"
            );
        }
    }

    /// Says that nothing more will come.
    fn over(&self, error: &InputError) {
        if self.stats.failed(&error.chain()) {
            tracing::info!(input = self.name, why = error.chain(), "input is over; the others go on");
        }
    }

    fn works(&self) {
        if self.stats.works() {
            tracing::info!(input = self.name, "input can be read again");
        }
    }
}
