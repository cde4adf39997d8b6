use std::io::Write as _;

use super::*;
use crate::input::syslog::tcp::MOST_OF_ONE;

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
        (0..MOST_OF_ONE).map(|_| TcpStream::connect(running.at()).unwrap()).collect();
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
    let crowd = std::iter::repeat_n("127.0.0.2", MOST_OF_ONE).chain(["127.0.0.3"]);
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
