//! Does to a log whatever rotation may do, in any order, and compares what [`Tail`] gives with a model that knows
//! every byte.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::tail::{MAX_RETIRED, RETIRE_AFTER, Step, Tail};
use crate::moment::Moment;

const LIMIT: usize = 40;

#[derive(Clone, Copy, Debug)]
enum Action {
    Line,
    LongLine,
    Partial,
    Newline,
    /// The file is renamed; its writer goes on writing to it.
    Rename,
    /// An empty file is made under the name, if there is none.
    Create,
    /// The writer opens the name, as on SIGHUP.
    Reopen,
    /// The file is cut off; its writer goes on at the end.
    Truncate,
    Delete,
    /// The name becomes a link to a new file.
    Relink,
    Poll,
    Wait,
}

/// A file: what was written to it and not yet read, and what the reader knows of it.
#[derive(Default, Debug)]
struct Model {
    unread: Vec<u8>,
    partial: Vec<u8>,
    /// The partial line is over the limit, and was counted.
    skipping: bool,
}

struct World {
    directory: tempfile::TempDir,
    name: PathBuf,
    tail: Tail,
    now: Moment,
    number: usize,
    writer: (File, usize),
    files: Vec<Model>,
    named: Option<usize>,
    current: Option<usize>,
    retired: VecDeque<(usize, Moment)>,
    too_long: u64,
}

impl World {
    fn new(starts_with_file: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("auth.log");
        if starts_with_file {
            fs::write(&name, "old line 1\nold line 2\n").unwrap();
        }
        let tail = Tail::new(name.clone(), LIMIT);
        let named = starts_with_file.then_some(0);
        if !starts_with_file {
            fs::write(directory.path().join("elsewhere"), "").unwrap();
        }
        let open = if starts_with_file { name.clone() } else { directory.path().join("elsewhere") };
        let writer = (append_to(&open), 0);
        let files = vec![Model::default()];
        let now = Moment::from_start(Duration::from_secs(1000));
        let mut world = Self {
            directory,
            name,
            tail,
            now,
            number: 0,
            writer,
            files,
            named,
            current: None,
            retired: VecDeque::new(),
            too_long: 0,
        };
        world.poll();
        world
    }

    fn act(&mut self, action: Action) {
        self.number += 1;
        let number = self.number;
        match action {
            Action::Line => self.write(format!("line {number}\r\n").as_bytes()),
            Action::LongLine => self.write(format!("long {number} {}\n", "x".repeat(LIMIT)).as_bytes()),
            Action::Partial => self.write(format!("part {number} ").as_bytes()),
            // Not empty: at the very beginning it would look like the one that was cut off.
            Action::Newline => self.write(format!("{number}\n").as_bytes()),
            Action::Rename if self.named.take().is_some() => {
                // Not a name that rotation gives: there the file would be found that no poll has seen.
                fs::rename(&self.name, self.directory.path().join(format!("old.{number}"))).unwrap();
            }
            Action::Delete if self.named.take().is_some() => fs::remove_file(&self.name).unwrap(),
            Action::Create => self.create(),
            Action::Reopen => {
                self.create();
                self.writer = (append_to(&self.name), self.named.unwrap());
            }
            Action::Truncate => {
                if let Some(file) = self.named {
                    OpenOptions::new().write(true).truncate(true).open(&self.name).unwrap();
                    self.files[file] = Model::default();
                }
            }
            Action::Relink => {
                let target = self.directory.path().join(format!("target.{number}"));
                let link = self.directory.path().join(format!("link.{number}"));
                fs::write(&target, "").unwrap();
                symlink(&target, &link).unwrap();
                fs::rename(&link, &self.name).unwrap();
                self.add();
            }
            Action::Poll => self.poll(),
            Action::Wait => self.now = self.now.plus(RETIRE_AFTER / 2),
            Action::Rename | Action::Delete => {}
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let (writer, file) = &mut self.writer;
        writer.write_all(bytes).unwrap();
        self.files[*file].unread.extend_from_slice(bytes);
    }

    fn create(&mut self) {
        if self.named.is_none() {
            fs::write(&self.name, "").unwrap();
            self.add();
        }
    }

    fn add(&mut self) {
        self.files.push(Model::default());
        self.named = Some(self.files.len() - 1);
    }

    fn poll(&mut self) {
        let mut got = Vec::new();
        while let Ok(Step::Again) = self.tail.step(self.now, &mut |line, _| got.push(line.to_vec())) {}
        assert_eq!(printable(&got), printable(&self.expected()), "in this poll");
        assert_eq!(self.tail.take_too_long(), std::mem::take(&mut self.too_long), "lines too long");
    }

    /// What the poll must give: everything new in the files that are followed, oldest first.
    fn expected(&mut self) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut retired = std::mem::take(&mut self.retired);
        for (file, quiet_since) in &mut retired {
            if self.read(*file, &mut lines) {
                *quiet_since = self.now;
            }
        }
        retired.retain(|(_, quiet_since)| self.now.since(*quiet_since) < RETIRE_AFTER);
        self.retired = retired;
        if let Some(current) = self.current {
            self.read(current, &mut lines);
        }
        if self.named.is_some() && self.named != self.current {
            if let Some(old) = self.current {
                if self.retired.len() == MAX_RETIRED {
                    self.retired.pop_front();
                }
                self.retired.push_back((old, self.now));
            }
            self.current = self.named;
            self.read(self.current.unwrap(), &mut lines);
        }
        lines
    }

    fn read(&mut self, file: usize, lines: &mut Vec<Vec<u8>>) -> bool {
        let Model { unread, partial, skipping } = &mut self.files[file];
        let new = !unread.is_empty();
        partial.append(unread);
        while let Some(newline) = partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = partial.drain(..=newline).collect();
            let line = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap();
            match (std::mem::take(skipping), line.len() > LIMIT) {
                (false, false) => lines.push(line.to_vec()),
                (false, true) => self.too_long += 1,
                (true, _) => {}
            }
        }
        if partial.len() > LIMIT + 1 && !*skipping {
            *skipping = true;
            self.too_long += 1;
        }
        new
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_line_is_lost_and_none_read_twice(starts_with_file: bool, actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World::new(starts_with_file);
        for action in actions {
            world.act(action);
        }
        world.poll();
    }
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => Just(Action::Line),
        1 => Just(Action::LongLine),
        3 => Just(Action::Partial),
        2 => Just(Action::Newline),
        2 => Just(Action::Rename),
        1 => Just(Action::Create),
        3 => Just(Action::Reopen),
        2 => Just(Action::Truncate),
        1 => Just(Action::Delete),
        1 => Just(Action::Relink),
        6 => Just(Action::Poll),
        1 => Just(Action::Wait),
    ]
}

fn append_to(path: &PathBuf) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn printable(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}
