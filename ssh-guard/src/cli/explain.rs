//! `ssh-guard explain`: what log lines are understood as.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::logs::How;
use super::output;
use crate::config::Config;
use crate::config::settings::Settings;
use crate::event::{AuthEvent, Kind, Outcome};
use crate::fault::Fault;
use crate::input::archive::{Archive, ArchiveError, Item};
use crate::moment::Moment;
use crate::policy::{Policy, Rules, Standing};
use crate::replay::{Reader, Told};

/// What each log line is understood as, and the weight it adds
///
/// Reads files, packed by gzip or not, and what 'journalctl --output=export' or '--output=json' prints; what a file holds is
/// told by its first bytes. The files of a rotated log are read in the order of time. One attempt counts once: a line that
/// tells again of an attempt that was counted adds nothing.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The logs; - for standard input
    #[arg(value_name = "FILE|-", default_value = "-")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Print a JSON object for each line
    #[arg(
        long,
        long_help = "Print a JSON object for each line, in order: line (its number in its file), event (failure, success, \
                     pre-auth or null), kind, source, port, user, service, count, weight; and file, where several are read"
    )]
    json: bool,
}

/// What a line was understood as.
#[derive(Serialize)]
struct Understood<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    event: Option<Outcome>,
    kind: Option<Kind>,
    source: Option<String>,
    port: Option<u16>,
    user: Option<&'a str>,
    service: Option<&'a str>,
    count: u32,
    weight: f64,
}

impl Explain {
    pub(super) fn act(self, config: Option<&Path>) -> Result<(), Fault> {
        let (_, settings) = Config::load(config)?;
        let Self { files, how, json } = self;
        let several = files.len() > 1;
        let logs = how.logs(files, &settings, "explain")?;
        output::tell_that_a_terminal_is_read(&logs.files);
        let out = io::BufWriter::new(io::stdout().lock());
        let mut explainer = Explainer::new(&settings, json, several, out);
        output::all_read(logs.read(&mut explainer))
    }
}

/// Tells of each line what it was understood as.
struct Explainer<'a, W> {
    settings: &'a Settings,
    policy: Policy,
    json: bool,
    several: bool,
    file: String,
    out: W,
    broken: Option<io::Error>,
}

impl<'a, W: Write> Explainer<'a, W> {
    fn new(settings: &'a Settings, json: bool, several: bool, out: W) -> Self {
        // What a line adds is told by itself: no threshold is near, so that none of it is cut off.
        let policy = Policy::new(Rules { threshold: f64::from(u16::MAX), ..settings.policy.clone() });
        Self { settings, policy, json, several, file: String::new(), out, broken: None }
    }

    fn tell(&mut self, told: &Told<'_>) -> io::Result<()> {
        let event = told.event.as_ref();
        // All lines count as if they came at once: what each adds does not depend on when it was written.
        let weight = event.map_or(0.0, |event| weigh(&mut self.policy, event, self.settings));
        let understood = Understood {
            file: self.several.then_some(&self.file),
            line: told.line,
            event: event.map(|event| event.outcome),
            kind: event.map(|event| event.kind),
            source: event.and_then(|event| event.address).map(|address| address.to_string()),
            port: event.and_then(|event| event.port),
            user: event.and_then(|event| event.user.as_deref()),
            service: event.map(|event| event.service.as_str()),
            count: event.map_or(1, |event| event.count.get()),
            weight,
        };
        if self.json {
            serde_json::to_writer(&mut self.out, &understood)?;
            return writeln!(self.out);
        }
        writeln!(self.out, "{}\n    {}", shown(told.item).escape_debug(), understood.text())
    }
}

impl<W: Write> Reader for Explainer<'_, W> {
    fn begin(&mut self, file: &Path, _: &Archive) {
        self.file = file.display().to_string();
        if self.several && !self.json && self.broken.is_none() {
            self.broken = writeln!(self.out, "{}:", self.file.escape_debug()).err();
        }
    }

    fn take(&mut self, told: &Told<'_>) {
        if self.broken.is_none() {
            self.broken = self.tell(told).err();
        }
    }

    fn pause(&mut self) -> io::Result<()> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    fn end(&mut self, _: &Path, _: u64, _: Option<&ArchiveError>) {}
}

impl Understood<'_> {
    fn text(&self) -> String {
        let (Some(event), Some(kind)) = (self.event, self.kind) else { return "nothing".to_owned() };
        let told = [
            Some(format!("{} {}", event.as_str(), kind.as_str())),
            (self.count > 1).then(|| format!("{} times", self.count)),
            Some(self.source.as_ref().map_or("no source".to_owned(), |source| format!("source {source}"))),
            self.port.map(|port| format!("port {port}")),
            self.user.map(|user| format!("user {user:?}")),
            self.service.filter(|service| *service != "openssh").map(|service| format!("service {service}")),
            Some(format!("weight {}", self.weight)),
        ];
        told.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The line, or the entry as a line.
fn shown(item: Item<'_>) -> String {
    match item {
        Item::Line(line) => String::from_utf8_lossy(line).into_owned(),
        Item::Message { process, pid, text, .. } => {
            let pid = pid.map_or_else(String::new, |pid| format!("[{pid}]"));
            format!("{}{pid}: {}", String::from_utf8_lossy(process), String::from_utf8_lossy(text))
        }
        Item::TooLong => "(longer than 'limits.line-bytes')".to_owned(),
        Item::NotVouched => "(an entry of another program, or that nobody vouches for)".to_owned(),
        Item::Unreadable => "(an entry that cannot be read)".to_owned(),
    }
}

/// What an event adds to the score of its source; nothing if it names none.
fn weigh(policy: &mut Policy, event: &AuthEvent, settings: &Settings) -> f64 {
    let Some(address) = event.address else { return 0.0 };
    let source = settings.guard.mask().apply(address.into());
    policy.observe(event, source, Moment::default(), || Standing::Exempt).weight
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::parse::Parser;
    use crate::replay::Logs;

    const LOG: &str = "\
Nov 23 03:12:01 host sshd[123]: Invalid user admin from 203.0.113.7 port 41022
Nov 23 03:12:02 host sshd[123]: Failed password for invalid user admin from 203.0.113.7 port 41022 ssh2
Nov 23 03:12:03 host cron[9]: nothing to see
";

    fn explained(logs: &[&[u8]], json: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = |(index, log): (usize, &&[u8])| {
            let file = folder.path().join(format!("log-{index}"));
            std::fs::write(&file, log).unwrap();
            file
        };
        let files: Vec<_> = logs.iter().enumerate().map(file).collect();
        let several = files.len() > 1;
        let logs = Logs {
            files,
            parser: Parser::Auto,
            bare: false,
            zone: TimeZone::UTC,
            now: || Timestamp::MAX,
            line_bytes: 1024,
            verb: "explain",
        };
        let (_, settings) = Config::parse("test", "").unwrap();
        let mut explainer = Explainer::new(&settings, json, several, Vec::new());
        logs.read(&mut explainer).unwrap();
        String::from_utf8(explainer.out).unwrap().replace(folder.path().to_str().unwrap(), "")
    }

    fn objects(told: &str) -> Vec<serde_json::Value> {
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_line_is_told_with_what_it_adds() {
        let told = explained(&[LOG.as_bytes()], true);
        let objects = objects(&told);
        assert_eq!(objects.len(), 3);
        assert_eq!(objects[0]["kind"], "invalid-user");
        assert_eq!(objects[0]["source"], "203.0.113.7");
        let weights: f64 = objects.iter().map(|object| object["weight"].as_f64().unwrap()).sum();
        assert!((weights - 1.0).abs() < 1e-9, "one attempt weighs one: {told}");
        assert_eq!(objects[2]["event"], serde_json::Value::Null);
        assert_eq!(objects[2]["line"], 3);
        assert!(objects[0].get("file").is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_a_line_that_says_nothing() {
        let log = [&[b'x'; 5000][..], b"\n", LOG.as_bytes(), b"no newline at the end"].concat();
        let told = explained(&[&log], true);
        assert_eq!(told.lines().count(), 5, "{told}");
        assert!(told.lines().next().unwrap().contains("\"event\":null"), "{told}");
        assert!(told.lines().nth(1).unwrap().contains("\"invalid-user\""), "{told}");
    }

    #[test]
    fn the_text_says_it_beneath_the_line() {
        let told = explained(&[LOG.as_bytes()], false);
        assert!(
            told.contains("port 41022\n    failure invalid-user, source 203.0.113.7, port 41022"),
            "{told}"
        );
    }

    #[test]
    fn entries_of_a_journal_are_told_as_lines() {
        let journal = "__CURSOR=s\n_UID=0\n_COMM=sshd\n_PID=123\n\
                       MESSAGE=Failed password for root from 203.0.113.7 port 41022 ssh2\n\n\
                       __CURSOR=t\n_UID=1000\n_COMM=sshd\nMESSAGE=forged\n\n";
        let told = explained(&[journal.as_bytes()], false);
        assert!(told.starts_with("sshd[123]: Failed password for root"), "{told}");
        assert!(
            told.contains(
                "\n    failure password, source 203.0.113.7, port 41022, user \"root\", weight 1\n"
            )
        );
        assert!(told.ends_with("vouches for)\n    nothing\n") && !told.contains("forged"), "{told}");
    }

    #[test]
    fn lines_of_several_logs_are_told_with_their_file() {
        let told = explained(&[LOG.as_bytes(), LOG.as_bytes()], true);
        let told: Vec<_> = objects(&told)
            .into_iter()
            .map(|told| (told["file"].as_str().unwrap().to_owned(), told["line"].as_u64().unwrap()))
            .collect();
        let expected =
            ["/log-0", "/log-1"].into_iter().flat_map(|file| (1..=3).map(|line| (file.to_owned(), line)));
        assert_eq!(told, expected.collect::<Vec<_>>());
        let told = explained(&[LOG.as_bytes(), LOG.as_bytes()], false);
        assert!(told.starts_with("/log-0:\nNov 23 ") && told.contains("nothing\n/log-1:\nNov 23 "), "{told}");
    }
}
