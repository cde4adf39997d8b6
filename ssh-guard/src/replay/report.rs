//! What a summary says, as JSON and as text.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use crate::event::{Kind, Outcome};

/// A summary of old logs.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Report {
    /// The files, in the order in which they were read.
    pub files: Vec<FileReport>,
    /// When the first line was written, if lines say so.
    pub since: Option<Timestamp>,
    /// When the last one was.
    pub until: Option<Timestamp>,
    /// Lines, or entries of a journal.
    pub lines: u64,
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Lines that say something about a login.
    pub understood: u64,
    /// Those by what they say, what comes most often first.
    pub events: Vec<EventCount>,
    /// Those by the server that wrote them.
    pub services: Vec<ServiceCount>,
    /// Where they come from.
    pub sources: Sources,
    /// Which accounts failures are of.
    pub accounts: Accounts,
    /// All other lines.
    pub not_understood: NotUnderstood,
}

/// A file that was read.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct FileReport {
    /// Its path.
    pub file: String,
    /// What it holds; null if it could not be read at all.
    #[serde(rename = "format")]
    pub form: Option<&'static str>,
    /// What it is packed by.
    #[serde(rename = "compression")]
    pub packing: Option<&'static str>,
    /// Lines, or entries of a journal.
    pub lines: u64,
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Why no more of it could be read.
    pub error: Option<String>,
}

/// How many lines say the same.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct EventCount {
    /// How it ended.
    pub event: Outcome,
    /// What was tried, or what happened.
    pub kind: Kind,
    /// How many lines.
    pub lines: u64,
    /// How often that happened, by what the lines say (`message repeated N times`).
    pub count: u64,
}

/// How many lines a server wrote that were understood.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct ServiceCount {
    /// The server.
    pub service: String,
    /// How many lines.
    pub lines: u64,
}

/// The sources of what was understood.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Sources {
    /// How many different ones.
    pub distinct: usize,
    /// Whether there are more, which were not told from each other.
    pub more: bool,
    /// Lines that were understood and name no source.
    pub lines_without: u64,
    /// Those that failures come from most often.
    pub top: Vec<SourceCount>,
}

/// The accounts that failures are of.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Accounts {
    /// How many different ones.
    pub distinct: usize,
    /// Whether there are more, which were not told from each other.
    pub more: bool,
    /// Those that failures are of most often.
    pub top: Vec<AccountCount>,
}

/// How many failures a source has.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct SourceCount {
    /// The source.
    pub source: String,
    /// Failures that were told, at most.
    pub failures: u64,
    /// Failures that were told, at least.
    pub at_least: u64,
}

/// How many failures are of an account.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct AccountCount {
    /// Its name, as far as the server printed it.
    pub user: String,
    /// Failures that were told, at most.
    pub failures: u64,
    /// Failures that were told, at least.
    pub at_least: u64,
}

/// Lines that were not understood.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Debug)]
pub struct NotUnderstood {
    /// Lines of servers whose lines are read.
    pub servers: u64,
    /// Lines of other programs.
    pub others: u64,
    /// Lines without a header that says who wrote them.
    pub no_header: u64,
    /// Lines over the limit.
    pub too_long: u64,
    /// Entries of a journal of other programs, or by nobody who could be vouched for.
    pub not_vouched: u64,
    /// Entries of a journal that are none.
    pub unreadable: u64,
    /// The shapes that come most often, those of servers first.
    pub shapes: Vec<ShapeCount>,
}

/// How often a shape came.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct ShapeCount {
    /// The program that wrote it.
    pub process: String,
    /// The shape.
    pub shape: String,
    /// Whether the program is a server whose lines are read.
    pub server: bool,
    /// How many lines, at most.
    pub lines: u64,
    /// How many lines, at least.
    pub at_least: u64,
    /// The first such message.
    pub example: String,
}

impl Report {
    /// Writes it for a person; nothing of it commands a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let packing = file.packing.map_or_else(String::new, |packing| format!(", packed by {packing}"));
            let (lines, read) = (held(file), bytes(file.bytes));
            put(&mut text, "file", &format!("{}: {lines}, {read}{packing}", plain(&file.file)));
            if let Some(error) = &file.error {
                put(&mut text, "", &format!("not read to its end: {}", plain(error)));
            }
        }
        if let (Some(since), Some(until)) = (self.since, self.until) {
            put(&mut text, "span", &format!("{since} to {until}"));
        }
        put(&mut text, "lines", &format!("{}, {}", self.lines, bytes(self.bytes)));
        let share = share(self.understood, self.lines);
        let services: Vec<_> = self.services.iter().map(|service| plain(&service.service)).collect();
        let of = if services.is_empty() { String::new() } else { format!(" of {}", services.join(", ")) };
        put(&mut text, "understood", &format!("{}{share}{of}", self.understood));
        for event in &self.events {
            let times =
                if event.count == event.lines { String::new() } else { format!(", {} times", event.count) };
            let words = format!("{} {}", event.event.as_str(), event.kind.as_str());
            row(&mut text, event.lines, &format!("{words}{times}"));
        }
        self.put_top(&mut text);
        self.not_understood.put(&mut text, self.lines);
        text
    }

    fn put_top(&self, text: &mut String) {
        let more = |more: bool| if more { "more than " } else { "" };
        let sources = &self.sources;
        put(text, "sources", &format!("{}{}", more(sources.more), sources.distinct));
        for source in &sources.top {
            let doubt = doubt(source.failures, source.at_least);
            row(text, source.failures, &format!("failures of {}{doubt}", source.source));
        }
        let accounts = &self.accounts;
        put(text, "accounts", &format!("{}{} failed", more(accounts.more), accounts.distinct));
        for account in &accounts.top {
            let doubt = doubt(account.failures, account.at_least);
            row(text, account.failures, &format!("failures of {:?}{doubt}", account.user));
        }
    }
}

impl NotUnderstood {
    fn put(&self, text: &mut String, lines: u64) {
        let all =
            self.servers + self.others + self.no_header + self.too_long + self.not_vouched + self.unreadable;
        put(text, "not understood", &format!("{all}{}", share(all, lines)));
        for (count, what) in [
            (self.servers, "of servers whose lines are read"),
            (self.others, "of other programs"),
            (self.no_header, "without a header that is known: see --parser and --bare"),
            (self.too_long, "longer than 'limits.line-bytes'"),
            (self.not_vouched, "entries of other programs, or that nobody vouches for"),
            (self.unreadable, "unreadable entries"),
        ] {
            if count > 0 {
                row(text, count, what);
            }
        }
        if !self.shapes.is_empty() {
            put(text, "most often", "");
            for shape in &self.shapes {
                let doubt = doubt(shape.lines, shape.at_least);
                row(text, shape.lines, &format!("{}: {}{doubt}", shape.process, shape.shape));
            }
        }
    }
}

pub(super) fn put(text: &mut String, name: &str, what: &str) {
    let line = format!("{name:<16}{what}");
    writeln!(text, "{}", line.trim_end()).expect("a string takes all");
}

fn row(text: &mut String, count: u64, what: &str) {
    writeln!(text, "{count:>14}  {what}").expect("a string takes all");
}

fn held(file: &FileReport) -> String {
    let what = match (file.form, file.lines) {
        (Some("journal-export" | "journal-json"), 1) => "entry of a journal",
        (Some("journal-export" | "journal-json"), _) => "entries of a journal",
        (_, 1) => "line",
        (_, _) => "lines",
    };
    format!("{} {what}", file.lines)
}

fn doubt(count: u64, at_least: u64) -> String {
    if count == at_least { String::new() } else { format!(" (at least {at_least})") }
}

pub(super) fn share(part: u64, whole: u64) -> String {
    // Rounded down to a tenth: what is not all is not told as all.
    match (u128::from(part) * 1000).checked_div(u128::from(whole)) {
        Some(share) => format!(" ({}.{} %)", share / 10, share % 10),
        None => String::new(),
    }
}

fn bytes(count: u64) -> String {
    const STEPS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match STEPS.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        None => format!("{count} bytes"),
    }
}

pub(super) fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}
