//! The transport layer.

use std::net::IpAddr;

use super::Packet;
use super::ip::{checksum, length_of};

/// What an IP packet carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A TCP segment.
    Tcp(Segment),
    /// A UDP datagram.
    Udp {
        /// The source port and the destination port.
        ports: (u16, u16),
        /// The data.
        payload: Vec<u8>,
    },
    /// An ICMP or ICMP for IPv6 echo request, with the data.
    Echo(Vec<u8>),
    /// Bytes of another protocol.
    Other {
        /// Its number.
        protocol: u8,
        /// All of its bytes.
        bytes: Vec<u8>,
    },
}

/// A TCP segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    ports: (u16, u16),
    flags: u8,
    sequence: u32,
    options: usize,
    data_offset: Option<u8>,
    payload: Vec<u8>,
}

/// The port that every segment and datagram comes from, unless a test says otherwise.
pub const SOURCE_PORT: u16 = 40_000;

/// # TCP, UDP, ICMP
impl Packet {
    /// Carries a TCP segment for `port`, with no flags yet.
    #[must_use]
    pub fn tcp(self, port: u16) -> Self {
        let ports = (SOURCE_PORT, port);
        let segment =
            Segment { ports, flags: 0, sequence: 1, options: 0, data_offset: None, payload: Vec::new() };
        self.carrying(Transport::Tcp(segment))
    }

    /// Carries a UDP datagram for `port`.
    #[must_use]
    pub fn udp(self, port: u16) -> Self {
        self.carrying(Transport::Udp { ports: (SOURCE_PORT, port), payload: Vec::new() })
    }

    /// Carries an echo request of ICMP, or ICMP for IPv6.
    #[must_use]
    pub fn echo(self) -> Self {
        self.carrying(Transport::Echo(Vec::new()))
    }

    /// Carries `bytes` as protocol `protocol`.
    #[must_use]
    pub fn protocol(self, protocol: u8, bytes: &[u8]) -> Self {
        self.carrying(Transport::Other { protocol, bytes: bytes.to_vec() })
    }

    /// Comes from this port.
    ///
    /// # Panics
    /// When neither TCP nor UDP is carried.
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        match &mut self.transport {
            Transport::Tcp(Segment { ports, .. }) | Transport::Udp { ports, .. } => ports.0 = port,
            other => panic!("{other:?} has no ports"),
        }
        self
    }

    /// Sets the number of the first byte.
    ///
    /// # Panics
    /// When no TCP is carried.
    #[must_use]
    pub fn sequence(mut self, number: u32) -> Self {
        self.segment_mut().sequence = number;
        self
    }

    /// Sets SYN.
    #[must_use]
    pub fn syn(self) -> Self {
        self.flags(SYN)
    }

    /// Sets ACK.
    #[must_use]
    pub fn ack(self) -> Self {
        self.flags(ACK)
    }

    /// Sets FIN.
    #[must_use]
    pub fn fin(self) -> Self {
        self.flags(FIN)
    }

    /// Sets RST.
    #[must_use]
    pub fn rst(self) -> Self {
        self.flags(RST)
    }

    /// Sets flags by their bits (RFC 9293 §3.1), beside those that are set.
    #[must_use]
    pub fn flags(mut self, bits: u8) -> Self {
        self.segment_mut().flags |= bits;
        self
    }

    /// Puts `bytes` bytes of options, up to 40 and a multiple of 4, into the TCP header.
    ///
    /// # Panics
    /// On any other number.
    #[must_use]
    pub fn tcp_options(mut self, bytes: usize) -> Self {
        assert!(bytes <= 40 && bytes.is_multiple_of(4), "no TCP header has {bytes} bytes of options");
        self.segment_mut().options = bytes;
        self
    }

    /// Lies about the length of the TCP header, in words of 4 bytes; less than 5 is no header.
    #[must_use]
    pub fn data_offset(mut self, words: u8) -> Self {
        self.segment_mut().data_offset = Some(words);
        self
    }

    /// Carries data.
    ///
    /// # Panics
    /// When the bytes of another protocol are carried, which are complete.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match &mut self.transport {
            Transport::Tcp(Segment { payload, .. })
            | Transport::Udp { payload, .. }
            | Transport::Echo(payload) => *payload = bytes.to_vec(),
            other @ Transport::Other { .. } => panic!("{other:?} is complete"),
        }
        self
    }

    fn carrying(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    fn segment_mut(&mut self) -> &mut Segment {
        match &mut self.transport {
            Transport::Tcp(segment) => segment,
            other => panic!("{other:?} is not TCP"),
        }
    }
}

impl Transport {
    pub(super) fn protocol(&self, over_v6: bool) -> u8 {
        match self {
            Self::Tcp(_) => 6,
            Self::Udp { .. } => 17,
            Self::Echo(_) if over_v6 => 58,
            Self::Echo(_) => 1,
            Self::Other { protocol, .. } => *protocol,
        }
    }

    /// Writes the header and the data, with the checksum for a packet between `addresses`.
    pub(super) fn bytes(&self, addresses: (IpAddr, IpAddr)) -> Vec<u8> {
        let over_v6 = addresses.0.is_ipv6();
        let (mut bytes, checksum_at, pseudo) = match self {
            Self::Tcp(segment) => (segment.bytes(), 16, true),
            Self::Udp { ports, payload } => {
                let mut bytes = ports.0.to_be_bytes().to_vec();
                bytes.extend(ports.1.to_be_bytes());
                bytes.extend(length_of(8 + payload.len()).to_be_bytes());
                bytes.extend([0, 0]);
                bytes.extend(payload);
                (bytes, 6, true)
            }
            Self::Echo(payload) => {
                let mut bytes = vec![if over_v6 { 128 } else { 8 }, 0, 0, 0, 0, 1, 0, 1];
                bytes.extend(payload);
                (bytes, 2, over_v6)
            }
            Self::Other { bytes, .. } => return bytes.clone(),
        };
        let header =
            if pseudo { pseudo_header(addresses, self.protocol(over_v6), bytes.len()) } else { Vec::new() };
        let sum = checksum(&[&header, &bytes]);
        bytes[checksum_at..checksum_at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

impl Transport {
    /// Swaps the two ports.
    pub(super) fn turn_round(&mut self) {
        match self {
            Self::Tcp(Segment { ports, .. }) | Self::Udp { ports, .. } => *ports = (ports.1, ports.0),
            other => panic!("{other:?} has no ports"),
        }
    }
}

impl Segment {
    fn bytes(&self) -> Vec<u8> {
        let length = 20 + self.options;
        let words = self.data_offset.unwrap_or_else(|| u8::try_from(length / 4).expect("60 bytes at most"));
        let mut bytes = self.ports.0.to_be_bytes().to_vec();
        bytes.extend(self.ports.1.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(u32::from(self.flags & ACK != 0).to_be_bytes());
        bytes.extend([words << 4, self.flags]);
        bytes.extend(WINDOW.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.resize(length, TCP_NO_OPERATION);
        bytes.extend(&self.payload);
        bytes
    }
}

/// What the checksum also covers: RFC 9293 §3.1 and RFC 8200 §8.1, whose sums are the same for short packets.
pub(super) fn pseudo_header(addresses: (IpAddr, IpAddr), protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [addresses.0, addresses.1] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend([0, protocol]);
    bytes.extend(length_of(length).to_be_bytes());
    bytes
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const WINDOW: u16 = 64_240;
const TCP_NO_OPERATION: u8 = 1;
