//! What `/proc` tells of a process (proc(5)).

use std::fs;
use std::io;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

use super::Processes;
use crate::moment::Moment;

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Process {
    /// Its parent; 0 if that is outside of what can be seen from here.
    pub(super) parent: u32,
    /// Whether its terminal is a pseudo-terminal: one that a program gave it, and no console.
    pub(super) has_shared_terminal: bool,
    /// When it was started, to 10 ms, by the clock of [`crate::clock::now`].
    pub(super) started: Moment,
}

/// The processes of this machine.
pub(super) struct Machine;

impl Processes for Machine {
    fn look(&self, pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()?.and_then(|ticks| u64::try_from(ticks).ok())?;
        parse(&stat, ticks)
    }

    fn sockets(&self, pid: u32) -> io::Result<Vec<u64>> {
        sockets_of(pid)
    }
}

/// The inodes of the sockets that a process holds.
pub(in crate::daemon) fn sockets_of(pid: u32) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that is closed meanwhile is none of a session that goes on.
        let Ok(target) = descriptor.and_then(|descriptor| fs::read_link(descriptor.path())) else {
            continue;
        };
        let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
        inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// Reads `/proc/PID/stat`; `ticks`: how many of its units a second has.
fn parse(stat: &str, ticks: u64) -> Option<Process> {
    // Behind the name, which may hold anything, blanks and brackets too: state, parent, group, session, terminal, …
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    let terminal: i32 = fields.nth(2)?.parse().ok()?;
    let started: u64 = fields.nth(14)?.parse().ok()?;
    let major = terminal.cast_unsigned() >> 8 & 0xfff;
    let nanoseconds = u128::from(started) * 1_000_000_000 / u128::from(ticks);
    Some(Process {
        parent,
        has_shared_terminal: PSEUDO_TERMINALS.contains(&major),
        started: Moment::from_start(Duration::from_nanos(u64::try_from(nanoseconds).ok()?)),
    })
}

/// The major numbers of Unix98 pseudo-terminals (Linux, Documentation/admin-guide/devices.txt).
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::clock;

    #[test]
    fn a_process_is_read_whatever_it_is_called() {
        let stat = |name: &str, terminal: u32| {
            format!(
                "812 ({name}) S 700 812 812 {terminal} 812 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 9 9 9 9"
            )
        };
        let started = Moment::from_start(Duration::from_millis(1_234_560));
        for name in ["sshd", "tmux: server", ") S 1 (", "a) R 2 2 2 34816"] {
            for (terminal, has_shared_terminal) in
                [(0, false), (1025, false), (1088, false), (34816, true), (34817, true), (136_u32 << 8, true)]
            {
                let process = Process { parent: 700, has_shared_terminal, started };
                assert_eq!(parse(&stat(name, terminal), 100), Some(process), "{name} {terminal}");
            }
        }
        for broken in ["", "812", "812 (sshd) S 700", "812 (sshd) S x 812 812 0 812"] {
            assert_eq!(parse(broken, 100), None, "{broken}");
        }
    }

    #[test]
    fn this_process_is_seen_with_its_parent_its_start_and_its_sockets() {
        let own = std::process::id();
        let process = Machine.look(own).unwrap();
        assert_eq!(process.parent, std::os::unix::process::parent_id());
        assert!(process.started <= clock::now());
        assert!(Machine.look(process.parent).is_none_or(|parent| parent.started <= process.started));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap().ino();
        assert!(Machine.sockets(own).unwrap().contains(&inode));
        drop(stream);
        assert!(!Machine.sockets(own).unwrap().contains(&inode));
        assert_eq!(Machine.look(u32::MAX), None);
        assert!(Machine.sockets(u32::MAX).is_err());
    }
}
