//! What the tables `[[input]]` mean.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Check;
use crate::config::network;
use crate::config::place::Place;
use crate::config::quote::shown;
use crate::config::settings::{InputKind, InputSettings};
use crate::config::{Config, Input};
use crate::input::Listen;
use crate::parse::Parser;
use crate::parse::pattern::Pattern;

impl Check<'_, '_> {
    /// `patterns`: those of the configuration that are right.
    pub(super) fn inputs(
        &mut self,
        config: &Config,
        patterns: &[Arc<Pattern>],
    ) -> Option<Vec<InputSettings>> {
        let inputs = &config.input;
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
            let parser = self.parser(&at.element(index), input, config, patterns);
            let Some(input) = self.input(&at.element(index), input, parser) else { continue };
            self.compare(&at.element(index), &input, &understood);
            understood.push(input);
        }
        (self.problems.len() == before).then_some(understood)
    }

    fn input(&mut self, at: &Place, input: &Input, parser: Option<Parser>) -> Option<InputSettings> {
        let kind = self.input_kind(at, input);
        if let (Some(parser), Some(kind)) = (&parser, &kind) {
            self.fits(at, parser, kind)?;
        }
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

    fn parser(
        &mut self,
        at: &Place,
        input: &Input,
        config: &Config,
        patterns: &[Arc<Pattern>],
    ) -> Option<Parser> {
        let word = input.parser.as_str();
        if let Some(parser) = Parser::named(word, patterns) {
            return Some(parser);
        }
        // What is wrong with a pattern is told where it stands.
        let is_wrong = config.pattern.iter().any(|pattern| pattern.name == word);
        if is_wrong { None } else { self.allowed(&at.key("parser"), None) }
    }

    /// Notes what a parser cannot read, or would read of anybody.
    fn fits(&mut self, at: &Place, parser: &Parser, kind: &InputKind) -> Option<()> {
        let name = parser.as_str();
        let (key, what, hint) = match (kind, parser) {
            (InputKind::File { bare: true, .. }, parser) if !parser.may_be_bare() => {
                ("bare", format!("what '{name}' writes is read without it"), "take it out".to_owned())
            }
            (InputKind::Auto, Parser::Pattern(_)) => (
                "parser",
                format!(
                    "an input of the kind 'auto' finds servers known here only, and '{name}' is a pattern"
                ),
                "write kind = \"journal\", or kind = \"file\" and a path".to_owned(),
            ),
            (InputKind::Journal { .. }, Parser::Pattern(pattern))
                if pattern.process().is_empty() && pattern.unit().is_empty() =>
            {
                (
                    "parser",
                    format!("the pattern '{name}' does not say whose entries of the journal it reads"),
                    "give it a 'unit', or a 'process' that root runs".to_owned(),
                )
            }
            (InputKind::File { bare: false, .. }, Parser::Pattern(pattern))
                if pattern.process().is_empty() && !pattern.is_json() =>
            {
                (
                    "parser",
                    format!("the pattern '{name}' does not say whose lines it reads, so that any would do"),
                    "give it a 'process', or write bare = true if no line has a header".to_owned(),
                )
            }
            _ => return Some(()),
        };
        self.note(&at.key(key), &what, Some(hint));
        None
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
                let path = self.path(&at.key("path"), &input.path, |path| !path.ends_with('/'));
                InputKind::File { path: path?, bare: input.bare }
            }
            "auto" => InputKind::Auto,
            "journal" if input.path.is_empty() => InputKind::Journal { directory: None },
            "journal" => {
                InputKind::Journal { directory: Some(self.path(&at.key("path"), &input.path, |_| true)?) }
            }
            "syslog" => self.syslog(at, input)?,
            "stdin" => InputKind::Stdin { bare: input.bare },
            "socket" => InputKind::Socket,
            _ => return self.allowed(&at.key("kind"), None),
        };
        if !matches!(kind, InputKind::File { .. } | InputKind::Journal { .. }) && !input.path.is_empty() {
            let hint = match kind {
                InputKind::Syslog { .. } => "write 'listen' in its place",
                InputKind::Auto => "write kind = \"file\", or take the path out",
                _ => "take it out",
            };
            let what = format!("an input of the kind '{}' has no path", kind.as_str());
            self.note(&at.key("path"), &what, Some(hint.to_owned()));
        }
        if input.bare && !kind.is_bare() {
            let what = "only an input of the kind 'file' or 'stdin' can be bare";
            self.note(&at.key("bare"), &what, Some("take it out".to_owned()));
        }
        if !matches!(kind, InputKind::Syslog { .. }) {
            let foreign = [
                ("listen", !input.listen.is_empty()),
                ("senders", !input.senders.is_empty()),
                ("users", !input.users.is_empty()),
            ];
            for (key, _) in foreign.into_iter().filter(|(_, there)| *there) {
                let what = format!("only an input of the kind 'syslog' has '{key}'");
                let hint = "write kind = \"syslog\", or take it out".to_owned();
                self.note(&at.key(key), &what, Some(hint));
            }
        }
        (self.problems.len() == before).then_some(kind)
    }

    fn syslog(&mut self, at: &Place, input: &Input) -> Option<InputKind> {
        let before = self.problems.len();
        if input.listen.is_empty() {
            let hint = "add where it is received, as in listen = \"udp://127.0.0.1:5514\"".to_owned();
            self.note(at, &"an input of the kind 'syslog' needs 'listen'", Some(hint));
            return None;
        }
        let listen: Listen = self.allowed(&at.key("listen"), input.listen.parse().ok())?;
        let mut senders = Vec::new();
        for (index, sender) in input.senders.iter().enumerate() {
            let place = at.key("senders").element(index);
            match network::parse(sender) {
                Ok(network) if network.prefix_len() == 0 => {
                    let what = format!("'{sender}' is everybody, who could have anybody banned");
                    self.note(&place, &what, Some("name the machines that send".to_owned()));
                }
                Ok(network) => senders.push(network),
                Err(error) => self.note(&place, &error, Some(error.hint())),
            }
        }
        for (index, user) in input.users.iter().enumerate() {
            let is_name = (1..=32).contains(&user.len())
                && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte));
            self.allowed(&at.key("users").element(index), is_name.then_some(()));
        }
        let local = matches!(listen, Listen::Unix(_));
        if local && !input.senders.is_empty() {
            let what = "only over UDP and TCP are there senders";
            let hint = "take it out; 'users' says who may send to the socket".to_owned();
            self.note(&at.key("senders"), &what, Some(hint));
        }
        if !local && !input.users.is_empty() {
            let what = "the users who send are known through a Unix socket only";
            self.note(&at.key("users"), &what, Some("take it out".to_owned()));
        }
        if input.senders.is_empty() && !listen.is_local() {
            let what = format!(
                "'{listen}' can be reached from elsewhere, and no 'senders' say from whom lines are taken"
            );
            let hint = "add those that send, as in senders = [\"198.51.100.7\"]".to_owned();
            self.note(&at.key("listen"), &what, Some(hint));
        }
        if senders.is_empty() && !local {
            senders = ["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect();
        }
        let users = input.users.clone();
        (self.problems.len() == before).then_some(InputKind::Syslog { listen, senders, users })
    }

    /// Notes what two inputs may not have in common: their name, and anything that both would read, as each failure
    /// would count twice.
    fn compare(&mut self, at: &Place, input: &InputSettings, earlier: &[InputSettings]) {
        if input.name == InputSettings::SOCKET && input.kind != InputKind::Socket {
            let what = format!("'{}' is the name of what applications post", InputSettings::SOCKET);
            self.note(&at.key("name"), &what, Some("give the input another 'name'".to_owned()));
        } else if let Some(other) = earlier
            .iter()
            .find(|other| overlap(&other.kind, &input.kind) && other.parser.shares_lines(&input.parser))
        {
            let what = format!("this may read what the input '{}' reads, and count it twice", other.name);
            self.note(at, &what, Some("take one of the two out".to_owned()));
        } else if earlier.iter().any(|other| other.name == input.name) {
            let what = format!("two inputs are called '{}'", input.name);
            self.note(&at.key("name"), &what, Some("give each a 'name' of its own".to_owned()));
        }
    }
}

/// The path without the detours that can be seen without looking.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn overlap(one: &InputKind, other: &InputKind) -> bool {
    match (one, other) {
        (InputKind::Auto, InputKind::Auto)
        | (InputKind::Stdin { .. }, InputKind::Stdin { .. })
        | (InputKind::Socket, InputKind::Socket) => true,
        (InputKind::Auto, InputKind::Journal { directory })
        | (InputKind::Journal { directory }, InputKind::Auto) => directory.is_none(),
        (InputKind::Journal { directory: one }, InputKind::Journal { directory: other }) => one == other,
        (InputKind::File { path: one, .. }, InputKind::File { path: other, .. }) => {
            plain(one) == plain(other)
        }
        (InputKind::Syslog { listen: one, .. }, InputKind::Syslog { listen: other, .. }) => {
            one.overlaps(other)
        }
        // `auto` may settle on a file, which only shows once it looks for the journal; what syslog and standard input bring
        // is known to nobody before it comes.
        (
            InputKind::Auto
            | InputKind::Journal { .. }
            | InputKind::File { .. }
            | InputKind::Syslog { .. }
            | InputKind::Stdin { .. }
            | InputKind::Socket,
            _,
        ) => false,
    }
}

fn default_name(kind: &InputKind) -> String {
    match kind {
        InputKind::File { path, .. } => {
            Path::file_name(path).map_or_else(String::new, |name| name.to_string_lossy().into_owned())
        }
        InputKind::Auto
        | InputKind::Journal { .. }
        | InputKind::Syslog { .. }
        | InputKind::Stdin { .. }
        | InputKind::Socket => kind.as_str().to_owned(),
    }
}

pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=32).contains(&name.len()) && name.bytes().all(fits)
}

/// The most inputs that are read: each has a task and a queue of its own.
const MAX_INPUTS: usize = 64;
