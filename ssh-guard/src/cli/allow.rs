//! `ssh-guard allow`.

use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::ban::tell;
use crate::config::{duration, network};
use crate::control::Client;
use crate::control::api::{AllowRequest, DisallowRequest};
use crate::fault::{Exit, Fault};

#[derive(Args, Debug)]
pub(super) struct Allow {
    /// Which networks or addresses
    #[arg(value_name = "ADDR|NET", required = true)]
    networks: Vec<String>,
    /// For how long: 10m, 1h, 7d [default: until the daemon is started again]
    ///
    /// What the configuration's 'allow.sources' name is allowed for good.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, conflicts_with = "remove")]
    length: Option<Duration>,
    /// Take them out of the allowlist; for a trial of a minute if that covers your own session (see 'confirm')
    #[arg(long)]
    remove: bool,
    /// Remove them at once, though that covers your own session, or cuts off an operator who is logged in
    #[arg(long, requires = "remove")]
    force: bool,
}

impl Allow {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
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
