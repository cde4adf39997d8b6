//! `ssh-guard run`: the daemon.

use std::io::{self, IsTerminal as _};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::config::settings::{Interfaces, Mode, Ports, Settings};
use crate::daemon;
use crate::fault::{Exit, Fault};

/// What the command line says in place of the configuration.
#[derive(Args, Debug)]
#[expect(clippy::struct_field_names, reason = "a dry run is called so everywhere")]
pub(super) struct Run {
    /// Guard this interface; may be given more than once
    ///
    /// By default what the configuration says, or else the interface with the default route.
    #[arg(long, value_name = "IF")]
    interface: Vec<String>,
    /// Guard this TCP port; may be given more than once
    ///
    /// By default what the configuration says, or else 22.
    #[arg(long, value_name = "N")]
    port: Vec<NonZeroU16>,
    /// Where to judge packets: auto, native, tc or generic
    ///
    /// Native is in the driver, tc in traffic control, auto native or else tc; generic is slower. By default what the
    /// configuration says, or else auto.
    #[arg(long)]
    mode: Option<Mode>,
    /// Judge and count packets, and drop none
    #[arg(long)]
    dry_run: bool,
}

impl Run {
    pub(super) async fn act(self, config: Option<&Path>, socket: Option<PathBuf>) -> Result<(), Fault> {
        let (_, settings) = Config::load(config)?;
        let settings = self.over(settings, socket)?;
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        // A reader of standard error that stalls must not stall the guard: lines wait in a bounded queue, and those
        // that find it full are lost.
        let (writer, _writes_until_the_end) = tracing_appender::non_blocking(io::stderr());
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(writer);
        // By default a line that cannot be written is complained about on standard error, with a panic where that
        // fails too: a full disk or a closed pipe would end the daemon.
        log.log_internal_errors(false).init();
        daemon::run(settings).await
    }

    fn over(self, mut settings: Settings, socket: Option<PathBuf>) -> Result<Settings, Fault> {
        let Self { interface, port, mode, dry_run } = self;
        let usage =
            |what: &str, why: &dyn std::fmt::Display| Fault::new(Exit::Usage, format!("{what}: {why}"));
        if !interface.is_empty() {
            settings.guard.interfaces = Interfaces::parse(&interface)
                .map_err(|error| usage("--interface", &error).hint(error.hint()))?;
        }
        if !port.is_empty() {
            settings.guard.ports = Ports::new(port).map_err(|error| usage("--port", &error))?;
        }
        settings.guard.mode = mode.unwrap_or(settings.guard.mode);
        settings.guard.dry_run |= dry_run;
        settings.control.socket = socket.unwrap_or(settings.control.socket);
        Ok(settings)
    }
}
