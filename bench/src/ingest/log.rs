//! A log such as a server on the internet writes: the same in every run, to the byte.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::sources;

/// What the log is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many lines it has.
    pub lines: u32,
    /// How many different sources try to log in; every fifth speaks IPv6.
    pub sources: u32,
}

/// Writes the log.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, shape: Shape) -> Result<()> {
    let cannot = || format!("cannot write '{}'", path.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(cannot)?);
    let mut log = Log::new(shape.sources);
    for number in 0..shape.lines {
        log.line(number, &mut out).with_context(cannot)?;
    }
    out.flush().with_context(cannot)
}

/// The sessions that are under way, each with the lines that it has yet to leave.
struct Log {
    sources: Vec<IpAddr>,
    random: Random,
    open: Vec<Session>,
    next_pid: u32,
}

struct Session {
    pid: u32,
    process: &'static str,
    /// The last line first.
    lines: Vec<String>,
}

/// So many sessions write in turn.
const AT_ONCE: u32 = 48;

impl Log {
    fn new(count: u32) -> Self {
        let mut v6 = sources::strangers_v6();
        let v4 = sources::strangers_v4();
        let sources = v4
            .zip(0..count)
            .map(|(v4, number)| match number % 5 {
                4 => v6.next().map_or(IpAddr::V4(v4), |source| {
                    // A host in the source's /64.
                    let bits = source.to_string().parse().map(Ipv6Addr::to_bits).unwrap_or_default();
                    IpAddr::V6(Ipv6Addr::from_bits(bits | 0x51))
                }),
                _ => IpAddr::V4(v4),
            })
            .collect();
        Self { sources, random: Random(0x9e37_79b9_7f4a_7c15), open: Vec::new(), next_pid: 1000 }
    }

    fn line(&mut self, number: u32, out: &mut impl Write) -> std::io::Result<()> {
        while self.open.len() < AT_ONCE as usize {
            let session = self.begin();
            self.open.push(session);
        }
        let index = self.random.below(AT_ONCE) as usize;
        let session = &mut self.open[index];
        let text = session.lines.pop().unwrap_or_default();
        let (process, pid) = (session.process, session.pid);
        if session.lines.is_empty() {
            self.open.swap_remove(index);
        }
        // A thousand lines a second, from three in the morning on.
        let second = 10_800 + number / 1000;
        let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
        if pid.is_multiple_of(2) {
            let fraction = number % 1000 * 1000 + pid % 1000;
            write!(out, "2026-11-23T{hour:02}:{minute:02}:{second:02}.{fraction:06}+00:00 ")?;
        } else {
            write!(out, "Nov 23 {hour:02}:{minute:02}:{second:02} ")?;
        }
        if pid == 0 {
            return writeln!(out, "gate {process}: {text}");
        }
        writeln!(out, "gate {process}[{pid}]: {text}")
    }

    fn begin(&mut self) -> Session {
        self.next_pid =
            if self.next_pid > 4_000_000 { 1000 } else { self.next_pid + 1 + self.random.below(3) };
        let address = *self.random.one_of(&self.sources);
        let port = 1024 + self.random.below(64_512);
        let from = format!("{address} port {port}");
        let user = *self.random.one_of(&ACCOUNTS);
        let process = if self.random.below(2) == 0 { "sshd" } else { "sshd-session" };
        let (process, mut lines) = match self.random.below(100) {
            0..30 => (process, invalid_user(user, &address, &from)),
            30..55 => (process, wrong_password(&address, &from)),
            55..60 => (process, many_passwords(&address, &from)),
            60..66 => (process, wrong_key(&from)),
            66..74 => (process, never_tried(port, &from)),
            74..80 => (process, accepted(&from)),
            80..90 => ("CRON", cron()),
            90..95 => ("sudo", sudo()),
            _ => ("systemd-logind", logind(port)),
        };
        lines.reverse();
        Session { pid: self.next_pid, process, lines }
    }
}

const ACCOUNTS: [&str; 16] = [
    "admin",
    "oracle",
    "ubuntu",
    "test",
    "postgres",
    "git",
    "user",
    "ftpuser",
    "deploy",
    "hadoop",
    "pi",
    "guest",
    "jenkins",
    "minecraft",
    "es",
    "support",
];

fn invalid_user(user: &str, address: &IpAddr, from: &str) -> Vec<String> {
    vec![
        format!("Invalid user {user} from {from}"),
        "pam_unix(sshd:auth): check pass; user unknown".to_owned(),
        format!(
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address} "
        ),
        format!("Failed password for invalid user {user} from {from} ssh2"),
        format!("Received disconnect from {from}:11: Bye Bye [preauth]"),
        format!("Disconnected from invalid user {user} {from} [preauth]"),
    ]
}

fn wrong_password(address: &IpAddr, from: &str) -> Vec<String> {
    vec![
        format!(
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"
        ),
        format!("Failed password for root from {from} ssh2"),
        format!("Connection closed by authenticating user root {from} [preauth]"),
    ]
}

fn many_passwords(address: &IpAddr, from: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"
    )];
    lines.extend((0..6).map(|_| format!("Failed password for root from {from} ssh2")));
    lines
        .push(format!("error: maximum authentication attempts exceeded for root from {from} ssh2 [preauth]"));
    lines.push(format!(
        "Disconnecting authenticating user root {from}: Too many authentication failures [preauth]"
    ));
    lines.push(format!(
        "PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={address}  user=root"
    ));
    lines.push("PAM service(sshd) ignoring max retries; 6 > 3".to_owned());
    lines
}

fn wrong_key(from: &str) -> Vec<String> {
    vec![
        format!(
            "Failed publickey for root from {from} ssh2: RSA SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"
        ),
        format!(
            "Failed publickey for root from {from} ssh2: ED25519 SHA256:QiSYl6XrT5WUMHG2GMFH2GA3DljsQojns6Y0Fd9A"
        ),
        format!("Connection reset by authenticating user root {from} [preauth]"),
    ]
}

fn never_tried(port: u32, from: &str) -> Vec<String> {
    match port % 4 {
        0 => vec![format!("Connection closed by {from} [preauth]")],
        1 => vec![
            "error: kex_exchange_identification: client sent invalid protocol identifier \"GET / HTTP/1.1\""
                .to_owned(),
            format!("banner exchange: Connection from {from}: invalid format"),
        ],
        2 => vec![format!(
            "Unable to negotiate with {from}: no matching key exchange method found. Their offer: diffie-hellman-group1-sha1 [preauth]"
        )],
        _ => vec![format!("Did not receive identification string from {from}")],
    }
}

fn accepted(from: &str) -> Vec<String> {
    vec![
        format!(
            "Accepted publickey for partner from {from} ssh2: ED25519 SHA256:GA3DljsQojns6Y0Fd9AQiSYl6XrT5WUMHG2GMFH2"
        ),
        "pam_unix(sshd:session): session opened for user partner(uid=1002) by (uid=0)".to_owned(),
        format!("Received disconnect from {from}:11: disconnected by user"),
        format!("Disconnected from user partner {from}"),
        "pam_unix(sshd:session): session closed for user partner".to_owned(),
    ]
}

fn cron() -> Vec<String> {
    vec![
        "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)".to_owned(),
        "pam_unix(cron:session): session closed for user root".to_owned(),
    ]
}

fn sudo() -> Vec<String> {
    vec![
        "  monitor : PWD=/ ; USER=root ; COMMAND=/usr/bin/smartctl -A /dev/sda".to_owned(),
        "pam_unix(sudo:session): session opened for user root(uid=0) by (uid=998)".to_owned(),
        "pam_unix(sudo:session): session closed for user root".to_owned(),
    ]
}

fn logind(number: u32) -> Vec<String> {
    vec![
        format!("New session {number} of user partner."),
        format!("Session {number} logged out. Waiting for processes to exit."),
        format!("Removed session {number}."),
    ]
}

/// Numbers in no visible order (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap_or(0)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.next() % all.len() as u64).unwrap_or(0)]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// The lines of a source that tries so many passwords, each in a session of its own.
#[must_use]
pub fn failures(source: std::net::Ipv4Addr, count: u32) -> String {
    let line = |number: u32| {
        let (pid, port) = (4_100_000 + number, 40_000 + number);
        format!("Nov 23 04:00:00 gate sshd[{pid}]: Failed password for root from {source} port {port} ssh2\n")
    };
    (0..count).map(line).collect()
}
