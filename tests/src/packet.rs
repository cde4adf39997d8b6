//! Packets, one header at a time: `packet::v4("203.0.113.7").tcp(22).syn().to_bytes()`.
//!
//! Lengths and checksums come out right unless a test asks for wrong ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod ip;
mod transport;

pub use ip::Extension;
pub use transport::{SOURCE_PORT, Transport};

/// The address that every packet is sent to, by family.
pub const DESTINATION_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The address that every IPv6 packet is sent to.
pub const DESTINATION_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 1);

/// A frame in the making.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    tags: Vec<(u16, u16)>,
    network: Network,
    extensions: Vec<Extension>,
    transport: Transport,
    ether_type: Option<u16>,
    without_ethernet: bool,
    back: bool,
    truncate: Option<usize>,
    padding: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Network {
    V4(ip::V4),
    V6(ip::V6),
    Arp { sender: Ipv4Addr },
}

/// Begins an IPv4 packet from `source`.
///
/// # Panics
/// When `source` is no IPv4 address.
#[must_use]
pub fn v4(source: &str) -> Packet {
    let source = source.parse().unwrap_or_else(|_| panic!("'{source}' is no IPv4 address"));
    Packet::new(Network::V4(ip::V4::new(source)))
}

/// Begins an IPv6 packet from `source`.
///
/// # Panics
/// When `source` is no IPv6 address.
#[must_use]
pub fn v6(source: &str) -> Packet {
    let source = source.parse().unwrap_or_else(|_| panic!("'{source}' is no IPv6 address"));
    Packet::new(Network::V6(ip::V6 { source, hop_limit: 64 }))
}

/// Begins a packet of the family of `source`.
#[must_use]
pub fn from(source: IpAddr) -> Packet {
    match source {
        IpAddr::V4(source) => Packet::new(Network::V4(ip::V4::new(source))),
        IpAddr::V6(source) => Packet::new(Network::V6(ip::V6 { source, hop_limit: 64 })),
    }
}

/// Makes an ARP request (RFC 826) of `sender` for the server's address.
///
/// # Panics
/// When `sender` is no IPv4 address.
#[must_use]
pub fn arp(sender: &str) -> Packet {
    let sender = sender.parse().unwrap_or_else(|_| panic!("'{sender}' is no IPv4 address"));
    Packet::new(Network::Arp { sender })
}

/// # Ethernet
impl Packet {
    /// Adds an 802.1Q tag inside those there are; 0 is a priority tag.
    #[must_use]
    pub fn vlan(mut self, number: u16) -> Self {
        self.tags.push((ETHER_TYPE_8021Q, number));
        self
    }

    /// Adds an 802.1ad tag, a provider's, inside those there are.
    #[must_use]
    pub fn provider_vlan(mut self, number: u16) -> Self {
        self.tags.push((ETHER_TYPE_8021AD, number));
        self
    }

    /// Lies about the protocol in the Ethernet header, or in the innermost tag.
    #[must_use]
    pub fn ether_type(mut self, number: u16) -> Self {
        self.ether_type = Some(number);
        self
    }

    /// Leaves the Ethernet header out, as devices like tun do.
    #[must_use]
    pub fn without_ethernet(mut self) -> Self {
        self.without_ethernet = true;
        self
    }

    /// Turns the packet round: it goes from the server to `source`.
    ///
    /// # Panics
    /// When it is ARP, or carries neither TCP nor UDP.
    #[must_use]
    pub fn back(mut self) -> Self {
        assert!(!matches!(self.network, Network::Arp { .. }), "ARP is not turned round");
        self.transport.turn_round();
        self.back = !self.back;
        self
    }

    /// Cuts the frame to `length` bytes, without a word in its headers.
    #[must_use]
    pub fn truncated(mut self, length: usize) -> Self {
        self.truncate = Some(length);
        self
    }

    /// Adds zeros up to `length` bytes of frame, as Ethernet does up to 60.
    #[must_use]
    pub fn padded(mut self, length: usize) -> Self {
        self.padding = length;
        self
    }

    /// Writes the frame.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (ether_type, mut body) = self.network_bytes();
        if self.back {
            // No checksum minds the order of the addresses.
            match ether_type {
                ETHER_TYPE_IPV4 => body[12..20].rotate_left(4),
                _ => body[8..40].rotate_left(16),
            }
        }
        let mut bytes = Vec::with_capacity(14 + 4 * self.tags.len() + body.len());
        if !self.without_ethernet {
            bytes.extend(DESTINATION_MAC);
            bytes.extend(SOURCE_MAC);
            for (tag, number) in &self.tags {
                bytes.extend(tag.to_be_bytes());
                bytes.extend(number.to_be_bytes());
            }
            bytes.extend(self.ether_type.unwrap_or(ether_type).to_be_bytes());
        }
        bytes.extend(body);
        bytes.resize(bytes.len().max(self.padding), 0);
        bytes.truncate(self.truncate.unwrap_or(bytes.len()));
        bytes
    }

    fn new(network: Network) -> Self {
        Self {
            tags: Vec::new(),
            network,
            extensions: Vec::new(),
            transport: Transport::Other { protocol: PROTOCOL_NONE, bytes: Vec::new() },
            ether_type: None,
            without_ethernet: false,
            back: false,
            truncate: None,
            padding: 0,
        }
    }

    fn network_bytes(&self) -> (u16, Vec<u8>) {
        match &self.network {
            Network::V4(header) => {
                let upper = self.transport.bytes((header.source.into(), DESTINATION_V4.into()));
                let (protocol, body) = ip::chain(&self.extensions, self.transport.protocol(false), upper);
                (ETHER_TYPE_IPV4, header.bytes(DESTINATION_V4, protocol, &body))
            }
            Network::V6(header) => {
                let upper = self.transport.bytes((header.source.into(), DESTINATION_V6.into()));
                let (protocol, body) = ip::chain(&self.extensions, self.transport.protocol(true), upper);
                (ETHER_TYPE_IPV6, header.bytes(DESTINATION_V6, protocol, &body))
            }
            Network::Arp { sender } => (ETHER_TYPE_ARP, arp_bytes(*sender)),
        }
    }
}

/// An Ethernet (1), IPv4 (0x0800) request (1) with addresses of 6 and 4 bytes.
fn arp_bytes(sender: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
    bytes.extend(SOURCE_MAC);
    bytes.extend(sender.octets());
    bytes.extend([0; 6]);
    bytes.extend(DESTINATION_V4.octets());
    bytes
}

const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const DESTINATION_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_ARP: u16 = 0x0806;
const ETHER_TYPE_8021Q: u16 = 0x8100;
const ETHER_TYPE_IPV6: u16 = 0x86dd;
const ETHER_TYPE_8021AD: u16 = 0x88a8;
/// IPv6's "no next header" (RFC 8200 §4.7).
const PROTOCOL_NONE: u8 = 59;

#[cfg(test)]
mod tests;
