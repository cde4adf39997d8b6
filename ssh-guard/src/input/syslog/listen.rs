//! Where an input of the kind `syslog` is sent to, as the configuration writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address that syslog daemons send to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listen {
    /// Datagrams; anybody can send them in another's name.
    Udp(SocketAddr),
    /// Connections.
    Tcp(SocketAddr),
    /// Datagrams from programs of this machine: the path of the socket, absolute and of at most 107 bytes.
    Unix(PathBuf),
}

impl Listen {
    /// Whether nobody but this machine can send to it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Udp(at) | Self::Tcp(at) => at.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Whether both cannot be listened at together.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Udp(one), Self::Udp(other)) | (Self::Tcp(one), Self::Tcp(other)) => {
                let everywhere = |ip: IpAddr| ip.is_unspecified();
                one.port() == other.port()
                    && (one.ip() == other.ip() || everywhere(one.ip()) || everywhere(other.ip()))
            }
            (Self::Unix(one), Self::Unix(other)) => one == other,
            _ => false,
        }
    }
}

/// Says that a text names no address that can be listened at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is not 'udp://ADDRESS:PORT', 'tcp://ADDRESS:PORT' or 'unix:///PATH'")]
pub struct NoListen;

impl FromStr for Listen {
    type Err = NoListen;

    fn from_str(text: &str) -> Result<Self, NoListen> {
        let (scheme, at) = text.split_once("://").ok_or(NoListen)?;
        let socket = || at.parse::<SocketAddr>().ok().filter(|at| at.port() > 0).ok_or(NoListen);
        match scheme {
            "udp" => socket().map(Self::Udp),
            "tcp" => socket().map(Self::Tcp),
            "unix" => {
                // `sun_path` holds 108 bytes with its NUL (unix(7)).
                let fits = at.starts_with('/')
                    && (2..=107).contains(&at.len())
                    && !at.ends_with('/')
                    && !at.contains('\0');
                if fits { Ok(Self::Unix(PathBuf::from(at))) } else { Err(NoListen) }
            }
            _ => Err(NoListen),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(at) => write!(f, "udp://{at}"),
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_shown() {
        for text in
            ["udp://127.0.0.1:514", "udp://[::1]:5514", "tcp://0.0.0.0:6514", "unix:///run/x/log.sock"]
        {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        let long = format!("unix:///{}", "x".repeat(107));
        for text in [
            "",
            "127.0.0.1:514",
            "udp://127.0.0.1",
            "udp://127.0.0.1:0",
            "udp://localhost:514",
            "tls://127.0.0.1:1",
            "unix://run/x",
            "unix:///",
            "unix:///run/",
            "unix:///a\0b",
            "udp:127.0.0.1:514",
            &long,
        ] {
            assert_eq!(text.parse::<Listen>(), Err(NoListen), "{text}");
        }
    }

    #[test]
    fn loopback_and_unix_sockets_are_local_and_nothing_else_is() {
        let local = |text: &str| text.parse::<Listen>().unwrap().is_local();
        assert!(local("udp://127.0.0.9:1") && local("tcp://[::1]:1") && local("tcp://[::ffff:127.0.0.1]:1"));
        assert!(local("unix:///run/x") && !local("udp://0.0.0.0:1") && !local("tcp://[::]:1"));
        assert!(!local("tcp://192.0.2.1:1"));
    }

    #[test]
    fn two_that_take_each_others_place_overlap() {
        let overlap = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| text.parse::<Listen>().unwrap());
            one.overlaps(&other)
        };
        assert!(overlap("udp://127.0.0.1:1", "udp://127.0.0.1:1"));
        assert!(overlap("udp://0.0.0.0:1", "udp://127.0.0.1:1"));
        assert!(overlap("unix:///a", "unix:///a"));
        assert!(!overlap("udp://127.0.0.1:1", "tcp://127.0.0.1:1"));
        assert!(!overlap("udp://127.0.0.1:1", "udp://127.0.0.1:2"));
        assert!(!overlap("udp://127.0.0.1:1", "udp://127.0.0.2:1"));
    }
}
