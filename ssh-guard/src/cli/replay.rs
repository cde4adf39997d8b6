//! `ssh-guard replay`: what old logs say, in sum.

use std::path::{Path, PathBuf};

use clap::Args;

use super::logs::How;
use super::output;
use crate::config::Config;
use crate::fault::Fault;
use crate::replay::{Report, Summary};

/// What old logs say, in sum: what was understood of them, from which sources, and what was not
///
/// Reads files, packed by gzip or not, and what 'journalctl --output=export' or '--output=json' prints; what a file holds is
/// told by its first bytes. The files of a rotated log are read in the order of time. A file that cannot be read leaves the
/// others to be summed up, and the exit code is not 0.
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
        long_help = "Print JSON: files, since, until, lines, bytes, understood, events, services, sources, accounts, \
                             not_understood (docs/replay.md)"
    )]
    json: bool,
}

impl Replay {
    pub(super) fn act(self, config: Option<&Path>) -> Result<(), Fault> {
        let (_, settings) = Config::load(config)?;
        let logs = self.how.logs(self.files, &settings, "replay")?;
        output::tell_that_a_terminal_is_read(&logs.files);
        let mut summary = Summary::new(settings.guard.mask());
        let read = output::read_logs(&logs, &mut summary);
        // What could be read is told, also where not all could.
        output::answer(&summary.report(), self.json, Report::text)?;
        read
    }
}
