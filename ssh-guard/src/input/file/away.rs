//! Does to a log whatever rotation may do while nobody reads, and compares what is read in the end with what was written.
//!
//! Every line has a number of its own. The world is a folder whose files are known by what they hold, in lines; the daemon
//! reads, ends, is killed, and starts again with a place that it told. In the end each line was read: once, or again only if the
//! daemon was killed after it had been read and before its place was kept. Excepted are, exactly,
//!
//! * lines that were there before the first daemon began;
//! * lines cut off or deleted before they were read: those of a file that was truncated without a copy, or deleted while
//!   no daemon had it open;
//! * lines over the limit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::resume::Since;
use super::tail::{Step, Tail};
use crate::input::{FilePlace, Place};
use crate::moment::Moment;

const LIMIT: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Action {
    Line,
    Part,
    LongLine,
    Nuls,
    Poll,
    /// The daemon ends, and its last place is kept.
    Stop,
    /// The daemon is killed, and the place is kept that it told some polls ago.
    Kill(u8),
    Start,
    /// The log and all before it get the next number; those from this number on are compressed.
    Rotate {
        packed_from: Option<u8>,
    },
    /// The syslog daemon opens the log anew, as on SIGHUP.
    Reopen,
    /// The log is copied and cut off.
    CopyTruncate,
    Truncate,
    Delete,
    /// A directory stands in the place of the log, and goes again.
    Unreadable,
    Readable,
}

/// A file, and the numbers of the lines that were written to it since it was last cut off.
#[derive(Clone, Default, Debug)]
struct Content {
    lines: Vec<u32>,
    /// The line that has no end yet.
    part: Option<u32>,
}

struct World {
    folder: tempfile::TempDir,
    clock: SystemTime,
    tail: Option<Tail>,
    now: Moment,
    next: u32,
    contents: Vec<Content>,
    /// What is under the log's name, and under its numbers.
    log: Option<usize>,
    rotated: BTreeMap<u32, usize>,
    writer: Option<(File, usize)>,
    read: BTreeMap<u32, u32>,
    /// Lines that may be missing, and lines that may come again.
    excused: BTreeSet<u32>,
    repeatable: BTreeSet<u32>,
    /// The places that were told since the daemon started, with what had been read then.
    told: Vec<(FilePlace, BTreeMap<u32, u32>)>,
    kept: Option<FilePlace>,
    /// Files that the daemon has open.
    open: BTreeSet<usize>,
    blocked: bool,
    /// When there was nothing left to read.
    idle_at: Option<u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            tail: None,
            now: Moment::from_start(Duration::from_secs(100)),
            next: 0,
            contents: Vec::new(),
            log: None,
            rotated: BTreeMap::new(),
            writer: None,
            read: BTreeMap::new(),
            excused: BTreeSet::new(),
            repeatable: BTreeSet::new(),
            told: Vec::new(),
            kept: None,
            open: BTreeSet::new(),
            blocked: false,
            idle_at: None,
        };
        world.reopen();
        world.line();
        world.excused.extend(0..world.next);
        world.tail = Some(Tail::new(world.path(), LIMIT));
        world.poll();
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("auth.log")
    }

    fn numbered(&self, number: u32, packed: bool) -> PathBuf {
        self.folder.path().join(format!("auth.log.{number}{}", if packed { ".gz" } else { "" }))
    }

    fn act(&mut self, action: Action) {
        self.clock += Duration::from_secs(1);
        match action {
            Action::Line => self.line(),
            Action::Part => self.part(),
            Action::LongLine => {
                self.end_part();
                let tag = self.tag();
                self.write(format!("{tag} {}\n", "x".repeat(LIMIT * 2)).as_bytes());
            }
            Action::Nuls => {
                self.end_part();
                let tag = self.tag();
                self.write(format!("\0\0\0\0nuls {tag}\n").as_bytes());
            }
            Action::Poll => self.poll(),
            Action::Stop => self.stop(),
            Action::Kill(back) => self.kill(back.into()),
            Action::Start => self.start(),
            Action::Rotate { packed_from } => self.rotate(packed_from.map(u32::from)),
            Action::Reopen => self.reopen(),
            Action::CopyTruncate => self.copy_truncate(),
            Action::Truncate => self.truncate(),
            Action::Delete => self.delete(),
            Action::Unreadable if self.log.is_none() && !self.blocked => {
                fs::create_dir(self.path()).unwrap();
                self.blocked = true;
            }
            Action::Readable if self.blocked => {
                fs::remove_dir(self.path()).unwrap();
                self.blocked = false;
            }
            Action::Unreadable | Action::Readable => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((file, _)) = &mut self.writer else { return };
        file.write_all(bytes).unwrap();
        file.set_modified(self.clock).unwrap();
    }

    /// Something that no other line begins with, as the time does: the beginnings of files tell them apart.
    fn tag(&mut self) -> String {
        let since = self.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        format!("{:020}", since.as_nanos())
    }

    /// A whole line, or the end of one.
    fn line(&mut self) {
        let Some(index) = self.writer.as_ref().map(|(_, index)| *index) else { return };
        if self.contents[index].part.is_none() {
            self.part();
        }
        self.end_part();
    }

    fn part(&mut self) {
        let Some(index) = self.writer.as_ref().map(|(_, index)| *index) else { return };
        if self.contents[index].part.is_none() {
            let number = self.next;
            self.next += 1;
            self.write(format!("Nov 23 03:12:01 lab sshd[1]: line {number:08} ").as_bytes());
            self.contents[index].part = Some(number);
        } else {
            self.write(b"more ");
        }
    }

    fn end_part(&mut self) {
        let Some(index) = self.writer.as_ref().map(|(_, index)| *index) else { return };
        let content = &mut self.contents[index];
        if let Some(number) = content.part.take() {
            content.lines.push(number);
            self.write(b"end\n");
        }
    }

    fn reopen(&mut self) {
        if self.blocked {
            return;
        }
        let file = OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
        let index = *self.log.get_or_insert_with(|| {
            file.set_modified(self.clock).unwrap();
            self.contents.push(Content::default());
            self.contents.len() - 1
        });
        // A line that was begun stays so, where the syslog daemon was ended in the middle of it.
        if self.writer.as_ref().is_some_and(|(_, old)| *old != index) {
            self.abandon_part();
        }
        self.writer = Some((file, index));
    }

    /// The part of a line in the file that is written to will never have an end.
    fn abandon_part(&mut self) {
        if let Some((_, index)) = self.writer {
            self.contents[index].part = None;
        }
    }

    fn rotate(&mut self, packed_from: Option<u32>) {
        if self.blocked {
            return;
        }
        let Some(log) = self.log.take() else { return };
        let numbers: Vec<u32> = self.rotated.keys().copied().collect();
        for number in numbers.into_iter().rev() {
            let index = self.rotated.remove(&number).unwrap();
            for packed in [false, true] {
                let old = self.numbered(number, packed);
                if old.exists() {
                    fs::rename(old, self.numbered(number + 1, packed)).unwrap();
                }
            }
            self.rotated.insert(number + 1, index);
        }
        fs::rename(self.path(), self.numbered(1, false)).unwrap();
        self.rotated.insert(1, log);
        if let Some(from) = packed_from {
            // What is written to still is not compressed (logrotate's `delaycompress`), or the writer is told before.
            if from == 0 {
                self.reopen();
            }
            let written = self.writer.as_ref().map(|(_, index)| *index);
            let packs: Vec<u32> = self
                .rotated
                .iter()
                .filter(|(number, index)| **number > from && Some(**index) != written)
                .map(|(number, _)| *number)
                .collect();
            for number in packs {
                self.pack(number);
            }
        }
    }

    /// Compresses a file as gzip does: its time stays.
    fn pack(&mut self, number: u32) {
        let plain = self.numbered(number, false);
        let Ok(bytes) = fs::read(&plain) else { return };
        let modified = fs::metadata(&plain).unwrap().modified().unwrap();
        let file = File::create(self.numbered(number, true)).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap().set_modified(modified).unwrap();
        fs::remove_file(plain).unwrap();
    }

    fn copy_truncate(&mut self) {
        if self.blocked || self.writer.as_ref().map(|(_, index)| *index) != self.log {
            return;
        }
        let Some(log) = self.log else { return };
        self.end_part();
        let modified = fs::metadata(self.path()).unwrap().modified().unwrap();
        let bytes = fs::read(self.path()).unwrap();
        let content = self.contents[log].clone();
        self.rotate(None);
        // The old one was renamed: it is to be the copy, and the log the same file as before.
        let copy = self.numbered(1, false);
        fs::rename(&copy, self.path()).unwrap();
        fs::write(&copy, bytes).unwrap();
        File::options().append(true).open(&copy).unwrap().set_modified(modified).unwrap();
        self.log = Some(log);
        self.contents.push(content);
        self.rotated.insert(1, self.contents.len() - 1);
        self.cut_off();
        if self.tail.is_some() {
            // Whoever reads it knows the file, and not its copy.
            self.excuse(log);
        }
        self.contents[log] = Content::default();
    }

    fn truncate(&mut self) {
        if self.blocked || self.log.is_none() {
            return;
        }
        let log = self.log.unwrap();
        self.cut_off();
        self.excuse(log);
        self.contents[log] = Content::default();
    }

    fn cut_off(&self) {
        let file = File::options().write(true).truncate(true).open(self.path()).unwrap();
        file.set_modified(self.clock).unwrap();
    }

    fn delete(&mut self) {
        if self.blocked {
            return;
        }
        let Some(log) = self.log.take() else { return };
        fs::remove_file(self.path()).unwrap();
        // Whoever has it open reads it to its end; but nobody does after that.
        if self.tail.is_none() || !self.open.contains(&log) {
            self.excuse(log);
        }
        if self.writer.as_ref().is_some_and(|(_, index)| *index == log) {
            self.writer = None;
        }
        self.contents[log].part = None;
    }

    /// What was not read of a file may never be.
    fn excuse(&mut self, index: usize) {
        let Content { lines, part } = &self.contents[index];
        let unread = lines.iter().chain(part).filter(|line| !self.read.contains_key(line));
        self.excused.extend(unread.copied().collect::<Vec<_>>());
    }

    fn stop(&mut self) {
        if self.tail.is_some() {
            self.poll();
            self.kept = self.told.pop().map(|(place, _)| place).or(self.kept.take());
            self.close();
        }
    }

    fn kill(&mut self, back: usize) {
        if self.tail.is_some() {
            let at = self.told.len().saturating_sub(1 + back);
            if let Some((place, read)) = self.told.get(at).cloned() {
                let again = self.read.iter().filter(|(line, times)| read.get(line) != Some(times));
                self.repeatable.extend(again.map(|(line, _)| *line).collect::<Vec<_>>());
                self.kept = Some(place);
            }
            self.close();
        }
    }

    fn close(&mut self) {
        self.tail = None;
        self.told.clear();
        // A file without a name goes with the last who has it open.
        for index in std::mem::take(&mut self.open) {
            if self.log != Some(index) && !self.rotated.values().any(|other| *other == index) {
                self.excuse(index);
            }
        }
    }

    fn start(&mut self) {
        if self.tail.is_some() {
            return;
        }
        let Some(place) = &self.kept else { return };
        // As from the store.
        let text = serde_json::to_string(&Place::File(place.clone())).unwrap();
        let Place::File(place) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        let since = Since { idle: None, worth: 0 };
        if let Ok((tail, _)) = Tail::resume(self.path(), LIMIT, &place, since) {
            self.tail = Some(tail);
            self.idle_at = place.idle_at;
            self.told.push((place, self.read.clone()));
            self.poll();
        }
    }

    fn poll(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        let mut got = Vec::new();
        loop {
            match tail.step(self.now, &mut |line, _| got.push(line.to_vec())) {
                Ok(Step::Again) => {}
                Ok(Step::Idle) => {
                    let since = self.clock.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                    self.idle_at = Some(crate::clock::micros(since));
                    break;
                }
                Err(_) => break,
            }
        }
        for line in got {
            let line = String::from_utf8(line).unwrap();
            if line.contains("nuls ") {
                continue;
            }
            let number = line.split(' ').nth(6).and_then(|number| number.parse::<u32>().ok());
            let number =
                number.filter(|_| line.ends_with("end")).unwrap_or_else(|| panic!("no line: {line:?}"));
            *self.read.entry(number).or_default() += 1;
        }
        self.told.push((tail.place(self.idle_at), self.read.clone()));
        self.open.extend(self.log);
    }

    /// All is read: what is missing, and what came twice?
    fn finish(mut self) {
        if self.blocked {
            self.act(Action::Readable);
        }
        self.act(Action::Start);
        self.act(Action::Reopen);
        self.act(Action::Line);
        self.poll();
        let complete: BTreeSet<u32> =
            self.contents.iter().flat_map(|content| content.lines.clone()).collect();
        let missing: Vec<u32> = complete
            .iter()
            .filter(|line| !self.read.contains_key(line) && !self.excused.contains(line))
            .copied()
            .collect();
        assert!(missing.is_empty(), "never read: {missing:?}");
        let twice: Vec<_> =
            self.read.iter().filter(|(line, times)| **times > 1 && !self.repeatable.contains(line)).collect();
        assert!(twice.is_empty(), "read again: {twice:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_while_nobody_reads_is_read_once(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }
        world.finish();
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => Just(Action::Line),
        2 => Just(Action::Part),
        1 => Just(Action::LongLine),
        1 => Just(Action::Nuls),
        5 => Just(Action::Poll),
        3 => Just(Action::Stop),
        2 => (0..4_u8).prop_map(Action::Kill),
        5 => Just(Action::Start),
        4 => prop::option::of(0..3_u8).prop_map(|packed_from| Action::Rotate { packed_from }),
        4 => Just(Action::Reopen),
        2 => Just(Action::CopyTruncate),
        1 => Just(Action::Truncate),
        1 => Just(Action::Delete),
        1 => Just(Action::Unreadable),
        2 => Just(Action::Readable),
    ]
}
