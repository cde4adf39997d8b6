//! Scenarios, as the files in `tests/scenarios` describe them.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use ssh_guard::config::duration;

use crate::actors::Actor;

/// What happens on ordinary days, before every scenario and during it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ordinary {
    /// Decides who logs in when.
    pub seed: u64,
    /// How long it goes on before a scenario begins.
    #[serde(rename = "lasts", deserialize_with = "time")]
    pub history: Duration,
    /// How many partners there are, numbered from 0.
    pub partners: usize,
    /// The fewest and the most logins a day that a partner has.
    pub logins_a_day: [u64; 2],
    /// Which of them log in by password, all others by key.
    pub by_password: Range<usize>,
    /// How many of a thousand passwords are mistyped.
    pub typing_errors_of_a_thousand: u64,
    /// Which of them stand behind one address.
    pub behind_one_address: Range<usize>,
}

/// One story.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// The name of its file.
    #[serde(skip)]
    pub name: String,
    /// What it is called.
    pub title: String,
    /// What happens, in a sentence or two.
    pub story: String,
    /// Decides what is left to chance.
    pub seed: u64,
    /// How long it is looked at.
    #[serde(deserialize_with = "time")]
    pub lasts: Duration,
    /// Partners whose own logins are what is looked at.
    #[serde(default)]
    pub watched: Vec<usize>,
    /// Who does something that is not ordinary.
    #[serde(default)]
    pub actors: Vec<Actor>,
    /// What has to come of it.
    pub expect: Expect,
}

/// What has to come of a scenario under this project's policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// What part of the attempts never reaches the server, at least.
    pub stopped: Option<f64>,
    /// Whether nobody at all is banned.
    #[serde(default)]
    pub nobody_banned: bool,
    /// Partners who may be banned on the first rung, and whose logins may be refused meanwhile. Nobody else's may.
    #[serde(default)]
    pub may_suffer: Vec<usize>,
}

impl Ordinary {
    /// Reads it from a file.
    ///
    /// # Errors
    /// If it cannot be read, or partners are named that there are not.
    pub fn read(path: &Path) -> Result<Self> {
        let ordinary: Self = read(path)?;
        let Self { partners, by_password, behind_one_address, logins_a_day: [fewest, most], .. } = &ordinary;
        for some in [by_password, behind_one_address] {
            ensure!(
                some.end <= *partners,
                "{}: there are {partners} partners, not {}",
                path.display(),
                some.end
            );
        }
        ensure!(fewest <= most, "{}: the fewest logins a day are more than the most", path.display());
        Ok(ordinary)
    }
}

impl Scenario {
    /// Reads one from a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, ..read(path)? })
    }

    /// The same story in which a crowd is so many times smaller, comes from as many times fewer networks, and tries as many
    /// times fewer names.
    #[must_use]
    pub fn divided(mut self, by: u64) -> Self {
        self.actors.iter_mut().for_each(|actor| actor.divide(by));
        self
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    toml::from_str(&text).with_context(|| format!("'{}' is not understood", path.display()))
}

/// Reads a length of time as the configuration has it.
pub(crate) fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    duration::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}
