//! What goes over the control socket. Times are RFC 3339 in UTC, durations seconds, what is unknown is null.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the daemon is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each tells something of its own")]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Seconds since its start.
    pub uptime: u64,
    /// What it is attached to.
    pub interfaces: Vec<InterfaceStatus>,
    /// Whether it only looks, and drops nothing.
    pub dry_run: bool,
    /// How many bans are active.
    pub bans: BanCounts,
    /// How full the blocklist is: the room for sources.
    pub blocklist: BlocklistStatus,
    /// How full the room for banned networks is.
    pub networks: NetworksStatus,
    /// Whether sessions are served and no log line tells of any.
    #[serde(default)]
    pub sensor_blind: bool,
    /// Whether logins succeed and no server is ever seen to answer, so that sessions are *unproven*.
    pub witness_blind: bool,
    /// Whether new sessions are limited for all.
    pub flood_mode: bool,
    /// Why: `unauthenticated` (too many are open in which nobody has logged in), or what comes many times as fast as usual,
    /// `sessions` or `failures`.
    #[serde(default)]
    pub flood_why: Option<String>,
    /// Sources that an operator is logged in from, which no rule bans.
    #[serde(default)]
    pub protected: u64,
    /// Sockets that were closed: of banned sources, and of sessions that failed at shared ones.
    pub sockets_closed: u64,
    /// What the program has counted, by verdict.
    pub verdicts: BTreeMap<String, Count>,
    /// Where log lines come from.
    pub inputs: Vec<InputStatus>,
}

/// A guarded interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// `native`, `generic` or `tc`: what was obtained; `auto` as long as nothing was.
    pub mode: String,
    /// Whether the program is attached, as the kernel says.
    pub attached: bool,
    /// Why it is not guarded as it should be.
    pub degraded: Option<String>,
    /// Whether the witness sees what servers send by it.
    #[serde(default)]
    pub witness: bool,
}

/// Active bans, those of lists included; what is banned and listed counts twice.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct BanCounts {
    /// Of IPv4 sources.
    pub ipv4: u64,
    /// Of IPv6 sources.
    pub ipv6: u64,
    /// Of networks.
    pub networks: u64,
}

/// How much of the room for sources is taken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct BlocklistStatus {
    /// What is in it.
    pub entries: u64,
    /// What it has room for.
    pub capacity: u64,
    /// In how many places the kernel's maps, those of networks and the allowlist included, were not what the daemon wrote
    /// when it last looked; null before the first time.
    pub drift: Option<u64>,
}

/// How much of the room for networks is taken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct NetworksStatus {
    /// What is in it.
    pub entries: u64,
    /// What it has room for.
    pub capacity: u64,
}

/// Packets and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header on.
    pub bytes: u64,
}

/// An input.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InputStatus {
    /// Its name.
    pub name: String,
    /// `journal`, `file`, `syslog`, `stdin` or `socket`.
    pub kind: String,
    /// Lines read.
    pub lines: u64,
    /// Lines that were understood to say something about a login.
    pub understood: u64,
    /// Lines that were there and were not read, as they came faster than they could be taken.
    #[serde(default)]
    pub lost: u64,
    /// Seconds that it is behind what is written there.
    pub lag_seconds: f64,
    /// What keeps it from reading.
    pub error: Option<String>,
}

/// A page of bans.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Bans {
    /// In the order of the addresses.
    pub bans: Vec<BanEntry>,
    /// After which network the next page starts, if there is one.
    pub next: Option<String>,
}

/// A ban, or what is listed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct BanEntry {
    /// The source, or the banned network.
    pub source: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// `threshold`, `spray`, `bait`, `network`, `manual` or `list`; null for a ban of an earlier daemon.
    pub reason: Option<String>,
    /// What led to it, in words.
    pub rule: String,
    /// When it began; null for a ban of an earlier daemon.
    pub since: Option<Timestamp>,
    /// When it ends; null for what is listed until it is unbanned.
    pub until: Option<Timestamp>,
    /// Which step of the ladder it is, from 0; null for a ban by hand.
    pub rung: Option<usize>,
    /// How often the source was banned before this.
    pub offences: u32,
    /// Whether its end was put off, as packets still came.
    #[serde(default)]
    pub extended: bool,
    /// Packets dropped.
    pub hits: u64,
    /// When the last of them came, to a tick of the kernel (about a second).
    pub last_hit: Option<Timestamp>,
    /// Whether the kernel has the block.
    pub in_kernel: bool,
}

/// A page of the allowlist.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Allowlist {
    /// In the order of the addresses.
    pub allowlist: Vec<AllowEntry>,
    /// After which network the next page starts, if there is one.
    pub next: Option<String>,
}

/// A network that is never touched.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AllowEntry {
    /// The network, or the address.
    pub network: String,
    /// When that ends; null for as long as it is configured, or the daemon runs.
    pub until: Option<Timestamp>,
}

/// What sources sent to guarded ports, those that have sent anything in a session.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sources {
    /// Those with the most packets first.
    pub sources: Vec<SourceEntry>,
}

/// A source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SourceEntry {
    /// The source: an address, or a network where a source is one.
    pub source: String,
    /// Packets of its sessions that were let through: those that ask for one are not counted.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sessions it opened, those in which the server has answered.
    pub sessions_opened: u64,
    /// Those that are open now.
    pub sessions_open: u64,
    /// Those in which somebody has logged in, since the daemon started.
    pub sessions_authenticated: u64,
    /// What it asked for and did not come back for, now.
    pub half_open: u64,
    /// When the last packet was let through.
    pub last_seen: Timestamp,
    /// The score in the window.
    pub score: f64,
    /// Whether it is banned.
    pub banned: bool,
    /// Whether it is in the allowlist, as a whole.
    pub allowed: bool,
}

/// The sessions that are followed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sessions {
    /// Those that are not closed first, of these the busiest first.
    pub sessions: Vec<SessionEntry>,
    /// How many there are, shown or not.
    pub total: usize,
}

/// A session.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SessionEntry {
    /// The client's source: its address, or the network where a source is one.
    pub source: String,
    /// The client's address.
    pub address: IpAddr,
    /// The client's port.
    pub port: u16,
    /// The server's address.
    pub server: IpAddr,
    /// The guarded port.
    pub server_port: u16,
    /// `open`, `authenticated` or `closed`.
    pub stage: String,
    /// Whether the client has said that it will send nothing more, which anybody may forge, and the server has not.
    pub closing: bool,
    /// Whether no server was ever seen to answer in it.
    pub unproven: bool,
    /// Who has logged in; null if nobody, or somebody whose name is not known any more.
    pub account: Option<String>,
    /// The client's packets that were let through.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was first counted.
    pub since: Timestamp,
    /// When the client's last packet came.
    pub last_seen: Timestamp,
}

/// Why a source or a network is blocked, or is not.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Why {
    /// The source of the address that was asked for, or the network.
    pub source: String,
    /// What becomes of a packet of the address: `blocked`, `blocked_network`, `allowed`, `never_banned`; or `passed`, as far as
    /// no limit of sessions is reached. In a dry run, what would become of it.
    pub verdict: String,
    /// Why, in a sentence.
    pub answer: String,
    /// Its own ban.
    pub ban: Option<BanEntry>,
    /// The bans of networks around it.
    pub networks: Vec<BanEntry>,
    /// What is listed of it and of networks around it, configured or loaded.
    pub lists: Vec<BanEntry>,
    /// The network of the allowlist that holds it.
    pub allowed: Option<AllowedEntry>,
    /// How many accounts somebody has logged in to from it lately; more than none make it known-good.
    pub known_good: usize,
    /// Whether the kernel has a block of exactly it.
    pub in_kernel: bool,
    /// Whether the kernel has something else than what is in force here.
    pub drift: bool,
    /// The score in the window.
    pub score: f64,
    /// What it may reach unpunished.
    pub threshold: f64,
    /// What it did last, in the order of time, as far as that is kept.
    pub events: Vec<EventEntry>,
    /// The rule by which it is banned, in words.
    pub rule: Option<String>,
    /// What led to where it stands, and the arithmetic, in sentences.
    pub steps: Vec<String>,
    /// The command that lets it in; null if nothing keeps it out.
    pub undo: Option<String>,
}

/// A network of the allowlist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowedEntry {
    /// The network.
    pub network: String,
    /// Until when; null for as long as it is configured, or the daemon runs.
    pub until: Option<Timestamp>,
}

/// An event that is kept.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventEntry {
    /// When it happened; of several logins to an account the last one.
    pub at: Timestamp,
    /// `failure`, `success` or `pre-auth`.
    pub event: String,
    /// Its kind.
    pub kind: String,
    /// The account, up to 64 bytes of its name.
    pub user: Option<String>,
    /// How often it happened.
    pub count: u32,
    /// What it added to the score.
    pub weight: f64,
    /// What became of that: it counts for the `score` or led to the `ban`; it counted for an `earlier` ban, or was `cleared` or
    /// is `outdated`; or it is a `login`.
    pub counts: String,
    /// Whether only a part counted, as the source is known-good for the account.
    pub known_good: bool,
    /// Whether it counted more, as the account is bait.
    pub bait: bool,
    /// The line that told of it, up to 200 bytes; null if an application posted it.
    pub line: Option<String>,
}

/// Bans sources and networks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BanRequest {
    /// The addresses whose sources are banned.
    pub addresses: Vec<IpAddr>,
    /// The networks.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// For how many seconds.
    pub seconds: u64,
    /// Why.
    pub reason: Option<String>,
    /// Whether it is meant though it holds very large networks, covers whoever asks, or cuts an operator off.
    #[serde(default)]
    pub force: bool,
}

/// Bans what a list holds, which is the body of the request: see [`crate::lists::parse`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListRequest {
    /// The file that it was read from; a list of the same file takes its place. Null if it was no file.
    pub name: Option<String>,
    /// For how many seconds; null for until it is unbanned.
    pub seconds: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it is meant though it holds very large networks, covers whoever asks, or cuts an operator off.
    #[serde(default)]
    pub force: bool,
}

/// Lifts bans.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnbanRequest {
    /// Those of these.
    Each {
        /// The addresses whose sources are unbanned.
        addresses: Vec<IpAddr>,
        /// The networks, exactly as they were banned.
        #[serde(default)]
        networks: Vec<IpNet>,
    },
    /// All that was loaded from this file, or from standard inputs.
    List(Option<String>),
    /// Every one.
    All,
}

/// Allows networks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowRequest {
    /// Which ones.
    pub networks: Vec<IpNet>,
    /// For how many seconds; null for as long as the daemon runs.
    pub seconds: Option<u64>,
}

/// Takes networks out of the allowlist.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DisallowRequest {
    /// Which ones.
    pub networks: Vec<IpNet>,
    /// Whether it is meant though it covers whoever asks, or cuts an operator off.
    #[serde(default)]
    pub force: bool,
}

/// Makes a change final that is on trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConfirmRequest {}

/// Takes the programs off every interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DetachRequest {}

/// What was done, a line each.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Done {
    /// In words.
    pub done: Vec<String>,
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// What failed, and why.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

/// `POST /v1/resync`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResyncRequest {}
