//! What would have been decided on old logs, as JSON and as text: of several configurations side by side.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::report::{plain, put, share};
use super::spread::Quantiles;
use super::top::{Count, Top};
use crate::ban::Reason;

/// What would have been decided.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Decided {
    /// Events of which no line told the time: to the rehearsal they happened before all others, all at once.
    pub events_without_time: u64,
    /// How often the times of a log stepped back.
    pub times_set_back: u64,
    /// By each configuration.
    pub configs: Vec<ByConfig>,
}

/// What one configuration leads to.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct ByConfig {
    /// Its file.
    pub config: String,
    /// Logins that succeeded and would have been refused.
    pub refused_logins: RefusedLogins,
    /// Failed attempts at a login, each once, however many lines tell of it.
    pub attempts: AttemptCounts,
    /// The bans.
    pub bans: BanCounts,
    /// The sources that were banned, those that were stopped most often first.
    pub sources_banned: Told<StoppedCount>,
    /// The networks.
    pub networks_banned: Told<NetworkCount>,
    /// From the first failure of a source to its first ban; null if there is none.
    pub time_to_first_ban: Option<TimeToBan>,
    /// The accounts that sources were banned for spraying.
    pub accounts_sprayed: Told<SprayCount>,
    /// The sources whose sessions were closed, as they are shared.
    pub sources_shared: Told<SharedCount>,
    /// How long flood mode lasted, taken together.
    pub flood_seconds: u64,
}

/// Logins that succeeded and would have been refused.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct RefusedLogins {
    /// All logins that succeeded.
    pub logins: u64,
    /// How many would have been refused.
    pub refused: u64,
    /// How many of these are not listed: there were too many.
    pub unlisted: u64,
    /// By source, account and ban, in the order of time.
    pub listed: Vec<RefusedLogin>,
}

/// The logins of one account from one address that one ban would have refused.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct RefusedLogin {
    /// The client's address.
    pub source: IpAddr,
    /// The account.
    pub user: String,
    /// When the first one was.
    pub since: Option<Timestamp>,
    /// When the last one was.
    pub until: Option<Timestamp>,
    /// How many.
    pub count: u64,
    /// What is banned, or listed.
    pub banned: String,
    /// Since when; null if it is listed.
    pub banned_since: Option<Timestamp>,
    /// Until when, as it was to end when it refused the first one; null if it is listed.
    pub banned_until: Option<Timestamp>,
    /// What kind of rule banned it.
    pub reason: Reason,
    /// The rule in words.
    pub rule: String,
}

/// Failed attempts at a login.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug, Default)]
pub struct AttemptCounts {
    /// All.
    pub total: u64,
    /// Those that reach the server.
    pub let_through: u64,
    /// Those that do not.
    pub stopped: u64,
    /// Those of them that do not as their source is listed, and not banned.
    pub stopped_by_lists: u64,
}

/// Bans.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct BanCounts {
    /// All.
    pub total: u64,
    /// By reason and step of the ladder.
    pub by: Vec<BanCount>,
    /// Those that were extended, as packets still came at their end.
    pub extended: u64,
    /// Those of networks that ended early, as nothing came any more.
    pub ended_early: u64,
    /// How often a ban was called for that had to wait (`policy.blast`).
    pub waited: u64,
    /// How often the ban of a network was called for in which somebody is never banned.
    pub spared: u64,
    /// Those that made room for others.
    pub displaced: u64,
}

/// Bans for one reason, on one step of the ladder.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct BanCount {
    /// What kind of rule banned.
    pub reason: Reason,
    /// The step, from 0.
    pub rung: Option<usize>,
    /// How many.
    pub bans: u64,
}

/// How long it takes until a source is banned.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct TimeToBan {
    /// Seconds.
    pub seconds: Quantiles,
    /// Attempts that were let through meanwhile.
    pub attempts: Quantiles,
}

/// How many different ones there are, and those with most.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Told<T> {
    /// How many different ones.
    pub distinct: usize,
    /// Whether there are more, which were not told from each other.
    pub more: bool,
    /// Those with most.
    pub top: Vec<T>,
}

/// How many attempts a banned source was stopped at.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct StoppedCount {
    /// The source.
    pub source: String,
    /// Attempts, at most.
    pub stopped: u64,
    /// Attempts, at least.
    pub at_least: u64,
}

/// How many attempts of a banned network were stopped for that alone.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct NetworkCount {
    /// The network.
    pub network: String,
    /// Attempts, at most.
    pub stopped: u64,
    /// Attempts, at least.
    pub at_least: u64,
}

/// How many sources were banned for trying an account that is sprayed.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct SprayCount {
    /// The account.
    pub user: String,
    /// Bans, at most.
    pub bans: u64,
    /// Bans, at least.
    pub at_least: u64,
}

/// How often a session of a shared source was closed.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct SharedCount {
    /// The source.
    pub source: String,
    /// Sessions, at most.
    pub closings: u64,
    /// Sessions, at least.
    pub at_least: u64,
}

impl<T> Told<T> {
    pub(super) fn of<K: Clone + Eq + Hash>(
        top: &Top<K>,
        most: usize,
        told: impl FnMut(Count<'_, K>) -> T,
    ) -> Self {
        Self { distinct: top.len(), more: top.is_full(), top: top.most(most).into_iter().map(told).collect() }
    }
}

/// So many refused logins are told in the text.
const SHOWN: usize = 10;

impl Decided {
    /// Writes it for a person: first which logins would have been refused, by each configuration, then the rest side by side.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for config in &self.configs {
            config.refused_logins.put(&mut text, &config.config);
        }
        if self.events_without_time > 0 {
            let what = format!(
                "{} events: no line tells when; taken as before all others, and as one moment",
                self.events_without_time
            );
            put(&mut text, "no time", &what);
        }
        if self.times_set_back > 0 {
            let what = format!("stepped back {} times; taken as time that goes on", self.times_set_back);
            put(&mut text, "times", &what);
        }
        self.put_side_by_side(&mut text);
        text
    }

    fn put_side_by_side(&self, text: &mut String) {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |name: &str, cell: &dyn Fn(&ByConfig) -> String| {
            let cells = self.configs.iter().map(cell);
            rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
        };
        row("by", &|by| plain(&by.config));
        row("attempts", &|by| by.attempts.total.to_string());
        row("  let through", &|by| by.attempts.let_through.to_string());
        row("  stopped", &|by| {
            let AttemptCounts { total, stopped, stopped_by_lists, .. } = by.attempts;
            let lists = if stopped_by_lists == 0 {
                String::new()
            } else {
                format!(", {stopped_by_lists} of them by lists")
            };
            format!("{stopped}{}{lists}", share(stopped, total))
        });
        row("refused logins", &|by| format!("{} of {}", by.refused_logins.refused, by.refused_logins.logins));
        row("sources banned", &|by| by.sources_banned.number());
        row("networks banned", &|by| by.networks_banned.number());
        row("bans", &|by| by.bans.total.to_string());
        let kinds: BTreeSet<_> =
            self.configs.iter().flat_map(|by| &by.bans.by).map(|by| (by.reason.as_str(), by.rung)).collect();
        for (reason, rung) in kinds {
            let rung_told = rung.map_or_else(String::new, |rung| format!(", rung {rung}"));
            row(&format!("  {reason}{rung_told}"), &|by| {
                let is = |count: &&BanCount| (count.reason.as_str(), count.rung) == (reason, rung);
                by.bans.by.iter().find(is).map_or(0, |count| count.bans).to_string()
            });
        }
        let mut beside = |name: &str, count: fn(&BanCounts) -> u64| {
            if self.configs.iter().any(|by| count(&by.bans) > 0) {
                row(name, &|by| count(&by.bans).to_string());
            }
        };
        beside("  extended", |bans| bans.extended);
        beside("  ended early", |bans| bans.ended_early);
        beside("  had to wait", |bans| bans.waited);
        beside("  network spared", |bans| bans.spared);
        beside("  displaced", |bans| bans.displaced);
        row("first ban after", &|by| {
            by.time_to_first_ban.map_or_else(|| "-".to_owned(), |time| quantiles(time.seconds, duration))
        });
        row("  attempts", &|by| {
            by.time_to_first_ban
                .map_or_else(|| "-".to_owned(), |time| quantiles(time.attempts, |n| n.to_string()))
        });
        row("accounts sprayed", &|by| by.accounts_sprayed.number());
        row("sources shared", &|by| by.sources_shared.number());
        row("flood mode", &|by| duration(by.flood_seconds));
        put_columns(text, &rows);
    }
}

impl RefusedLogins {
    fn put(&self, text: &mut String, config: &str) {
        let what = format!("{} of {} by {}", self.refused, self.logins, plain(config));
        put(text, "refused logins", &what);
        for login in self.listed.iter().take(SHOWN) {
            writeln!(text, "  {}", login.text()).expect("a string takes all");
        }
        let shown: u64 = self.listed.iter().take(SHOWN).map(|login| login.count).sum();
        if self.refused > shown {
            writeln!(
                text,
                "  and {} more: --json tells {}",
                self.refused - shown,
                self.refused - self.unlisted
            )
            .expect("a string takes all");
        }
    }
}

impl RefusedLogin {
    fn text(&self) -> String {
        let time = |time: Option<Timestamp>| time.map_or_else(|| "?".to_owned(), |time| format!("{time:.0}"));
        let when = match self.count {
            1 => time(self.since),
            count => format!("{count} times from {} to {}", time(self.since), time(self.until)),
        };
        let ban = match self.reason {
            Reason::List => format!("{} is listed", self.banned),
            reason => format!(
                "{} is banned from {} to {}: {} ({})",
                self.banned,
                time(self.banned_since),
                time(self.banned_until),
                self.rule,
                reason.as_str()
            ),
        };
        format!("{} of {:?}, {when}\n    {ban}", self.source, self.user)
    }
}

impl<T> Told<T> {
    fn number(&self) -> String {
        format!("{}{}", if self.more { "more than " } else { "" }, self.distinct)
    }
}

fn quantiles(told: Quantiles, show: impl Fn(u64) -> String) -> String {
    let Quantiles { median, p90, max } = told;
    format!("median {}, 90 % {}, max {}", show(median), show(p90), show(max))
}

fn duration(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// Writes rows, each column as wide as it must be.
fn put_columns(text: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    for row in rows {
        let line: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(text, "{}", line.join("  ").trim_end()).expect("a string takes all");
    }
}
