//! The machine's network, read from the kernel over netlink: which interfaces there are, which one the world comes
//! in by, and which addresses must never be banned.

use std::future::ready;
use std::net::IpAddr;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};
use tokio::task::AbortHandle;

use crate::config::settings::{Interfaces, Mode};
use crate::fault::{Exit, Fault};
use crate::policy::bannable::Protected;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its number in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The number of the XDP program that is attached to it, whoever attached it.
    pub xdp_program: Option<u32>,
    /// How that program is attached.
    pub xdp_mode: Option<Mode>,
    /// How long its packets can be.
    pub mtu: Option<u32>,
}

/// The network as it was when it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// All interfaces.
    pub interfaces: Vec<Interface>,
    /// The machine's own addresses.
    pub addresses: Vec<IpAddr>,
    /// The gateways of the default routes.
    pub gateways: Vec<IpAddr>,
    /// The interfaces that default routes leave by, the preferred one first.
    default_routes: Vec<u32>,
}

impl Network {
    /// Asks the kernel.
    ///
    /// # Errors
    /// If netlink is not to be had.
    pub async fn survey() -> Result<Self, Fault> {
        ask(async |handle| {
            let addresses: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
            let mut routes: Vec<RouteMessage> = Vec::new();
            for family in [AddressFamily::Inet, AddressFamily::Inet6] {
                let mut wanted = RouteMessageBuilder::<IpAddr>::new().build();
                wanted.header.address_family = family;
                // A router may have a million; the default ones are kept.
                let default = |route: &RouteMessage| ready(route.header.destination_prefix_length == 0);
                let found = handle.route().get(wanted).execute().try_filter(default);
                routes.extend(found.try_collect::<Vec<_>>().await?);
            }
            routes.sort_by_key(|route| (route.header.address_family != AddressFamily::Inet, priority(route)));
            Ok(Self {
                interfaces: links(&handle).await?,
                addresses: addresses.iter().filter_map(own).collect(),
                gateways: routes.iter().filter_map(gateway).collect(),
                default_routes: routes.iter().filter_map(leaves_by).collect(),
            })
        })
        .await
    }

    /// Asks the kernel for the interfaces alone, which is cheap.
    ///
    /// # Errors
    /// If netlink is not to be had.
    pub async fn interfaces() -> Result<Vec<Interface>, Fault> {
        ask(async |handle| links(&handle).await).await
    }

    /// The interfaces that are to be guarded; `auto` is the one with the default route.
    ///
    /// # Errors
    /// If there is no such interface, or no default route.
    pub fn choose(&self, wanted: &Interfaces) -> Result<Vec<Interface>, Fault> {
        match wanted {
            Interfaces::Auto => Ok(vec![self.with_default_route()?.clone()]),
            Interfaces::Named(names) => names.iter().map(|name| self.named(name).cloned()).collect(),
        }
    }

    fn with_default_route(&self) -> Result<&Interface, Fault> {
        self.default_routes
            .iter()
            .find_map(|index| self.interfaces.iter().find(|interface| interface.index == *index))
            .ok_or_else(|| {
                Fault::new(Exit::Configuration, "no default route tells which interface faces the internet")
                    .hint(format!("name it: --interface NAME; there are {}", self.names()))
            })
    }

    fn named(&self, name: &str) -> Result<&Interface, Fault> {
        self.interfaces.iter().find(|interface| interface.name == name).ok_or_else(|| {
            let fault = Fault::new(Exit::Configuration, format!("no interface '{name}'"));
            match nearest(name, self.interfaces.iter().map(|interface| interface.name.as_str())) {
                Some(near) => fault.hint(format!("did you mean '{near}'?")),
                None => fault.hint(format!("there are {}", self.names())),
            }
        })
    }

    fn names(&self) -> String {
        self.interfaces.iter().map(|interface| format!("'{}'", interface.name)).collect::<Vec<_>>().join(", ")
    }
}

/// News that an interface came, went or changed.
pub struct Changes {
    told: BoxStream<'static, ()>,
    connection: AbortHandle,
}

impl Changes {
    /// Has the kernel tell.
    ///
    /// # Errors
    /// If netlink is not to be had.
    pub fn listen() -> Result<Self, Fault> {
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
            .map_err(|error| Fault::new(Exit::Failure, "cannot open a netlink socket").because(error))?;
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self { told: messages.map(drop).boxed(), connection })
    }

    /// Waits for the next news; all that has come by then is one. Says whether more may come.
    pub async fn next(&mut self) -> bool {
        let mut told = self.told.next().await;
        while told.is_some() {
            match self.told.next().now_or_never() {
                Some(next) => told = next,
                None => return true,
            }
        }
        false
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What the machine cannot do without, of its network.
impl From<Network> for Protected {
    fn from(network: Network) -> Self {
        Self { own: network.addresses, gateways: network.gateways }
    }
}

/// Asks over a netlink socket that is opened for this.
async fn ask<A>(question: impl AsyncFnOnce(Handle) -> Result<A, rtnetlink::Error>) -> Result<A, Fault> {
    let (connection, handle, _) = rtnetlink::new_connection()
        .map_err(|error| Fault::new(Exit::Failure, "cannot open a netlink socket").because(error))?;
    let connection = tokio::spawn(connection);
    let answer = question(handle).await;
    connection.abort();
    // It was told to end, and says so.
    let _cancelled = connection.await;
    answer.map_err(|error| Fault::new(Exit::Failure, "cannot read the network interfaces").because(error))
}

async fn links(handle: &Handle) -> Result<Vec<Interface>, rtnetlink::Error> {
    let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
    Ok(links.into_iter().filter_map(interface).collect())
}

/// The machine's own address of a message: `IFA_LOCAL`, where there is one, as `IFA_ADDRESS` then is the other end of a
/// point-to-point link (rtnetlink(7)).
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// The name that was probably meant.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= other.len().max(name.len()) / 2)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

fn interface(link: LinkMessage) -> Option<Interface> {
    let index = link.header.index;
    let (mut name, mut mtu) = (None, None);
    let (mut xdp_program, mut xdp_mode) = (None, None);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Mtu(bytes) => mtu = Some(bytes),
            LinkAttribute::Xdp(told) => {
                xdp_mode = told.iter().find_map(|one| match one {
                    LinkXdp::Attached(XdpAttached::Driver) => Some(Mode::Native),
                    LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(Mode::Generic),
                    _ => None,
                });
                xdp_program = told.into_iter().find_map(|one| match one {
                    LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) => Some(id),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(Interface { index, name: name?, xdp_program, xdp_mode, mtu })
}

fn priority(route: &RouteMessage) -> u32 {
    let told = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    told.unwrap_or(0)
}

fn gateway(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Gateway(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn leaves_by(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let interface = |index, name: &str| Interface {
            index,
            name: name.into(),
            xdp_program: None,
            xdp_mode: None,
            mtu: None,
        };
        Network {
            interfaces: vec![interface(1, "lo"), interface(2, "eth0"), interface(3, "wg0")],
            default_routes: vec![2, 3],
            ..Network::default()
        }
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>, String> {
        let chosen = network().choose(&Interfaces::parse(names).unwrap()).map_err(|fault| fault.report())?;
        Ok(chosen.into_iter().map(|interface| interface.name).collect())
    }

    #[test]
    fn auto_is_the_interface_of_the_preferred_default_route() {
        assert_eq!(chosen(&["auto"]).unwrap(), ["eth0"]);
        assert_eq!(chosen(&["wg0", "eth0"]).unwrap(), ["wg0", "eth0"]);
    }

    #[test]
    fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
        let told = chosen(&["eht0"]).unwrap_err();
        assert_eq!(told, "ssh-guard: no interface 'eht0'\nhint: did you mean 'eth0'?\n");
        let told = chosen(&["br-lan"]).unwrap_err();
        assert_eq!(told, "ssh-guard: no interface 'br-lan'\nhint: there are 'lo', 'eth0', 'wg0'\n");
    }

    #[test]
    fn without_a_default_route_auto_asks_for_a_name() {
        let told =
            Network { default_routes: vec![], ..network() }.choose(&Interfaces::Auto).unwrap_err().report();
        assert!(told.contains("no default route") && told.contains("'eth0'"), "{told}");
    }

    #[test]
    fn the_other_end_of_a_point_to_point_link_is_not_the_machines_own() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut message = AddressMessage::default();
        message.attributes.push(AddressAttribute::Address(address("192.0.2.1")));
        assert_eq!(own(&message), Some(address("192.0.2.1")));
        message.attributes.push(AddressAttribute::Local(address("192.0.2.2")));
        assert_eq!(own(&message), Some(address("192.0.2.2")));
    }

    #[tokio::test]
    async fn the_kernel_names_the_loopback() {
        let network = Network::survey().await.unwrap();
        assert!(network.interfaces.iter().any(|interface| interface.name == "lo"), "{network:?}");
        assert!(network.addresses.contains(&"127.0.0.1".parse().unwrap()), "{network:?}");
    }
}
