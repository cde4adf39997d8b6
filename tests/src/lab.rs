//! A server and its clients, each in a network namespace of its own.

use std::net::{IpAddr, TcpListener};

use crate::client::Client;
use crate::netns::Namespace;

/// A server namespace with an interface `eth0`, `eth1`, … to each client namespace.
///
/// On link `n` the server is `10.77.n.1` and `fd00:77:n::1`, the client `.2` and `::2`. Client `n` also answers for
/// every address in `10.(100+n).0.0/16` and `fd00:(100+n)::/32`; client 0, the server's default gateway, for the
/// documentation and benchmark ranges too: `192.0.2.0/24`, `198.51.100.0/24`, `203.0.113.0/24`, `198.18.0.0/15` and
/// `2001:db8::/32`. So a single client is as many sources as a test can ask for.
#[derive(Debug)]
pub struct Lab {
    server: Namespace,
    clients: Vec<Namespace>,
}

impl Lab {
    /// Builds a server with one client.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clients(1)
    }

    /// Builds a server with up to 100 clients.
    ///
    /// # Panics
    /// Without root.
    #[must_use]
    pub fn with_clients(count: usize) -> Self {
        let server = Namespace::new();
        let clients = (0..count).map(|number| join(&server, number)).collect();
        Self { server, clients }
    }

    /// The server's namespace.
    #[must_use]
    pub fn server(&self) -> &Namespace {
        &self.server
    }

    /// The namespace of client `number`, counted from 0.
    #[must_use]
    pub fn client_namespace(&self, number: usize) -> &Namespace {
        &self.clients[number]
    }

    /// Listens on port 22 of every address of the server, IPv4 and IPv6. Nobody accepts, nor has to: the kernel opens sessions.
    ///
    /// # Panics
    /// When somebody listens there already.
    #[must_use]
    pub fn listen(&self) -> TcpListener {
        self.server.within(|| TcpListener::bind("[::]:22")).expect("nobody else has the port")
    }

    /// Makes the link to client `number` again, under its name, after it was deleted.
    pub fn connect_again(&self, number: usize) {
        link_up(&self.server, &self.clients[number], number);
    }

    /// The client at `address`, which is one of those that its namespace answers for.
    ///
    /// # Panics
    /// When `address` is no address, or no client's.
    #[must_use]
    pub fn client(&self, address: &str) -> Client<'_> {
        let address: IpAddr = address.parse().unwrap_or_else(|_| panic!("'{address}' is no address"));
        let number = link_of(address);
        let namespace = self.clients.get(number).unwrap_or_else(|| panic!("no client has '{address}'"));
        Client::new(namespace, address, server_address(number, address.is_ipv4()))
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// The server's address on the link to client `number`.
#[must_use]
pub fn server_address(number: usize, ipv4: bool) -> IpAddr {
    let text = if ipv4 { format!("10.77.{number}.1") } else { format!("fd00:77:{number}::1") };
    text.parse().expect("it is an address for a number up to 100")
}

/// The ranges that client 0 answers for, beside its own.
const INTERNET: [&str; 5] =
    ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32"];

fn join(server: &Namespace, number: usize) -> Namespace {
    let client = Namespace::new();
    // An IPv6 socket may be bound to addresses that only a local route, and no interface, has.
    client.sysctl("ipv6/ip_nonlocal_bind", "1");
    for range in own(number) {
        client.ip(&format!("route add local {range} dev lo"));
    }
    if number == 0 {
        for range in INTERNET {
            client.ip(&format!("route add local {range} dev lo"));
        }
    }
    link_up(server, &client, number);
    client
}

/// The ranges that client `number` answers for, beside its addresses on the link.
fn own(number: usize) -> [String; 2] {
    [format!("10.{}.0.0/16", 100 + number), format!("fd00:{}::/32", 100 + number)]
}

fn link_up(server: &Namespace, client: &Namespace, number: usize) {
    // The ends of a veth pair that have the same number are taken for one device, whose coming up may wait a second
    // (Linux, net/core/link_watch.c, `linkwatch_urgent_event`).
    server.ip(&format!(
        "link add eth{number} index {index} type veth peer name eth0 netns {client}\n\
         addr add 10.77.{number}.1/24 dev eth{number}\n\
         addr add fd00:77:{number}::1/64 dev eth{number} nodad\n\
         link set eth{number} up\n",
        index = 100 + number,
        client = client.path(),
    ));
    client.ip(&format!(
        "addr add 10.77.{number}.2/24 dev eth0\n\
         addr add fd00:77:{number}::2/64 dev eth0 nodad\n\
         link set eth0 up\n",
    ));
    let [v4, v6] = own(number);
    server.ip(&format!(
        "route add {v4} via 10.77.{number}.2\n\
         route add {v6} via fd00:77:{number}::2\n",
    ));
    if number == 0 {
        server.ip("route add default via 10.77.0.2\nroute add default via fd00:77::2");
    }
    server.wait_for_neighbours(&format!("eth{number}"));
    client.wait_for_neighbours("eth0");
}

fn link_of(address: IpAddr) -> usize {
    let number = match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 77, number, _] => u16::from(number),
            [10, link, ..] if link >= 100 => u16::from(link) - 100,
            _ => 0,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd00, 0x77, number, ..] => from_decimal_looks(number),
            [0xfd00, link, ..] => from_decimal_looks(link).saturating_sub(100),
            _ => 0,
        },
    };
    usize::from(number)
}

/// Reads `0x105` as 105: in the lab's IPv6 addresses the decimal number stands as it is.
fn from_decimal_looks(segment: u16) -> u16 {
    format!("{segment:x}").parse().expect("the lab's numbers have decimal digits only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_client() {
        let link = |address: &str| link_of(address.parse().unwrap());
        assert_eq!(
            [link("203.0.113.7"), link("10.100.3.4"), link("2001:db8::7"), link("fd00:100::7")],
            [0; 4]
        );
        assert_eq!(
            [link("10.112.3.4"), link("fd00:112:5::7"), link("10.77.12.2"), link("fd00:77:12::2")],
            [12; 4]
        );
        assert_eq!(server_address(12, false), "fd00:77:12::1".parse::<IpAddr>().unwrap());
    }
}
