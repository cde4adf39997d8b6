//! `ssh-guard bans`: who is banned.

use clap::Args;

use super::output::{answer, table};
use crate::control::{Client, api};
use crate::fault::Fault;

#[derive(Args, Debug)]
pub(super) struct Bans {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Bans {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let mut bans = api::Bans::default();
        let mut path = "/v1/bans".to_owned();
        loop {
            let page: api::Bans = daemon.get(&path).await?;
            bans.bans.extend(page.bans);
            let Some(next) = page.next else { break };
            path = format!("/v1/bans?after={}", next.replace('/', "%2F"));
        }
        answer(&bans, self.json, text)
    }
}

fn text(bans: &api::Bans) -> String {
    if bans.bans.is_empty() {
        return "nobody is banned\n".to_owned();
    }
    let head = ["SOURCE", "REASON", "SINCE", "UNTIL", " OFFENCES", " HITS", "KERNEL", "RULE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(bans.bans.iter().map(|ban| {
        vec![
            ban.source.clone(),
            ban.reason.clone().unwrap_or_else(|| "-".to_owned()),
            ban.since.map_or_else(|| "-".to_owned(), |since| since.to_string()),
            ban.until.map_or("unbanned".to_owned(), |until| until.to_string()),
            ban.offences.to_string(),
            ban.hits.to_string(),
            if ban.in_kernel { "blocked" } else { "MISSING" }.to_owned(),
            if ban.extended { format!("{}; extended", ban.rule) } else { ban.rule.clone() },
        ]
    }));
    table(&rows)
}
