//! Sums up what old logs hold, in bounded memory.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use ssh_guard_common::source::{Source, SourceMask};

use super::logs::{Reader, Told};
use super::report::{
    AccountCount, Accounts, EventCount, FileReport, NotUnderstood, Report, ServiceCount, ShapeCount,
    SourceCount, Sources,
};
use super::top::{Count, Top};
use crate::event::{AuthEvent, Kind, Outcome};
use crate::input::archive::{Archive, ArchiveError, Item};
use crate::parse::{Record, shape};

/// What has been counted so far.
///
/// Memory: at most [`SOURCES`] sources and [`ACCOUNTS`] accounts of some 200 bytes, and [`SHAPES`] shapes of servers and of other
/// programs each, of a kilobyte at most.
#[derive(Debug)]
pub struct Summary {
    mask: SourceMask,
    files: Vec<FileReport>,
    /// The place of the file that is being read.
    reading: Option<usize>,
    span: Option<(Timestamp, Timestamp)>,
    understood: u64,
    events: BTreeMap<(&'static str, Kind), EventCount>,
    services: BTreeMap<String, u64>,
    sources: Top<Source>,
    accounts: Top<String>,
    no_source: u64,
    not_understood: NotUnderstood,
    servers: Shapes,
    others: Shapes,
}

/// So many sources are told from each other.
pub const SOURCES: usize = 131_072;

/// So many accounts are told from each other.
pub const ACCOUNTS: usize = 65_536;

/// So many shapes are told from each other.
pub const SHAPES: usize = 1024;

/// So many of each are told.
pub const TOLD: usize = 10;

/// Names of accounts, and examples, are told up to this length, in characters.
const LONGEST_TOLD: usize = 200;

impl Summary {
    /// Makes one that has read nothing; sources are what `mask` leaves of addresses.
    #[must_use]
    pub fn new(mask: SourceMask) -> Self {
        Self {
            mask,
            files: Vec::new(),
            reading: None,
            span: None,
            understood: 0,
            events: BTreeMap::new(),
            services: BTreeMap::new(),
            sources: Top::new(SOURCES),
            accounts: Top::new(ACCOUNTS),
            no_source: 0,
            not_understood: NotUnderstood::default(),
            servers: Shapes::new(),
            others: Shapes::new(),
        }
    }

    /// Goes on with the file in this place, or with the next one that begins, and gives the place of the one that was read.
    pub fn turn_to(&mut self, file: Option<usize>) -> Option<usize> {
        std::mem::replace(&mut self.reading, file)
    }

    /// What has been counted.
    #[must_use]
    pub fn report(&self) -> Report {
        let by_source = |count: Count<'_, Source>| SourceCount {
            source: self.named(*count.key),
            failures: count.count,
            at_least: count.at_least,
        };
        let by_user = |count: Count<'_, String>| AccountCount {
            user: count.key.clone(),
            failures: count.count,
            at_least: count.at_least,
        };
        let mut events: Vec<_> = self.events.values().copied().collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.lines));
        let mut shapes = self.servers.told(true);
        shapes.extend(self.others.told(false));
        shapes.truncate(TOLD);
        Report {
            since: self.span.map(|(since, _)| since),
            until: self.span.map(|(_, until)| until),
            lines: self.files.iter().map(|file| file.lines).sum(),
            bytes: self.files.iter().map(|file| file.bytes).sum(),
            files: self.files.clone(),
            understood: self.understood,
            events,
            services: self
                .services
                .iter()
                .map(|(service, lines)| ServiceCount { service: service.clone(), lines: *lines })
                .collect(),
            sources: Sources {
                distinct: self.sources.len(),
                more: self.sources.is_full(),
                lines_without: self.no_source,
                top: self.sources.most(TOLD).into_iter().map(by_source).collect(),
            },
            accounts: Accounts {
                distinct: self.accounts.len(),
                more: self.accounts.is_full(),
                top: self.accounts.most(TOLD).into_iter().map(by_user).collect(),
            },
            not_understood: NotUnderstood { shapes, ..self.not_understood.clone() },
        }
    }

    /// A source as people write it: an address, or a network.
    fn named(&self, source: Source) -> String {
        let prefix = self.mask.prefix_of(source);
        let whole = if source.is_v4() { 32 } else { 128 };
        if prefix == whole { source.to_string() } else { format!("{source}/{prefix}") }
    }

    fn understand(&mut self, event: &AuthEvent) {
        self.understood += 1;
        let times = u64::from(event.count.get());
        let count = self.events.entry((event.outcome.as_str(), event.kind)).or_insert(EventCount {
            event: event.outcome,
            kind: event.kind,
            lines: 0,
            count: 0,
        });
        count.lines += 1;
        count.count += times;
        match self.services.get_mut(event.service.as_str()) {
            Some(lines) => *lines += 1,
            None => {
                self.services.insert(event.service.as_str().to_owned(), 1);
            }
        }
        let failures = if event.outcome == Outcome::Failure { times } else { 0 };
        match event.address {
            Some(address) => {
                self.sources.count(&self.mask.apply(Source::from(address)), failures);
            }
            None => self.no_source += 1,
        }
        if let (Some(user), Outcome::Failure) = (&event.user, event.outcome) {
            match shortened(user) {
                Some(short) => self.accounts.count(short.as_str(), failures),
                None => self.accounts.count(user.as_str(), failures),
            };
        }
    }

    fn wonder(&mut self, record: &Record<'_>, of_a_server: bool) {
        let (shapes, counter) = if of_a_server {
            (&mut self.servers, &mut self.not_understood.servers)
        } else {
            (&mut self.others, &mut self.not_understood.others)
        };
        *counter += 1;
        shapes.count(record);
    }
}

impl Reader for Summary {
    fn begin(&mut self, file: &Path, archive: &Archive) {
        self.reading = Some(self.files.len());
        self.files.push(FileReport {
            file: file.display().to_string(),
            form: Some(archive.form().as_str()),
            packing: archive.packing().as_str(),
            lines: 0,
            bytes: 0,
            error: None,
        });
    }

    fn end(&mut self, file: &Path, bytes: u64, broken: Option<&ArchiveError>) {
        let error = broken.map(ToString::to_string);
        if let Some(reading) = self.reading.take() {
            self.files[reading].bytes = bytes;
            self.files[reading].error = error;
        } else {
            let file = file.display().to_string();
            self.files.push(FileReport { file, form: None, packing: None, lines: 0, bytes, error });
        }
    }

    fn take(&mut self, told: &Told<'_>) {
        if let Some(reading) = self.reading {
            self.files[reading].lines += 1;
        }
        if let Some(at) = told.at {
            let (since, until) = self.span.get_or_insert((at, at));
            *since = at.min(*since);
            *until = at.max(*until);
        }
        match (&told.event, &told.record) {
            (Some(event), _) => self.understand(event),
            (None, Some(record)) => self.wonder(record, told.of_a_server),
            (None, None) => {
                let none = &mut self.not_understood;
                let counter = match told.item {
                    Item::Line(_) | Item::Message { .. } => &mut none.no_header,
                    Item::TooLong => &mut none.too_long,
                    Item::NotVouched => &mut none.not_vouched,
                    Item::Unreadable => &mut none.unreadable,
                };
                *counter += 1;
            }
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The shapes of messages, with the name of the process that wrote them.
#[derive(Debug)]
struct Shapes {
    top: Top<String>,
    examples: BTreeMap<String, String>,
    /// What is being written, kept for its room.
    key: String,
    shape: String,
}

impl Shapes {
    fn new() -> Self {
        Self { top: Top::new(SHAPES), examples: BTreeMap::new(), key: String::new(), shape: String::new() }
    }

    fn count(&mut self, record: &Record<'_>) {
        self.key.clear();
        let process = &record.process[..record.process.len().min(LONGEST_PROCESS)];
        self.key.extend(process.escape_ascii().map(char::from));
        self.key.push('\0');
        shape::of(record.message, &mut self.shape);
        self.key.push_str(&self.shape);
        if self.top.count(self.key.as_str(), 1) {
            // Those of shapes that were displaced go, all at once.
            if self.examples.len() >= 2 * SHAPES {
                let there: std::collections::HashSet<_> = self.top.keys().collect();
                self.examples.retain(|key, _| there.contains(key));
            }
            let example = String::from_utf8_lossy(record.message);
            let example = shortened(&example).unwrap_or_else(|| example.escape_debug().to_string());
            self.examples.insert(self.key.clone(), example);
        }
    }

    fn told(&self, server: bool) -> Vec<ShapeCount> {
        let told = |count: Count<'_, String>| {
            let (process, shape) = count.key.split_once('\0')?;
            Some(ShapeCount {
                process: process.to_owned(),
                shape: shape.to_owned(),
                server,
                lines: count.count,
                at_least: count.at_least,
                example: self.examples.get(count.key).cloned().unwrap_or_default(),
            })
        };
        self.top.most(TOLD).into_iter().filter_map(told).collect()
    }
}

/// The longest name of a process that is told, in bytes; the kernel's are 15 long.
const LONGEST_PROCESS: usize = 32;

/// The first part of a text that is too long to be told whole.
pub(super) fn shortened(text: &str) -> Option<String> {
    let (end, _) = text.char_indices().nth(LONGEST_TOLD)?;
    Some(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests;
