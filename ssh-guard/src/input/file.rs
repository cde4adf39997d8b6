//! Follows a log file: reads when the kernel says that something changed, and every second in case it does not
//! (network file systems, a kernel out of watches).

#[cfg(test)]
mod away;
#[cfg(test)]
mod model;
mod open;
mod packed;
mod reader;
mod resume;
mod siblings;
mod tail;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::resume::{Since, worth};
use self::tail::{Step, Tail};
use self::watch::Change;
pub(crate) use self::watch::Watch;
use super::{Feed, InputError, Line, Place, Resume, Sink, Stopped};
use crate::clock;

const POLL: Duration = Duration::from_secs(1);

/// In a backlog the place is told every so many blocks of up to 128 KiB.
const BLOCKS_A_PLACE: u64 = 64;

/// Follows the file at `path` until the input is stopped.
pub(super) async fn follow<S: Sink>(path: PathBuf, resume: Option<Resume>, feed: &mut Feed<S>) {
    let watch = Watch::new().unwrap_or_else(|error| {
        tracing::warn!(input = feed.name, %error, "no inotify: the log is looked at once a second");
        Watch::none()
    });
    let Ok(mut tail) = begin(path, resume, feed).await else { return };
    let Err(Stopped) = run(&mut tail, watch, feed).await;
    // Of a log that could not be read even once nothing is known.
    if tail.idle().is_some() || tail.open_files().next().is_some() {
        feed.end(place(&tail)).await;
    }
}

/// Finds the place to begin at.
async fn begin<S: Sink>(path: PathBuf, resume: Option<Resume>, feed: &Feed<S>) -> Result<Tail, Stopped> {
    let limit = feed.line_bytes;
    let Some(Resume { place, reach }) = resume else { return Ok(Tail::new(path, limit)) };
    let place = match place {
        Place::File(place) if place.path == path => place,
        _ => {
            tracing::info!(
                input = feed.name,
                "it was another log that was read before: this one is read from its end"
            );
            return Ok(Tail::new(path, limit));
        }
    };
    loop {
        let now = clock::since_epoch();
        // A place of the future was told by a clock that was wrong, and says nothing of when lines were written.
        let told = place.idle_at.map(Duration::from_micros);
        let age = told.and_then(|told| now.checked_sub(told));
        let idle = age.map(|age| clock::now().minus(age));
        match Tail::resume(path.clone(), limit, &place, Since { idle, worth: worth(now, reach) }) {
            Ok((tail, told)) => {
                for what in told {
                    tracing::warn!(input = feed.name, log = %path.display(), "{what}");
                }
                return Ok(tail);
            }
            Err(error) => feed.failed(&error),
        }
        tokio::select! {
            () = feed.stop.cancelled() => return Err(Stopped),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// The place that was reached.
fn place(tail: &Tail) -> Place {
    let idle_at = tail.idle().map(|idle| {
        let then = clock::since_epoch().saturating_sub(clock::now().since(idle));
        clock::micros(then)
    });
    Place::File(tail.place(idle_at))
}

/// Tries to open the file for reading.
pub(super) fn check(path: &Path) -> Result<(), InputError> {
    open::open(path).map(drop)
}

async fn run<S: Sink>(tail: &mut Tail, mut watch: Watch, feed: &mut Feed<S>) -> Result<Never, Stopped> {
    let mut moved = true;
    loop {
        // The watches first, then the file: whatever changes in between is seen by one of the two.
        if moved {
            watch.cover([tail.path()].into_iter(), tail.open_files());
        }
        let generation = tail.generation();
        drain(tail, feed).await?;
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
    for block in 1_u64.. {
        let read_at = clock::now();
        let step = tail.step(read_at, &mut |text, written| {
            feed.line(&Line { process: None, pid: None, text, read_at, written });
        });
        feed.counts.too_long += tail.take_too_long();
        feed.counts.lost += tail.take_lost();
        match step {
            Ok(Step::Again) => {
                feed.stats.behind(read_at);
                // Of a long backlog not all is to be read again if it is never read to its end.
                if block % BLOCKS_A_PLACE == 0 {
                    feed.sink.reached(place(tail));
                }
                feed.flush(read_at).await?;
            }
            Ok(Step::Idle) => {
                feed.works();
                feed.stats.caught_up();
                if tail.take_moved() {
                    feed.sink.reached(place(tail));
                    feed.flush(read_at).await?;
                }
                return Ok(());
            }
            Err(error) => {
                feed.failed(&error);
                // That there is no log yet is a place as well.
                if tail.idle().is_some() && tail.take_moved() {
                    feed.sink.reached(place(tail));
                }
                return feed.flush(read_at).await;
            }
        }
    }
    Ok(())
}

/// Following does not end by itself.
enum Never {}

#[cfg(test)]
mod tests;
