//! How far the journal was read, and where the next child is to begin.

use super::Journal;
use super::entry::Entry;
use crate::clock;
use crate::input::{JournalPlace, Place, Resume};

/// How the journal is being read.
#[derive(Debug)]
pub(super) struct Run {
    place: JournalPlace,
    stage: Stage,
    /// What the child of a catch-up has printed of what was there before.
    met: Met,
}

/// What the next child is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// To print what was logged while no daemon ran, of all boots, and end: `--follow` means `--boot` from 250 on, which
    /// leaves out the boots before this one.
    CatchUp,
    /// To follow.
    Live,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Met {
    /// Nothing.
    Nothing,
    /// Another entry than the one that was read last: that is in the journal no more.
    Another,
    /// The one that was read last, or one after it.
    Last,
}

impl Run {
    /// Finds the place to begin at: where an earlier daemon has stopped in this journal, or now.
    pub(super) fn begin(journal: &Journal, resume: Option<Resume>, name: &str) -> Self {
        let now = clock::since_epoch();
        let place = JournalPlace {
            directory: journal.directory.clone(),
            cursor: None,
            boot: None,
            realtime: clock::micros(now),
        };
        let anew = Self { place, stage: Stage::Live, met: Met::Nothing };
        let Some(Resume { place: stored, reach }) = resume else { return anew };
        let stored = match stored {
            Place::Journal(stored) if stored.directory == journal.directory => stored,
            _ => {
                tracing::info!(
                    input = name,
                    "it was another log that was read before: this journal is read from now on"
                );
                return anew;
            }
        };
        let worth = clock::micros(now.saturating_sub(reach));
        let place = if stored.realtime < worth {
            tracing::info!(
                input = name,
                "the journal was left long ago: what is older than {} is passed over",
                humantime::format_duration(reach)
            );
            JournalPlace { cursor: None, realtime: worth, ..stored }
        } else {
            stored
        };
        Self { place, stage: Stage::CatchUp, met: Met::Nothing }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn place(&self) -> &JournalPlace {
        &self.place
    }

    pub(super) fn into_place(self) -> JournalPlace {
        self.place
    }

    /// Tells `journalctl` where to begin. Not `--lines=0`: what is logged while it starts would be lost.
    pub(super) fn argument(&self) -> String {
        let JournalPlace { cursor, realtime, .. } = &self.place;
        match (cursor, self.stage) {
            // With the entry itself: whether it is there still tells whether the journal goes on from it.
            (Some(cursor), Stage::CatchUp) => format!("--cursor={cursor}"),
            (Some(cursor), Stage::Live) => format!("--after-cursor={cursor}"),
            (None, _) => format!("--since=@{}.{:06}", realtime / 1_000_000, realtime % 1_000_000),
        }
    }

    /// Takes note that an entry was read.
    pub(super) fn passed(&mut self, entry: &Entry<'_>) {
        self.met = Met::Last;
        replace(&mut self.place.cursor, &entry.cursor);
        if let Some(boot) = entry.boot() {
            replace(&mut self.place.boot, boot);
        }
        if let Some(realtime) = entry.realtime() {
            self.place.realtime = realtime + 1;
        }
    }

    /// Whether an entry was read by an earlier daemon. Where the last one that was is gone, `journalctl` begins at what lies
    /// nearest, which may be before it.
    pub(super) fn is_known(&mut self, entry: &Entry<'_>, name: &str) -> bool {
        let (Stage::CatchUp, Some(cursor)) = (self.stage, &self.place.cursor) else { return false };
        if self.met == Met::Last {
            return false;
        }
        if *cursor == entry.cursor {
            self.met = Met::Last;
            return true;
        }
        if self.met == Met::Nothing {
            self.met = Met::Another;
            tell_gone(name);
        }
        entry.realtime().is_some_and(|realtime| realtime < self.place.realtime)
    }

    /// Goes on to follow, once what was logged meanwhile is read.
    pub(super) fn caught_up(&mut self, name: &str) {
        self.stage = Stage::Live;
        if self.met == Met::Nothing && self.place.cursor.take().is_some() {
            tell_gone(name);
        }
    }

    /// Goes on by time, as a cursor may be refused (the files were deleted, or repaired).
    pub(super) fn forget_cursor(&mut self, name: &str) {
        if self.place.cursor.take().is_some() {
            tracing::info!(input = name, "the journal refuses its cursor: it is read on by time");
        }
    }
}

fn tell_gone(name: &str) {
    tracing::info!(
        input = name,
        "the entry that was read last is in the journal no more: it is read on by time; entries that were vacuumed \
         since are lost"
    );
}

/// Puts a text into the place of another, and allocates only where there is none.
fn replace(old: &mut Option<String>, new: &str) {
    let old = old.get_or_insert_default();
    old.clear();
    old.push_str(new);
}
