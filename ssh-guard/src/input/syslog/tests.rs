use std::io::Write as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::input::stats::Refused;
use crate::input::{Line, Origin, Spec, Stats};

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
        let spec = Spec { name: "test".into(), origin: Origin::Syslog(syslog), line_bytes: LIMIT };
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

#[test]
fn a_datagram_is_one_message_whatever_newlines_are_in_it() {
    let running = Running::udp(&["127.0.0.1/32"]);
    ready(&running);
    let forged = "<38>Nov 23 03:12:01 lab sshd[1]: Invalid user a\n<38>Nov 23 03:12:01 lab sshd[2]: b";
    running.send("127.0.0.1", format!("{forged}\r\n").as_bytes());
    running.send("127.0.0.1", b"<38>with a NUL\0");
    assert_eq!(running.wait_for(2), [forged, "<38>with a NUL"]);
}

#[test]
fn what_a_stranger_sends_is_counted_and_nothing_else() {
    let running = Running::udp(&["127.0.0.2/32"]);
    ready(&running);
    for _ in 0..3 {
        running.send("127.0.0.1", b"<38>stranger");
    }
    running.send("127.0.0.2", b"<38>sender");
    assert_eq!(running.wait_for(1), ["<38>sender"]);
    assert_eq!(running.stats.refused(Refused::Stranger), 3);
}

#[test]
fn a_datagram_over_the_limit_is_counted_and_not_cut() {
    let running = Running::udp(&["127.0.0.1/32"]);
    ready(&running);
    let exact = "x".repeat(LIMIT);
    running.send("127.0.0.1", "y".repeat(LIMIT + 1).as_bytes());
    running.send("127.0.0.1", "z".repeat(60_000).as_bytes());
    running.send("127.0.0.1", format!("{exact}\n").as_bytes());
    assert_eq!(running.wait_for(1), [exact]);
    assert_eq!(running.stats.too_long(), 2);
}

#[test]
fn while_the_guard_is_busy_a_flood_loses_its_own_oldest_and_leaves_the_others_theirs() {
    let basket = Basket::shut_from_the_start();
    let listen = Listen::Udp(free_udp());
    let running = Running::start_with(basket, listen, &["127.0.0.0/8"], Vec::new());
    ready(&running);
    running.send("127.0.0.3", b"<38>first");
    running.wait_for(1);
    // From here on nothing is taken.
    running.send("127.0.0.2", b"<38>the other one");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(running.at()).unwrap();
    let pad = "x".repeat(900);
    for number in 0..SENT {
        socket.send(format!("<38>{number} {pad}").as_bytes()).unwrap();
    }
    // The last ones must not find the kernel's queue full: what comes last is what is told of.
    eventually("the flood is read", || {
        let mut probe = Vec::new();
        std::fs::File::open("/proc/thread-self/net/udp")
            .and_then(|mut table| std::io::Read::read_to_end(&mut table, &mut probe))
            .unwrap();
        let port = format!(":{:04X} ", running.at().port());
        let table = String::from_utf8(probe).unwrap();
        table.lines().filter(|line| line.contains(&port)).any(|line| line.contains(":00000000 00:"))
    });
    running.send("127.0.0.2", b"<38>the other one again");
    running.basket.open();
    // What is lost is told within a second after the flood, where the kernel had to throw something away.
    eventually("each is taken or lost", || {
        running.lines().len() as u64 + running.stats.lost() == SENT as u64 + 3
    });
    let lines = running.lines();
    assert!(lines.contains(&"<38>the other one".to_owned()), "{:?}", running.stats);
    assert!(lines.contains(&"<38>the other one again".to_owned()), "{:?}", running.stats);
    assert!(running.stats.lost() > 10_000, "{:?}", running.stats);
    let numbers: Vec<usize> =
        lines.iter().filter_map(|line| line[4..].split(' ').next()?.parse().ok()).collect();
    assert!(numbers.is_sorted() && !numbers.is_empty());
}

#[test]
fn what_the_kernel_throws_away_is_counted_to_the_datagram() {
    let at = free_udp();
    let syslog = Syslog {
        listen: Listen::Udp(at),
        senders: Senders::new(&["127.0.0.0/8".parse().unwrap()]),
        users: Vec::new(),
    };
    let basket = Basket::opened();
    let (stats, stop) = (Arc::new(Stats::default()), CancellationToken::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let spec = Spec { name: "test".into(), origin: Origin::Syslog(syslog), line_bytes: LIMIT };
    runtime.block_on(async {
        let follow =
            tokio::spawn(crate::input::follow(spec, basket.clone(), Arc::clone(&stats), stop.clone()));
        while UdpSocket::bind(at).is_ok() {
            tokio::task::yield_now().await;
        }
        // Nothing is read while this thread sends.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(at).unwrap();
        for _ in 0..30_000 {
            socket.send(&[b'x'; 900]).unwrap();
        }
        for _ in 0..4000 {
            if basket.lines.lock().unwrap().len() as u64 + stats.lost() >= 30_000 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        follow.await.unwrap();
    });
    let taken = basket.lines.lock().unwrap().len() as u64;
    assert!(stats.lost() > 1000, "the kernel's queue is no flood's: {stats:?}");
    assert_eq!(taken + stats.lost(), 30_000, "{stats:?}");
}

#[test]
fn both_framings_are_told_apart_for_each_connection() {
    let running = Running::tcp();
    let mut counted = TcpStream::connect(running.at()).unwrap();
    let mut ended = TcpStream::connect(running.at()).unwrap();
    counted.write_all(b"8 <38>a\nb\n7 <38>").unwrap();
    ended.write_all(b"<38>c\r\n<38>").unwrap();
    running.wait_for(2);
    ended.write_all(b"d\n").unwrap();
    counted.write_all(b"end").unwrap();
    let mut lines = running.wait_for(4);
    lines.sort();
    assert_eq!(lines, ["<38>a\nb", "<38>c", "<38>d", "<38>end"]);
}

#[test]
fn a_connection_that_loses_count_is_closed_and_the_others_go_on() {
    let running = Running::tcp();
    let mut good = TcpStream::connect(running.at()).unwrap();
    good.write_all(b"<38>a\n").unwrap();
    let mut bad = TcpStream::connect(running.at()).unwrap();
    bad.write_all(b"5 <38>x6 <38>yzoops").unwrap();
    let mut answer = Vec::new();
    bad.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // What was not read when it is closed resets it.
    drop(std::io::Read::read_to_end(&mut bad, &mut answer));
    eventually("it is counted", || running.stats.refused(Refused::Framing) == 1);
    good.write_all(b"<38>b\n").unwrap();
    let mut lines = running.wait_for(4);
    lines.sort();
    assert_eq!(lines, ["<38>a", "<38>b", "<38>x", "<38>yz"]);
}

#[test]
fn a_line_that_a_connection_ends_in_is_lost_and_counted_as_it_may_be_half_of_one() {
    let running = Running::tcp();
    for half in [&b"<38>whole\n<38>from 203.0.113.7"[..], b"9 <38>a"] {
        TcpStream::connect(running.at()).unwrap().write_all(half).unwrap();
    }
    eventually("both are counted", || running.stats.lost() == 2);
    assert_eq!(running.lines(), ["<38>whole"]);
}

#[test]
fn strangers_are_not_let_in() {
    let listen = Listen::Tcp(free_tcp());
    let running = Running::start(listen, &["127.0.0.2/32"], Vec::new());
    eventually("it listens", || TcpStream::connect(running.at()).is_ok());
    eventually("it is counted", || running.stats.refused(Refused::Stranger) >= 1);
    assert_eq!(running.lines(), [""; 0]);
}

#[test]
fn a_sender_that_connects_too_often_loses_its_own_connections() {
    let running = Running::tcp();
    let first = TcpStream::connect(running.at()).unwrap();
    let mut connections: Vec<_> =
        (0..tcp::MOST_OF_ONE).map(|_| TcpStream::connect(running.at()).unwrap()).collect();
    eventually("one has made room", || running.stats.refused(Refused::Crowded) >= 1);
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(std::io::Read::read(&mut &first, &mut [0; 8]).unwrap(), 0, "the oldest is closed");
    connections.last_mut().unwrap().write_all(b"<38>still here\n").unwrap();
    assert_eq!(running.wait_for(1), ["<38>still here"]);
}

#[test]
fn while_the_guard_is_busy_a_sender_waits_and_nothing_is_lost() {
    let basket = Basket::shut_from_the_start();
    let running = Running::start_with(basket, Listen::Tcp(free_tcp()), &["127.0.0.0/8"], Vec::new());
    eventually("it listens", || TcpStream::connect(running.at()).is_ok());
    let at = running.at();
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(at).unwrap();
        for number in 0..20_000 {
            stream.write_all(format!("<38>{number} {}\n", "x".repeat(900)).as_bytes()).unwrap();
        }
    });
    eventually("the guard is busy", || running.lines().len() < 20_000);
    running.basket.open();
    assert_eq!(running.wait_for(20_000).len(), 20_000);
    assert_eq!(running.stats.lost(), 0);
    sender.join().unwrap();
}

/// Connects from an address of the loopback.
fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn a_sender_with_many_connections_gets_no_more_than_one_with_a_single_one() {
    let running = Running::tcp();
    let crowd = std::iter::repeat_n("127.0.0.2", tcp::MOST_OF_ONE).chain(["127.0.0.3"]);
    let mut streams: Vec<_> = crowd.map(|from| (from, connect_from(from, running.at()))).collect();
    for (_, stream) in &mut streams {
        stream.write_all(b"<38>hello\n").unwrap();
    }
    running.wait_for(streams.len());
    running.basket.shut();
    let floods: Vec<_> = streams
        .into_iter()
        .map(|(from, mut stream)| {
            let line = format!("<38>{from} {}\n", "x".repeat(900));
            // Until the input is stopped.
            std::thread::spawn(move || while stream.write_all(line.as_bytes()).is_ok() {})
        })
        .collect();
    let count = |from: &str| running.lines().iter().filter(|line| line[4..].starts_with(from)).count();
    // Both have begun; from here on each always has more to say.
    eventually("all are heard", || {
        running.basket.gate.add_permits(1);
        count("127.0.0.2") > 100 && count("127.0.0.3") > 100
    });
    let before = (count("127.0.0.2"), count("127.0.0.3"));
    for _ in 0..300 {
        running.basket.gate.add_permits(1);
        eventually("it is taken", || running.basket.gate.available_permits() == 0);
    }
    let (crowd, single) = (count("127.0.0.2") - before.0, count("127.0.0.3") - before.1);
    assert!(single * 3 > crowd && crowd > 0, "{single} of one connection, {crowd} of sixteen");
    running.basket.open();
    drop(running);
    for flood in floods {
        flood.join().unwrap();
    }
}

/// A folder with the path of a socket in it.
fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/log.sock");
    (folder, path)
}

#[test]
fn a_unix_socket_is_its_owners_alone_and_goes_with_the_input() {
    let (_folder, path) = socket_path();
    let running = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    let socket = UnixDatagram::unbound().unwrap();
    eventually("it listens", || socket.connect(&path).is_ok());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    socket.send(b"<38>a\nb\n").unwrap();
    socket.send("x".repeat(LIMIT + 9).as_bytes()).unwrap();
    socket.send(b"<38>c").unwrap();
    assert_eq!(running.wait_for(2), ["<38>a\nb", "<38>c"]);
    assert_eq!(running.stats.too_long(), 1);
    drop(running);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_that_is_used_is_not() {
    let (_folder, path) = socket_path();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixDatagram::bind(&path).unwrap());
    let running = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    let socket = UnixDatagram::unbound().unwrap();
    eventually("it is replaced", || socket.connect(&path).is_ok());
    let inode = std::fs::metadata(&path).unwrap().ino();
    let second = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    eventually("the second one says why", || {
        second.stats.fault().is_some_and(|fault| fault.contains("somebody receives there already"))
    });
    drop(second);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it left the first one's in place");
    socket.send(b"<38>a").unwrap();
    assert_eq!(running.wait_for(1), ["<38>a"]);
    drop(running);

    std::fs::write(&path, "precious").unwrap();
    let third = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    eventually("it says why", || {
        third.stats.fault().is_some_and(|fault| fault.contains("something else lies there"))
    });
    drop(third);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn an_address_that_is_taken_is_a_fault_and_is_listened_at_once_it_is_free() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = Listen::Udp(taken.local_addr().unwrap());
    let running = Running::start(listen.clone(), &["127.0.0.0/8"], Vec::new());
    eventually("it says why", || {
        running.stats.fault().is_some_and(|fault| fault.contains(&listen.to_string()))
    });
    drop(taken);
    eventually("it listens", || running.stats.fault().is_none());
    running.send("127.0.0.1", b"<38>a");
    assert_eq!(running.wait_for(1), ["<38>a"]);
}
