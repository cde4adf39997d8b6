//! The command line: one verb a file.
//!
//! Exit codes: 0; 1 failure; 2 usage; 69 no daemon answers; 77 not permitted; 78 configuration.

mod allow;
mod alone;
mod ban;
mod bans;
mod check;
pub mod config;
mod confirm;
mod detach;
mod explain;
mod logs;
mod output;
mod replay;
mod resync;
mod run;
mod sessions;
mod sources;
mod status;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::control::Client;
use crate::fault::{Exit, Fault};

/// Drops the packets of sources that fail to log in over SSH, where they cost least: in the network driver
///
/// A daemon (`ssh-guard run`) reads sshd's log and keeps the blocklist; all other verbs ask it, or look by themselves.
#[derive(Parser, Debug)]
#[command(name = "ssh-guard", version, propagate_version = true, after_long_help = EXAMPLES)]
pub struct CommandLine {
    /// The configuration [default: /etc/ssh-guard/config.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's control socket [default: what the configuration says]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Guard: attach to the interfaces, read the logs, ban
    Run(run::Run),
    /// How the daemon is, and what it has counted
    Status(status::Status),
    /// Who is banned, why, and until when
    Bans(bans::Bans),
    /// What each source sent to guarded ports and was let through
    Sources(sources::Sources),
    /// The sessions that are followed: who holds them, how far they have come, what was sent in them
    Sessions(sessions::Sessions),
    /// Why an address is banned, or is not: what it did, what that adds up to, and how to undo it
    Why(why::Why),
    /// Ban addresses, networks or lists of them by hand
    Ban(ban::Ban),
    /// Lift bans, and clear the scores that led to them; without a daemon too
    Unban(ban::Unban),
    /// Never drop packets of these networks, or no longer
    Allow(allow::Allow),
    /// Keep a change that covers your own session, from another session that was opened after it
    ///
    /// A 'ban' or an 'allow --remove' that covers the source of the session that it is given from is a trial: it closes no
    /// session, and is undone after a minute, unless this says that there still is a way in.
    Confirm,
    /// Take the guard off every interface; bans stay, and a daemon that is started attaches again
    Detach(detach::Detach),
    /// Make the kernel's maps what bans, lists and the allowlist say, and tell what differed
    ///
    /// The daemon does so by itself every minute.
    Resync,
    Explain(explain::Explain),
    Replay(replay::Replay),
    /// Whether the configuration, the kernel, the interfaces and the inputs are as they should be
    Check(check::Check),
    /// Print or check the configuration
    #[command(subcommand)]
    Config(config::ConfigVerb),
}

const EXAMPLES: &str = "\
Examples:
  ssh-guard check                          whether everything is there
  ssh-guard run --dry-run                  judge and count, drop nothing
  ssh-guard ban 203.0.113.7 --for 1h       drop its packets for an hour
  ssh-guard why 203.0.113.7                why they are dropped, and how to undo it
  ssh-guard explain /var/log/auth.log      what the log is understood as
  ssh-guard replay /var/log/auth.log*      who would have been banned, and refused

Exit codes: 0; 1 failure; 2 usage; 69 no daemon answers; 77 not permitted; 78 configuration";

impl CommandLine {
    /// Does what the command line says; what fails is told on standard error.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime.block_on(self.act()),
            Err(error) => Err(Fault::new(Exit::Failure, "cannot start").because(error)),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => {
                output::to_stderr(&fault.report());
                fault.exit().into()
            }
        }
    }

    async fn act(self) -> Result<(), Fault> {
        let Self { config, socket, verb } = self;
        let daemon = || -> Result<Client, Fault> {
            match &socket {
                Some(socket) => Ok(Client::new(socket)),
                None => Ok(Client::new(&Config::load(config.as_deref())?.1.control.socket)),
            }
        };
        let pin_path = || Ok(Config::load(config.as_deref())?.1.guard.pin_path);
        match verb {
            Verb::Run(run) => run.act(config.as_deref(), socket).await,
            Verb::Status(status) => status.act(&daemon()?).await,
            Verb::Bans(bans) => bans.act(&daemon()?).await,
            Verb::Sources(sources) => sources.act(&daemon()?).await,
            Verb::Sessions(sessions) => sessions.act(&daemon()?).await,
            Verb::Why(why) => why.act(&daemon()?).await,
            Verb::Ban(ban) => ban.act(&daemon()?).await,
            Verb::Unban(unban) => unban.act(&daemon()?, pin_path).await,
            Verb::Allow(allow) => allow.act(&daemon()?).await,
            Verb::Confirm => confirm::act(&daemon()?).await,
            Verb::Detach(detach) => detach.act(&daemon()?, pin_path).await,
            Verb::Resync => resync::act(&daemon()?).await,
            Verb::Explain(explain) => explain.act(config.as_deref()),
            Verb::Replay(replay) => replay.act(config.as_deref()).await,
            Verb::Check(check) => check.act(config.as_deref(), socket).await,
            Verb::Config(verb) => config::run(verb, config.as_deref(), &mut std::io::stdout().lock()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
