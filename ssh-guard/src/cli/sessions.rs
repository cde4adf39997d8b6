//! `ssh-guard sessions`: who holds which sessions.

use std::fmt::Write as _;
use std::net::SocketAddr;

use clap::Args;

use super::output::{answer, table};
use crate::control::{Client, api};
use crate::fault::Fault;

#[derive(Args, Debug)]
pub(super) struct Sessions {
    /// Show those of this address or network alone
    #[arg(long, value_name = "ADDR|NET")]
    source: Option<String>,
    /// Show as many sessions, the busiest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    top: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Sessions {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        let mut path = format!("/v1/sessions?limit={}", self.top);
        if let Some(source) = self.source {
            path.push_str("&source=");
            path.push_str(&escaped(&source));
        }
        let sessions: api::Sessions = daemon.get(&path).await?;
        answer(&sessions, self.json, text)
    }
}

/// What a query may hold of a text (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes all");
        }
    }
    escaped
}

fn text(sessions: &api::Sessions) -> String {
    if sessions.sessions.is_empty() {
        return "no session is followed\n".to_owned();
    }
    let head = ["CLIENT", "SERVER", "STAGE", "ACCOUNT", " PACKETS", " BYTES", "SINCE", "LAST SEEN"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(sessions.sessions.iter().map(|session| {
        let mut stage = session.stage.clone();
        for (is, word) in [(session.closing, ", closing"), (session.unproven, ", unproven")] {
            stage.push_str(if is { word } else { "" });
        }
        vec![
            SocketAddr::new(session.address, session.port).to_string(),
            SocketAddr::new(session.server, session.server_port).to_string(),
            stage,
            session.account.clone().unwrap_or_else(|| "-".to_owned()),
            session.packets.to_string(),
            session.bytes.to_string(),
            session.since.to_string(),
            session.last_seen.to_string(),
        ]
    }));
    let mut text = table(&rows);
    let more = sessions.total.saturating_sub(sessions.sessions.len());
    if more > 0 {
        writeln!(text, "{more} more are not shown: --top N").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_goes_into_a_query_as_it_is_meant() {
        assert_eq!(escaped("2001:db8::/32"), "2001:db8::%2F32");
        assert_eq!(escaped("a b&c"), "a%20b%26c");
    }
}
