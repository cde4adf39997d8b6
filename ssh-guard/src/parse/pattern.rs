//! Reads what a server writes that the configuration describes: by regular expressions, or by the fields of JSON.
//!
//! An expression must match the whole message, as otherwise a client that may choose some of it (its user name) could
//! write another message into it. It is matched over bytes, in a time that grows with the message's length only.
//! What the description is worth is tried with its samples ([`Pattern::read`], [`forgery`]).

mod expression;
pub mod forgery;
mod json;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use regex::bytes::Regex;

pub use self::expression::ExpressionError;
use self::json::Reader;
use super::Record;
use super::openssh::unrepeated;
use super::reading::Reading;
use super::text::{Origin, port};
use crate::event::{AuthEvent, Kind, Outcome, Service};

/// A description of a server's messages, as the configuration has it; what is empty is not said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// What the server is called.
    pub name: String,
    /// The name of the process that writes the messages.
    pub process: String,
    /// The unit of systemd that it runs in.
    pub unit: String,
    /// The kind of the failures.
    pub kind: Kind,
    /// What shows an outcome.
    pub shape: Shape,
}

/// The shape of a server's messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Text, read by regular expressions with the groups `source`, `user` and `port`.
    Text {
        /// Each matches a message about a failure.
        failure: Vec<String>,
        /// Each matches a message about a success.
        success: Vec<String>,
    },
    /// A JSON object.
    Json(Fields),
}

/// The fields of a JSON object: the names of the objects in each other that a value lies in, with dots between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fields {
    /// The one that says what happened.
    pub event: String,
    /// Its values that mean a failure.
    pub failure: Vec<String>,
    /// Its values that mean a success.
    pub success: Vec<String>,
    /// The client's address, or `ADDR:PORT`.
    pub source: String,
    /// The account; may be empty.
    pub user: String,
    /// The client's port; may be empty.
    pub port: String,
}

/// A description that can be used.
#[derive(Clone, Debug)]
pub struct Pattern {
    description: Description,
    name: Arc<str>,
    reader: How,
}

#[derive(Clone, Debug)]
enum How {
    Text { failure: Vec<Regex>, success: Vec<Regex> },
    Json(Reader),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.description == other.description
    }
}

impl Eq for Pattern {}

/// What one sample was read as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// What it means.
    pub event: AuthEvent,
    /// Which of the expressions matched, from 0; of the values of a field, which one it had.
    pub by: usize,
}

impl Pattern {
    /// Compiles a description.
    ///
    /// # Errors
    /// With each expression that cannot be used: whether it is one of a success, which one, and why.
    pub fn new(description: Description) -> Result<Self, Vec<(Outcome, usize, ExpressionError)>> {
        let reader = match &description.shape {
            Shape::Text { failure, success } => {
                let mut wrong = Vec::new();
                let mut compile = |outcome, texts: &[String]| -> Vec<Regex> {
                    let each =
                        texts.iter().enumerate().filter_map(|(index, text)| {
                            match expression::compile(text) {
                                Ok(regex) => Some(regex),
                                Err(error) => {
                                    wrong.push((outcome, index, error));
                                    None
                                }
                            }
                        });
                    each.collect()
                };
                let (failure, success) =
                    (compile(Outcome::Failure, failure), compile(Outcome::Success, success));
                if !wrong.is_empty() {
                    return Err(wrong);
                }
                How::Text { failure, success }
            }
            Shape::Json(fields) => How::Json(Reader::new(fields)),
        };
        Ok(Self { name: description.name.as_str().into(), description, reader })
    }

    /// What the server is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the process that writes the messages; empty for any.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.description.process
    }

    /// The unit of systemd that the server runs in; empty where it is not said.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.description.unit
    }

    /// Whether messages are JSON objects.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.reader, How::Json(_))
    }

    /// Whether the process writes the messages. A line that has no header names no process.
    #[must_use]
    pub fn is_of(&self, process: &[u8]) -> bool {
        let own = self.process().as_bytes();
        own.is_empty() || process.is_empty() || process == own
    }

    /// How many alternatives there are for each outcome.
    #[must_use]
    pub fn alternatives(&self) -> [(Outcome, usize); 2] {
        let (failure, success) = match &self.description.shape {
            Shape::Text { failure, success } | Shape::Json(Fields { failure, success, .. }) => {
                (failure, success)
            }
        };
        [(Outcome::Failure, failure.len()), (Outcome::Success, success.len())]
    }

    /// The texts that stand in the expressions as they are.
    fn literals(&self) -> Vec<Vec<u8>> {
        match &self.description.shape {
            Shape::Text { failure, success } => {
                failure.iter().chain(success).flat_map(|text| expression::literals(text)).collect()
            }
            Shape::Json(_) => Vec::new(),
        }
    }

    /// Reads one message; nothing if another process wrote it, or if it says nothing about a login.
    #[must_use]
    pub fn event(&self, record: &Record<'_>) -> Option<AuthEvent> {
        self.read(record).map(|read| read.event)
    }

    /// Reads one message, and says which part of the description it was read by.
    #[must_use]
    pub fn read(&self, record: &Record<'_>) -> Option<Read> {
        if !self.is_of(record.process) {
            return None;
        }
        let (message, count) = unrepeated(record.message)?;
        match &self.reader {
            How::Text { .. } => {
                let found = self.find(message)?;
                let part = |range: Option<Range<usize>>| range.map(|range| &message[range]);
                let text =
                    Text { source: &message[found.source], user: part(found.user), port: part(found.port) };
                Some(self.understood((found.outcome, found.by), &text, count))
            }
            How::Json(reader) => {
                let found = reader.read(message)?;
                let text = Text {
                    source: found.source.as_bytes(),
                    user: found.user.as_ref().map(String::as_bytes),
                    port: found.port.as_ref().map(String::as_bytes),
                };
                Some(self.understood((found.outcome, found.by), &text, count))
            }
        }
    }

    /// Where in a message of text the words stand; failures are looked for first, so that what a client makes look
    /// like both is one.
    fn find(&self, message: &[u8]) -> Option<Found> {
        let How::Text { failure, success } = &self.reader else { return None };
        let look = |outcome, regexes: &[Regex]| {
            regexes.iter().enumerate().find_map(|(by, regex)| {
                let captures = regex.captures(message)?;
                let range = |name| captures.name(name).map(|found| found.range());
                Some(Found {
                    outcome,
                    by,
                    source: range("source")?,
                    user: range("user"),
                    port: range("port"),
                })
            })
        };
        look(Outcome::Failure, failure).or_else(|| look(Outcome::Success, success))
    }

    fn understood(&self, (outcome, by): (Outcome, usize), text: &Text<'_>, count: NonZeroU32) -> Read {
        let kind = match outcome {
            Outcome::Success => Kind::Accepted,
            Outcome::Failure | Outcome::PreAuth => self.description.kind,
        };
        let mut origin = origin(text.source);
        if origin.address.is_some() {
            origin.port = text.port.and_then(port).or(origin.port);
        }
        let reading = Reading::new(outcome, kind).from(origin).user(text.user.unwrap_or_default());
        Read { event: reading.event(Service::Named(Arc::clone(&self.name)), count), by }
    }
}

/// What a message says, as it stands there.
struct Text<'a> {
    source: &'a [u8],
    user: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
}

/// Where in a message its words stand.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    outcome: Outcome,
    by: usize,
    source: Range<usize>,
    user: Option<Range<usize>>,
    port: Option<Range<usize>>,
}

impl Found {
    /// Whether the same expression read both.
    fn is_read_alike(&self, other: &Self) -> bool {
        (self.outcome, self.by) == (other.outcome, other.by)
    }
}

/// Reads `ADDR`, `[ADDR]`, `[ADDR]:PORT`, or `ADDR:PORT` for IPv4: without brackets an IPv6 address would swallow it.
fn origin(text: &[u8]) -> Origin {
    if let Some(rest) = text.strip_prefix(b"[")
        && let Some(end) = rest.iter().position(|&byte| byte == b']')
    {
        let origin = Origin::word(&rest[..end]);
        return match &rest[end + 1..] {
            b"" => origin,
            [b':', digits @ ..] if port(digits).is_some() && origin.address.is_some() => {
                Origin { port: port(digits), ..origin }
            }
            _ => Origin::UNKNOWN,
        };
    }
    if memchr::memchr(b':', text).is_some() && memchr::memchr(b':', text) == memchr::memrchr(b':', text) {
        return Origin::with_port_behind_colon(text).unwrap_or(Origin::UNKNOWN);
    }
    Origin::word(text)
}

#[cfg(test)]
mod tests;
