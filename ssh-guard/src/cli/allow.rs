//! `ssh-guard allow`.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::ban::tell;
use super::output::{answer, table};
use crate::config::{duration, network};
use crate::control::Client;
use crate::control::api::{AllowRequest, Allowlist, DisallowRequest};
use crate::fault::{Exit, Fault};

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Allow {
    /// Which networks or addresses
    #[arg(value_name = "ADDR|NET", required_unless_present = "shown")]
    networks: Vec<String>,
    /// For how long: 10m, 1h, 7d [default: until the daemon is started again]
    ///
    /// What the configuration's 'allow.sources' name is allowed for good.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, conflicts_with = "remove")]
    length: Option<Duration>,
    /// Take them out of the allowlist
    ///
    /// That is a trial of a minute if it covers your own session (see 'confirm').
    #[arg(long)]
    remove: bool,
    /// Remove them at once, though that may cut you off
    ///
    /// That is where it covers your own session, or that of an operator who is logged in.
    #[arg(long, requires = "remove")]
    force: bool,
    /// Show what is allowed, and until when
    #[arg(long = "list", conflicts_with_all = ["networks", "length", "remove"])]
    shown: bool,
    /// Print what is allowed as JSON
    #[arg(long, requires = "shown")]
    json: bool,
}

impl Allow {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        if self.shown {
            return show(daemon, self.json).await;
        }
        let parse = |text: &String| {
            network::parse(text)
                .map_err(|error| Fault::new(Exit::Usage, error.to_string()).hint(error.hint()))
        };
        let networks: Vec<IpNet> = self.networks.iter().map(parse).collect::<Result<_, _>>()?;
        if self.remove {
            let request = DisallowRequest { networks, force: self.force };
            return tell(&daemon.post("/v1/disallow", &request).await?);
        }
        let seconds = self.length.map(|length| length.as_secs());
        tell(&daemon.post("/v1/allow", &AllowRequest { networks, seconds }).await?)
    }
}

async fn show(daemon: &Client, json: bool) -> Result<(), Fault> {
    let mut all = Allowlist::default();
    let mut path = "/v1/allowlist".to_owned();
    loop {
        let page: Allowlist = daemon.get(&path).await?;
        all.allowlist.extend(page.allowlist);
        let Some(next) = page.next else { break };
        path = format!("/v1/allowlist?after={}", next.replace('/', "%2F"));
    }
    answer(&all, json, text)
}

fn text(all: &Allowlist) -> String {
    if all.allowlist.is_empty() {
        return "the allowlist is empty\n".to_owned();
    }
    let mut rows = vec![["NETWORK", "UNTIL"].map(str::to_owned).to_vec()];
    rows.extend(all.allowlist.iter().map(|entry| {
        vec![entry.network.clone(), entry.until.map_or("removed".to_owned(), |until| until.to_string())]
    }));
    table(&rows)
}
