//! Goes on where an earlier daemon has stopped, whatever rotation has done since.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::open::{is_missing, open};
use super::packed::{Packed, mark_of};
use super::reader::{FileId, Reader};
use super::siblings::{Sibling, Siblings, written};
use crate::input::{FilePlace, Head, InputError, Mark, Written};
use crate::moment::Moment;

/// A file that was rotated away while nobody read, and is read to its end.
#[derive(Debug)]
pub(super) enum Past {
    Plain(Reader),
    Packed(Packed),
}

/// What was found in the place that an earlier daemon had reached.
#[derive(Default, Debug)]
pub(super) struct Found {
    /// What is to be read first, in this order.
    pub(super) past: VecDeque<Past>,
    /// What the path names now.
    pub(super) current: Option<Reader>,
    /// What was found amiss, for the operator; one line each.
    pub(super) told: Vec<String>,
    /// How many lines are lost at least.
    pub(super) lost: u64,
    /// What was rotated away and written no later is known, in nanoseconds since 1970.
    pub(super) seen: i128,
}

/// What is known beside the place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    /// What lies behind the place was written after this.
    pub(super) idle: Option<Moment>,
    /// A file that was written last before this, in nanoseconds since 1970, is worth nothing.
    pub(super) worth: i128,
}

impl Past {
    pub(super) fn read(&mut self, on_line: &mut impl FnMut(&[u8], Written)) -> io::Result<bool> {
        match self {
            Self::Plain(reader) => reader.read(on_line),
            Self::Packed(packed) => packed.read(on_line),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        match self {
            Self::Plain(reader) => reader.mark(),
            Self::Packed(packed) => packed.mark(),
        }
    }

    pub(super) fn take_too_long(&mut self) -> u64 {
        match self {
            Self::Plain(reader) => reader.take_too_long(),
            Self::Packed(packed) => packed.take_too_long(),
        }
    }

    pub(super) fn take_lost(&mut self) -> u64 {
        match self {
            Self::Plain(reader) => reader.take_lost(),
            Self::Packed(packed) => packed.take_lost(),
        }
    }
}

/// Finds what `place` was in, and what has come since.
///
/// The file that was read is the one of the same number that begins as it did, under whatever name; or a copy of it, which
/// `copytruncate` and compression leave. What was rotated after it was is read whole. Then comes what the path names now, from
/// its beginning if that is another file.
pub(super) fn resume(
    path: &Path,
    limit: usize,
    place: &FilePlace,
    since: Since,
) -> Result<Found, InputError> {
    let named = match open(path) {
        Ok(file) => Some(file),
        Err(InputError::Missing { .. }) => None,
        Err(error) => return Err(error),
    };
    let failed = |source: io::Error| InputError::Read { path: path.to_owned(), source };
    let metadata = named.as_ref().map(std::fs::File::metadata).transpose().map_err(failed)?;
    let mut siblings = Siblings::of(path, metadata.as_ref().map(FileId::from));
    let mut found = Found { seen: i128::from(place.seen), ..Found::default() };
    let is_current = match (&place.current, &named, &metadata) {
        (Some(mark), Some(file), Some(metadata)) => is_where(file, metadata, mark).map_err(failed)?,
        _ => false,
    };
    let current = place.current.as_ref();
    let marks: Vec<&Mark> = place.retired.iter().chain(current.filter(|_| !is_current)).collect();
    let mut taken = siblings.take_all(&marks);
    let of_current = if is_current || current.is_none() { None } else { taken.pop().flatten() };
    // What is read here is known afterwards, whenever it was written.
    let mut last = 0;
    for (mark, sibling) in place.retired.iter().zip(taken) {
        let Some(sibling) = sibling else { continue };
        last = last.max(sibling.written());
        found.past.push_back(past(sibling, limit, Some((mark, since.idle))).map_err(failed)?);
    }
    if let (Some(mark), Some(file), true) = (current, &named, is_current) {
        let file = file.try_clone().map_err(failed)?;
        found.current = Some(Reader::at_mark(file, limit, mark, since.idle).map_err(failed)?);
        if mark.head.tells() {
            found.seen = found.seen.max(last);
            return Ok(found);
        }
        // It was all but empty, so it may have been filled, copied and cut off since, and nothing would show that.
    }
    let after = match &place.current {
        Some(_) if found.current.is_some() => idle_at(place),
        Some(mark) => {
            if let Some(sibling) = of_current {
                last = last.max(sibling.written());
                let after = idle_at(place).map_or(sibling.written(), |idle| idle.min(sibling.written()));
                found.past.push_back(past(sibling, limit, Some((mark, since.idle))).map_err(failed)?);
                Some(after)
            } else {
                found.lost += 1;
                found.told.push("what it read last is gone: what was written there since is lost".to_owned());
                idle_at(place)
            }
        }
        None => idle_at(place),
    };
    let marks: Vec<Mark> = place.retired.iter().chain(&place.current).copied().collect();
    found.seen = found.seen.max(after.unwrap_or(i128::MAX));
    let seen = found.seen;
    let is_new = |time: i128| time > seen && time >= since.worth;
    for sibling in siblings.files {
        if is_new(sibling.written()) && !marks.iter().any(|mark| sibling.is_copy_of(mark)) {
            last = last.max(sibling.written());
            found.past.push_back(past(sibling, limit, None).map_err(failed)?);
        }
    }
    for (sibling, error) in siblings.unreadable {
        if std::fs::metadata(&sibling).is_ok_and(|metadata| is_new(written(&metadata))) {
            found.lost += 1;
            found.told.push(format!("'{}' cannot be read, its lines are lost: {error}", sibling.display()));
        }
    }
    found.seen = if found.seen == i128::MAX { 0 } else { found.seen.max(last) };
    if let (Some(file), None) = (named, &found.current) {
        let mut reader = Reader::at_start(file, limit).map_err(failed)?;
        // Whether it was begun after the place was reached, nobody knows for certain.
        reader.was_away(None).map_err(failed)?;
        found.current = Some(reader);
    }
    Ok(found)
}

/// Finds what was rotated away before anybody saw it under the path's name: what was written after `seen`, and is neither
/// `named`, the file that is there now, nor open. Gives the time of the last one, too.
pub(super) fn between(
    path: &Path,
    limit: usize,
    named: Option<FileId>,
    open: &[Mark],
    seen: i128,
) -> (Vec<Past>, i128) {
    let is_open = |sibling: &Sibling| {
        open.iter().any(|mark| sibling.id() == FileId::from(mark) || sibling.is_copy_of(mark))
    };
    let mut files = Siblings::of(path, named).files;
    files.retain(|sibling| sibling.written() > seen && !is_open(sibling));
    let last = files.last().map_or(seen, Sibling::written);
    (files.into_iter().filter_map(|sibling| past(sibling, limit, None).ok()).collect(), last)
}

/// Whether `mark` is a place in this very file still.
fn is_where(file: &std::fs::File, metadata: &Metadata, mark: &Mark) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut head = [0; Head::MOST];
    let count = file.read_at(&mut head, 0)?;
    // A copy that has taken the file's place, as when a disk was moved, goes as well.
    let is_it = FileId::from(metadata) == FileId::from(mark) || mark.head.tells();
    Ok(is_it && metadata.len() >= mark.offset && mark.head.fits(&head[..count]))
}

/// Reads a sibling from a mark, or else from its beginning.
fn past(sibling: Sibling, limit: usize, from: Option<(&Mark, Option<Moment>)>) -> io::Result<Past> {
    let Sibling { file, metadata, packed, head, .. } = sibling;
    let head = Head::of(&head);
    let (mark, since) = match from {
        Some((mark, since)) => (Mark { head, ..*mark }, since),
        None => (mark_of(&metadata, head), None),
    };
    Ok(if packed {
        Past::Packed(Packed::at_mark(file, limit, &mark, since))
    } else {
        Past::Plain(Reader::at_mark(file, limit, &mark, since)?)
    })
}

fn idle_at(place: &FilePlace) -> Option<i128> {
    place.idle_at.map(|micros| i128::from(micros) * 1_000)
}

/// The time of day before which nothing is worth reading, in nanoseconds since 1970.
pub(super) fn worth(now: Duration, reach: Duration) -> i128 {
    i128::try_from(now.saturating_sub(reach).as_nanos()).unwrap_or(i128::MAX)
}

/// Whether the path names nothing at the moment.
pub(super) fn names_nothing(path: &Path) -> bool {
    matches!(std::fs::metadata(path), Err(error) if is_missing(&error))
}
