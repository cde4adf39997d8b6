//! A syslog daemon in miniature: what syslog(3) sends becomes lines of a file, as rsyslog writes them.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The host name in every line.
pub const HOST: &str = "lab";

/// A thread that receives at a socket and appends to a file, which it opens anew for each line: it may be renamed
/// or cut at any time.
#[derive(Debug)]
pub struct Syslog {
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Starts to receive at `socket`, which any user may send to, and to write to `file`.
    ///
    /// # Panics
    /// When the socket cannot be bound.
    #[must_use]
    pub fn start(socket: &Path, file: &Path) -> Self {
        let receiver = UnixDatagram::bind(socket)
            .unwrap_or_else(|why| panic!("cannot bind '{}': {why}", socket.display()));
        std::fs::set_permissions(socket, Permissions::from_mode(0o666)).expect("the socket is ours");
        let file = file.to_owned();
        let thread = std::thread::spawn(move || receive(&receiver, &file));
        Self { socket: socket.to_owned(), thread: Some(thread) }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let sender = UnixDatagram::unbound().and_then(|socket| socket.send_to(&[], &self.socket));
        if let (Ok(_), Some(thread)) = (sender, self.thread.take()) {
            // A panic of the thread has been reported by itself, and this may be a panic already.
            drop(thread.join());
        }
    }
}

/// Writes lines until an empty datagram comes.
fn receive(socket: &UnixDatagram, file: &Path) {
    let mut datagram = vec![0; 65_536];
    loop {
        let length = socket.recv(&mut datagram).expect("a bound socket receives");
        if length == 0 {
            return;
        }
        let mut line = line_of(&datagram[..length]);
        line.push(b'\n');
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.and_then(|mut file| file.write_all(&line)).expect("the log file can be written");
    }
}

/// Makes `Nov 23 03:12:01 lab sshd[123]: text` of `<38>Nov 23 03:12:01 sshd[123]: text`: the header of RFC 3164 with
/// the host name that a local sender leaves out, control characters as `#` and three octal digits.
fn line_of(datagram: &[u8]) -> Vec<u8> {
    let unprefixed = match datagram.iter().position(|byte| *byte == b'>') {
        Some(end) if datagram.starts_with(b"<") && end <= 4 => &datagram[end + 1..],
        _ => datagram,
    };
    let trimmed = unprefixed.trim_ascii_end();
    let (timestamp, rest) = trimmed.split_at(TIMESTAMP.len().min(trimmed.len()));
    let mut line = Vec::with_capacity(trimmed.len() + HOST.len() + 1);
    line.extend_from_slice(timestamp);
    line.extend_from_slice(HOST.as_bytes());
    line.push(b' ');
    for byte in rest {
        match byte {
            0..=0x1f | 0x7f => line.extend_from_slice(format!("#{byte:03o}").as_bytes()),
            _ => line.push(*byte),
        }
    }
    line
}

const TIMESTAMP: &str = "Nov 23 03:12:01 ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{PATIENCE, eventually};

    #[test]
    fn a_datagram_becomes_a_line_with_a_host_name_and_no_control_characters() {
        let line = line_of(b"<38>Nov 23 03:12:01 sshd[123]: Invalid user a\nb\x1b from\n");
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "Nov 23 03:12:01 lab sshd[123]: Invalid user a#012b#033 from"
        );
    }

    #[test]
    fn a_file_that_was_renamed_is_begun_anew() {
        let dir = tempfile::TempDir::new().unwrap();
        let [socket, log, old] = ["socket", "log", "log.1"].map(|name| dir.path().join(name));
        let syslog = Syslog::start(&socket, &log);
        let client = UnixDatagram::unbound().unwrap();
        client.send_to(b"<38>Nov 23 03:12:01 sshd[1]: one", &socket).unwrap();
        eventually(PATIENCE, "the first line", || log.exists());
        std::fs::rename(&log, &old).unwrap();
        client.send_to(b"<38>Nov 23 03:12:02 sshd[1]: two", &socket).unwrap();
        drop(syslog);
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "Nov 23 03:12:01 lab sshd[1]: one\n");
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "Nov 23 03:12:02 lab sshd[1]: two\n");
    }
}
