//! `ssh-guard sources`: what each source sent.

use clap::Args;

use super::output::{answer, table};
use crate::control::{Client, api};
use crate::fault::Fault;

#[derive(Args, Debug)]
pub(super) struct Sources {
    /// Show as many sources, those with the most packets
    #[arg(long, value_name = "N", default_value_t = 100)]
    top: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Sources {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let sources: api::Sources = daemon.get(&format!("/v1/sources?limit={}", self.top)).await?;
        answer(&sources, self.json, text)
    }
}

fn text(sources: &api::Sources) -> String {
    if sources.sources.is_empty() {
        return "no source has sent anything in a session with a guarded port yet\n".to_owned();
    }
    let head = [
        "SOURCE",
        " SESSIONS (OPEN)",
        " PACKETS",
        " BYTES",
        " AUTHENTICATED",
        " HALF-OPEN",
        "LAST SEEN",
        " SCORE",
        "STANDING",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(sources.sources.iter().map(|source| {
        vec![
            source.source.clone(),
            format!("{} ({})", source.sessions_opened, source.sessions_open),
            source.packets.to_string(),
            source.bytes.to_string(),
            source.sessions_authenticated.to_string(),
            source.half_open.to_string(),
            source.last_seen.to_string(),
            source.score.to_string(),
            match (source.banned, source.allowed) {
                (true, _) => "banned",
                (false, true) => "allowed",
                (false, false) => "",
            }
            .to_owned(),
        ]
    }));
    table(&rows)
}
