//! What a configuration means: values that need no further check.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use ssh_guard_common::source::SourceMask;

pub use super::interface::Interfaces;
use super::list;
pub use super::port::Ports;
use crate::input::Listen;
use crate::lists::parse::Listed;
use crate::parse::Parser;
use crate::parse::pattern::Pattern;
use crate::policy::Rules;

/// A whole configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// What is protected, and how.
    pub guard: GuardSettings,
    /// Who is banned, and for how long.
    pub policy: Rules,
    /// What is never blocked.
    pub allow: AllowSettings,
    /// What is always blocked.
    pub block: BlockSettings,
    /// Where log lines and auth events come from: at least one input, no two of one name, at most one of the kind
    /// `socket`. If there is none of that kind, events can be posted all the same.
    pub inputs: Vec<InputSettings>,
    /// The servers that the configuration describes, no two of one name; each has proven itself on its samples.
    pub patterns: Vec<Arc<Pattern>>,
    /// How much is kept.
    pub limits: LimitSettings,
    /// The address that metrics are served on.
    pub listen: SocketAddr,
    /// How long servers serve sessions, and no log line tells of any, before that is told; nothing for never.
    pub blind_after: Option<Duration>,
    /// Who may command.
    pub control: ControlSettings,
    /// The database of what outlives the daemon; absolute.
    pub store: PathBuf,
}

/// What is never blocked: at most `list::MAX_NETWORKS`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllowSettings {
    /// What stands in the configuration itself.
    pub sources: Vec<IpNet>,
    /// The files of lists, absolute, each with what it listed when it was read.
    pub files: Vec<(PathBuf, Vec<IpNet>)>,
}

impl AllowSettings {
    /// All of it, sorted, none twice.
    #[must_use]
    pub fn networks(&self) -> Vec<IpNet> {
        let listed = self.files.iter().flat_map(|(_, networks)| networks);
        list::collapse(self.sources.iter().chain(listed).copied().collect())
    }
}

/// What is always blocked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockSettings {
    /// What stands in the configuration itself.
    pub listed: Listed,
    /// The files of lists, absolute, at most [`BlockSettings::MOST_FILES`]. They are read when the daemon starts: a
    /// command that asks the daemon something need not read a million addresses first.
    pub files: Vec<PathBuf>,
}

impl BlockSettings {
    /// The most files.
    pub const MOST_FILES: usize = 32;
}

/// What is protected, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct GuardSettings {
    /// The interfaces that the program is attached to.
    pub interfaces: Interfaces,
    /// The TCP destination ports that are protected.
    pub ports: Ports,
    /// Where packets are judged.
    pub mode: Mode,
    /// Whether packets that would be dropped pass, and are only counted.
    pub dry_run: bool,
    /// The bits of an IPv4 address that make a source, 24 to 32.
    pub ipv4_prefix: u8,
    /// The bits of an IPv6 address that make a source, 48 to 128.
    pub ipv6_prefix: u8,
    /// Whose live sessions protect the sources that they come from.
    pub operators: Operators,
    /// The directory of the bpf file system that maps and links are pinned under; absolute.
    pub pin_path: PathBuf,
}

/// Accounts whose live sessions protect the sources that they come from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Operators {
    /// Accounts by their names.
    pub accounts: Vec<String>,
    /// Groups by their names, whose members are meant.
    pub groups: Vec<String>,
}

/// Where packets are judged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Native, or else tc: whatever can be had.
    Auto,
    /// By XDP in the driver.
    Native,
    /// By XDP in the network stack, behind the driver: slower, and possible with every driver.
    Generic,
    /// By traffic control, behind the driver: beside another XDP program, and without an Ethernet header too.
    Tc,
}

/// Where log lines come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputSettings {
    /// What messages and metrics call it: 1 to 32 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What is read.
    pub kind: InputKind,
    /// What understands the lines.
    pub parser: Parser,
}

impl InputSettings {
    /// What the input of posted events is called, unless it is configured under another name.
    pub const SOCKET: &str = "socket";
}

/// What an input reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// The journal if it holds lines of an SSH server, else the distribution's auth log.
    Auto,
    /// The journal.
    Journal {
        /// The folder that its files lie in, absolute; none for the journal of this machine.
        directory: Option<PathBuf>,
    },
    /// A file that something appends to.
    File {
        /// The file, absolute; it may be missing yet.
        path: PathBuf,
        /// Whether its lines lack the header of a syslog transport, so that any client can forge one.
        bare: bool,
    },
    /// What syslog daemons send.
    Syslog {
        /// Where it is received.
        listen: Listen,
        /// Who may send over UDP and TCP; not empty for these.
        senders: Vec<IpNet>,
        /// Whose processes may send to a Unix socket, beside root's, by their names or numbers; if empty, only who may write to
        /// the socket's file.
        users: Vec<String>,
    },
    /// Standard input.
    Stdin {
        /// As for a file.
        bare: bool,
    },
    /// Auth events that applications post to the control socket.
    Socket,
}

/// How much is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LimitSettings {
    /// The bans of sources that are in force at once, 1,024 to 4,194,304.
    pub blocklist: NonZeroU32,
    /// The networks that are banned at once, 1,024 to 1,048,576.
    pub networks: NonZeroU32,
    /// The sources that are remembered at once, 1,024 to 4,194,304.
    pub sources: NonZeroU32,
    /// The sessions that are followed at once, 1,024 to 4,194,304.
    pub sessions: NonZeroU32,
    /// The sessions that a source may ask for in a minute, all of them at once if need be, up to 6,000; 0 for no limit.
    pub new_sessions_per_minute: u16,
    /// The open sessions that a source may hold, up to 65,535; 0 for no limit.
    pub open_sessions: u32,
    /// The unauthenticated sessions that all sources which are not known-good may hold together before flood mode begins,
    /// up to 1,000,000; 0 for no limit.
    pub unauthenticated_sessions: u32,
    /// The sources of which the last events are kept to explain what was decided, up to 4,194,304; 0 for none.
    pub evidence: u32,
    /// The longest line that is read, in bytes without its newline, 1,024 to 65,536.
    pub line_bytes: NonZeroUsize,
}

/// Who may command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlSettings {
    /// The path of the control socket; absolute, and short enough for the address of a socket.
    pub socket: PathBuf,
    /// The group whose members may use the control socket.
    pub group: String,
    /// Where members of a group may post auth events, and do nothing else; none unless it is configured.
    pub events: Option<EventsSettings>,
}

/// Who may post auth events, and do nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventsSettings {
    /// The path of their socket, beside the control socket.
    pub socket: PathBuf,
    /// Their group.
    pub group: String,
}

impl EventsSettings {
    /// The name of their socket, in the folder of the control socket.
    pub const SOCKET: &str = "events.sock";
}

impl InputKind {
    /// The word for it, in configuration and JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Journal { .. } => "journal",
            Self::File { .. } => "file",
            Self::Syslog { .. } => "syslog",
            Self::Stdin { .. } => "stdin",
            Self::Socket => "socket",
        }
    }

    /// Whether its lines lack the header of a syslog transport.
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        matches!(self, Self::File { bare: true, .. } | Self::Stdin { bare: true })
    }
}

impl Settings {
    /// The inputs that are read: all but what is posted.
    pub fn read_inputs(&self) -> impl Iterator<Item = &InputSettings> {
        self.inputs.iter().filter(|input| input.kind != InputKind::Socket)
    }

    /// What the input of posted events is called.
    #[must_use]
    pub fn socket_input(&self) -> &str {
        let configured = self.inputs.iter().find(|input| input.kind == InputKind::Socket);
        configured.map_or(InputSettings::SOCKET, |input| &input.name)
    }
}

impl GuardSettings {
    /// The guarded ports.
    #[must_use]
    pub fn port_numbers(&self) -> Vec<u16> {
        self.ports.as_slice().iter().map(|port| port.get()).collect()
    }

    /// What of an address makes a source.
    #[must_use]
    pub fn mask(&self) -> SourceMask {
        SourceMask::new(self.ipv4_prefix, self.ipv6_prefix)
    }
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Native, Self::Generic, Self::Tc];

    /// The modes that an interface can be guarded in.
    pub const OBTAINED: [Self; 3] = [Self::Native, Self::Generic, Self::Tc];

    /// The word for it, in configuration, metrics and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}

/// Says that a text is not the word for a mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the modes are 'auto', 'native', 'generic' and 'tc'")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(UnknownMode)
    }
}
