//! What goes over a wire, as tcpdump sees it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use ssh_guard_common::packet::{self, Ports, Reading};
use ssh_guard_common::source::Source;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::Process;
use crate::skip::find_program;
use crate::wait::PATIENCE;

/// A running tcpdump on an interface.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
    _folder: TempDir,
}

/// A TCP segment that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Whom it is from.
    pub from: (Source, u16),
    /// Whom it is to.
    pub to: (Source, u16),
    /// Whether it asks for a session.
    pub opens: bool,
    /// Whether it is of a handshake.
    pub shakes_hands: bool,
    /// Bytes of payload.
    pub payload: usize,
    /// Bytes of the frame.
    pub bytes: u64,
}

/// What was seen until tcpdump ended.
#[derive(Clone, Debug)]
pub struct Captured(pub Vec<Seen>);

impl Capture {
    /// Starts to look at what passes `eth0` of a namespace from or to port 22.
    ///
    /// # Panics
    /// When tcpdump does not start.
    #[must_use]
    pub fn start(namespace: &Namespace) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let file = folder.path().join("captured");
        let mut command = Command::new(find_program("tcpdump").expect("tcpdump is installed"));
        command.args([
            "-i",
            "eth0",
            "-n",
            "-s",
            "128",
            "-B",
            "65536",
            "-Z",
            "root",
            "--immediate-mode",
            "-U",
            "-w",
        ]);
        command.arg(&file).arg("tcp port 22");
        let mut process = namespace.start(command);
        process.wait_for_output("listening on", PATIENCE);
        Self { process, file, _folder: folder }
    }

    /// What has been seen so far.
    ///
    /// # Panics
    /// When the file is none of tcpdump's.
    #[must_use]
    pub fn so_far(&self) -> Captured {
        let bytes = std::fs::read(&self.file).expect("tcpdump has made the file");
        Captured(frames(&bytes).filter_map(|(frame, length)| Seen::of(frame, length)).collect())
    }

    /// Ends tcpdump, and tells what it saw.
    ///
    /// # Panics
    /// When it has lost any.
    #[must_use]
    pub fn end(mut self) -> Captured {
        self.process.signal(Signal::SIGINT);
        self.process.wait(PATIENCE);
        let said = self.process.output();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        self.so_far()
    }
}

impl Captured {
    /// Packets and bytes that an address sent to port 22, but for those that ask for a session.
    #[must_use]
    pub fn sent_by(&self, address: &str) -> (u64, u64) {
        let source = source(address);
        let sent = |seen: &&Seen| seen.from.0 == source && seen.to.1 == 22 && !seen.opens;
        self.0.iter().filter(sent).fold((0, 0), |(packets, bytes), seen| (packets + 1, bytes + seen.bytes))
    }

    /// How many sessions the server spoke in with an address; of two between the same ends one.
    #[must_use]
    pub fn sessions_of(&self, address: &str) -> usize {
        let source = source(address);
        let spoke =
            |seen: &&Seen| seen.to.0 == source && seen.from.1 == 22 && seen.payload > 0 && !seen.shakes_hands;
        self.0.iter().filter(spoke).map(|seen| (seen.from, seen.to)).collect::<HashSet<_>>().len()
    }
}

impl Seen {
    fn of(frame: &[u8], length: u64) -> Option<Self> {
        let Reading::Guarded(segment) = packet::read(&frame, &All) else { return None };
        Some(Self {
            from: (segment.source, segment.source_port),
            to: (segment.server, segment.port),
            opens: segment.flags.opens_session(),
            shakes_hands: segment.flags.shakes_hands(),
            payload: segment.payload,
            bytes: length,
        })
    }
}

fn source(address: &str) -> Source {
    let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("'{address}' is no address"));
    address.into()
}

/// The whole frames of a file, with the length that each had on the wire (pcap-savefile(5), in this machine's own byte order).
fn frames(bytes: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let mut rest = bytes.get(24..).unwrap_or_default();
    std::iter::from_fn(move || {
        let word =
            |at: usize| rest.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes);
        let (kept, length) = (word(8)? as usize, u64::from(word(12)?));
        let frame = rest.get(16..16 + kept)?;
        rest = &rest[16 + kept..];
        Some((frame, length))
    })
}

struct All;

impl Ports for All {
    fn guard(&self, _port: u16) -> bool {
        true
    }
}
