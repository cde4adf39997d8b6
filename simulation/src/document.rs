//! The document that the results stand in, and the pictures beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::plot::plot;
use crate::report::section;
use crate::run::Played;
use crate::scenario::{Ordinary, Scenario};

/// The project's folder, as far as this concerns it.
#[derive(Clone, Debug)]
pub struct Project(PathBuf);

const BEGIN: &str = "<!-- From here on written by 'cargo xtask simulate --write'. -->\n";
const END: &str = "<!-- Up to here. -->\n";

impl Project {
    /// The one that this was built in.
    #[must_use]
    pub fn here() -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default())
    }

    /// Reads what ordinary days are like.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn ordinary(&self) -> Result<Ordinary> {
        Ordinary::read(&self.0.join("tests/ordinary-days.toml"))
    }

    /// Reads all scenarios, in the order of their files' names.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn scenarios(&self) -> Result<Vec<Scenario>> {
        let folder = self.0.join("tests/scenarios");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read '{}'", folder.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            files.push(entry?.path());
        }
        files.sort();
        files.iter().map(|file| Scenario::read(file)).collect()
    }

    /// Writes what came of all scenarios.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the document has no place for it.
    pub fn write(&self, all: &[Played]) -> Result<()> {
        let path = self.document();
        let text = read(&path)?;
        let (before, rest) = text.split_once(BEGIN).with_context(|| lacks(&path, BEGIN))?;
        let (_, after) = rest.split_once(END).with_context(|| lacks(&path, END))?;
        let sections: Vec<String> = all.iter().map(section).collect();
        let text = format!("{before}{BEGIN}\n{}\n{END}{after}", sections.join("\n"));
        write(&path, &text)?;
        for played in all {
            write(&self.picture(played), &plot(played))?;
        }
        Ok(())
    }

    /// Checks that the document says, and its picture shows, what came of a scenario.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, played: &Played) -> Result<()> {
        let (path, name) = (self.document(), &played.scenario.name);
        let again = "write it anew: cargo xtask simulate --write";
        let says = read(&path)?.contains(&section(played));
        ensure!(says, "'{}' says something else of '{name}' than comes of it; {again}", path.display());
        let path = self.picture(played);
        ensure!(read(&path)? == plot(played), "'{}' shows something else; {again}", path.display());
        Ok(())
    }

    fn document(&self) -> PathBuf {
        self.0.join("docs/policy.md")
    }

    fn picture(&self, played: &Played) -> PathBuf {
        self.0.join(format!("docs/policy/{}.svg", played.scenario.name))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write '{}'", path.display()))
}

fn lacks(path: &Path, what: &str) -> String {
    format!("'{}' lacks the line {}", path.display(), what.trim())
}
