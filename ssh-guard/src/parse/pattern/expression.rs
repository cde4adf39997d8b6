//! Compiles the regular expressions of a description.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind, Look};

/// Says why a regular expression cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExpressionError {
    /// It is no expression, or too large a one.
    #[error("{0}")]
    Syntax(String),
    /// It may match a part of a message.
    #[error("it would match a part of a message, so that a client could write the rest")]
    NotAnchored,
    /// It has no group `source`.
    #[error("it has no group 'source'")]
    NoSource,
    /// It has a group of another name.
    #[error("it has a group '{0}', and the groups are 'source', 'user' and 'port'")]
    Group(String),
}

impl ExpressionError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Syntax(_) => Some("write it between single quotes, where a backslash stands for itself"),
            Self::NotAnchored => Some("begin it with '^' and end it with '$', each of its alternatives too"),
            Self::NoSource => Some("put the client's address into (?<source>[0-9a-fA-F:.]+)"),
            Self::Group(_) => None,
        }
    }
}

/// Compiles an expression over bytes: with Unicode, or if `.` stopped at a line end, a client could hide a failure by a
/// name that is not UTF-8, or has two lines.
pub(super) fn compile(text: &str) -> Result<Regex, ExpressionError> {
    let syntax = |why: &dyn std::fmt::Display| {
        // It draws the expression in several lines; the last one says what is wrong.
        let told = why.to_string();
        let last = told.trim_end().rsplit('\n').next().unwrap_or_default();
        ExpressionError::Syntax(last.strip_prefix("error: ").unwrap_or(last).to_owned())
    };
    let parsed = parse(text).map_err(|error| syntax(&error))?;
    let anchored = parsed.properties().look_set_prefix().contains(Look::Start)
        && parsed.properties().look_set_suffix().contains(Look::End);
    let regex = RegexBuilder::new(text)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .build()
        .map_err(|error| syntax(&error))?;
    if let Some(other) = regex.capture_names().flatten().find(|name| !GROUPS.contains(name)) {
        return Err(ExpressionError::Group(other.to_owned()));
    }
    if !regex.capture_names().flatten().any(|name| name == "source") {
        return Err(ExpressionError::NoSource);
    }
    if anchored { Ok(regex) } else { Err(ExpressionError::NotAnchored) }
}

/// The texts that stand in an expression as they are, in the order in which they stand there.
pub(super) fn literals(text: &str) -> Vec<Vec<u8>> {
    fn collect(hir: &Hir, found: &mut Vec<Vec<u8>>) {
        match hir.kind() {
            HirKind::Literal(literal) => found.push(literal.0.to_vec()),
            HirKind::Repetition(repetition) => collect(&repetition.sub, found),
            HirKind::Capture(capture) => collect(&capture.sub, found),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => {
                for part in parts {
                    collect(part, found);
                }
            }
            HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(hir) = parse(text) {
        collect(&hir, &mut found);
    }
    found
}

fn parse(text: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    let mut parser =
        regex_syntax::ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build();
    Ok(parser.parse(text)?)
}

/// The groups that mean something.
const GROUPS: [&str; 3] = ["source", "user", "port"];

/// Room for some hundred alternatives; what needs more is no description of a message.
const SIZE_LIMIT: usize = 1 << 20;
