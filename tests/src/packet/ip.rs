//! The network layer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Network, Packet};

/// A header between the IP header and the transport's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extension {
    /// Options for every hop; how many bytes, a multiple of 8.
    HopByHop(usize),
    /// A routing header; how many bytes, a multiple of 8.
    Routing(usize),
    /// Options for the destination; how many bytes, a multiple of 8.
    DestinationOptions(usize),
    /// An authentication header (RFC 4302); how many bytes, a multiple of 4 and 12 at least.
    Authentication(usize),
    /// An IPv6 fragment header; the offset in bytes, a multiple of 8, and whether more follow.
    Fragment(u16, bool),
}

/// An IPv4 header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct V4 {
    pub(super) source: Ipv4Addr,
    options: usize,
    header_words: Option<u8>,
    total_length: Option<u16>,
    fragment: (u16, bool),
}

/// An IPv6 header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct V6 {
    pub(super) source: Ipv6Addr,
    pub(super) hop_limit: u8,
}

/// # IPv4 and IPv6
impl Packet {
    /// Puts `bytes` bytes of options, up to 40 and a multiple of 4, into the IPv4 header.
    ///
    /// # Panics
    /// On any other number, or any other protocol.
    #[must_use]
    pub fn options(mut self, bytes: usize) -> Self {
        assert!(bytes <= 40 && bytes.is_multiple_of(4), "no IPv4 header has {bytes} bytes of options");
        self.v4_mut().options = bytes;
        self
    }

    /// Lies about the length of the IPv4 header, in words of 4 bytes; less than 5 is no header.
    ///
    /// # Panics
    /// In any other protocol.
    #[must_use]
    pub fn header_words(mut self, words: u8) -> Self {
        self.v4_mut().header_words = Some(words);
        self
    }

    /// Lies about the total length in the IPv4 header.
    ///
    /// # Panics
    /// In any other protocol.
    #[must_use]
    pub fn total_length(mut self, bytes: u16) -> Self {
        self.v4_mut().total_length = Some(bytes);
        self
    }

    /// Makes the packet a fragment: in IPv4's header, or by a header of its own after the extensions so far. The
    /// transport's bytes follow as they are, also where a real later fragment would have others.
    ///
    /// # Panics
    /// When `offset`, in bytes, is no multiple of 8, or the packet is neither IPv4 nor IPv6.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        assert!(offset.is_multiple_of(8), "no fragment begins at byte {offset}");
        match &mut self.network {
            Network::V4(header) => header.fragment = (offset, more),
            Network::V6(_) => self.extensions.push(Extension::Fragment(offset, more)),
            Network::Arp { .. } => panic!("ARP has no fragments"),
        }
        self
    }

    /// Adds a header after those there are.
    ///
    /// # Panics
    /// When no such header can have that length.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        let fits = match extension {
            Extension::HopByHop(bytes) | Extension::Routing(bytes) | Extension::DestinationOptions(bytes) => {
                bytes >= 8 && bytes.is_multiple_of(8) && bytes <= 2048
            }
            Extension::Authentication(bytes) => bytes >= 12 && bytes.is_multiple_of(4) && bytes <= 1028,
            Extension::Fragment(offset, _) => offset.is_multiple_of(8),
        };
        assert!(fits, "{extension:?} is no header");
        self.extensions.push(extension);
        self
    }

    /// Adds hop-by-hop options of 8 bytes.
    #[must_use]
    pub fn hop_by_hop(self) -> Self {
        self.extension(Extension::HopByHop(8))
    }

    /// Adds a routing header of 8 bytes.
    #[must_use]
    pub fn routing(self) -> Self {
        self.extension(Extension::Routing(8))
    }

    /// Adds destination options of 8 bytes.
    #[must_use]
    pub fn destination_options(self) -> Self {
        self.extension(Extension::DestinationOptions(8))
    }

    /// Adds an authentication header of 16 bytes.
    #[must_use]
    pub fn authentication(self) -> Self {
        self.extension(Extension::Authentication(16))
    }

    fn v4_mut(&mut self) -> &mut V4 {
        match &mut self.network {
            Network::V4(header) => header,
            other => panic!("{other:?} is not IPv4"),
        }
    }
}

impl V4 {
    pub(super) fn new(source: Ipv4Addr) -> Self {
        Self { source, options: 0, header_words: None, total_length: None, fragment: (0, false) }
    }

    pub(super) fn bytes(&self, destination: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
        let length = 20 + self.options;
        let words = self.header_words.unwrap_or_else(|| u8::try_from(length / 4).expect("60 bytes at most"));
        let total = self.total_length.unwrap_or_else(|| length_of(length + body.len()));
        let (offset, more) = self.fragment;
        let fragment = (offset / 8) | if more { V4_MORE_FRAGMENTS } else { 0 };

        let mut bytes = vec![0x40 | words & 0x0f, 0];
        bytes.extend(total.to_be_bytes());
        bytes.extend(IDENTIFICATION.to_be_bytes()[2..].iter());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([64, protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(destination.octets());
        bytes.resize(length, V4_NO_OPERATION);
        let sum = checksum(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(body);
        bytes
    }
}

impl V6 {
    pub(super) fn bytes(&self, destination: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length_of(body.len()).to_be_bytes());
        bytes.extend([next, self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(destination.octets());
        bytes.extend(body);
        bytes
    }
}

impl Extension {
    fn protocol(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing(_) => 43,
            Self::Fragment(..) => 44,
            Self::Authentication(_) => 51,
            Self::DestinationOptions(_) => 60,
        }
    }

    fn bytes(self, next: u8) -> Vec<u8> {
        let units = |units: usize| u8::try_from(units).expect("the length was checked");
        match self {
            // PadN (RFC 8200 §4.2) fills what the two first bytes leave.
            Self::HopByHop(length) | Self::DestinationOptions(length) => {
                let mut bytes = vec![next, units(length / 8 - 1)];
                let mut left = length - 2;
                while left > 0 {
                    let option = left.min(257);
                    // A single byte left over is Pad1.
                    let option = if left - option == 1 { option - 1 } else { option };
                    bytes.extend([1, units(option - 2)]);
                    bytes.resize(bytes.len() + option - 2, 0);
                    left -= option;
                }
                bytes
            }
            // Type 253 is for experiments (RFC 4727), with no segments left: a host must skip it.
            Self::Routing(length) => {
                let mut bytes = vec![next, units(length / 8 - 1), 253, 0];
                bytes.resize(length, 0);
                bytes
            }
            Self::Authentication(length) => {
                let mut bytes = vec![next, units(length / 4 - 2)];
                bytes.resize(length, 0);
                bytes
            }
            Self::Fragment(offset, more) => {
                let mut bytes = vec![next, 0];
                bytes.extend((offset | u16::from(more)).to_be_bytes());
                bytes.extend(IDENTIFICATION.to_be_bytes());
                bytes
            }
        }
    }
}

/// Writes the extensions and what follows, and tells the protocol of the first.
pub(super) fn chain(extensions: &[Extension], protocol: u8, upper: Vec<u8>) -> (u8, Vec<u8>) {
    extensions.iter().rev().fold((protocol, upper), |(next, body), extension| {
        let mut bytes = extension.bytes(next);
        bytes.extend(body);
        (extension.protocol(), bytes)
    })
}

/// The Internet checksum (RFC 1071) over all of `parts`, each but the last of an even length.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum = words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("two folds leave 16 bits")
}

/// The length field for `bytes` bytes.
pub(super) fn length_of(bytes: usize) -> u16 {
    u16::try_from(bytes).expect("no packet of a test is longer than 64 KiB")
}

const V4_MORE_FRAGMENTS: u16 = 0x2000;
const V4_NO_OPERATION: u8 = 1;
/// The same in every packet, so that fragments belong together; IPv4 takes the lower half.
const IDENTIFICATION: u32 = 0x0001_2345;
