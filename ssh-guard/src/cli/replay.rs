//! `ssh-guard replay`: what would have been decided on old logs, and what they say in sum.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::logs::How;
use super::output;
use crate::allowlist::Allowlist;
use crate::config::{Config, DEFAULT_PATH, Settings};
use crate::daemon::{capacity, read_lists};
use crate::fault::Fault;
use crate::policy::bannable::Protected;
use crate::rehearsal::Rehearsal;
use crate::replay::{Decided, Rehearsals, Report, Summary, read_in_order};

/// What would have been decided on old logs: who would have been banned, and which logins refused
///
/// Reads files, packed by gzip or not, and what 'journalctl --output=export' or '--output=json' prints; what a file holds is
/// told by its first bytes. The policy judges the events in the order of time, on the clock of the lines; whoever is banned
/// meanwhile is stopped. Logins that succeeded by the log, and would have been refused, come first. With --config FILE that
/// configuration is compared with the one in effect. Behind that comes what was understood of the logs, in sum. A file
/// that cannot be read leaves the others to be judged, and the exit code is not 0.
#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The logs; - for standard input
    #[arg(value_name = "FILE|-", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// Print JSON
    #[arg(
        long,
        long_help = "Print JSON: decisions, and files, since, until, lines, bytes, understood, events, services, sources, accounts, \
                     not_understood (docs/replay.md)"
    )]
    json: bool,
}

/// What is told.
#[derive(Serialize)]
struct Replayed {
    decisions: Decided,
    #[serde(flatten)]
    summary: Report,
}

impl Replay {
    pub(super) async fn act(self, config: Option<&Path>) -> Result<(), Fault> {
        let (_, settings) = Config::load(config)?;
        let mut configs = Vec::new();
        if config.is_some_and(|config| config != Path::new(DEFAULT_PATH)) {
            let (_, in_effect) = Config::load(None)?;
            configs.push((DEFAULT_PATH.to_owned(), rehearsal(&in_effect).await?));
        }
        let name = config.unwrap_or(Path::new(DEFAULT_PATH)).display().to_string();
        configs.push((name, rehearsal(&settings).await?));
        let logs = self.how.logs(self.files, &settings, "replay")?;
        output::tell_that_a_terminal_is_read(&logs.files);
        let mut summary = Summary::new(settings.guard.mask());
        let mut rehearsals = Rehearsals::new(configs);
        let read = output::all_read(read_in_order(&logs, &mut summary, &mut rehearsals));
        // What could be read is told, also where not all could.
        let replayed = Replayed { decisions: rehearsals.decided(), summary: summary.report() };
        output::answer(&replayed, self.json, Replayed::text)?;
        read
    }
}

impl Replayed {
    fn text(&self) -> String {
        format!("{}\n{}", self.decisions.text(), self.summary.text())
    }
}

/// A daemon of this configuration that has just begun. Which host the logs are of, nobody knows: its own addresses are judged
/// like any other's.
async fn rehearsal(settings: &Settings) -> Result<Rehearsal, Fault> {
    let mut allowlist = Allowlist::new();
    for network in settings.allow.networks() {
        allowlist.add(network.into(), None);
    }
    let capacity = capacity(settings);
    let rehearsal = Rehearsal::new(settings.policy.clone(), capacity, allowlist, Protected::default());
    Ok(rehearsal.with_lists(read_lists(settings).await?))
}
