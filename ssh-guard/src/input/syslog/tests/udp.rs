use super::*;

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
    let spec = Spec { name: "test".into(), origin: Origin::Syslog(syslog), line_bytes: LIMIT, resume: None };
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

#[test]
fn a_sender_over_ipv4_is_known_at_a_socket_for_both() {
    let at = SocketAddr::new([0_u16; 8].into(), free_udp().port());
    let running = Running::start(Listen::Udp(at), &["127.0.0.1/32", "::1/128"], Vec::new());
    ready(&running);
    for (from, to) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.1"), ("::1", "::1")] {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(format!("<38>{from}").as_bytes(), (to, at.port())).unwrap();
    }
    assert_eq!(running.wait_for(2), ["<38>127.0.0.1", "<38>::1"]);
    assert_eq!(running.stats.refused(Refused::Stranger), 1);
}
