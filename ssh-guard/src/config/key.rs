//! The keys that a configuration may hold, their types, and what each may be.

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// Its table and its name, as in `policy.window`; a key of `[[input]]` is `input.…`.
    pub path: &'static str,
    /// The type of its value.
    pub shape: Shape,
    /// What its value may be, to follow "must be".
    pub allowed: &'static str,
}

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A whole number of 64 bits.
    Whole,
    /// A number, whole or not.
    Number,
    /// A string.
    Text,
    /// An array of whole numbers.
    Wholes,
    /// An array of strings.
    Texts,
}

/// Every key there is.
pub const KEYS: [Key; 96] = [
    key("guard.interfaces", Shape::Texts, r#"["auto"], or the different names of interfaces"#),
    key("guard.ports", Shape::Wholes, "1 to 16 different ports from 1 to 65535"),
    key("guard.mode", Shape::Text, r#""auto", "native", "generic" or "tc""#),
    key("guard.dry-run", Shape::Switch, "true or false"),
    key("guard.ipv4-prefix", Shape::Whole, "a whole number from 24 to 32"),
    key("guard.ipv6-prefix", Shape::Whole, "a whole number from 48 to 128"),
    key(
        "guard.operators",
        Shape::Texts,
        r#"names of accounts, or of groups after a '%', as in "alice" or "%wheel""#,
    ),
    key("guard.pin-path", Shape::Text, "the absolute path of a directory, with no dot in it"),
    key("policy.threshold", Shape::Number, "a number above 0, up to 1000000"),
    key("policy.window", Shape::Text, TIME),
    key("policy.ladder", Shape::Texts, "1 to 16 times, each longer than the one before"),
    key("policy.forget", Shape::Text, TIME),
    key("policy.known-good", Shape::Text, TIME),
    key("policy.known-good-weight", Shape::Number, "a number from 0 to 1"),
    key("policy.extend", Shape::Switch, "true or false"),
    key("policy.bait", Shape::Texts, "up to 1024 names of accounts"),
    key("policy.weights.password", Shape::Number, WEIGHT),
    key("policy.weights.keyboard-interactive", Shape::Number, WEIGHT),
    key("policy.weights.invalid-user", Shape::Number, WEIGHT),
    key("policy.weights.publickey", Shape::Number, WEIGHT),
    key("policy.weights.hostbased", Shape::Number, WEIGHT),
    key("policy.weights.gssapi", Shape::Number, WEIGHT),
    key("policy.weights.pam", Shape::Number, WEIGHT),
    key("policy.weights.not-allowed", Shape::Number, WEIGHT),
    key("policy.weights.too-many-attempts", Shape::Number, WEIGHT),
    key("policy.weights.other", Shape::Number, WEIGHT),
    key("policy.weights.unfinished", Shape::Number, WEIGHT),
    key("policy.weights.pre-auth", Shape::Number, WEIGHT),
    key("policy.spray.enabled", Shape::Switch, "true or false"),
    key("policy.spray.sources", Shape::Whole, SOME),
    key("policy.spray.window", Shape::Text, TIME),
    key("policy.spray.missing-ban", Shape::Text, TIME),
    key("policy.spray.threshold", Shape::Number, "a number above 0, up to 1000000"),
    key("policy.spray.existing-window", Shape::Text, TIME),
    key("policy.spray.existing-ban", Shape::Text, TIME),
    key("policy.networks.enabled", Shape::Switch, "true or false"),
    key("policy.networks.sources", Shape::Whole, "a whole number from 2 to 32"),
    key("policy.networks.window", Shape::Text, TIME),
    key("policy.networks.failures", Shape::Number, "a number from 1 to 1000, or 0 for no limit"),
    key("policy.networks.quiet", Shape::Text, TIME),
    key("policy.shared.enabled", Shape::Switch, "true or false"),
    key("policy.shared.accounts", Shape::Whole, SOME),
    key("policy.shared.days", Shape::Whole, "a whole number from 1 to 30"),
    key("policy.shared.hidden", Shape::Switch, "true or false"),
    key("policy.flood.enabled", Shape::Switch, "true or false"),
    key("policy.flood.factor", Shape::Number, "a number from 2 to 1000"),
    key("policy.flood.floor", Shape::Number, "a number from 1 to 1000000"),
    key("policy.flood.sessions", Shape::Whole, "a whole number from 1 to 1000000"),
    key("policy.blast.enabled", Shape::Switch, "true or false"),
    key("policy.blast.ipv4-share", Shape::Number, "a number from 0 to 1"),
    key("policy.blast.ipv6-networks", Shape::Whole, "a whole number from 0 to 1048576"),
    key("policy.blast.bans-per-minute", Shape::Whole, "a whole number from 1 to 1000000"),
    key("allow.sources", Shape::Texts, "addresses or networks"),
    key("allow.files", Shape::Texts, "the absolute paths of files"),
    key("block.networks", Shape::Texts, "addresses or networks"),
    key("block.files", Shape::Texts, "the absolute paths of files"),
    key("input.kind", Shape::Text, r#""auto", "journal", "file", "syslog", "stdin" or "socket""#),
    key("input.name", Shape::Text, "empty, or 1 to 32 letters, digits, '.', '_' or '-'"),
    key("input.path", Shape::Text, "the absolute path of a file"),
    key(
        "input.listen",
        Shape::Text,
        r#"as in "udp://127.0.0.1:5514", "tcp://127.0.0.1:5514" or "unix:///run/ssh-guard/log.sock""#,
    ),
    key("input.senders", Shape::Texts, "addresses or networks"),
    key("input.users", Shape::Texts, "names or numbers of users"),
    key(
        "input.parser",
        Shape::Text,
        r#""auto", "openssh", "dropbear", "proftpd", "sftpgo", "vsftpd", "pure-ftpd" or the name of a pattern"#,
    ),
    key("input.bare", Shape::Switch, "true or false"),
    key("pattern.name", Shape::Text, "1 to 32 letters, digits, '.', '_' or '-', and no parser's name"),
    key("pattern.process", Shape::Text, "empty, or the name of a process"),
    key("pattern.unit", Shape::Text, r#"empty, or the name of a unit, as in "acme.service""#),
    key(
        "pattern.kind",
        Shape::Text,
        r#""password", "keyboard-interactive", "invalid-user", "publickey", "hostbased", "gssapi", "pam", "not-allowed" or "other""#,
    ),
    key("pattern.failure", Shape::Texts, EXPRESSIONS),
    key("pattern.success", Shape::Texts, EXPRESSIONS),
    key("pattern.json.event", Shape::Text, PATH),
    key("pattern.json.failure", Shape::Texts, "up to 16 values of 'pattern.json.event'"),
    key("pattern.json.success", Shape::Texts, "up to 16 values of 'pattern.json.event'"),
    key("pattern.json.source", Shape::Text, PATH),
    key("pattern.json.user", Shape::Text, PATH),
    key("pattern.json.port", Shape::Text, PATH),
    key(
        "pattern.samples.line",
        Shape::Text,
        "a message of the server, with the header of its log or without",
    ),
    key("pattern.samples.event", Shape::Text, r#""failure", "success" or "nothing""#),
    key("pattern.samples.source", Shape::Text, "an address"),
    key("pattern.samples.user", Shape::Text, "the name of an account"),
    key("pattern.samples.port", Shape::Whole, "a whole number from 1 to 65535, or 0 for none"),
    key("limits.blocklist", Shape::Whole, "a whole number from 1024 to 4194304"),
    key("limits.networks", Shape::Whole, "a whole number from 1024 to 1048576"),
    key("limits.sources", Shape::Whole, "a whole number from 1024 to 4194304"),
    key("limits.sessions", Shape::Whole, "a whole number from 1024 to 4194304"),
    key("limits.new-sessions-per-minute", Shape::Whole, "a whole number from 0 to 6000"),
    key("limits.open-sessions", Shape::Whole, "a whole number from 0 to 65535"),
    key("limits.unauthenticated-sessions", Shape::Whole, "a whole number from 0 to 1000000"),
    key("limits.evidence", Shape::Whole, "a whole number from 0 to 4194304"),
    key("limits.line-bytes", Shape::Whole, "a whole number from 1024 to 65536"),
    key("observe.listen", Shape::Text, r#"an address and a port, as in "127.0.0.1:9822" or "[::1]:9822""#),
    key("observe.blind-after", Shape::Text, r#"a time such as "90s" or "5m", up to "3650d", or "never""#),
    key("control.socket", Shape::Text, "an absolute path of at most 107 bytes"),
    key("control.group", Shape::Text, "the name of a group"),
    key("control.events-group", Shape::Text, "empty, or the name of a group"),
    key("store.path", Shape::Text, "the absolute path of a file"),
];

/// The tables that may be there several times.
pub const REPEATED: [&str; 3] = ["input", "pattern", "pattern.samples"];

/// The key at `path`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `path` is a table, as `policy.weights` is.
#[must_use]
pub fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// Says what an unknown `name` in `table` (empty for the root) may have been meant to be: the nearest name of the
/// table, else the same name in another table, else all names of the table.
#[must_use]
pub fn suggest(table: &str, name: &str) -> String {
    let plain = name.to_lowercase().replace('_', "-");
    let known = names(table);
    // A third of the letters may be wrong: fewer would miss a swap in a short name, more would find anything.
    let near = (plain.chars().count() / 3).max(1);
    let distance = |known: &&str| strsim::osa_distance(&plain, known);
    let nearest = known.iter().copied().min_by_key(distance).filter(|known| distance(known) <= near);
    let elsewhere = || KEYS.iter().find(|key| key.path.ends_with(&format!(".{plain}"))).map(|key| key.path);
    match (nearest, table) {
        (Some(nearest), "") => format!("did you mean '{nearest}'?"),
        (Some(nearest), _) => format!("did you mean '{table}.{nearest}'?"),
        (None, _) => match elsewhere() {
            Some(path) => format!("did you mean '{path}'?"),
            None if table.is_empty() => format!("the tables are {}", known.join(", ")),
            None => format!("the keys of '{table}' are {}", known.join(", ")),
        },
    }
}

fn names(table: &str) -> Vec<&'static str> {
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    let mut names: Vec<_> = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix(&prefix))
        .filter_map(|rest| rest.split('.').next())
        .collect();
    names.dedup();
    names
}

const fn key(path: &'static str, shape: Shape, allowed: &'static str) -> Key {
    Key { path, shape, allowed }
}

const TIME: &str = r#"a time from 1s to 3650d, as in "90s", "10m" or "1h30m""#;
const EXPRESSIONS: &str = "up to 16 regular expressions with a group 'source'";
const PATH: &str = r#"empty, or names of fields with dots between, as in "client.ip""#;
const SOME: &str = "a whole number from 2 to 256";
const WEIGHT: &str = "a number from 0 to 1000";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Pattern, Sample};

    fn paths(value: &toml::Value, prefix: &str, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                let dot = if prefix.is_empty() { "" } else { "." };
                table.iter().for_each(|(key, value)| paths(value, &format!("{prefix}{dot}{key}"), found));
            }
            toml::Value::Array(tables) if REPEATED.contains(&prefix) => paths(&tables[0], prefix, found),
            _ => found.push(prefix.to_owned()),
        }
    }

    #[test]
    fn the_keys_are_those_of_the_configuration() {
        let mut of_config = Vec::new();
        let pattern = Pattern { samples: vec![Sample::default()], ..Pattern::default() };
        let config = Config { pattern: vec![pattern], ..Config::default() };
        paths(&toml::Value::try_from(config).unwrap(), "", &mut of_config);
        let mut of_table: Vec<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        of_config.sort();
        of_table.sort();
        assert_eq!(of_table, of_config);
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        for (table, name, meant) in [
            ("policy", "treshold", "policy.threshold"),
            ("guard", "dry_run", "guard.dry-run"),
            ("guard", "Port", "guard.ports"),
            ("", "polcy", "policy"),
            ("input", "pth", "input.path"),
            ("policy.weights", "passwd", "policy.weights.password"),
            ("guard", "threshold", "policy.threshold"),
            ("", "window", "policy.window"),
        ] {
            assert_eq!(suggest(table, name), format!("did you mean '{meant}'?"));
        }
        assert_eq!(
            suggest("limits", "zzz"),
            "the keys of 'limits' are blocklist, networks, sources, sessions, new-sessions-per-minute, open-sessions, unauthenticated-sessions, evidence, line-bytes"
        );
        assert_eq!(
            suggest("", "zzz"),
            "the tables are guard, policy, allow, block, input, pattern, limits, observe, control, store"
        );
    }

    #[test]
    fn a_table_is_told_from_a_key() {
        assert!(is_table("policy") && is_table("policy.weights"));
        assert!(REPEATED.iter().all(|table| is_table(table)));
        assert!(!is_table("policy.window") && !is_table("pol") && !is_table(""));
    }
}
