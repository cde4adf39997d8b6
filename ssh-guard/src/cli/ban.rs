//! `ssh-guard ban` and `ssh-guard unban`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::output::to_stdout;
use crate::config::duration;
use crate::control::Client;
use crate::control::api::{BanRequest, Done, UnbanRequest};
use crate::fault::{Exit, Fault};

#[derive(Args, Debug)]
pub(super) struct Ban {
    /// Whom; an IPv6 address stands for its whole prefix (a /64, unless configured)
    #[arg(value_name = "ADDR", required = true)]
    addresses: Vec<String>,
    /// For how long: 10m, 1h, 7d
    #[arg(long = "for", value_name = "DURATION", default_value = "1d", value_parser = duration::parse)]
    length: Duration,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Unban {
    /// Whose ban to lift
    #[arg(value_name = "ADDR", required_unless_present = "all")]
    addresses: Vec<String>,
    /// Lift every ban
    #[arg(long, conflicts_with = "addresses")]
    all: bool,
}

impl Ban {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let Self { addresses, length, reason } = self;
        let request = BanRequest { addresses: parse(&addresses)?, seconds: length.as_secs(), reason };
        tell(&daemon.post("/v1/ban", &request).await?)
    }
}

impl Unban {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let request =
            if self.all { UnbanRequest::All } else { UnbanRequest::Addresses(parse(&self.addresses)?) };
        tell(&daemon.post("/v1/unban", &request).await?)
    }
}

pub(super) fn tell(done: &Done) -> Result<(), Fault> {
    to_stdout(&(done.done.join("\n") + "\n"))
}

fn parse(addresses: &[String]) -> Result<Vec<IpAddr>, Fault> {
    addresses.iter().map(|text| address(text)).collect()
}

fn address(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| {
        let fault = Fault::new(Exit::Usage, format!("'{}' is not an address", text.escape_debug()));
        if text.contains('/') {
            return fault.hint("name a single address: bans are of sources, not of networks");
        }
        fault.hint("write it like 203.0.113.7 or 2001:db8::7")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_told_and_what_one_looks_like() {
        assert_eq!(
            address("300.1.2.3").unwrap_err().report(),
            "ssh-guard: '300.1.2.3' is not an address\nhint: write it like 203.0.113.7 or 2001:db8::7\n"
        );
        assert!(address("203.0.113.0/24").unwrap_err().report().contains("not of networks"));
        assert_eq!(address("2001:db8::7").unwrap().to_string(), "2001:db8::7");
    }
}
