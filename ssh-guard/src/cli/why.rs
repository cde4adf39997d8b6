//! `ssh-guard why`: why an address is banned, or is not.

use std::fmt::Write as _;

use clap::Args;

use super::output::{answer, harmless, table};
use crate::config::network;
use crate::control::{Client, api};
use crate::fault::{Exit, Fault};

#[derive(Args, Debug)]
pub(super) struct Why {
    /// The address, which stands for its source, or a network
    #[arg(value_name = "ADDR|NET")]
    asked: String,
    /// Print JSON
    #[arg(
        long,
        long_help = "Print JSON: source, verdict (blocked, blocked_network, allowed, never_banned, passed), answer, ban, \
                     networks and lists (as in 'bans'), allowed, known_good, in_kernel, drift, score, threshold, rule, steps, \
                     undo; and events, each with at, event, kind, user, count, weight, counts (score, ban, earlier, cleared, \
                     outdated, login), known_good, bait, line"
    )]
    json: bool,
}

impl Why {
    pub(super) async fn act(self, daemon: &Client) -> Result<(), Fault> {
        network::parse(&self.asked)
            .map_err(|error| Fault::new(Exit::Usage, error.to_string()).hint(error.hint()))?;
        let query = serde_urlencoded::to_string([("source", &self.asked)])
            .map_err(|error| Fault::new(Exit::Failure, "cannot write the request").because(error))?;
        let why: api::Why = daemon.get(&format!("/v1/why?{query}")).await?;
        answer(&why, self.json, text)
    }
}

/// The answer first, then how to undo it, then what led to it, then the events.
fn text(why: &api::Why) -> String {
    let mut text = harmless(&why.answer) + "\n";
    if let Some(undo) = &why.undo {
        writeln!(text, "to undo that: {}", harmless(undo)).expect("a string takes all");
    }
    text.push('\n');
    // The answer has said some of it.
    for step in why.steps.iter().filter(|step| !why.answer.ends_with(step.as_str())) {
        writeln!(text, "- {}", harmless(step)).expect("a string takes all");
    }
    text.push_str(&blocks(why));
    text.push_str(&events(&why.events));
    text
}

fn blocks(why: &api::Why) -> String {
    let mut rows =
        vec![["BLOCK", "REASON", "UNTIL", " HITS", "LAST HIT", "KERNEL"].map(str::to_owned).to_vec()];
    rows.extend(why.ban.iter().chain(&why.networks).chain(&why.lists).map(|block| {
        vec![
            block.source.clone(),
            block.reason.clone().unwrap_or_else(|| "-".to_owned()),
            block.until.map_or_else(|| "unbanned".to_owned(), |until| until.to_string()),
            block.hits.to_string(),
            block.last_hit.map_or_else(|| "-".to_owned(), |hit| hit.to_string()),
            if block.in_kernel { "blocked" } else { "MISSING" }.to_owned(),
        ]
    }));
    if rows.len() == 1 { String::new() } else { format!("\n{}", table(&rows)) }
}

/// The events, each with its line under it.
fn events(events: &[api::EventEntry]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let mut rows = vec![["AT", "EVENT", "KIND", "ACCOUNT", " WEIGHT", "COUNTS"].map(str::to_owned).to_vec()];
    rows.extend(events.iter().map(|event| {
        let mut counts = event.counts.clone();
        for (is, what) in [(event.known_good, ", known-good"), (event.bait, ", bait")] {
            counts.push_str(if is { what } else { "" });
        }
        if event.count > 1 {
            write!(counts, ", {} times", event.count).expect("a string takes all");
        }
        vec![
            event.at.to_string(),
            event.event.clone(),
            event.kind.clone(),
            event.user.clone().unwrap_or_else(|| "-".to_owned()),
            event.weight.to_string(),
            counts,
        ]
    }));
    let table = table(&rows);
    let mut text = "\n".to_owned();
    for (row, event) in table.lines().zip(std::iter::once(None).chain(events.iter().map(Some))) {
        writeln!(text, "{row}").expect("a string takes all");
        if let Some(line) = event.and_then(|event| event.line.as_ref()) {
            writeln!(text, "    {}", harmless(line)).expect("a string takes all");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &str, line: &str) -> api::EventEntry {
        api::EventEntry {
            at: "2026-11-23T03:12:01Z".parse().unwrap(),
            event: "failure".to_owned(),
            kind: "password".to_owned(),
            user: Some(user.to_owned()),
            count: 1,
            weight: 1.0,
            counts: "ban".to_owned(),
            known_good: false,
            bait: false,
            line: Some(line.to_owned()),
        }
    }

    #[test]
    fn the_answer_comes_first_then_how_to_undo_it_then_what_led_to_it() {
        let line = "Nov 23 03:12:01 lab sshd[1]: Failed password for root from 203.0.113.7 port 22 ssh2";
        let why = api::Why {
            source: "203.0.113.7".to_owned(),
            verdict: "blocked".to_owned(),
            answer: "203.0.113.7 is blocked until 2026-11-23T03:22:01Z: score above 5 within 10m".to_owned(),
            undo: Some("ssh-guard unban 203.0.113.7".to_owned()),
            ban: Some(api::BanEntry {
                source: "203.0.113.7".to_owned(),
                reason: Some("threshold".to_owned()),
                until: Some("2026-11-23T03:22:01Z".parse().unwrap()),
                hits: 12,
                in_kernel: true,
                ..api::BanEntry::default()
            }),
            steps: vec!["6 failures on 1 account since 2026-11-23T03:11:01Z: 6 × 1 = 6".to_owned()],
            events: vec![
                event("root", line),
                api::EventEntry { count: 2, weight: 0.5, known_good: true, line: None, ..event("alice", "") },
            ],
            ..api::Why::default()
        };
        let told = "\
203.0.113.7 is blocked until 2026-11-23T03:22:01Z: score above 5 within 10m
to undo that: ssh-guard unban 203.0.113.7

- 6 failures on 1 account since 2026-11-23T03:11:01Z: 6 × 1 = 6

BLOCK        REASON     UNTIL                 HITS  LAST HIT  KERNEL
203.0.113.7  threshold  2026-11-23T03:22:01Z    12  -         blocked

AT                    EVENT    KIND      ACCOUNT  WEIGHT  COUNTS
2026-11-23T03:12:01Z  failure  password  root          1  ban
    Nov 23 03:12:01 lab sshd[1]: Failed password for root from 203.0.113.7 port 22 ssh2
2026-11-23T03:12:01Z  failure  password  alice       0.5  ban, known-good, 2 times
";
        assert_eq!(text(&why), told);
    }

    #[test]
    fn who_did_nothing_gets_an_answer_and_no_empty_tables() {
        let answer = "203.0.113.9 is not blocked: the score is 0".to_owned();
        let steps = vec!["the score is 0".to_owned(), "not known-good".to_owned()];
        let why = api::Why { answer, steps, ..api::Why::default() };
        assert_eq!(text(&why), "203.0.113.9 is not blocked: the score is 0\n\n- not known-good\n");
    }

    #[test]
    fn no_line_and_no_name_commands_a_terminal() {
        let hostile = "\u{1b}[2J\u{9b}31mx\r\nroot \u{202e}evil\u{2066}\u{7f}\u{7}";
        let why = api::Why {
            answer: hostile.to_owned(),
            undo: Some(hostile.to_owned()),
            steps: vec![hostile.to_owned() + "."],
            events: vec![event(hostile, hostile)],
            ban: Some(api::BanEntry { rule: hostile.to_owned(), ..api::BanEntry::default() }),
            ..api::Why::default()
        };
        let told = text(&why);
        let commands = |c: &char| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{2069}').contains(c);
        assert_eq!(told.chars().find(commands), None, "{told:?}");
        assert!(
            told.contains("\\u{1b}[2J\\u{9b}31mx\\r\\nroot \\u{202e}evil\\u{2066}\\u{7f}\\u{7}"),
            "{told:?}"
        );
        assert_eq!(told.lines().count(), 11, "no line of the log makes another one: {told}");
    }
}
