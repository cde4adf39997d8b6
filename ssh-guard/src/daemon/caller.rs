//! Finds out where a command comes from: the session that its process belongs to.
//!
//! The kernel says which process asked. Of that, and of its parents one after the other, the first that holds a socket of a
//! guarded port is the one that serves the session, whichever server it is: a server runs its users' commands as its
//! children, and `sudo` and `su` change nothing in that, while they do take `SSH_CONNECTION` away. What runs in `tmux`,
//! `screen` or `mosh` is no child of any session, but has a terminal that somebody must sit at: then it cannot be told.

pub(super) mod process;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;

use crate::control::Peer;
use crate::kernel::Sockets;
use crate::moment::Moment;
use process::{Machine, Process};

/// Where a command comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// From a session of a guarded port.
    Session {
        /// The client's address.
        address: IpAddr,
        /// When the process was started that serves it. OpenSSH starts one when somebody has logged in, but for root one
        /// when the client connects.
        since: Moment,
    },
    /// From none: a console, a service, another port.
    Nowhere,
    /// That cannot be told, for this reason.
    Unknown(&'static str),
}

/// Finds it out. Reads files of `/proc`, so it may take milliseconds.
pub(super) fn find(peer: &Peer, ports: &[u16]) -> Caller {
    let Some(pid) = peer.pid() else { return Caller::Unknown(OUTSIDE) };
    let sockets = match Sockets::open().and_then(|mut sockets| sockets.list(ports)) {
        Ok(sockets) => sockets,
        Err(fault) => {
            tracing::debug!(error = fault.told(), "cannot tell which session a command comes from");
            return Caller::Unknown("the sockets of the guarded ports cannot be listed");
        }
    };
    let clients = sockets.iter().map(|socket| (u64::from(socket.inode()), socket.remote().ip())).collect();
    walk(&Machine, pid, peer.connected(), &clients)
}

/// The processes of a machine.
trait Processes {
    /// A process, if there is one of that number.
    fn look(&self, pid: u32) -> Option<Process>;
    /// The inodes of the sockets that it holds.
    fn sockets(&self, pid: u32) -> io::Result<Vec<u64>>;
}

/// Goes from a process to its parents. `clients`: whom the sockets of the guarded ports lead to, by their inodes.
fn walk(processes: &impl Processes, pid: u32, connected: Moment, clients: &HashMap<u64, IpAddr>) -> Caller {
    let Some(first) = processes.look(pid) else { return Caller::Unknown(GONE) };
    let mut doubt = first.has_shared_terminal.then_some(TERMINAL);
    // Nobody is older than their parent, or younger than their connection: another process has the number by then.
    let (mut next, mut latest) = (pid, connected);
    for _ in 0..DEEPEST {
        let Some(process) = processes.look(next).filter(|process| process.started <= latest) else {
            return Caller::Unknown(GONE);
        };
        if next == INIT {
            return doubt.map_or(Caller::Nowhere, Caller::Unknown);
        }
        match processes.sockets(next) {
            Err(_) => doubt = Some(DENIED),
            Ok(sockets) => {
                let found: BTreeSet<IpAddr> =
                    sockets.iter().filter_map(|socket| clients.get(socket)).copied().collect();
                let is_same = || processes.look(next).is_some_and(|again| again.started == process.started);
                match (found.first(), found.len()) {
                    (None, _) => {}
                    (Some(address), 1) if is_same() => {
                        return Caller::Session { address: *address, since: process.started };
                    }
                    (Some(_), 1) => return Caller::Unknown(GONE),
                    (Some(_), _) => return Caller::Unknown("its process serves several sessions"),
                }
            }
        }
        if process.parent == 0 {
            return Caller::Unknown(OUTSIDE);
        }
        (next, latest) = (process.parent, process.started);
    }
    Caller::Unknown("its process has too many parents")
}

const OUTSIDE: &str = "its process was started from outside of the container that the daemon runs in";
const GONE: &str = "its process is gone";
const TERMINAL: &str =
    "its process belongs to no session, and has a terminal such as 'tmux' and 'screen' give";
const DENIED: &str = "the daemon may not look at its process (that takes CAP_SYS_PTRACE)";
/// The first process, everybody's parent at last.
const INIT: u32 = 1;
/// More parents than any command has.
const DEEPEST: usize = 256;

#[cfg(test)]
mod tests;
