//! The configuration: `Config` is the file as it is written, `Settings` what it means.
//!
//! A file is read in three strides, and all the errors of a stride are reported together: is it TOML (`document`),
//! are its keys known and of the right type (`key`), is every value allowed (`check`).

use std::path::Path;

use serde::{Deserialize, Serialize};

use self::document::Document;

pub mod check;
pub mod document;
pub mod duration;
pub mod file;
pub mod interface;
pub mod key;
pub mod list;
pub mod network;
pub mod place;
pub mod port;
pub mod problem;
pub mod quote;
pub mod settings;

pub use self::problem::{ConfigError, Problem};
pub use self::settings::Settings;
pub use crate::policy::Weights;

/// Where the configuration is looked for unless another path is given.
pub const DEFAULT_PATH: &str = "/etc/ssh-guard/config.toml";

/// The commented configuration that holds every key at its default.
pub const SAMPLE: &str = include_str!("../../config/config.toml");

/// The configuration as its file has it: keys by their names, values not yet understood. What a file leaves out has
/// its default; `config/config.toml` explains each key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Config {
    pub guard: Guard,
    pub policy: Policy,
    pub allow: Allow,
    pub block: Block,
    pub input: Vec<Input>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pattern: Vec<Pattern>,
    pub limits: Limits,
    pub observe: Observe,
    pub control: Control,
    pub store: Store,
}

/// The table `[guard]`: what is protected, and how.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Guard {
    pub interfaces: Vec<String>,
    pub ports: Vec<i64>,
    pub mode: String,
    pub dry_run: bool,
    pub ipv4_prefix: i64,
    pub ipv6_prefix: i64,
    pub operators: Vec<String>,
    pub pin_path: String,
}

/// The table `[policy]`: who is banned, and for how long.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Policy {
    pub threshold: f64,
    pub window: String,
    pub ladder: Vec<String>,
    pub forget: String,
    pub known_good: String,
    pub known_good_weight: f64,
    pub extend: bool,
    pub bait: Vec<String>,
    pub weights: Weights,
    pub spray: Spray,
    pub networks: Networks,
    pub shared: Shared,
    pub flood: Flood,
    pub blast: Blast,
}

/// The table `[policy.spray]`: accounts that are tried from many networks at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Spray {
    pub enabled: bool,
    pub sources: i64,
    pub window: String,
    pub missing_ban: String,
    pub threshold: f64,
    pub existing_window: String,
    pub existing_ban: String,
}

/// The table `[policy.networks]`: networks with many banned or failing sources.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Networks {
    pub enabled: bool,
    pub sources: i64,
    pub window: String,
    pub failures: f64,
    pub quiet: String,
}

/// The table `[policy.shared]`: sources that many stand behind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Shared {
    pub enabled: bool,
    pub accounts: i64,
    pub days: i64,
    pub hidden: bool,
}

/// The table `[policy.flood]`: when new sessions are limited for all.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Flood {
    pub enabled: bool,
    pub factor: f64,
    pub floor: f64,
    pub sessions: i64,
}

/// The table `[policy.blast]`: how much may be banned automatically.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Blast {
    pub enabled: bool,
    pub ipv4_share: f64,
    pub ipv6_networks: i64,
    pub bans_per_minute: i64,
}

/// The table `[allow]`: what is never blocked.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Allow {
    pub sources: Vec<String>,
    pub files: Vec<String>,
}

/// The table `[block]`: what is always blocked.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Block {
    pub networks: Vec<String>,
    pub files: Vec<String>,
}

/// A table `[[input]]`: where log lines come from. An empty `name` or `path` is none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Input {
    pub kind: String,
    pub name: String,
    pub path: String,
    pub listen: String,
    pub senders: Vec<String>,
    pub users: Vec<String>,
    pub parser: String,
    pub bare: bool,
}

/// A table `[[pattern]]`: how the messages of a server are read that is not known here. What is empty is not said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Pattern {
    pub name: String,
    pub process: String,
    pub unit: String,
    pub kind: String,
    pub failure: Vec<String>,
    pub success: Vec<String>,
    pub json: Json,
    pub samples: Vec<Sample>,
}

/// The table `json` of a pattern: the fields of the objects that the server writes.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Json {
    pub event: String,
    pub failure: Vec<String>,
    pub success: Vec<String>,
    pub source: String,
    pub user: String,
    pub port: String,
}

/// One of the `samples` of a pattern: a line, and what it means.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Sample {
    pub line: String,
    pub event: String,
    pub source: String,
    pub user: String,
    pub port: i64,
}

/// The table `[limits]`: how much is kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Limits {
    pub blocklist: i64,
    pub networks: i64,
    pub sources: i64,
    pub sessions: i64,
    pub new_sessions_per_minute: i64,
    pub open_sessions: i64,
    pub unauthenticated_sessions: i64,
    pub evidence: i64,
    pub line_bytes: i64,
}

/// The table `[observe]`: who may watch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Observe {
    pub listen: String,
    pub blind_after: String,
}

/// The table `[control]`: who may command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Control {
    pub socket: String,
    pub group: String,
    pub events_group: String,
}

/// The table `[store]`: what outlives the daemon.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the commented configuration documents the keys, `Settings` what they mean")]
pub struct Store {
    pub path: String,
}

impl Config {
    /// Reads the configuration at `path`, or at `DEFAULT_PATH` if none is given, and the lists that it names. A file
    /// that is missing at `DEFAULT_PATH` is an empty one; a path that was given must exist.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or if anything in it is wrong.
    pub fn load(path: Option<&Path>) -> Result<(Self, Settings), ConfigError> {
        match path {
            Some(path) => Self::load_from(path, true),
            None => Self::load_from(Path::new(DEFAULT_PATH), false),
        }
    }

    /// Understands `text`, the content of the file that errors call `name`, and reads the lists that it names.
    ///
    /// # Errors
    /// Fails with everything that is wrong with the text: its form, else its keys and types, else its values.
    pub fn parse(name: &str, text: &str) -> Result<(Self, Settings), ConfigError> {
        let document = Document::parse(name, text)?;
        let config = document.config()?;
        let settings = check::settings(&config, &document)?;
        Ok((config, settings))
    }

    fn load_from(path: &Path, must_exist: bool) -> Result<(Self, Settings), ConfigError> {
        let name = path.to_string_lossy();
        match file::read(path) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) if error.is_missing() && !must_exist => Self::parse(&name, ""),
            Err(error) => Err(error.into()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            policy: Policy::default(),
            allow: Allow::default(),
            block: Block::default(),
            input: vec![Input::default()],
            pattern: Vec::new(),
            limits: Limits::default(),
            observe: Observe::default(),
            control: Control::default(),
            store: Store::default(),
        }
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            interfaces: vec!["auto".to_owned()],
            ports: vec![22],
            mode: "auto".to_owned(),
            dry_run: false,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            operators: Vec::new(),
            pin_path: "/sys/fs/bpf/ssh-guard".to_owned(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            threshold: 5.0,
            window: "10m".to_owned(),
            ladder: ["10m", "1h", "1d", "7d"].map(str::to_owned).to_vec(),
            forget: "30d".to_owned(),
            known_good: "30d".to_owned(),
            known_good_weight: 0.25,
            extend: true,
            bait: Vec::new(),
            weights: Weights::default(),
            spray: Spray::default(),
            networks: Networks::default(),
            shared: Shared::default(),
            flood: Flood::default(),
            blast: Blast::default(),
        }
    }
}

impl Default for Spray {
    fn default() -> Self {
        Self {
            enabled: true,
            sources: 20,
            window: "1h".to_owned(),
            missing_ban: "1d".to_owned(),
            threshold: 4.0,
            existing_window: "1d".to_owned(),
            existing_ban: "1h".to_owned(),
        }
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self { enabled: true, sources: 8, window: "1d".to_owned(), failures: 8.0, quiet: "1h".to_owned() }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { enabled: true, accounts: 3, days: 3, hidden: true }
    }
}

impl Default for Flood {
    fn default() -> Self {
        Self { enabled: true, factor: 8.0, floor: 120.0, sessions: 8 }
    }
}

impl Default for Blast {
    fn default() -> Self {
        Self { enabled: true, ipv4_share: 0.01, ipv6_networks: 4_096, bans_per_minute: 10_000 }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self {
            kind: "auto".to_owned(),
            name: String::new(),
            path: String::new(),
            listen: String::new(),
            senders: Vec::new(),
            users: Vec::new(),
            parser: "auto".to_owned(),
            bare: false,
        }
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            name: String::new(),
            process: String::new(),
            unit: String::new(),
            kind: "password".to_owned(),
            failure: Vec::new(),
            success: Vec::new(),
            json: Json::default(),
            samples: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocklist: 262_144,
            networks: 65_536,
            sources: 131_072,
            sessions: 131_072,
            new_sessions_per_minute: 120,
            open_sessions: 128,
            unauthenticated_sessions: 1_000,
            evidence: 65_536,
            line_bytes: 8_192,
        }
    }
}

impl Default for Observe {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9822".to_owned(), blind_after: "5m".to_owned() }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: "/run/ssh-guard/control.sock".to_owned(),
            group: "ssh-guard".to_owned(),
            events_group: String::new(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "/var/lib/ssh-guard/state.db".to_owned() }
    }
}

#[cfg(test)]
mod tests;
