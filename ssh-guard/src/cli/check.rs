//! `ssh-guard check`: what would work, what would not, what to do.

use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::Uid;
use serde::Serialize;

use super::config::overlap;
use super::output::answer;
use crate::config::{Config, Settings};
use crate::control::{Client, api};
use crate::fault::{Exit, Fault};
use crate::interface::Network;
use crate::kernel::{self, Pins};
use crate::{daemon, inputs};

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All that was found.
#[derive(Serialize, Default)]
struct Findings {
    checks: Vec<Finding>,
    /// What the first error says about the reason.
    #[serde(skip)]
    exit: Option<Exit>,
}

#[derive(Serialize)]
struct Finding {
    about: &'static str,
    level: Level,
    found: String,
    hint: Option<String>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Ok,
    Warning,
    Error,
}

impl Check {
    pub(super) async fn act(self, config: Option<&Path>, socket: Option<PathBuf>) -> Result<(), Fault> {
        let mut findings = Findings::default();
        match Config::load(config) {
            Ok((_, mut settings)) => {
                settings.control.socket = socket.unwrap_or(settings.control.socket);
                findings.ok("configuration", "it is right");
                findings.look(&settings).await;
            }
            Err(error) => findings.fault("configuration", &error.into()),
        }
        answer(&findings, self.json, Findings::text)?;
        let errors = findings.checks.iter().filter(|finding| finding.level == Level::Error).count();
        let Some(exit) = findings.exit else { return Ok(()) };
        Err(match errors {
            1 => Fault::new(exit, "1 check failed"),
            _ => Fault::new(exit, format!("{errors} checks failed")),
        })
    }
}

impl Findings {
    async fn look(&mut self, settings: &Settings) {
        let daemon = Client::new(&settings.control.socket).get::<api::Status>("/v1/status").await;
        match &daemon {
            Ok(status) => self.ok("daemon", format!("version {} answers", status.version)),
            Err(fault) => self.warn("daemon", fault.told(), fault.way_out()),
        }
        match kernel::load(&daemon::programs(settings)) {
            Ok(loaded) => self.ok("kernel", format!("it takes the program '{}'", loaded.program_name())),
            Err(fault) => self.fault("kernel", &fault),
        }
        match Pins::check(&settings.guard.pin_path) {
            Ok(()) => {
                self.ok("pins", format!("'{}' is in a BPF file system", settings.guard.pin_path.display()));
            }
            Err(fault) => self.fault("pins", &fault),
        }
        self.look_at_interfaces(settings, daemon.is_ok()).await;
        self.look_at_inputs(settings).await;
        let allowed = settings.allow.networks().len();
        if allowed == 0 {
            let hint = "put the addresses you administer this machine from into 'allow.sources'";
            self.warn("allowlist", "it is empty", Some(hint));
        } else {
            self.ok("allowlist", format!("{allowed} networks"));
        }
        match daemon::read_lists(settings).await {
            Ok(lists) if lists.is_empty() => {}
            Ok(lists) => {
                let entries: usize = lists.iter().map(|list| list.entries.len()).sum();
                self.ok("lists", format!("{entries} sources and networks in {} lists", lists.len()));
                let allowed: Vec<_> = settings.allow.networks().into_iter().map(Into::into).collect();
                for list in lists.iter() {
                    if let Some(remark) = overlap(list.name.as_str(), &list.entries, &allowed) {
                        self.ok("lists", remark);
                    }
                }
            }
            Err(fault) => self.fault("lists", &fault),
        }
        if !Uid::effective().is_root() {
            self.warn("privileges", "not root: what may not be looked at here may work for the daemon", None);
        }
    }

    async fn look_at_interfaces(&mut self, settings: &Settings, daemon_runs: bool) {
        let chosen = match Network::survey().await {
            Ok(network) => network.choose(&settings.guard.interfaces),
            Err(fault) => Err(fault),
        };
        match chosen {
            Err(fault) => self.fault("interface", &fault),
            Ok(interfaces) => {
                for interface in interfaces {
                    let name = &interface.name;
                    match interface.xdp_program {
                        Some(id)
                            if !daemon_runs && Pins::has_link(&settings.guard.pin_path, interface.index) =>
                        {
                            let found = format!("'{name}' has the program of an earlier daemon (id {id})");
                            self.ok("interface", found + ", which the next one replaces");
                        }
                        Some(id) if !daemon_runs => {
                            let hint = format!("see whose it is: bpftool prog show id {id}");
                            self.warn(
                                "interface",
                                format!("'{name}' has an XDP program (id {id})"),
                                Some(&hint),
                            );
                        }
                        Some(_) => self.ok("interface", format!("'{name}' is there, with an XDP program")),
                        None => self.ok("interface", format!("'{name}' is there, and has no XDP program")),
                    }
                }
            }
        }
    }

    async fn look_at_inputs(&mut self, settings: &Settings) {
        match inputs::choose(settings).await {
            Err(fault) => self.fault("input", &fault),
            Ok(chosen) => {
                for (input, chosen) in settings.read_inputs().zip(chosen) {
                    match chosen.origin.check().await {
                        Ok(()) => self.ok("input", format!("'{}': {}", input.name, chosen.why)),
                        Err(error) => {
                            self.warn("input", format!("'{}': {}", input.name, error.chain()), error.hint());
                        }
                    }
                }
            }
        }
    }

    fn ok(&mut self, about: &'static str, found: impl Into<String>) {
        self.checks.push(Finding { about, level: Level::Ok, found: found.into(), hint: None });
    }

    fn warn(&mut self, about: &'static str, found: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.checks.push(Finding { about, level: Level::Warning, found: found.into(), hint });
    }

    fn fault(&mut self, about: &'static str, fault: &Fault) {
        let hint = fault.way_out().map(str::to_owned);
        self.exit.get_or_insert(fault.exit());
        self.checks.push(Finding { about, level: Level::Error, found: fault.told(), hint });
    }

    fn text(&self) -> String {
        let line = |finding: &Finding| {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let hint =
                finding.hint.as_ref().map(|hint| format!("         hint: {hint}\n")).unwrap_or_default();
            format!("{level:<7}  {}: {}\n{hint}", finding.about, finding.found)
        };
        self.checks.iter().map(line).collect()
    }
}
