//! What the tables `[[pattern]]` mean, and whether their samples are read as they say.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Check;
use super::input::is_name;
use crate::config::place::Place;
use crate::config::quote::shown;
use crate::config::{self, Sample};
use crate::event::{AuthEvent, Kind, Outcome};
use crate::parse::pattern::{Description, Fields, Pattern, Read, Shape, forgery};
use crate::parse::{Parser, Record, header};

impl Check<'_, '_> {
    pub(super) fn patterns(&mut self, patterns: &[config::Pattern]) -> Option<Vec<Arc<Pattern>>> {
        let at = Place::of("pattern");
        if patterns.len() > MOST_PATTERNS {
            let what = format!("there are {}, and at most {MOST_PATTERNS} can be used", patterns.len());
            self.note(&at, &what, None);
            return None;
        }
        let mut understood: Vec<Option<Arc<Pattern>>> = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let at = at.element(index);
            if patterns[..index].iter().any(|other| other.name == pattern.name) && is_name(&pattern.name) {
                let what = format!("two patterns are called '{}'", pattern.name);
                self.note(&at.key("name"), &what, Some("give each a 'name' of its own".to_owned()));
            }
            understood.push(self.pattern(&at, pattern).map(Arc::new));
        }
        understood.into_iter().collect()
    }

    fn pattern(&mut self, at: &Place, pattern: &config::Pattern) -> Option<Pattern> {
        let before = self.problems.len();
        let is_own = Parser::KNOWN.iter().all(|parser| parser.as_str() != pattern.name);
        self.allowed(&at.key("name"), (is_name(&pattern.name) && is_own).then_some(()));
        let is_tag = pattern.process.len() <= 64
            && pattern.process.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]:/".contains(&byte));
        self.allowed(&at.key("process"), is_tag.then_some(()));
        let unit = &pattern.unit;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
        // systemd.unit(5).
        let is_unit = unit.is_empty() || unit.len() < 256 && unit.contains('.') && unit.bytes().all(fits);
        self.allowed(&at.key("unit"), is_unit.then_some(()));
        let kind = FAILURES.into_iter().find(|kind| kind.as_str() == pattern.kind);
        let kind = self.allowed(&at.key("kind"), kind);
        let shape = self.shape(at, pattern);
        let (Some(kind), Some(shape)) = (kind, shape) else { return None };
        if self.problems.len() > before {
            return None;
        }
        let description = Description {
            name: pattern.name.clone(),
            process: pattern.process.clone(),
            unit: pattern.unit.clone(),
            kind,
            shape,
        };
        match Pattern::new(description) {
            Ok(compiled) => self.proven(at, compiled, &pattern.samples),
            Err(wrong) => {
                for (outcome, index, error) in wrong {
                    let at = at.key(outcome.as_str()).element(index);
                    self.note(&at, &error, error.hint().map(str::to_owned));
                }
                None
            }
        }
    }

    fn shape(&mut self, at: &Place, pattern: &config::Pattern) -> Option<Shape> {
        let config::Pattern { failure, success, json, .. } = pattern;
        let before = self.problems.len();
        let lists = [("failure", failure), ("success", success)];
        for (key, list) in lists {
            self.allowed(&at.key(key), (list.len() <= MOST_ALTERNATIVES).then_some(()));
        }
        if *json == config::Json::default() {
            if failure.is_empty() {
                let hint = "add failure = ['^…(?<source>…)…$'], or a table 'json'".to_owned();
                self.note(at, &"a pattern needs to say what a 'failure' looks like", Some(hint));
            }
            let shape = Shape::Text { failure: failure.clone(), success: success.clone() };
            return (self.problems.len() == before).then_some(shape);
        }
        if lists.iter().any(|(_, list)| !list.is_empty()) {
            let hint = "take the expressions out, or the table 'json'".to_owned();
            self.note(at, &"a pattern reads text or JSON, and this one does both", Some(hint));
        }
        let at = at.key("json");
        for (key, list) in [("failure", &json.failure), ("success", &json.success)] {
            self.allowed(&at.key(key), (list.len() <= MOST_ALTERNATIVES).then_some(()));
        }
        for (key, path) in
            [("event", &json.event), ("source", &json.source), ("user", &json.user), ("port", &json.port)]
        {
            let is_path = path.is_empty() || path.split('.').all(|name| !name.is_empty());
            self.allowed(&at.key(key), is_path.then_some(()));
        }
        for (key, is_missing) in [
            ("event", json.event.is_empty()),
            ("failure", json.failure.is_empty()),
            ("source", json.source.is_empty()),
        ] {
            if is_missing {
                let hint = format!("add '{key}' to it");
                self.note(&at, &format!("it does not say which '{key}' is meant"), Some(hint));
            }
        }
        let fields = Fields {
            event: json.event.clone(),
            failure: json.failure.clone(),
            success: json.success.clone(),
            source: json.source.clone(),
            user: json.user.clone(),
            port: json.port.clone(),
        };
        (self.problems.len() == before).then_some(Shape::Json(fields))
    }

    /// Lets a pattern read its samples, and a client's forgeries of them.
    fn proven(&mut self, at: &Place, pattern: Pattern, samples: &[Sample]) -> Option<Pattern> {
        let before = self.problems.len();
        let at_samples = at.key("samples");
        if samples.len() > MOST_SAMPLES {
            let what = format!("there are {}, and at most {MOST_SAMPLES} are read", samples.len());
            self.note(&at_samples, &what, None);
            return None;
        }
        let mut read = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            read.extend(self.sample(&at_samples.element(index), &pattern, sample));
        }
        if self.problems.len() > before {
            return None;
        }
        let shown_by = |outcome, by| {
            read.iter().any(|(_, read)| {
                read.event.outcome == outcome && read.by == by && read.event.address.is_some()
            })
        };
        for (outcome, count) in pattern.alternatives() {
            for by in (0..count).filter(|by| !shown_by(outcome, *by)) {
                let which = if pattern.is_json() { at.key("json") } else { at.clone() };
                let what = "no sample shows what this reads, with its source";
                let hint =
                    "add { line = \"…\", event = \"…\", source = \"…\" } to 'samples', from the server's log";
                self.note(&which.key(outcome.as_str()).element(by), &what, Some(hint.to_owned()));
            }
        }
        let messages: Vec<&[u8]> = read.iter().map(|(message, _)| *message).collect();
        if let Some(forgery) = forgery::find(&pattern, &messages) {
            self.note_forgery(at, &forgery);
        }
        (self.problems.len() == before).then_some(pattern)
    }

    fn note_forgery(&mut self, at: &Place, forgery: &forgery::Forgery) {
        let line = line(&String::from_utf8_lossy(&forgery.message));
        let (what, hint) = match forgery.credits {
            Some(address) => (
                format!("a client could have {address} banned by what it writes: '{line}'"),
                "let the address be the first thing in the expression, or the last, and let only fixed text or [0-9]+ stand between \
                 it and that end",
            ),
            None => (
                format!("a client could make a failure look like a success: '{line}'"),
                "let the expressions of 'success' match from the first word to the last, without '.*' where fixed text stands",
            ),
        };
        self.note(at, &what, Some(hint.to_owned()));
    }

    /// Reads one sample; gives the message in it and what that was read as, if it is one that has a meaning.
    fn sample<'s>(&mut self, at: &Place, pattern: &Pattern, sample: &'s Sample) -> Option<(&'s [u8], Read)> {
        let event = EVENTS.iter().find(|(word, _)| *word == sample.event).map(|(_, outcome)| *outcome);
        let outcome = self.allowed(&at.key("event"), event);
        let source = match sample.source.as_str() {
            "" => Some(None),
            text => self.allowed(&at.key("source"), text.parse::<IpAddr>().ok()).map(Some),
        };
        let port = match sample.port {
            0 => Some(None),
            number => {
                let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
                self.allowed(&at.key("port"), port).map(Some)
            }
        };
        let (outcome, source, port) = (outcome?, source?, port?);
        let fits = |read: Option<&Read>| match (outcome, read.map(|read| &read.event)) {
            (None, None) => true,
            (Some(outcome), Some(event)) => {
                event.outcome == outcome
                    && event.address == source.map(|source| source.to_canonical())
                    && (sample.user.is_empty() || event.user.as_deref() == Some(&sample.user))
                    && port.is_none_or(|port| event.port == Some(port.get()))
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        let text = sample.line.as_bytes();
        let whole = Record { message: text, ..Record::default() };
        let mut told = None;
        for record in std::iter::once(whole).chain(header::split(text)) {
            let read = pattern.read(&record);
            if fits(read.as_ref()) {
                return Some((record.message, read?));
            }
            told = read.or(told);
        }
        let what = format!(
            "the line '{}' is read as {}, and should be {}",
            line(&sample.line),
            told.map_or_else(|| "nothing".to_owned(), |read| meaning(&read.event)),
            expected(sample)
        );
        self.note(at, &what, None);
        None
    }
}

/// Gives a line of a log as it stands there, but for what cannot be printed; more of it than of other text, as it is the
/// end that matters.
fn line(text: &str) -> String {
    let shown = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
    let mut shown: String = text.chars().take(MOST_SHOWN).map(shown).collect();
    if text.chars().nth(MOST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn meaning(event: &AuthEvent) -> String {
    let source = event.address.map(|address| address.to_string()).unwrap_or_default();
    told(event.outcome.as_str(), &source, i64::from(event.port.unwrap_or_default()), event.user.as_deref())
}

fn expected(sample: &Sample) -> String {
    match sample.event.as_str() {
        "nothing" => "nothing".to_owned(),
        event => {
            told(event, &sample.source, sample.port, Some(&*sample.user).filter(|user| !user.is_empty()))
        }
    }
}

fn told(event: &str, source: &str, port: i64, user: Option<&str>) -> String {
    let words = [
        Some(match source {
            "" => format!("{event} with no source"),
            source => format!("{event} with source {source}"),
        }),
        (port != 0).then(|| format!("port {port}")),
        user.map(|user| format!("user '{}'", shown(user))),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What a sample may be, and what it then means.
const EVENTS: [(&str, Option<Outcome>); 3] =
    [("failure", Some(Outcome::Failure)), ("success", Some(Outcome::Success)), ("nothing", None)];

/// The kinds that a failure may be of: those that tell how somebody tried to log in.
const FAILURES: [Kind; 9] = [
    Kind::Password,
    Kind::KeyboardInteractive,
    Kind::InvalidUser,
    Kind::Publickey,
    Kind::Hostbased,
    Kind::Gssapi,
    Kind::Pam,
    Kind::NotAllowed,
    Kind::Other,
];

const MOST_PATTERNS: usize = 32;
const MOST_ALTERNATIVES: usize = 16;
const MOST_SAMPLES: usize = 64;
const MOST_SHOWN: usize = 400;
