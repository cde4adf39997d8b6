//! The frame that the programs make all others of.

use std::net::Ipv4Addr;

use ssh_guard_tests::packet;

/// A SYN from nowhere, padded to the shortest frame on an Ethernet, and the sums of what stays the same in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// The frame, its source 0.0.0.0:0.
    pub bytes: Vec<u8>,
    /// See [`crate::walk::Walk::ip_sum`].
    pub ip_sum: u32,
    /// See [`crate::walk::Walk::tcp_sum`].
    pub tcp_sum: u32,
}

impl Template {
    /// Makes the frame of a SYN to `port`.
    #[must_use]
    pub fn syn(port: u16) -> Self {
        let bytes = packet::v4(&Ipv4Addr::UNSPECIFIED.to_string())
            .tcp(port)
            .from_port(0)
            .syn()
            .padded(SHORTEST)
            .to_bytes();
        // A checksum is the complement of the sum of all else, and nothing is added by a source of zeros.
        let sum = |at: usize| u32::from(!u16::from_ne_bytes([bytes[at], bytes[at + 1]]));
        let (ip_sum, tcp_sum) = (sum(24), sum(50));
        Self { bytes, ip_sum, tcp_sum }
    }
}

/// Makes the frame of a client's packet in a session.
#[must_use]
pub fn data(port: u16) -> Vec<u8> {
    packet::v4(&Ipv4Addr::UNSPECIFIED.to_string()).tcp(port).ack().payload(&[0; 36]).to_bytes()
}

/// The same over IPv6.
#[must_use]
pub fn data_v6(port: u16) -> Vec<u8> {
    packet::v6("::").tcp(port).ack().payload(&[0; 36]).to_bytes()
}

/// Makes the frame of a SYN over IPv6.
#[must_use]
pub fn syn_v6(port: u16) -> Vec<u8> {
    packet::v6("::").tcp(port).from_port(0).syn().to_bytes()
}

/// The shortest Ethernet frame, without the checksum that hardware adds.
const SHORTEST: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources;
    use crate::walk::{Walk, checksum};

    /// Does to a frame what the program `flood` does.
    fn rewritten(template: &Template, source: Ipv4Addr, frame: u32) -> Vec<u8> {
        let (word, port) = (u32::from_ne_bytes(source.octets()), Walk::port(frame).to_be());
        let mut bytes = template.bytes.clone();
        bytes[24..26].copy_from_slice(&checksum(template.ip_sum, word, 0).to_ne_bytes());
        bytes[26..30].copy_from_slice(&source.octets());
        bytes[34..36].copy_from_slice(&port.to_ne_bytes());
        bytes[50..52].copy_from_slice(&checksum(template.tcp_sum, word, port).to_ne_bytes());
        bytes
    }

    #[test]
    fn a_rewritten_frame_is_the_one_that_its_source_would_have_sent() {
        let template = Template::syn(22);
        for (number, source) in (0..).zip(sources::strangers_v4().take(70_000)) {
            let sent = packet::v4(&source.to_string()).tcp(22).from_port(Walk::port(number)).syn().padded(60);
            assert_eq!(rewritten(&template, source, number), sent.to_bytes(), "{source}, frame {number}");
        }
    }

    #[test]
    fn the_frame_is_a_syn_to_the_port() {
        let bytes = Template::syn(22).bytes;
        assert_eq!((bytes.len(), &bytes[36..38], bytes[47]), (60, &[0, 22][..], 2));
        assert_eq!((syn_v6(443).len(), &syn_v6(443)[56..58]), (74, &[1, 187][..]));
    }

    #[test]
    fn ports_are_no_servers_and_change_with_the_frame() {
        let ports: Vec<_> = (0..1000).map(Walk::port).collect();
        assert!(ports.iter().all(|port| *port >= 1024));
        assert!(ports.windows(2).all(|two| two[0] != two[1]));
    }
}
