//! Connects again and again, as a client that the server lets in, and takes the time until the server speaks.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, setsockopt, socket, sockopt::Linger,
};

use super::server::BANNER;
use crate::clock;

/// From one attempt to the next: no part or multiple of a kernel's tick.
pub const PACE: Duration = Duration::from_micros(3_900);

/// What became of the attempts: how long each took, nothing for one that was given up.
pub type Answers = Vec<Option<Duration>>;

/// An attempt that is under way.
struct Attempt {
    begun: Instant,
    socket: OwnedFd,
}

/// Attempts to connect, each begun when its time has come, however many others still wait: one at a time would begin
/// fewest of them while it is hardest.
pub struct Client {
    server: SockaddrIn,
    events: Epoll,
    attempts: Vec<Option<Attempt>>,
    answers: Answers,
}

impl Client {
    /// Begins attempts for a time, and waits for the answer to each for as long as its patience lasts.
    ///
    /// # Errors
    /// If the kernel has no socket left, or the server says anything but its banner.
    pub fn run(server: (Ipv4Addr, u16), connecting: Duration, patience: Duration) -> Result<Answers> {
        let server = SockaddrIn::from(SocketAddrV4::new(server.0, server.1));
        let events = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot wait for sockets")?;
        let mut client = Self { server, events, attempts: Vec::new(), answers: Vec::new() };
        let planned = planned(connecting);
        let start = clock::now();
        loop {
            let now = clock::now();
            let next = start + PACE * u32::try_from(client.attempts.len())?;
            if client.attempts.len() < planned && next <= now {
                client.begin()?;
                continue;
            }
            for attempt in &mut client.attempts {
                let _given_up = attempt.take_if(|attempt| attempt.begun + patience <= now);
            }
            let waiting = client.attempts.iter().flatten().next().map(|oldest| oldest.begun + patience);
            let next = (client.attempts.len() < planned).then_some(next);
            match next.into_iter().chain(waiting).min() {
                Some(next) => client.wait(next.saturating_duration_since(now))?,
                None => return Ok(client.answers),
            }
        }
    }

    fn begin(&mut self) -> Result<()> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).context("no socket")?;
        // It is reset at its end, and nothing of it is left to be sent again once the measurement is over.
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&socket, Linger, &linger).context("a socket cannot be set to be reset")?;
        let number = self.attempts.len();
        self.events
            .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))
            .context("cannot wait for a socket")?;
        let begun = clock::now();
        match connect(socket.as_raw_fd(), &self.server) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(why) => return Err(why).context("cannot connect"),
        }
        self.attempts.push(Some(Attempt { begun, socket }));
        self.answers.push(None);
        Ok(())
    }

    /// Takes the answers that come within a time.
    fn wait(&mut self, time: Duration) -> Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        // Rounded up: it would be polled without a pause before the time otherwise.
        let millis = u16::try_from(time.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let ready = match self.events.wait(&mut events, EpollTimeout::from(millis)) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(why) => return Err(why).context("cannot wait for sockets"),
        };
        let now = clock::now();
        for event in &events[..ready] {
            let number = usize::try_from(event.data())?;
            let Some(Attempt { begun, socket }) = self.attempts[number].take() else { continue };
            let said = heard(socket).context("a connection failed")?;
            ensure!(said == BANNER, "the server said '{}'", said.escape_ascii());
            self.answers[number] = Some(now - begun);
        }
        Ok(())
    }
}

fn heard(socket: OwnedFd) -> io::Result<Vec<u8>> {
    let mut said = vec![0; 2 * BANNER.len()];
    let length = TcpStream::from(socket).read(&mut said)?;
    said.truncate(length);
    Ok(said)
}

/// How many attempts are begun in a time.
fn planned(connecting: Duration) -> usize {
    usize::try_from(connecting.as_micros().div_ceil(PACE.as_micros())).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    #[test]
    fn every_attempt_is_answered_by_a_server_that_speaks() {
        let (listener, port) = listener();
        let clients = planned(SOON);
        let server = thread::spawn(move || {
            for client in listener.incoming().take(clients) {
                client.unwrap().write_all(BANNER).unwrap();
            }
        });
        let answers = Client::run((Ipv4Addr::LOCALHOST, port), SOON, PATIENCE).unwrap();
        server.join().unwrap();
        assert_eq!((clients, answers.len()), (6, 6));
        assert!(answers.iter().all(|answer| answer.is_some_and(|time| time < PATIENCE)), "{answers:?}");
    }

    #[test]
    fn attempts_at_a_server_that_says_nothing_are_given_up() {
        let (_listener, port) = listener();
        let answers = Client::run((Ipv4Addr::LOCALHOST, port), SOON, SOON).unwrap();
        assert_eq!(answers, vec![None; 6]);
    }

    #[test]
    fn a_server_that_says_something_else_is_an_error() {
        let (listener, port) = listener();
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 mail\r\n").unwrap());
        let told = Client::run((Ipv4Addr::LOCALHOST, port), SOON, PATIENCE).unwrap_err().to_string();
        server.join().unwrap();
        assert!(told.contains("220 mail"), "{told}");
    }

    const PATIENCE: Duration = Duration::from_secs(20);
}
