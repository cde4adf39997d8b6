//! `ssh-guard ban` and `ssh-guard unban`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::alone;
use super::output::to_stdout;
use crate::config::{duration, network};
use crate::control::Client;
use crate::control::api::{BanRequest, Done, ListRequest, UnbanRequest};
use crate::fault::{Exit, Fault};
use crate::list_file;
use crate::lists::parse::Listed;

#[derive(Args, Debug)]
pub(super) struct Ban {
    /// Whom; an IPv6 address stands for its whole prefix (a /64, unless configured)
    #[arg(value_name = "ADDR|NET", required_unless_present = "file")]
    targets: Vec<String>,
    /// Ban what a file lists; '-' is the standard input
    ///
    /// An address or a network a line; comments begin with '#' or ';'. What the file listed before is unbanned, if it is listed no more.
    #[arg(long, value_name = "LIST", conflicts_with = "targets")]
    file: Option<PathBuf>,
    /// For how long: 10m, 1h, 7d [default: 1d; with --file, for good]
    ///
    /// What is listed for good is banned until it is unbanned or the machine restarts; to keep it, write it to 'block.files'.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    length: Option<Duration>,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Ban what is refused or tried otherwise: very wide networks, yourself
    ///
    /// Refused are networks wider than a /8, or a /16 of IPv6.
    /// Without it, a ban that covers the source of your own session is a trial of a minute (see 'confirm'), and one that covers
    /// an operator who is logged in is refused.
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(super) struct Unban {
    /// Whose ban to lift; a network exactly as it was banned
    #[arg(value_name = "ADDR|NET", required_unless_present_any = ["all", "file"])]
    targets: Vec<String>,
    /// Lift what 'ban --file' took from this file, which need not be there any more
    #[arg(long, value_name = "LIST", conflicts_with_all = ["targets", "all"])]
    file: Option<PathBuf>,
    /// Lift every ban
    #[arg(long, conflicts_with = "targets")]
    all: bool,
}

impl Ban {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let Self { targets, file, length, reason, force } = self;
        if let Some(file) = file {
            let seconds = length.map(|length| length.as_secs());
            let request = ListRequest { name: name_of(&file)?, seconds, reason, force };
            return ban_list(daemon, &request).await;
        }
        let Targets { addresses, networks } = parse(&targets)?;
        let seconds = length.unwrap_or(DAY).as_secs();
        tell(&daemon.post("/v1/ban", &BanRequest { addresses, networks, seconds, reason, force }).await?)
    }
}

impl Unban {
    /// `pin_path` says where the pins lie, should no daemon answer.
    pub(super) async fn act(
        self,
        daemon: &Client,
        pin_path: impl FnOnce() -> Result<PathBuf, Fault>,
    ) -> Result<(), Fault> {
        let request = match self.file {
            _ if self.all => UnbanRequest::All,
            Some(file) => UnbanRequest::List(name_of(&file)?),
            None => {
                let Targets { addresses, networks } = parse(&self.targets)?;
                UnbanRequest::Each { addresses, networks }
            }
        };
        // Lists take their time.
        let answered = match &request {
            UnbanRequest::Each { .. } => daemon.post_soon("/v1/unban", &request).await,
            UnbanRequest::List(_) | UnbanRequest::All => daemon.post("/v1/unban", &request).await,
        };
        match answered {
            Err(fault) if fault.exit() == Exit::NoDaemon => {
                tell(&alone::unban(&pin_path()?, &request, fault)?)
            }
            answered => tell(&answered?),
        }
    }
}

/// Reads the list here, with the permissions of the caller, and has it banned.
async fn ban_list(daemon: &Client, request: &ListRequest) -> Result<(), Fault> {
    let listed = match &request.name {
        Some(name) => list_file::read(Path::new(name), Exit::Failure)?,
        None => list_file::read_from(io::stdin().lock(), "standard input", Exit::Failure)?,
    };
    if listed.is_empty() {
        let name = request.name.as_deref().unwrap_or("standard input");
        return Err(Fault::new(Exit::Failure, format!("'{name}' lists nothing; nothing is changed")));
    }
    let remarks = remarks(&listed);
    let done: Done = daemon.list(request, listed.to_text()).await?;
    tell(&Done { done: done.done.into_iter().chain(remarks).collect() })
}

fn remarks(listed: &Listed) -> Vec<String> {
    let mut remarks = Vec::new();
    if listed.duplicates > 0 {
        remarks.push(format!("{} entries stand there more than once", listed.duplicates));
    }
    match listed.nested() {
        0 => {}
        nested => remarks.push(format!("{nested} networks lie in others that are listed")),
    }
    remarks
}

/// The name of a list: the whole path of its file, so that it is the same from wherever it is loaded.
fn name_of(file: &Path) -> Result<Option<String>, Fault> {
    if file == Path::new("-") {
        return Ok(None);
    }
    let path = std::path::absolute(file).map_err(|error| {
        Fault::new(Exit::Usage, format!("'{}' is no path", file.display())).because(error)
    })?;
    path.into_os_string().into_string().map(Some).map_err(|path| {
        Fault::new(Exit::Usage, format!("'{}' is not UTF-8", path.display())).hint("pipe it in: --file -")
    })
}

pub(super) fn tell(done: &Done) -> Result<(), Fault> {
    to_stdout(&(done.done.join("\n") + "\n"))
}

#[derive(Default)]
struct Targets {
    addresses: Vec<IpAddr>,
    networks: Vec<IpNet>,
}

fn parse(texts: &[String]) -> Result<Targets, Fault> {
    let mut targets = Targets::default();
    for text in texts {
        let network = network::parse(text)
            .map_err(|error| Fault::new(Exit::Usage, error.to_string()).hint(error.hint()))?;
        if text.contains('/') {
            targets.networks.push(network);
        } else {
            targets.addresses.push(network.addr());
        }
    }
    Ok(targets)
}

const DAY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(&[text.to_owned()]).map(|_| ()).unwrap_err().report()
    }

    #[test]
    fn what_is_no_address_and_no_network_is_told_with_the_reason() {
        assert!(
            refused("300.1.2.3").starts_with(
                "ssh-guard: '300.1.2.3' is not an address or a network: 300 is above 255\nhint: "
            )
        );
        assert!(refused("203.0.113.7/24").contains("hint: write '203.0.113.0/24' for the network"));
        let targets = parse(&["2001:db8::7".to_owned(), "203.0.113.0/24".to_owned()]).unwrap_or_default();
        assert_eq!(targets.addresses, ["2001:db8::7".parse::<IpAddr>().unwrap()]);
        assert_eq!(targets.networks, ["203.0.113.0/24".parse::<IpNet>().unwrap()]);
    }
}
