use super::ip::checksum;
use super::transport::pseudo_header;
use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn a_syn_has_the_bytes_that_it_must_have() {
    let expected = "02000000000102000000000208004500002823450000\
                    40061136cb0071070a4d00019c40001600000001000000005002faf0d2440000";
    assert_eq!(hex(&v4("203.0.113.7").tcp(22).syn().to_bytes()), expected);
}

#[test]
fn a_datagram_behind_tags_and_options_has_the_bytes_that_it_must_have() {
    let expected = "02000000000102000000000288a800078100000586dd600000000013004020010db8000000000000000000000007\
                    fd00007700000000000000000000000111000104000000009c400035000b73c7616263";
    let packet = v6("2001:db8::7").provider_vlan(7).vlan(5).hop_by_hop().udp(53).payload(b"abc");
    assert_eq!(hex(&packet.to_bytes()), expected);
}

#[test]
fn options_lengthen_both_headers_and_the_sums_still_hold() {
    let bytes = v4("203.0.113.7").options(12).tcp(22).tcp_options(8).syn().ack().payload(b"x").to_bytes();
    let (ip, tcp) = bytes[14..].split_at(32);
    assert_eq!((ip[0], tcp[12], tcp[13]), (0x48, 0x70, 0x12));
    assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), bytes.len() - 14);
    assert_eq!(checksum(&[ip]), 0);
    let addresses = ("203.0.113.7".parse().unwrap(), DESTINATION_V4.into());
    assert_eq!(checksum(&[&pseudo_header(addresses, 6, tcp.len()), tcp]), 0);
}

#[test]
fn extensions_are_chained_in_order() {
    let packet =
        v6("2001:db8::7").hop_by_hop().routing().fragment(0, true).authentication().destination_options();
    let bytes = packet.tcp(22).syn().to_bytes();
    let chain = &bytes[14 + 40..];
    // Each header names the next, and tells its own length in its own way.
    assert_eq!(bytes[14 + 6], 0);
    assert_eq!(chain[..2], [43, 0]);
    assert_eq!(chain[8..10], [44, 0]);
    assert_eq!(chain[16..20], [51, 0, 0, 1]);
    assert_eq!(chain[24..26], [60, 2]);
    assert_eq!(chain[40..42], [6, 0]);
    assert_eq!(chain[48..52], [0x9c, 0x40, 0, 22]);
    assert_eq!(chain.len(), 48 + 20);
}

#[test]
fn long_options_are_made_of_padding_that_fits() {
    for length in (8..=2048).step_by(8) {
        let packet = v6("2001:db8::7").extension(Extension::DestinationOptions(length)).tcp(22);
        let bytes = packet.to_bytes();
        let options = &bytes[14 + 40..bytes.len() - 20];
        assert_eq!((options.len(), usize::from(options[1])), (length, length / 8 - 1));
        let mut at = 2;
        while at < length {
            at += if options[at] == 0 { 1 } else { 2 + usize::from(options[at + 1]) };
        }
        assert_eq!(at, length, "the options of a header of {length} bytes end elsewhere");
    }
}

#[test]
fn a_fragment_says_where_it_belongs() {
    let v4 = v4("203.0.113.7").fragment(1480, true).tcp(22).to_bytes();
    assert_eq!(u16::from_be_bytes([v4[20], v4[21]]), 0x2000 + 1480 / 8);
    let v6 = v6("2001:db8::7").fragment(1480, false).tcp(22).to_bytes();
    assert_eq!((v6[20], u16::from_be_bytes([v6[56], v6[57]])), (44, 1480));
}

#[test]
fn lies_change_what_is_said_and_not_what_is_sent() {
    let honest = v4("203.0.113.7").tcp(22).syn();
    let length = honest.to_bytes().len();
    let lies = [
        honest.clone().header_words(4),
        honest.clone().total_length(20),
        honest.clone().data_offset(15),
        honest.clone().ether_type(0x86dd),
    ];
    for lie in lies {
        assert_eq!(lie.to_bytes().len(), length, "{lie:?}");
        assert_ne!(lie.to_bytes(), honest.to_bytes());
    }
    assert_eq!(honest.clone().truncated(30).to_bytes(), honest.to_bytes()[..30]);
    assert_eq!(honest.clone().without_ethernet().to_bytes(), honest.to_bytes()[14..]);
    assert_eq!(honest.clone().padded(60).to_bytes()[length..], [0; 6]);
}

#[test]
fn arp_and_echo_are_no_tcp() {
    let arp = arp("203.0.113.7").vlan(0).to_bytes();
    assert_eq!((hex(&arp[12..18]), arp.len()), ("810000000806".into(), 14 + 4 + 28));
    assert_eq!(v4("203.0.113.7").echo().to_bytes()[14 + 9], 1);
    let echo = v6("2001:db8::7").echo().payload(b"hello").to_bytes();
    assert_eq!((echo[14 + 6], echo[14 + 40]), (58, 128));
    let addresses = ("2001:db8::7".parse().unwrap(), DESTINATION_V6.into());
    assert_eq!(checksum(&[&pseudo_header(addresses, 58, 13), &echo[14 + 40..]]), 0);
}
