//! What the tables `[[input]]` mean.

use std::path::Path;

use super::Check;
use crate::config::Input;
use crate::config::place::Place;
use crate::config::quote::shown;
use crate::config::settings::{InputKind, InputSettings};
use crate::parse::Parser;

impl Check<'_, '_> {
    pub(super) fn inputs(&mut self, inputs: &[Input]) -> Option<Vec<InputSettings>> {
        let at = Place::of("input");
        let before = self.problems.len();
        if inputs.is_empty() {
            let hint = "leave 'input' out to have one found".to_owned();
            self.note(&at, &"there is none, so no failure would be seen", Some(hint));
        }
        if inputs.len() > MAX_INPUTS {
            self.note(
                &at,
                &format!("there are {}, and at most {MAX_INPUTS} can be read", inputs.len()),
                None,
            );
            return None;
        }
        let mut understood: Vec<InputSettings> = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            let Some(input) = self.input(&at.element(index), input) else { continue };
            self.compare(&at.element(index), &input, &understood);
            understood.push(input);
        }
        (self.problems.len() == before).then_some(understood)
    }

    fn input(&mut self, at: &Place, input: &Input) -> Option<InputSettings> {
        let kind = self.input_kind(at, input);
        let parser = self.allowed(&at.key("parser"), parser(&input.parser));
        let name = match (input.name.as_str(), &kind) {
            ("", Some(kind)) => {
                let name = default_name(kind);
                if !is_name(&name) {
                    let hint = "give the input a 'name'".to_owned();
                    self.note(at, &format!("'{}' cannot name an input", shown(&name)), Some(hint));
                    return None;
                }
                Some(name)
            }
            ("", None) => None,
            (name, _) => self.allowed(&at.key("name"), is_name(name).then(|| name.to_owned())),
        };
        Some(InputSettings { name: name?, kind: kind?, parser: parser? })
    }

    fn input_kind(&mut self, at: &Place, input: &Input) -> Option<InputKind> {
        let before = self.problems.len();
        let kind = match input.kind.as_str() {
            "file" if input.path.is_empty() => {
                let hint = "add the file, as in path = \"/var/log/auth.log\"".to_owned();
                self.note(at, &"an input of the kind 'file' needs a 'path'", Some(hint));
                return None;
            }
            "file" => {
                let path = self.path(&at.key("path"), &input.path, |path| !path.ends_with('/'))?;
                return Some(InputKind::File { path, bare: input.bare });
            }
            "auto" => InputKind::Auto,
            "journal" if input.path.is_empty() => InputKind::Journal { directory: None },
            "journal" => {
                InputKind::Journal { directory: Some(self.path(&at.key("path"), &input.path, |_| true)?) }
            }
            _ => return self.allowed(&at.key("kind"), None),
        };
        if kind == InputKind::Auto && !input.path.is_empty() {
            let hint = "write kind = \"file\", or take the path out".to_owned();
            self.note(&at.key("path"), &"an input of the kind 'auto' has no path", Some(hint));
        }
        if input.bare {
            let hint = "take it out".to_owned();
            self.note(&at.key("bare"), &"only an input of the kind 'file' can be bare", Some(hint));
        }
        (self.problems.len() == before).then_some(kind)
    }

    /// Notes what two inputs may not have in common: their name, and anything that both would read, as each failure
    /// would count twice.
    fn compare(&mut self, at: &Place, input: &InputSettings, earlier: &[InputSettings]) {
        if let Some(other) = earlier.iter().find(|other| overlap(&other.kind, &input.kind)) {
            let what = format!("this may read what the input '{}' reads, and count it twice", other.name);
            self.note(at, &what, Some("take one of the two out".to_owned()));
        } else if earlier.iter().any(|other| other.name == input.name) {
            let what = format!("two inputs are called '{}'", input.name);
            self.note(&at.key("name"), &what, Some("give each a 'name' of its own".to_owned()));
        }
    }
}

fn parser(word: &str) -> Option<Parser> {
    match word {
        "auto" => Some(Parser::Auto),
        "openssh" => Some(Parser::Openssh),
        _ => None,
    }
}

fn overlap(one: &InputKind, other: &InputKind) -> bool {
    match (one, other) {
        (InputKind::Auto, InputKind::Auto) => true,
        (InputKind::Auto, InputKind::Journal { directory })
        | (InputKind::Journal { directory }, InputKind::Auto) => directory.is_none(),
        (InputKind::Journal { directory: one }, InputKind::Journal { directory: other }) => one == other,
        (InputKind::File { path: one, .. }, InputKind::File { path: other, .. }) => one == other,
        // `auto` may settle on this file, which only shows once it looks for the journal.
        (InputKind::Auto | InputKind::Journal { .. }, InputKind::File { .. })
        | (InputKind::File { .. }, InputKind::Auto | InputKind::Journal { .. }) => false,
    }
}

fn default_name(kind: &InputKind) -> String {
    match kind {
        InputKind::Auto => "auto".to_owned(),
        InputKind::Journal { .. } => "journal".to_owned(),
        InputKind::File { path, .. } => {
            Path::file_name(path).map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        }
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}

/// The most inputs that are read: each has a task and a queue of its own.
const MAX_INPUTS: usize = 64;
