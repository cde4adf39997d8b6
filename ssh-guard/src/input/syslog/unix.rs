//! Syslog over a Unix socket of datagrams, as `/dev/log` is one: rsyslog's `omuxsock`, or syslog(3) itself.
//!
//! When nobody reads, the sender waits, so nothing is lost here (unix(7); `net.unix.max_dgram_qlen`).

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket, sockopt};
use nix::sys::stat::{Mode, fchmod};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::datagram::receive;
use super::framing::trimmed;
use super::strangers::Strangers;
use super::{Listen, Syslog};
use crate::clock;
use crate::input::stats::Refused;
use crate::input::{Feed, InputError, Line, Sink, Stopped, Written};
use crate::socket_file::{self, SocketFile, Taken};

/// Datagrams that are read before the guard has them.
const READS: usize = 256;

/// A socket that is listened at.
pub(super) struct Unix {
    socket: UnixDatagram,
    _file: SocketFile,
    listen: Listen,
    /// Who may send, by the kernel's word, beside root; whoever may write to the file, if nobody is named.
    users: Vec<u32>,
    limit: usize,
    buffer: Box<[u8]>,
    strangers: Strangers<Option<u32>>,
}

impl Unix {
    pub(super) fn bind(syslog: &Syslog, path: &Path, limit: usize) -> Result<Self, InputError> {
        // What a daemon left behind which ended without a word is in the way.
        socket_file::make_room(path, answers).map_err(|taken| occupied(path, taken))?;
        let unbound = |source| InputError::Listen { listen: syslog.listen.clone(), source };
        let (socket, file) = made(path, &syslog.users).map_err(unbound)?;
        Ok(Self {
            socket: UnixDatagram::from_std(socket).map_err(unbound)?,
            _file: file,
            listen: syslog.listen.clone(),
            users: syslog.users.clone(),
            limit,
            // One byte more than a line and what may stand behind it, so that what is cut is too long.
            buffer: vec![0; limit + 4].into_boxed_slice(),
            strangers: Strangers::new(),
        })
    }

    /// Hands on what comes until the input is stopped, or the socket fails.
    pub(super) async fn run<S: Sink>(mut self, feed: &mut Feed<S>) -> Result<InputError, Stopped> {
        loop {
            let ready = tokio::select! {
                biased;
                () = feed.stop.cancelled() => return Err(Stopped),
                ready = self.socket.readable() => ready,
            };
            let read_at = clock::now();
            let read = ready.and_then(|()| (0..READS).try_for_each(|_| self.read_one(feed)));
            feed.flush(read_at).await?;
            if let Err(source) = read
                && source.kind() != io::ErrorKind::WouldBlock
            {
                return Ok(InputError::Receive { listen: self.listen, source });
            }
        }
    }

    fn read_one<S: Sink>(&mut self, feed: &mut Feed<S>) -> io::Result<()> {
        let read_at = clock::now();
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        let datagram = socket.try_io(Interest::READABLE, || receive(socket, buffer))?;
        let vouched = self.users.is_empty()
            || datagram.user.is_some_and(|user| user == 0 || self.users.contains(&user));
        if !vouched {
            feed.stats.refuse(Refused::Stranger);
            if self.strangers.is_news(datagram.user, read_at) {
                let user = datagram.user;
                tracing::warn!(
                    input = feed.name,
                    user,
                    "a datagram came from a process of somebody who is none of its 'users'"
                );
            }
            return Ok(());
        }
        let text = trimmed(&self.buffer[..datagram.length]);
        if datagram.cut || text.len() > self.limit {
            feed.counts.too_long += 1;
        } else if !text.is_empty() {
            feed.line(&Line { process: None, pid: None, text, read_at, written: Written::Sent });
        }
        Ok(())
    }
}

/// Looks whether a socket can be made there.
pub(super) fn check(path: &Path) -> Result<(), InputError> {
    socket_file::look(path, answers).map(drop).map_err(|taken| occupied(path, taken))
}

fn answers(path: &Path) -> bool {
    StdUnixDatagram::unbound().is_ok_and(|socket| socket.connect(path).is_ok())
}

fn occupied(path: &Path, taken: Taken) -> InputError {
    let source = match taken {
        Taken::NoSocket => io::Error::new(io::ErrorKind::AlreadyExists, "something else lies there"),
        Taken::Answered => io::Error::new(io::ErrorKind::AddrInUse, "somebody receives there already"),
        Taken::Kept(error) => error,
    };
    InputError::Listen { listen: Listen::Unix(path.to_owned()), source }
}

/// Makes the socket: for its owner, who is root, or for all where the kernel's word for the sender decides.
fn made(path: &Path, users: &[u32]) -> io::Result<(StdUnixDatagram, SocketFile)> {
    if let Some(folder) = path.parent()
        && !folder.exists()
    {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    // The file takes its mode from the socket (Linux, net/unix/af_unix.c, `unix_bind_bsd`), so that it is never there with a
    // wider one.
    fchmod(&socket, Mode::from_bits_truncate(0o600))?;
    setsockopt(&socket, sockopt::PassCred, &true)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let file = SocketFile::at(path);
    let mode = if users.is_empty() { 0o600 } else { 0o666 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok((StdUnixDatagram::from(socket), file))
}
