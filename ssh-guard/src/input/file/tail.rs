//! Follows one path through everything that is done to log files: renamed and made anew, copied and cut off,
//! deleted, replaced by a link to another.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::open::{cannot_open, is_missing, open};
use super::reader::{FileId, Reader};
use super::resume::{Found, Past, Since, between, names_nothing, resume};
use crate::input::{FilePlace, InputError, LATE, Mark, Written};
use crate::moment::Moment;

/// A file that was renamed is read on until nothing came for so long: the syslog daemon is told to open the new
/// one only after the rotation of all its files.
pub(super) const RETIRE_AFTER: Duration = Duration::from_mins(1);

/// How many renamed files are read at once; the oldest is let go for another.
pub(super) const MAX_RETIRED: usize = 4;

/// A path, the file that it names, and those that it named a moment ago.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    limit: usize,
    /// What was rotated away before the start and is read first.
    past: VecDeque<Past>,
    current: Option<Reader>,
    retired: Vec<Retired>,
    /// The next file appeared after the start, so none of its lines is old.
    from_start: bool,
    generation: u64,
    too_long: u64,
    lost: u64,
    /// What was rotated away and written no later than this is known, in nanoseconds since 1970.
    seen: i128,
    /// When it was last found out whether there is something new.
    looked: Option<Moment>,
    /// That was long ago.
    late: bool,
    /// When there was nothing left to read.
    idle: Option<Moment>,
    /// Another place is reached than when this was last asked.
    moved: bool,
}

#[derive(Debug)]
struct Retired {
    reader: Reader,
    quiet_since: Moment,
}

/// What a step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// There may be more to read.
    Again,
    /// Everything is read.
    Idle,
}

impl Tail {
    /// Follows `path` from its end, or from its beginning if it is not there yet; lines may have `limit` bytes.
    pub(super) fn new(path: PathBuf, limit: usize) -> Self {
        let from_start = names_nothing(&path);
        Self::with(path, limit, from_start, Found::default(), None)
    }

    /// Follows `path` from the place that an earlier daemon has reached; says what is amiss, and tries again after an error.
    pub(super) fn resume(
        path: PathBuf,
        limit: usize,
        place: &FilePlace,
        since: Since,
    ) -> Result<(Self, Vec<String>), InputError> {
        let mut found = resume(&path, limit, place, since)?;
        let told = std::mem::take(&mut found.told);
        Ok((Self::with(path, limit, true, found, since.idle), told))
    }

    fn with(path: PathBuf, limit: usize, from_start: bool, found: Found, idle: Option<Moment>) -> Self {
        Self {
            path,
            limit,
            past: found.past,
            current: found.current,
            retired: Vec::new(),
            from_start,
            generation: 0,
            too_long: 0,
            lost: found.lost,
            seen: found.seen,
            looked: None,
            late: false,
            idle,
            moved: true,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes whenever other files than before are open.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The files that may bring lines.
    pub(super) fn open_files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.retired.iter().map(|retired| &retired.reader).chain(&self.current).map(Reader::fd)
    }

    /// How many lines were over the limit since this was last asked.
    pub(super) fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }

    /// How many lines were lost since this was last asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Whether another place is reached than when this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// When there was nothing left to read.
    pub(super) fn idle(&self) -> Option<Moment> {
        self.idle
    }

    /// The place that is reached; `idle_at` as [`Tail::idle`], but by the time of day.
    pub(super) fn place(&self, idle_at: Option<u64>) -> FilePlace {
        let past = self.past.iter().map(Past::mark);
        let retired = self.retired.iter().map(|retired| retired.reader.mark());
        FilePlace {
            path: self.path.clone(),
            retired: retired.chain(past).collect(),
            current: self.current.as_ref().map(Reader::mark),
            idle_at,
            seen: u64::try_from(self.seen).unwrap_or(0),
        }
    }

    /// Reads one block of what is new, oldest file first, and gives its lines; where nothing is, looks whether the
    /// path names another file. After an error the next step tries again.
    pub(super) fn step(
        &mut self,
        now: Moment,
        on_line: &mut impl FnMut(&[u8], Written),
    ) -> Result<Step, InputError> {
        self.late = self.looked.is_some_and(|looked| now.since(looked) > LATE);
        if self.late {
            self.was_away()?;
        }
        let step = self.take_step(now, on_line)?;
        self.looked = Some(now);
        match step {
            Step::Again => self.moved = true,
            Step::Idle => self.idle = Some(now),
        }
        Ok(step)
    }

    /// Notes that nobody has read for a while.
    fn was_away(&mut self) -> Result<(), InputError> {
        let retired = self.retired.iter_mut().map(|retired| &mut retired.reader);
        let mut all = retired.chain(&mut self.current);
        all.try_for_each(|reader| reader.was_away(self.idle))
            .map_err(|source| InputError::Read { path: self.path.clone(), source })
    }

    fn take_step(
        &mut self,
        now: Moment,
        on_line: &mut impl FnMut(&[u8], Written),
    ) -> Result<Step, InputError> {
        if self.read_past(now, on_line)? || self.read_retired(now, on_line)? {
            return Ok(Step::Again);
        }
        if let Some(current) = &mut self.current {
            let read = current.read(on_line);
            self.too_long += current.take_too_long();
            self.lost += current.take_lost();
            if current.take_cut_off() {
                // A copy of what it held lies beside it, and was read here.
                self.seen = self.seen.max(current.written().unwrap_or(0));
            }
            match read {
                Ok(true) => return Ok(Step::Again),
                Ok(false) => {}
                Err(source) => {
                    self.reopen(now);
                    return Err(InputError::Read { path: self.path.clone(), source });
                }
            }
        }
        self.look(now)
    }

    /// Reads the first of what was rotated away before the start.
    fn read_past(
        &mut self,
        now: Moment,
        on_line: &mut impl FnMut(&[u8], Written),
    ) -> Result<bool, InputError> {
        let Some(past) = self.past.front_mut() else { return Ok(false) };
        let read = past.read(on_line);
        self.too_long += past.take_too_long();
        self.lost += past.take_lost();
        if let Ok(true) = read {
            return Ok(true);
        }
        self.generation += 1;
        self.moved = true;
        let past = self.past.pop_front();
        if let Err(source) = read {
            // How many lines it held nobody knows.
            self.lost += 1;
            return Err(InputError::Read { path: self.path.clone(), source });
        }
        // The syslog daemon may have it open still.
        if let Some(Past::Plain(reader)) = past {
            self.retire(reader, now);
        }
        Ok(true)
    }

    fn retire(&mut self, reader: Reader, now: Moment) {
        if self.retired.len() == MAX_RETIRED {
            let mut oldest = self.retired.remove(0).reader;
            self.saw(&oldest);
            self.lost += oldest.give_up();
        }
        self.retired.push(Retired { reader, quiet_since: now });
    }

    fn read_retired(
        &mut self,
        now: Moment,
        on_line: &mut impl FnMut(&[u8], Written),
    ) -> Result<bool, InputError> {
        let mut more = false;
        let mut fault = None;
        let before = self.retired.len();
        self.retired.retain_mut(|Retired { reader, quiet_since }| {
            let read = reader.read(on_line);
            self.too_long += reader.take_too_long();
            self.lost += reader.take_lost();
            let goes_on = match read {
                Ok(true) => {
                    more = true;
                    *quiet_since = now;
                    true
                }
                Ok(false) => now.since(*quiet_since) < RETIRE_AFTER,
                Err(source) => {
                    fault = Some(InputError::Read { path: self.path.clone(), source });
                    false
                }
            };
            if !goes_on {
                self.seen = self.seen.max(reader.written().unwrap_or(0));
                self.lost += reader.give_up();
            }
            goes_on
        });
        self.generation += (before - self.retired.len()) as u64;
        self.moved |= before > self.retired.len();
        fault.map_or(Ok(more), Err)
    }

    /// Opens what the path names, if that is another file than the one being read.
    fn look(&mut self, now: Moment) -> Result<Step, InputError> {
        let named = match fs::metadata(&self.path) {
            Ok(metadata) => FileId::from(&metadata),
            Err(error) if is_missing(&error) => {
                // What was there for a moment only lies under another name.
                if let Some(Ok(written)) = self.current.as_ref().map(Reader::written) {
                    self.seen = self.seen.max(written);
                }
                return match (self.look_between(None), &self.current) {
                    (true, _) => Ok(Step::Again),
                    (false, Some(_)) => Ok(Step::Idle),
                    (false, None) => {
                        // What comes is new.
                        self.from_start = true;
                        self.idle = Some(now);
                        Err(cannot_open(&self.path, error))
                    }
                };
            }
            Err(error) => {
                return Err(cannot_open(&self.path, error));
            }
        };
        if self.current.as_ref().is_some_and(|current| current.id() == named) {
            return Ok(Step::Idle);
        }
        // The path may name a third file by now: only what was opened counts.
        let file = open(&self.path)?;
        let reader = if self.from_start { Reader::at_start } else { Reader::at_end };
        let failed = |source| InputError::Read { path: self.path.clone(), source };
        let mut reader = reader(file, self.limit).map_err(failed)?;
        if self.late {
            reader.was_away(self.idle).map_err(failed)?;
        }
        self.follow(reader, now);
        Ok(Step::Again)
    }

    /// Makes `reader` the current one, or the one that already reads the same file.
    fn follow(&mut self, reader: Reader, now: Moment) {
        if self.current.as_ref().is_some_and(|current| current.id() == reader.id()) {
            return;
        }
        let known = self.retired.iter().position(|retired| retired.reader.id() == reader.id());
        let reader = known.map_or(reader, |index| self.retired.remove(index).reader);
        let named = reader.id();
        if let Some(old) = self.current.replace(reader) {
            self.saw(&old);
            self.retire(old, now);
        }
        self.look_between(Some(named));
        self.from_start = true;
        self.generation += 1;
    }

    /// Opens what was rotated away before it was seen under the path's name; says whether there was anything.
    fn look_between(&mut self, named: Option<FileId>) -> bool {
        // Of a log that was begun at its end nothing before is wanted.
        if self.seen == 0 {
            return false;
        }
        let open = self.retired.iter().map(|retired| retired.reader.mark());
        let open: Vec<Mark> = open.chain(self.current.as_ref().map(Reader::mark)).collect();
        let (past, seen) = between(&self.path, self.limit, named, &open, self.seen);
        self.seen = seen;
        let any = !past.is_empty();
        self.past.extend(past);
        any
    }

    /// Notes that what was rotated away and written no later than a file that is let go is known.
    fn saw(&mut self, reader: &Reader) {
        self.seen = self.seen.max(reader.written().unwrap_or(0));
    }

    /// Opens the current file once more, since a descriptor may be dead for good (ESTALE) where the file is not;
    /// or the one that has taken its place.
    fn reopen(&mut self, now: Moment) {
        let (Some(current), Ok(file)) = (&mut self.current, open(&self.path)) else { return };
        match file.metadata() {
            Ok(metadata) if FileId::from(&metadata) == current.id() => current.replace(file),
            Ok(_) => {
                if let Ok(reader) = Reader::at_start(file, self.limit) {
                    self.follow(reader, now);
                }
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
