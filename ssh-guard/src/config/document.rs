//! A configuration as text: its form, its keys, and on which line each stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Config;
use super::key::{self, Shape};
use super::place::{Place, Step};
use super::problem::{ConfigError, Problem};
use super::quote::MAX_SHOWN;

/// A TOML text whose keys are all known and whose values all have the type of their key.
#[derive(Debug)]
pub struct Document<'t> {
    name: &'t str,
    text: &'t str,
    newlines: Vec<usize>,
    root: Spanned<DeValue<'t>>,
}

impl<'t> Document<'t> {
    /// Reads `text`, the content of the file that errors call `name`.
    ///
    /// # Errors
    /// Fails with the first error if the text is not TOML, else with every key that is unknown and every value of a
    /// wrong type, by lines.
    pub fn parse(name: &'t str, text: &'t str) -> Result<Self, ConfigError> {
        let root = DeTable::parse(text).map_err(|error| not_toml(name, text, &error))?;
        let root = Spanned::new(root.span(), DeValue::Table(root.into_inner()));
        let newlines = text.match_indices('\n').map(|(at, _)| at).collect();
        let document = Self { name, text, newlines, root };
        let mut found = Vec::new();
        if let DeValue::Table(table) = document.root.get_ref() {
            document.check_table(table, None, &mut found);
        }
        // The tables come sorted by name.
        found.sort_by_key(|(at, _)| *at);
        match ConfigError::gather(found.into_iter().map(|(_, problem)| problem)) {
            Some(error) => Err(error),
            None => Ok(document),
        }
    }

    /// Takes the values out.
    ///
    /// # Errors
    /// Fails if a value does not fit, which `parse` should have found.
    pub fn config(&self) -> Result<Config, ConfigError> {
        toml::from_str(self.text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.line(span.start));
            let message = format!("{}:{line}: {}", self.name, error.message());
            Problem { message, hint: None }.into()
        })
    }

    /// Says what is wrong with the value at `place`, with the file and, if the value stands there, the line.
    #[must_use]
    pub fn problem(&self, place: &Place, what: &str, hint: Option<String>) -> Problem {
        let message = match self.find(place) {
            Some(span) => format!("{}:{}: {what}", self.name, self.line(span.start)),
            None => format!("{}: {what}", self.name),
        };
        Problem { message, hint }
    }

    /// Says that the value at `place` is not one that its key allows.
    #[must_use]
    pub fn not_allowed(&self, place: &Place) -> Problem {
        let path = place.to_string();
        let verb = if place.is_element() { "holds" } else { "is" };
        let value = self.value(place).map_or("missing", |value| self.shown(value)).to_owned();
        let allowed = key::find(&path).map_or("something else", |key| key.allowed);
        self.problem(place, &format!("'{path}' {verb} {value} and must be {allowed}"), None)
    }

    fn check_table(&self, table: &DeTable<'t>, place: Option<&Place>, found: &mut Vec<(usize, Problem)>) {
        for (name, value) in table {
            let at = name.span().start;
            let here = place.map_or_else(|| Place::of_key(name.get_ref()), |place| place.key(name.get_ref()));
            let path = here.to_string();
            if name.get_ref().contains('.') {
                // A quoted key that only looks like the way to another one.
                let hint = "write the names between the dots without quotes".to_owned();
                found.push((at, self.problem_at(at, &format!("unknown key '{path}'"), hint)));
            } else if let Some(key) = key::find(&path) {
                let wrong = misfit(value.get_ref(), key.shape).map(|misfit| match misfit {
                    Misfit::Itself => here.clone(),
                    Misfit::Element(index) => here.element(index),
                });
                found.extend(wrong.map(|place| (at, self.not_allowed(&place))));
            } else if !key::is_table(&path) {
                let table = place.map_or_else(String::new, Place::to_string);
                let hint = key::suggest(&table, name.get_ref());
                found.push((at, self.problem_at(at, &format!("unknown key '{path}'"), hint)));
            } else if key::REPEATED.contains(&path.as_str()) {
                self.check_repeated(value, &here, at, found);
            } else if let DeValue::Table(inner) = value.get_ref() {
                self.check_table(inner, Some(&here), found);
            } else {
                let hint = format!("write [{path}], and its keys on the lines below");
                found.push((at, self.problem_at(at, &format!("'{path}' must be a table"), hint)));
            }
        }
    }

    fn check_repeated(
        &self,
        value: &Spanned<DeValue<'t>>,
        here: &Place,
        at: usize,
        found: &mut Vec<(usize, Problem)>,
    ) {
        let tables: Option<Vec<_>> = value
            .get_ref()
            .as_array()
            .and_then(|array| array.iter().map(|element| element.get_ref().as_table()).collect());
        if let Some(tables) = tables {
            for (index, table) in tables.into_iter().enumerate() {
                self.check_table(table, Some(&here.element(index)), found);
            }
        } else {
            let hint = format!("write [[{here}]], and its keys on the lines below");
            found.push((at, self.problem_at(at, &format!("'{here}' must be an array of tables"), hint)));
        }
    }

    fn problem_at(&self, at: usize, what: &str, hint: String) -> Problem {
        let message = format!("{}:{}: {what}", self.name, self.line(at));
        Problem { message, hint: Some(hint) }
    }

    fn value(&self, place: &Place) -> Option<&Spanned<DeValue<'t>>> {
        place.steps().iter().try_fold(&self.root, |value, step| step_into(value, step))
    }

    /// The span of the value, or of the innermost thing on the way to it.
    fn find(&self, place: &Place) -> Option<Range<usize>> {
        let mut value = &self.root;
        let mut span = None;
        for step in place.steps() {
            let Some(inner) = step_into(value, step) else { break };
            value = inner;
            span = Some(value.span());
        }
        span
    }

    /// The line, from 1, on which the byte `at` stands.
    fn line(&self, at: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < at)
    }

    fn shown(&self, value: &Spanned<DeValue<'t>>) -> &str {
        let written = self.text.get(value.span()).unwrap_or_default();
        match value.get_ref() {
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
            _ if written.chars().count() > MAX_SHOWN || written.contains(char::is_control) => {
                "something long"
            }
            _ => written,
        }
    }
}

enum Misfit {
    Itself,
    Element(usize),
}

fn misfit(value: &DeValue<'_>, shape: Shape) -> Option<Misfit> {
    let whole = |value: &DeValue<'_>| {
        value.as_integer().is_some_and(|number| i64::from_str_radix(number.as_str(), number.radix()).is_ok())
    };
    let fits = match shape {
        Shape::Switch => value.is_bool(),
        Shape::Text => value.is_str(),
        Shape::Whole => whole(value),
        Shape::Number => whole(value) || value.is_float(),
        Shape::Wholes => return misfit_of_elements(value, whole),
        Shape::Texts => return misfit_of_elements(value, |element| matches!(element, DeValue::String(_))),
    };
    (!fits).then_some(Misfit::Itself)
}

fn misfit_of_elements(value: &DeValue<'_>, fits: impl Fn(&DeValue<'_>) -> bool) -> Option<Misfit> {
    let Some(elements) = value.as_array() else { return Some(Misfit::Itself) };
    elements.iter().position(|element| !fits(element.get_ref())).map(Misfit::Element)
}

fn step_into<'v, 't>(value: &'v Spanned<DeValue<'t>>, step: &Step) -> Option<&'v Spanned<DeValue<'t>>> {
    match step {
        Step::Key(key) => value.get_ref().get(key.as_str()),
        Step::Element(index) => value.get_ref().get(*index),
    }
}

fn not_toml(name: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    let said = error.message().replace('\n', ", ");
    // The parser takes a bare word for a misspelt number and says so.
    let value =
        text.lines().nth(line - 1).and_then(|line| line.split_once('=')).map(|(_, value)| value.trim());
    let is_bare = value.is_some_and(|value| value.starts_with(|c: char| c.is_alphabetic() || c == '/'));
    let hint = is_bare.then(|| "write the text after '=' in double quotes".to_owned());
    Problem { message: format!("{name}:{line}: this is not TOML: {said}"), hint }.into()
}
