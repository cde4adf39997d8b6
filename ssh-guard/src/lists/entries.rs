//! What a list blocks, in as little memory as it takes: 4 bytes an IPv4 source, 16 an IPv6 source, 20 a network.

use std::ops::Range;

use ssh_guard_common::source::{Source, SourceMask};

use super::parse::{Listed, source_of};
use crate::ban::Scope;
use crate::network::Network;

/// The sources and networks of a list, each once, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entries {
    mask: SourceMask,
    v4: Vec<u32>,
    v6: Vec<Source>,
    networks: Vec<Network>,
    /// Which lengths the networks have, a bit each.
    lengths: [u128; 2],
}

/// One entry: what it blocks, and what it is.
pub type Entry = (Network, Scope);

impl Entries {
    /// Takes what was listed: an address without a length stands for its source, and a network that is exactly a
    /// source is one.
    #[must_use]
    pub fn new(listed: Listed, mask: SourceMask) -> Self {
        let Listed { mut v4, v6, networks, duplicates: _ } = listed;
        let mut v6: Vec<Source> =
            v6.into_iter().map(|bits| mask.apply(std::net::Ipv6Addr::from_bits(bits).into())).collect();
        let keep = mask.prefix_of(source_of(0));
        if keep < 32 {
            for address in &mut v4 {
                *address &= !(u32::MAX >> keep);
            }
        }
        let (sources, networks): (Vec<_>, Vec<_>) =
            networks.into_iter().partition(|network| scope_of(*network, mask) == Scope::Source);
        for source in sources {
            match source.first().address() {
                std::net::IpAddr::V4(address) => v4.push(address.to_bits()),
                std::net::IpAddr::V6(_) => v6.push(source.first()),
            }
        }
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        let mut entries = Self { mask, v4, v6, networks, lengths: [0; 2] };
        entries.note_lengths();
        entries
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.networks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there are of IPv4 sources, IPv6 sources and networks.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        [self.v4.len(), self.v6.len(), self.networks.len()]
    }

    /// The entry of this number: the IPv4 sources come first, then the IPv6 sources, then the networks.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<Entry> {
        let source = |source: Source| (Network::new(source, self.mask.prefix_of(source)), Scope::Source);
        if let Some(address) = self.v4.get(number) {
            return Some(source(source_of(*address)));
        }
        let number = number - self.v4.len();
        if let Some(address) = self.v6.get(number) {
            return Some(source(*address));
        }
        self.networks.get(number - self.v6.len()).map(|network| (*network, Scope::Network))
    }

    /// The number of exactly this source or network.
    #[must_use]
    pub fn find(&self, (network, scope): Entry) -> Option<usize> {
        let first = network.first();
        let (v4, v6) = (self.v4.len(), self.v6.len());
        match (scope, bits_of_v4(first)) {
            (Scope::Source, Some(bits)) => self.v4.binary_search(&bits).ok(),
            (Scope::Source, None) => self.v6.binary_search(&first).ok().map(|number| v4 + number),
            (Scope::Network, _) => self.networks.binary_search(&network).ok().map(|number| v4 + v6 + number),
        }
    }

    /// Whether one of them has an address in common with `network`.
    #[must_use]
    pub fn touch(&self, network: Network) -> bool {
        self.around(network).next().is_some() || self.inside(network).iter().any(|range| !range.is_empty())
    }

    /// Takes exactly this source or network out, and says whether it was there.
    pub fn remove(&mut self, entry: Entry) -> bool {
        let Some(number) = self.find(entry) else { return false };
        let (v4, v6) = (self.v4.len(), self.v6.len());
        if number < v4 {
            self.v4.remove(number);
        } else if number < v4 + v6 {
            self.v6.remove(number - v4);
        } else {
            self.networks.remove(number - v4 - v6);
            self.note_lengths();
        }
        true
    }

    /// The numbers of the entries that lie in `network`, it itself included; all of IPv6 has those of IPv4 networks
    /// too.
    #[must_use]
    pub fn inside(&self, network: Network) -> [Range<usize>; 2] {
        let (first, last) = (network.first(), network.last());
        let (v4, v6) = (self.v4.len(), self.v6.len());
        let sources = if let (Some(low), Some(high)) = (bits_of_v4(first), bits_of_v4(last)) {
            self.v4.partition_point(|bits| *bits < low)..self.v4.partition_point(|bits| *bits <= high)
        } else {
            let start = self.v6.partition_point(|source| *source < first);
            v4 + start..v4 + self.v6.partition_point(|source| *source <= last)
        };
        // A source that is wider than the network and begins where it does.
        let wider = |number| self.get(number).is_some_and(|(entry, _)| !network.contains(&entry));
        let sources =
            if !sources.is_empty() && wider(sources.start) { sources.end..sources.end } else { sources };
        let start = self.networks.partition_point(|other| *other < network);
        let end = self.networks.partition_point(|other| *other <= Network::new(last, u8::MAX));
        [sources, v4 + v6 + start..v4 + v6 + end]
    }

    /// The entries that hold all of `network` and more, the widest first.
    pub fn around(&self, network: Network) -> impl Iterator<Item = Entry> {
        let lengths = self.lengths[usize::from(network.is_v4())];
        let networks = (0..network.prefix())
            .filter(move |prefix| lengths >> (*prefix).min(127) & 1 == 1)
            .map(move |prefix| (network.widened(prefix), Scope::Network))
            .filter(|entry| self.find(*entry).is_some());
        let source = self.source_around(network).filter(|entry| self.find(*entry).is_some());
        networks.chain(source)
    }

    /// The numbers of the entries after `after`, in order, in each of the three parts.
    #[must_use]
    pub fn after(&self, after: Option<Network>) -> [Range<usize>; 3] {
        let (v4, v6) = (self.v4.len(), self.v6.len());
        let from = |range: Range<usize>| {
            let before = |number: &usize| self.get(*number).is_some_and(|(entry, _)| Some(entry) <= after);
            let (mut low, mut high) = (range.start, range.end);
            while low < high {
                let middle = low.midpoint(high);
                if before(&middle) { low = middle + 1 } else { high = middle }
            }
            low..range.end
        };
        [from(0..v4), from(v4..v4 + v6), from(v4 + v6..self.len())]
    }

    fn source_around(&self, network: Network) -> Option<Entry> {
        let source = self.mask.apply(network.first());
        let source = Network::new(source, self.mask.prefix_of(source));
        (source.prefix() < network.prefix()).then_some((source, Scope::Source))
    }

    fn note_lengths(&mut self) {
        self.lengths = [0; 2];
        for network in &self.networks {
            self.lengths[usize::from(network.is_v4())] |= 1 << network.prefix().min(127);
        }
    }
}

/// What a network is: a source if it is exactly one.
#[must_use]
pub fn scope_of(network: Network, mask: SourceMask) -> Scope {
    let source = mask.apply(network.first());
    if Network::new(source, mask.prefix_of(source)) == network { Scope::Source } else { Scope::Network }
}

fn bits_of_v4(source: Source) -> Option<u32> {
    match source.address() {
        std::net::IpAddr::V4(address) if source.is_v4() => Some(address.to_bits()),
        _ => None,
    }
}
