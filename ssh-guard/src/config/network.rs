//! Addresses and networks as an operator writes them: `203.0.113.7`, `198.51.100.0/24`, `2001:db8::/32`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use ssh_guard_common::source::Source;
use thiserror::Error;

use super::quote::shown;

/// Why a text is no network.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum NetworkError {
    /// It is neither an address nor a network.
    #[error("'{}' is not an address or a network: {why}", shown(.text))]
    Form {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The address has bits that its prefix does not cover.
    #[error("'{}' is not a network: its address goes on beyond the prefix", shown(.text))]
    HostBits {
        /// The text.
        text: String,
        /// The network that the address lies in.
        network: IpNet,
    },
}

/// Reads an address, as a network of its own, or a network. IPv4 in an IPv6 envelope (`::ffff:0:0/96`, and NAT64's
/// `64:ff9b::/96`) becomes what it carries, as it does for sources.
///
/// # Errors
/// Fails if the text is neither, and if the address of a network has bits beyond the prefix: `10.1.2.3/24` may mean
/// the network or the address, and guessing would allow or ban 255 others.
pub fn parse(text: &str) -> Result<IpNet, NetworkError> {
    let form = |why: String| NetworkError::Form { text: text.to_owned(), why };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| form(why_no_address(address)))?;
    let network = match prefix {
        None => IpNet::from(address),
        Some(prefix) => {
            let length = prefix_length(prefix, address).map_err(form)?;
            IpNet::new_assert(address, length)
        }
    };
    if network.addr() != network.network() {
        return Err(NetworkError::HostBits { text: text.to_owned(), network: unwrapped(network.trunc()) });
    }
    Ok(unwrapped(network))
}

impl NetworkError {
    /// Says what the operator can write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Form { .. } => "write an address such as '203.0.113.7' or '2001:db8::7', \
                                  or a network such as '198.51.100.0/24'"
                .to_owned(),
            Self::HostBits { text, network } => {
                let address = text.split('/').next().unwrap_or_default();
                format!("write '{network}' for the network, or '{address}' for the address alone")
            }
        }
    }
}

fn prefix_length(text: &str, address: IpAddr) -> Result<u8, String> {
    let (family, most) = match address {
        IpAddr::V4(_) => ("IPv4", 32),
        IpAddr::V6(_) => ("IPv6", 128),
    };
    if text.parse::<Ipv4Addr>().is_ok() {
        return Err("its prefix must be a number of bits, not a mask".to_owned());
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u8>() {
        Ok(length) if digits && length <= most => Ok(length),
        _ if digits => Err(format!("an {family} prefix has at most {most} bits")),
        _ => Err("its prefix must be a number of bits".to_owned()),
    }
}

fn why_no_address(text: &str) -> String {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('.').collect();
    let why = match text {
        "" => "the address is missing",
        _ if text.contains('%') => "a zone ('%…') is not part of it",
        _ if text.contains(':') && text.parse::<std::net::SocketAddr>().is_ok() => "a port is not part of it",
        _ if text.contains(':') => "this is not how an IPv6 address is written",
        _ if !parts.iter().all(|part| digits(part)) => "names are never resolved",
        _ if parts.len() != 4 => "an IPv4 address has four numbers",
        _ => {
            return match parts.iter().find(|part| part.parse::<u8>().is_err()) {
                Some(part) => format!("{} is above 255", shown(part)),
                None => "a number starts with 0".to_owned(),
            };
        }
    };
    why.to_owned()
}

fn unwrapped(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let envelope = |address: Ipv6Addr| Source::from(address);
    match (v6.prefix_len().checked_sub(96), envelope(v6.network()).address()) {
        (Some(length), IpAddr::V4(inner)) => Ipv4Net::new_assert(inner, length).into(),
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_a_network_of_its_own() {
        for (text, network) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("203.0.113.7/32", "203.0.113.7/32"),
            ("2001:DB8::7", "2001:db8::7/128"),
            ("198.51.100.0/24", "198.51.100.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), network);
        }
    }

    #[test]
    fn ipv4_in_an_envelope_is_unwrapped() {
        for (text, network) in [
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("64:ff9b::203.0.113.7", "203.0.113.7/32"),
            ("64:ff9b::/64", "64:ff9b::/64"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), network);
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "the address is missing"),
            ("/24", "the address is missing"),
            ("300.1.2.3", "300 is above 255"),
            ("1.2.3.99999999999999999999", "99999999999999999999 is above 255"),
            ("010.1.2.3", "a number starts with 0"),
            ("10.1.2", "an IPv4 address has four numbers"),
            ("1.2.3.4.5", "an IPv4 address has four numbers"),
            ("10..2.3", "names are never resolved"),
            ("bastion.example", "names are never resolved"),
            (" 10.1.2.3", "names are never resolved"),
            ("fe80::1%eth0", "a zone ('%…') is not part of it"),
            ("10.1.2.3:22", "a port is not part of it"),
            ("[::1]:22", "a port is not part of it"),
            ("2001:db8", "this is not how an IPv6 address is written"),
            ("10.0.0.0/33", "an IPv4 prefix has at most 32 bits"),
            ("::/129", "an IPv6 prefix has at most 128 bits"),
            ("10.0.0.0/", "its prefix must be a number of bits"),
            ("10.0.0.0/+8", "its prefix must be a number of bits"),
            ("10.0.0.0/8/8", "its prefix must be a number of bits"),
            ("10.0.0.0/255.0.0.0", "its prefix must be a number of bits, not a mask"),
            ("x\n", "names are never resolved"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert_eq!(said, format!("'{}' is not an address or a network: {why}", text.escape_debug()));
        }
    }

    #[test]
    fn a_network_with_an_address_inside_is_asked_back() {
        let error = parse("10.1.2.3/24").unwrap_err();
        assert_eq!(
            error.to_string(),
            "'10.1.2.3/24' is not a network: its address goes on beyond the prefix"
        );
        assert_eq!(error.hint(), "write '10.1.2.0/24' for the network, or '10.1.2.3' for the address alone");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-f.:/%x]{0,50}|.*") {
            drop(parse(&text).map_err(|error| (error.to_string(), error.hint())));
        }

        #[test]
        fn a_network_is_read_as_it_was_printed(bits: u128, length in 0..=128u8) {
            let network = IpNet::new_assert(Ipv6Addr::from(bits).into(), length).trunc();
            prop_assert_eq!(parse(&network.to_string()), Ok(unwrapped(network)));
        }
    }
}
