//! Follows a log file: reads when the kernel says that something changed, and every second in case it does not
//! (network file systems, a kernel out of watches).

#[cfg(test)]
mod model;
mod reader;
mod tail;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::tail::{Step, Tail};
use self::watch::{Change, Watch};
use super::{Feed, InputError, Line, Sink, Stopped};
use crate::clock;

const POLL: Duration = Duration::from_secs(1);

/// Follows the file at `path` until the input is stopped.
pub(super) async fn follow<S: Sink>(path: PathBuf, feed: &mut Feed<S>) {
    let watch = Watch::new().unwrap_or_else(|error| {
        tracing::warn!(input = feed.name, %error, "no inotify: the log is looked at once a second");
        Watch::none()
    });
    let Err(Stopped) = run(Tail::new(path, feed.line_bytes), watch, feed).await;
}

/// Tries to open the file for reading.
pub(super) fn check(path: &Path) -> Result<(), InputError> {
    tail::open(path).map(drop)
}

async fn run<S: Sink>(mut tail: Tail, mut watch: Watch, feed: &mut Feed<S>) -> Result<Never, Stopped> {
    let mut moved = true;
    loop {
        // The watches first, then the file: whatever changes in between is seen by one of the two.
        if moved {
            watch.cover(tail.path(), tail.open_files());
        }
        let generation = tail.generation();
        drain(&mut tail, feed).await?;
        if tail.generation() != generation {
            moved = true;
            continue;
        }
        moved = tokio::select! {
            () = feed.stop.cancelled() => return Err(Stopped),
            change = watch.change() => change == Change::Names,
            () = tokio::time::sleep(POLL) => true,
        };
    }
}

/// Reads all there is.
async fn drain<S: Sink>(tail: &mut Tail, feed: &mut Feed<S>) -> Result<(), Stopped> {
    loop {
        let read_at = clock::now();
        let step =
            tail.step(read_at, &mut |text| feed.line(&Line { process: None, pid: None, text, read_at }));
        feed.counts.too_long += tail.take_too_long();
        match step {
            Ok(Step::Again) => {
                feed.stats.behind(read_at);
                feed.flush(read_at).await?;
            }
            Ok(Step::Idle) => {
                feed.works();
                feed.stats.caught_up();
                return Ok(());
            }
            Err(error) => {
                feed.failed(&error);
                return feed.flush(read_at).await;
            }
        }
    }
}

/// Following does not end by itself.
enum Never {}

#[cfg(test)]
mod tests;
