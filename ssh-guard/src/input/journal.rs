//! Follows the journal of systemd through a child, `journalctl --follow --output=json`.

pub(super) mod entry;
mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

pub use self::entry::Writer;
use self::entry::{Entry, Said};
use self::run::{Run, Stage};
use super::lines::Lines;
use super::{Feed, InputError, LATE, Line, Place, Resume, Sink, Stopped, Written};
use crate::clock;
use crate::moment::Moment;

/// A child that ends is started again after this long, twice that the next time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where a journal lies, and the command that reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    /// systemd's `journalctl`, of version 236 or later (`--output-fields`).
    pub command: PathBuf,
    /// The directory of its files; `None` for the journal of this machine.
    pub directory: Option<PathBuf>,
    /// Whose entries count; `None` for those of the servers known here.
    pub writer: Option<Writer>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { command: PathBuf::from("journalctl"), directory: None, writer: None }
    }
}

impl Journal {
    /// Says whether the journal holds a line of a server that is read.
    ///
    /// # Errors
    ///
    /// If `journalctl` cannot be run, or does not like what it finds.
    pub async fn holds_lines(&self) -> Result<bool, InputError> {
        let mut command = self.command();
        let output = command
            .args(["--quiet", "--lines=1"])
            .args(entry::matches(self.writer.as_ref()))
            .output()
            .await
            .map_err(|source| InputError::Run { command: self.command.clone(), source })?;
        if !output.status.success() {
            return Err(self.ended(Ok(output.status), &output.stderr));
        }
        let entry = Entry::parse(output.stdout.trim_ascii_end());
        Ok(entry.is_ok_and(|entry| {
            matches!(entry.said(self.writer.as_ref()), Said::Message { .. } | Said::TooLong)
        }))
    }

    /// Tries to read the journal.
    pub(super) async fn check(&self) -> Result<(), InputError> {
        self.holds_lines().await.map(drop)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        command.args(["--no-pager", "--output=json"]).arg(format!("--output-fields={}", entry::FIELDS));
        if let Some(directory) = &self.directory {
            command.arg("--directory").arg(directory);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    fn ended(&self, status: std::io::Result<ExitStatus>, stderr: &[u8]) -> InputError {
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let last = stderr.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let why = match String::from_utf8_lossy(last) {
            last if last.is_empty() => status,
            last => format!("{status}, '{}'", last.escape_debug()),
        };
        InputError::Ended { command: self.command.clone(), why }
    }
}

/// Follows the journal until the input is stopped.
pub(super) async fn follow<S: Sink>(journal: Journal, resume: Option<Resume>, feed: &mut Feed<S>) {
    let mut run = Run::begin(&journal, resume, &feed.name);
    let mut pause = FIRST_PAUSE;
    loop {
        let started = clock::now();
        match child(&journal, &mut run, feed).await {
            Ok(()) => continue,
            Err(End::Stopped) => break,
            Err(End::Failed(error)) => {
                feed.failed(&error);
                feed.stats.restarted();
            }
        }
        if clock::now().since(started) > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = feed.stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    feed.end(Place::Journal(run.into_place())).await;
}

/// What is read, and how far.
struct Reading<'j> {
    writer: Option<&'j Writer>,
    run: &'j mut Run,
}

enum End {
    Stopped,
    Failed(InputError),
}

impl From<Stopped> for End {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

/// Reads one child to its end, which is an error unless that is what it was to do.
async fn child<S: Sink>(journal: &Journal, run: &mut Run, feed: &mut Feed<S>) -> Result<(), End> {
    let mut command = journal.command();
    if run.stage() == Stage::Live {
        // It fails in a directory that has no entry of this boot yet: it is tried again.
        command.args(["--follow", "--no-tail"]);
    }
    let mut child = command
        .arg(run.argument())
        .args(entry::matches(journal.writer.as_ref()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| End::Failed(InputError::Run { command: journal.command.clone(), source }))?;
    let mut last_words = LastWords::default();
    let mut reading = Reading { writer: journal.writer.as_ref(), run };
    let read = read(&mut child, &mut reading, feed, &mut last_words).await;
    // It may have closed its output and live on; one that is to end does so.
    let lives = run.stage() == Stage::Live && child.try_wait().is_ok_and(|status| status.is_none());
    if (read.is_err() || lives)
        && let Err(error) = child.start_kill()
    {
        tracing::debug!(input = feed.name, %error, "journalctl cannot be killed");
    }
    let status = child.wait().await;
    let entries = read?;
    if run.stage() == Stage::CatchUp && status.as_ref().is_ok_and(ExitStatus::success) {
        feed.works();
        run.caught_up(&feed.name);
        return Ok(());
    }
    if entries == 0 && status.as_ref().is_ok_and(|status| status.code().is_some_and(|code| code != 0)) {
        run.forget_cursor(&feed.name);
    }
    Err(End::Failed(journal.ended(status, last_words.text())))
}

/// Reads what a child prints until it closes its output; says how many entries that was.
async fn read<S: Sink>(
    child: &mut Child,
    reading: &mut Reading<'_>,
    feed: &mut Feed<S>,
    last_words: &mut LastWords,
) -> Result<u64, Stopped> {
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Ok(0);
    };
    // A byte of a message that is not UTF-8 takes up to four in JSON, a control character six.
    let mut lines = Lines::new(6 * feed.line_bytes + 4096);
    let mut entries = 0;
    let mut open = true;
    loop {
        let count = tokio::select! {
            () = feed.stop.cancelled() => return Err(Stopped),
            count = stdout.read(lines.space()) => count.unwrap_or(0),
            count = stderr.read(last_words.space()), if open => {
                let count = count.unwrap_or(0);
                last_words.filled(count);
                open = count > 0;
                continue;
            }
        };
        if count == 0 {
            break;
        }
        lines.filled(count);
        entries += take(&mut lines, reading, feed).await?;
    }
    // What a child says when it fails comes last.
    while open {
        let count = stderr.read(last_words.space()).await.unwrap_or(0);
        last_words.filled(count);
        open = count > 0;
    }
    Ok(entries)
}

/// Hands on the complete entries of what was read; says how many there were.
async fn take<S: Sink>(
    lines: &mut Lines,
    reading: &mut Reading<'_>,
    feed: &mut Feed<S>,
) -> Result<u64, Stopped> {
    let read_at = clock::now();
    let mut entries = 0;
    let mut oldest = None;
    while let Some(json) = lines.next() {
        let Ok(entry) = Entry::parse(json) else {
            feed.counts.unreadable += 1;
            continue;
        };
        entries += 1;
        oldest = oldest.or(entry.realtime());
        if reading.run.is_known(&entry, &feed.name) {
            continue;
        }
        reading.run.passed(&entry);
        match entry.said(reading.writer) {
            Said::Message { text, .. } if text.len() > feed.line_bytes => feed.counts.too_long += 1,
            Said::Message { process, pid, text } => {
                let told = entry.realtime().map(|realtime| written_at(realtime, read_at));
                let written = match told {
                    Some(told) if read_at.since(told) > LATE => {
                        Written::Before { told: Some(told), since: None }
                    }
                    _ => Written::Now,
                };
                feed.line(&Line { process: Some(process), pid, text, read_at, written });
            }
            Said::NotVouched => feed.counts.not_vouched += 1,
            Said::TooLong => feed.counts.too_long += 1,
            Said::Unreadable => feed.counts.unreadable += 1,
        }
    }
    feed.counts.too_long += lines.take_too_long();
    if let Some(oldest) = oldest {
        feed.works();
        feed.stats.behind(written_at(oldest, read_at));
        feed.sink.reached(Place::Journal(reading.run.place().clone()));
    }
    feed.flush(read_at).await?;
    feed.stats.caught_up();
    Ok(entries)
}

/// The moment at which an entry of the time of day `realtime` was written, as seen at `now`.
fn written_at(realtime: u64, now: Moment) -> Moment {
    let age = clock::micros(clock::since_epoch()).saturating_sub(realtime);
    now.minus(Duration::from_micros(age))
}

/// The end of what a child wrote to its standard error.
#[derive(Debug)]
struct LastWords {
    bytes: [u8; 1024],
    length: usize,
}

impl Default for LastWords {
    fn default() -> Self {
        Self { bytes: [0; 1024], length: 0 }
    }
}

impl LastWords {
    /// Where the next bytes go: never empty.
    fn space(&mut self) -> &mut [u8] {
        let half = self.bytes.len() / 2;
        if self.length > half {
            self.bytes.copy_within(self.length - half..self.length, 0);
            self.length = half;
        }
        &mut self.bytes[self.length..]
    }

    fn filled(&mut self, count: usize) {
        self.length += count;
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
