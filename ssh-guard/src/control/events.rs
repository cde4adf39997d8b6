//! Auth events as applications post them: file-transfer servers, hooks of PAM. Pure: what the answer says stands in what came.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{AuthEvent, Kind, Outcome, Service};
use crate::parse::text;

/// An auth event, as it is posted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PostedEvent {
    /// The client's address; names are never resolved.
    #[serde(default)]
    pub source: Option<String>,
    /// The client's TCP port.
    #[serde(default)]
    pub port: Option<u16>,
    /// The account that was tried.
    #[serde(default)]
    pub user: Option<String>,
    /// How it ended.
    pub event: Outcome,
    /// What was tried, or what happened: `password` for a failure, `accepted` for a success, `closed` for a pre-auth unless
    /// it says otherwise.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// The server that was tried: up to 32 letters, digits, `.`, `_` and `-`.
    #[serde(default)]
    pub service: Option<String>,
    /// How often it happened, from 1.
    #[serde(default)]
    pub count: Option<NonZeroU32>,
    /// When it happened, unless now.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// The server's own name for the session, up to 128 bytes: what one event of it says of port and user need not be said
    /// again.
    #[serde(default)]
    pub session: Option<String>,
}

/// What became of posted events.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct EventsTaken {
    /// How many were taken.
    pub taken: u64,
    /// How many lines were not, each by itself.
    pub refused: u64,
    /// The first of those.
    pub errors: Vec<BadLine>,
}

/// A line that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BadLine {
    /// Its number, from 1; blank ones count.
    pub line: u64,
    /// Why.
    pub error: String,
}

/// How events are written in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One JSON object.
    Json,
    /// A JSON object a line.
    Lines,
    /// One event as `name=value&…`, as `curl --data-urlencode` writes it: for shells, which cannot write JSON of any text.
    Urlencoded,
}

/// An event that can be judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posted {
    /// What happened.
    pub event: AuthEvent,
    /// When, unless now.
    pub at: Option<Timestamp>,
    /// The server's name for the session.
    pub session: Option<String>,
}

/// Why nothing of a request is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Declined {
    /// The guard is busy; later it is not.
    Busy,
    /// The daemon is ending.
    Ending,
    /// There are more events in it than one request may hold.
    TooMany,
}

/// What a request holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// What can be judged, in the order of the lines.
    pub events: Vec<Posted>,
    /// How many lines cannot, and the first of them.
    pub refused: u64,
    /// The first of those.
    pub errors: Vec<BadLine>,
    /// How long the lines are together, in bytes.
    pub bytes: u64,
    /// How many lines were longer than a line may be.
    pub too_long: u64,
}

impl Form {
    /// By the media type, without its parameters.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-ndjson" => Some(Self::Lines),
            "application/x-www-form-urlencoded" => Some(Self::Urlencoded),
            _ => None,
        }
    }
}

impl Batch {
    /// Reads a request's body; a bad line spoils no other. Lines are of at most `limit` bytes.
    #[must_use]
    pub fn parse(form: Form, body: &[u8], limit: usize) -> Self {
        let mut batch = Self::default();
        match form {
            Form::Json | Form::Urlencoded => batch.add(1, form, body, limit),
            Form::Lines => {
                for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
                    let line = line.trim_ascii();
                    if !line.is_empty() {
                        batch.add(number, form, line, limit);
                    }
                }
            }
        }
        batch
    }

    fn add(&mut self, line: u64, form: Form, text: &[u8], limit: usize) {
        self.bytes += text.len() as u64;
        let posted = if text.len() > limit {
            self.too_long += 1;
            Err(format!("it is longer than {limit} bytes ('limits.line-bytes')"))
        } else {
            read(form, text).and_then(PostedEvent::understand)
        };
        match posted {
            Ok(posted) => self.events.push(posted),
            Err(error) => {
                self.refused += 1;
                if self.errors.len() < MOST_TOLD {
                    self.errors.push(BadLine { line, error });
                }
            }
        }
    }
}

fn read(form: Form, text: &[u8]) -> Result<PostedEvent, String> {
    match form {
        Form::Urlencoded => serde_urlencoded::from_bytes(text)
            .map_err(|error| format!("no event: {}", harmless(&error.to_string()))),
        Form::Json | Form::Lines => serde_json::from_slice(text).map_err(|error| {
            let said = error.to_string();
            // Which line it is the answer says by itself.
            let said = said.split(" at line ").next().unwrap_or_default();
            format!("no event: {}", harmless(said))
        }),
    }
}

/// What a reader complains about, which names the keys that it does not know: short and in one line.
fn harmless(complaint: &str) -> String {
    let mut shown = String::new();
    for letter in complaint.chars().take(MOST_SHOWN) {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if complaint.chars().nth(MOST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl PostedEvent {
    fn understand(self) -> Result<Posted, String> {
        let Self { source, port, user, event, kind, service, count, at, session } = self;
        let kind = kind.unwrap_or(match event {
            Outcome::Failure => Kind::Password,
            Outcome::Success => Kind::Accepted,
            Outcome::PreAuth => Kind::Closed,
        });
        if !may_be(event, kind) {
            return Err(format!("'{}' is no kind of '{}'", kind.as_str(), event.as_str()));
        }
        let not_empty = |text: &String| !text.is_empty();
        let session = session.filter(not_empty);
        if session.as_ref().is_some_and(|session| session.len() > MAX_SESSION) {
            return Err(format!("'session' is longer than {MAX_SESSION} bytes"));
        }
        let event = AuthEvent {
            outcome: event,
            kind,
            address: Some(address(source.filter(not_empty))?),
            port: port.filter(|port| *port > 0),
            user: user.filter(not_empty).map(Into::into),
            service: named(service.filter(not_empty))?,
            count: count.unwrap_or(NonZeroU32::MIN),
            process: None,
        };
        Ok(Posted { event, at, session })
    }
}

/// Whether an event of a kind may end so.
fn may_be(outcome: Outcome, kind: Kind) -> bool {
    match kind {
        // How somebody logged in is of no weight.
        Kind::Password
        | Kind::KeyboardInteractive
        | Kind::Publickey
        | Kind::Hostbased
        | Kind::Gssapi
        | Kind::Pam => outcome != Outcome::PreAuth,
        Kind::InvalidUser | Kind::NotAllowed | Kind::TooManyAttempts => outcome == Outcome::Failure,
        Kind::Accepted => outcome == Outcome::Success,
        Kind::Closed
        | Kind::Reset
        | Kind::Timeout
        | Kind::NoIdentification
        | Kind::BadBanner
        | Kind::Negotiation
        | Kind::Refused
        | Kind::Penalty => outcome == Outcome::PreAuth,
        Kind::Other => outcome != Outcome::Success,
    }
}

fn address(source: Option<String>) -> Result<IpAddr, String> {
    let Some(source) = source else {
        return Err("an event needs 'source', the client's address".to_owned());
    };
    text::address(source.as_bytes()).ok_or_else(|| {
        format!("'source' is {}, which is no address; names are never resolved", Shown(&source))
    })
}

fn named(service: Option<String>) -> Result<Service, String> {
    let Some(name) = service else { return Ok(Service::Named(Arc::from("socket"))) };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.len() > MAX_SERVICE || !name.bytes().all(fits) {
        return Err(format!(
            "'service' is {} and must be up to {MAX_SERVICE} letters, digits, '.', '_' or '-'",
            Shown(&name)
        ));
    }
    Ok(if name == Service::Openssh.as_str() { Service::Openssh } else { Service::Named(name.into()) })
}

/// Text of somebody's choice, short and in one line.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(64).collect();
        let more = if shown.len() < self.0.len() { "…" } else { "" };
        write!(f, "'{}{more}'", shown.escape_debug())
    }
}

/// How many events a request may hold.
pub const MOST_EVENTS: usize = 10_000;
/// How many bad lines are told.
const MOST_TOLD: usize = 100;
/// How much of a complaint is told, in characters.
const MOST_SHOWN: usize = 200;
const MAX_SESSION: usize = 128;
const MAX_SERVICE: usize = 32;

#[cfg(test)]
mod tests;
