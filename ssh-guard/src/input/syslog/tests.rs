use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::input::stats::Refused;
use crate::input::{Line, Origin, Spec, Stats};

mod tcp;
mod udp;
mod unix;

const LIMIT: usize = 1024;

/// Messages of a flood.
const SENT: usize = 20_000;

/// Keeps what it is given; a flush waits while it is shut.
#[derive(Clone)]
struct Basket {
    lines: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl Sink for Basket {
    fn line(&mut self, line: &Line<'_>) {
        assert!(line.process.is_none() && line.pid.is_none(), "the network vouches for nothing");
        let text = String::from_utf8_lossy(line.text).into_owned();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    async fn flush(&mut self) {
        self.gate.acquire().await.unwrap().forget();
    }
}

impl Basket {
    fn opened() -> Self {
        let basket = Self::shut_from_the_start();
        basket.open();
        basket
    }

    fn shut_from_the_start() -> Self {
        Self { lines: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn open(&self) {
        self.gate.add_permits(1 << 24);
    }

    fn shut(&self) {
        self.gate.forget_permits(usize::MAX);
    }
}

/// An input that runs on a thread of its own, and stops with this.
struct Running {
    listen: Listen,
    basket: Basket,
    stats: Arc<Stats>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(listen: Listen, senders: &[&str], users: Vec<u32>) -> Self {
        let basket = Basket::opened();
        Self::start_with(basket, listen, senders, users)
    }

    fn start_with(basket: Basket, listen: Listen, senders: &[&str], users: Vec<u32>) -> Self {
        let senders: Vec<IpNet> = senders.iter().map(|sender| sender.parse().unwrap()).collect();
        let syslog = Syslog { listen: listen.clone(), senders: Senders::new(&senders), users };
        let spec =
            Spec { name: "test".into(), origin: Origin::Syslog(syslog), line_bytes: LIMIT, resume: None };
        let (stats, stop) = (Arc::new(Stats::default()), CancellationToken::new());
        let follow = crate::input::follow(spec, basket.clone(), Arc::clone(&stats), stop.clone());
        let thread = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(follow);
        });
        Self { listen, basket, stats, stop, thread: Some(thread) }
    }

    fn udp(senders: &[&str]) -> Self {
        Self::start(Listen::Udp(free_udp()), senders, Vec::new())
    }

    fn tcp() -> Self {
        let listen = Listen::Tcp(free_tcp());
        let running = Self::start(listen, &["127.0.0.0/8"], Vec::new());
        eventually("it listens", || TcpStream::connect(running.at()).is_ok());
        running
    }

    fn at(&self) -> SocketAddr {
        match self.listen {
            Listen::Udp(at) | Listen::Tcp(at) => at,
            Listen::Unix(_) => panic!("it has a path"),
        }
    }

    /// Sends a datagram from an address of the loopback, again while nobody receives it yet.
    fn send(&self, from: &str, datagram: &[u8]) {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.connect(self.at()).unwrap();
        eventually("somebody receives", || {
            // What an earlier datagram brought about (ICMP: nobody receives there) comes up first.
            socket.send(datagram).is_ok() && socket.take_error().unwrap().is_none()
        });
    }

    fn lines(&self) -> Vec<String> {
        self.basket.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many lines have come, and returns them.
    fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} lines, beside {:?}", self.stats), || self.lines().len() >= count);
        self.lines()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || std::thread::panicking(), "the input panicked");
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// A port that nobody has; whoever asks next is given another one.
fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn free_tcp() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until an input that listens for UDP does so.
fn ready(running: &Running) {
    eventually("it listens", || UdpSocket::bind(running.at()).is_err());
}
