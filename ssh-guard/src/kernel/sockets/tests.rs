use std::net::{TcpListener, TcpStream};

use bytemuck::{Zeroable as _, bytes_of};
use nix::libc::{NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};

use super::message::{Header, SOCK_DIAG_BY_FAMILY};
use super::*;

const SEQUENCE: u32 = 7;

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(size_of::<Header>() + body.len()).unwrap();
    let header = Header { length, kind, flags, sequence: SEQUENCE, port: 0 };
    let mut bytes = [bytes_of(&header), body].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn reply() -> Reply {
    Reply { family: 2, state: 1, id: Id { local_port: [0, 22], ..Id::zeroed() }, ..Reply::zeroed() }
}

fn told(kind: u16, flags: u16, body: &[u8]) -> Vec<Result<Answer, Malformed>> {
    message::answers(&message(kind, flags, body), SEQUENCE).collect()
}

fn kind(kind: i32) -> u16 {
    u16::try_from(kind).unwrap()
}

#[test]
fn the_structures_have_the_kernels_sizes() {
    assert_eq!((size_of::<Header>(), size_of::<Id>(), size_of::<Reply>()), (16, 48, 72));
    assert_eq!(message::destroy(2, Id::zeroed(), 1).len(), 16 + 56);
    let filter = filter::of_ports(&[22]);
    let dump = message::dump(2, &filter, 1);
    assert_eq!(dump.len(), 16 + 56 + 4 + filter.len());
    assert_eq!(dump[..4], u32::try_from(dump.len()).unwrap().to_ne_bytes());
}

#[test]
fn sockets_are_read_with_whatever_stands_behind_them_and_what_answers_others_is_not() {
    let attributes = [bytes_of(&reply()), &[8, 0, 5, 0, 1, 0, 0, 0]].concat();
    let first = message(SOCK_DIAG_BY_FAMILY, 0, &attributes);
    let changed = message(SOCK_DIAG_BY_FAMILY, kind(NLM_F_DUMP_INTR), bytes_of(&reply()));
    let done = message(kind(NLMSG_DONE), 0, &0_i32.to_ne_bytes());
    let datagram = [first, changed, done].concat();
    let expected = [
        Answer::Socket { reply: reply(), interrupted: false },
        Answer::Socket { reply: reply(), interrupted: true },
        Answer::Ended(Ok(())),
    ];
    let answers: Result<Vec<Answer>, Malformed> = message::answers(&datagram, SEQUENCE).collect();
    assert_eq!(answers.unwrap(), expected);
    assert_eq!(message::answers(&datagram, SEQUENCE + 1).count(), 0);
}

#[test]
fn an_error_ends_what_was_asked_and_an_acknowledgement_is_none() {
    let error = |number: i32| told(kind(NLMSG_ERROR), 0, &number.to_ne_bytes());
    assert_eq!(error(0), [Ok(Answer::Ended(Ok(())))]);
    assert_eq!(error(-95), [Ok(Answer::Ended(Err(Errno::EOPNOTSUPP)))]);
    assert_eq!(told(kind(NLMSG_DONE), 0, &(-22_i32).to_ne_bytes()), [Ok(Answer::Ended(Err(Errno::EINVAL)))]);
    assert_eq!(told(kind(NLMSG_DONE), 0, &[]), [Ok(Answer::Ended(Ok(())))]);
}

#[test]
fn messages_that_are_cut_short_are_told_and_no_byte_behind_them_is_read() {
    let datagram = [
        message(SOCK_DIAG_BY_FAMILY, 0, bytes_of(&reply())),
        message(kind(NLMSG_ERROR), 0, &0_i32.to_ne_bytes()),
    ]
    .concat();
    for length in 0..datagram.len() {
        let answers: Vec<_> = message::answers(&datagram[..length], SEQUENCE).collect();
        let whole = usize::from(length >= 88);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), whole, "{length} bytes");
        let ends_between = length == 0 || length == 88;
        assert_eq!(answers.last() == Some(&Err(Malformed)), !ends_between, "{length} bytes");
    }
    // Headers that claim less than themselves, or more than there is, or have bodies that are too short.
    for length in [0, 1, 15, 16, 19, 87, 89, u32::MAX] {
        let mut datagram = message(SOCK_DIAG_BY_FAMILY, 0, bytes_of(&reply()));
        datagram[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(message::answers(&datagram, SEQUENCE).next(), Some(Err(Malformed)), "{length}");
    }
    assert_eq!(told(99, 0, &[]), [Err(Malformed)]);
}

#[test]
fn a_socket_has_the_addresses_that_people_know() {
    let bytes = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let mapped = Reply {
        family: family_number(AF_INET6),
        state: 3,
        id: Id {
            local: bytes("::ffff:192.0.2.1"),
            remote: bytes("::ffff:203.0.113.7"),
            local_port: 22_u16.to_be_bytes(),
            remote_port: 40_000_u16.to_be_bytes(),
            ..Id::zeroed()
        },
        ..Reply::zeroed()
    };
    let socket = Socket::of(&mapped).unwrap();
    assert_eq!(socket.remote(), "203.0.113.7:40000".parse().unwrap());
    assert_eq!(socket.local(), "192.0.2.1:22".parse().unwrap());
    assert_eq!(socket.stage(), Stage::HalfOpen);
    let with = |state, inode| Socket::of(&Reply { state, inode, ..mapped }).map(|socket| socket.stage());
    assert_eq!([with(1, 9), with(8, 9)], [Some(Stage::Open); 2]);
    assert_eq!([with(4, 0), with(5, 9), with(9, 0), with(11, 0)], [Some(Stage::Closing); 4]);
    assert_eq!(
        [with(5, 0), with(6, 0), with(10, 9), with(200, 9)],
        [None; 4],
        "waiting, listening, unheard of"
    );
}

#[test]
fn what_the_kernel_refuses_for_good_is_told_from_what_fails_once() {
    let socket = Socket::of(&reply()).unwrap();
    let refused = |errno| unclosed(&socket, Trouble::Refused(errno));
    for errno in [Errno::EOPNOTSUPP, Errno::EPERM] {
        let Unclosed::Never(fault) = refused(errno) else { panic!("{errno}") };
        assert!(fault.way_out().is_some(), "{fault:?}");
    }
    assert!(matches!(refused(Errno::EAGAIN), Unclosed::ThisTime(_)));
}

#[test]
fn the_kernel_lists_the_sockets_of_a_port_and_no_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let client = TcpStream::connect(at).unwrap();
    let _other = TcpStream::connect(elsewhere.local_addr().unwrap()).unwrap();
    let mut sockets = Sockets::open().unwrap();
    let ports: Vec<u16> = (1..16).chain([at.port()]).collect();
    let found = sockets.list(&ports).unwrap();
    let ours: Vec<&Socket> = found.iter().filter(|socket| socket.local().port() == at.port()).collect();
    assert_eq!(ours.len(), 1, "{found:?}");
    assert_eq!((ours[0].local(), ours[0].remote()), (at, client.local_addr().unwrap()));
    assert_eq!(ours[0].stage(), Stage::Open);
    assert_eq!(sockets.list(&[]).unwrap(), []);
}
