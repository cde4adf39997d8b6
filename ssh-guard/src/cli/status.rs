//! `ssh-guard status`: how the daemon is.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;

use super::output::{answer, table};
use crate::config::duration;
use crate::control::{Client, api};
use crate::fault::Fault;
use crate::session::flood::Why;

#[derive(Args, Debug)]
pub(super) struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let status: api::Status = daemon.get("/v1/status").await?;
        answer(&status, self.json, text)
    }
}

fn text(status: &api::Status) -> String {
    let mut text = format!(
        "ssh-guard {}, up {}{}\n\n",
        status.version,
        duration::to_text(Duration::from_secs(status.uptime)),
        if status.dry_run { ", dry run: nothing is dropped" } else { "" },
    );
    let mut rows = vec![row(["INTERFACE", "MODE", "STATE"])];
    rows.extend(status.interfaces.iter().map(|interface| {
        let state = match &interface.degraded {
            Some(why) => format!("DEGRADED: {why}"),
            None if interface.witness => "attached".to_owned(),
            None => "attached, without a witness".to_owned(),
        };
        row([&interface.name, &interface.mode, &state])
    }));
    rows.push(row(["", "", ""]));
    text.push_str(&table(&rows));

    let mut rows = vec![row(["VERDICT", " PACKETS", " BYTES"])];
    rows.extend(
        status
            .verdicts
            .iter()
            .map(|(verdict, count)| row([verdict, &count.packets.to_string(), &count.bytes.to_string()])),
    );
    rows.push(row(["", "", ""]));
    text.push_str(&table(&rows));

    let mut rows = vec![row(["INPUT", "KIND", " LINES", " UNDERSTOOD", "STATE"])];
    rows.extend(status.inputs.iter().map(|input| {
        let state = input.error.as_ref().map_or("reading".to_owned(), |why| format!("ERROR: {why}"));
        row([&input.name, &input.kind, &input.lines.to_string(), &input.understood.to_string(), &state])
    }));
    text.push_str(&table(&rows));
    if status.sensor_blind {
        text.push_str(
            "\nBLIND: sessions are served, and no log line tells of any: nobody is banned for failing\n",
        );
    }
    if status.witness_blind {
        text.push_str("\nBLIND: logins succeed, and no server is seen to answer: sessions are unproven\n");
    }
    if status.flood_mode {
        let why = Why::ALL.into_iter().find(|why| Some(why.as_str()) == status.flood_why.as_deref());
        let why = why.map_or("new sessions are limited", Why::words);
        writeln!(text, "\nFLOOD MODE: {why}").expect("a string takes all");
    }
    let bans = status.bans;
    let (sources, networks) = (status.blocklist.capacity, status.networks.capacity);
    writeln!(text, "\nbans: {} IPv4, {} IPv6; room for {sources}", bans.ipv4, bans.ipv6)
        .and_then(|()| writeln!(text, "banned networks: {}; room for {networks}", bans.networks))
        .and_then(|()| writeln!(text, "sessions closed: {}", status.sockets_closed))
        .expect("a string takes all");
    if status.protected > 0 {
        writeln!(text, "operators are logged in from {} sources, which no rule bans", status.protected)
            .expect("a string takes all");
    }
    if let Some(drift) = status.blocklist.drift.filter(|drift| *drift > 0) {
        writeln!(
            text,
            "DRIFT: the kernel's maps were changed by somebody else in {drift} places, and are mended"
        )
        .expect("a string takes all");
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
