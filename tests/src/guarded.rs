//! A real server that a daemon guards, and what the daemon tells of its sessions.

use std::io::Read as _;
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;

use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::skip::find_program;
use crate::sshd::{Logging, Sshd};
use crate::wait::{PATIENCE, eventually};

/// A lab's server namespace with both of them.
#[derive(Debug)]
pub struct Guarded<'lab> {
    /// The daemon, which goes first.
    pub daemon: Daemon<'lab>,
    /// The server.
    pub sshd: Sshd,
    /// The lab.
    pub lab: &'lab Lab,
}

impl<'lab> Guarded<'lab> {
    /// Starts both; `config` are lines of the daemon's configuration with dotted keys.
    #[must_use]
    pub fn start(lab: &'lab Lab, config: &str) -> Self {
        let sshd = Sshd::configured(lab.server(), Logging::File, "MaxStartups 200\nMaxAuthTries 9");
        let daemon = Daemon::start(lab.server(), &Self::config(&sshd, config));
        Self { daemon, sshd, lab }
    }

    /// The daemon's configuration for a server.
    #[must_use]
    pub fn config(sshd: &Sshd, config: &str) -> String {
        format!("{config}\n[[input]]\nkind = 'file'\npath = '{}'\n", sshd.log_file().display())
    }

    /// A session that is greeted, and says nothing.
    ///
    /// # Panics
    /// When it is not greeted in time.
    #[must_use]
    pub fn greeted(&self, address: &str) -> TcpStream {
        let mut stream = self.lab.client(address).open(22, PATIENCE).expect("the server is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        stream.read_exact(&mut [0; 4]).expect("the server greets");
        stream
    }

    /// All sessions of a source.
    ///
    /// # Panics
    /// When the daemon does not tell them.
    #[must_use]
    pub fn sessions(&self, source: &str) -> Vec<Value> {
        let told = self.daemon.json(&["sessions", "--source", source]);
        told["sessions"].as_array().unwrap_or_else(|| panic!("no sessions: {told}")).clone()
    }

    /// A source as the daemon tells it.
    ///
    /// # Panics
    /// When the daemon tells no sources.
    #[must_use]
    pub fn source(&self, source: &str) -> Option<Value> {
        let told = self.daemon.json(&["sources"]);
        let sources = told["sources"].as_array().unwrap_or_else(|| panic!("no sources: {told}"));
        sources.iter().find(|told| told["source"] == source).cloned()
    }

    /// A number of a source; 0 if it is not known.
    #[must_use]
    pub fn count(&self, source: &str, what: &str) -> u64 {
        self.source(source).and_then(|source| source[what].as_u64()).unwrap_or(0)
    }

    /// Waits until a number of a source is this.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn wait_for(&self, source: &str, what: &str, count: u64) {
        let mut last = 0;
        let reached = crate::wait::poll(PATIENCE, || {
            last = self.count(source, what);
            (last == count).then_some(())
        });
        assert!(reached.is_some(), "'{what}' of {source} is {last}, not {count}:\n{}", self.daemon.output());
    }

    /// Waits until as many sessions of a source are open as the kernel has sockets for: those that the server has accepted, or
    /// may.
    ///
    /// # Panics
    /// When that does not come to be in time.
    pub fn agrees_with_ss(&self, address: &str, source: &str) {
        let mut told = (0, 0);
        let agreed = crate::wait::poll(PATIENCE, || {
            told = (self.count(source, "sessions_open"), self.sockets(address, "established"));
            (told.0 == told.1).then_some(())
        });
        assert!(agreed.is_some(), "{} sessions of {source} are open, and ss tells {}", told.0, told.1);
    }

    /// How many sockets of port 22 the server has with an address, in a state as `ss` calls it.
    ///
    /// # Panics
    /// When `ss` cannot be run.
    #[must_use]
    pub fn sockets(&self, address: &str, state: &str) -> u64 {
        let mut ss = Command::new(find_program("ss").expect("ss is installed"));
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        ss.args(["-Htn", "state", state, "sport", "=", ":22", "and", "dst", &host]);
        let output = self.lab.server().within(|| ss.output()).expect("ss starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).lines().count() as u64
    }

    /// Has a source known by one session that is over, so that whatever else it sends is counted: returns its packets and bytes
    /// until then.
    ///
    /// # Panics
    /// When the daemon does not see it in time.
    #[must_use]
    pub fn introduce(&self, address: &str, source: &str) -> (u64, u64) {
        drop(self.greeted(address));
        self.wait_for(source, "sessions_opened", 1);
        self.wait_for(source, "sessions_open", 0);
        // The last acknowledgement may be on its way, and what is told may be a second old.
        let uptime = || self.daemon.json(&["status"])["uptime"].as_u64().expect("the daemon tells its age");
        let mut last = (self.sent(source), uptime());
        eventually(PATIENCE, "it is silent for two seconds", || {
            let now = self.sent(source);
            if now != last.0 {
                last = (now, uptime());
            }
            self.sockets(address, "all") == self.sockets(address, "time-wait") && uptime() > last.1 + 2
        });
        last.0
    }

    /// Packets and bytes that a source has sent.
    #[must_use]
    pub fn sent(&self, source: &str) -> (u64, u64) {
        (self.count(source, "packets"), self.count(source, "bytes"))
    }
}
