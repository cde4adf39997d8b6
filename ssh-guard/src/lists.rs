//! The lists in force: what is blocked because it is listed, for as long as its list says.
//!
//! A list is kept as it was read, in order, and not as bans: a million addresses are 4 MB. What the kernel blocks follows
//! from the ledger and the lists together: of several ends for the same source the latest.

mod entries;
pub mod parse;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use ssh_guard_common::source::SourceMask;

use crate::ban::Scope;
use crate::moment::Moment;
use crate::network::Network;
pub use entries::{Entries, Entry, scope_of};

/// The lists in force.
#[derive(Debug)]
pub struct Lists {
    each: Vec<List>,
    mask: SourceMask,
    size: Size,
}

/// One list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Where it came from.
    pub name: ListName,
    /// What it blocks.
    pub entries: Arc<Entries>,
    /// When it came into force.
    pub since: Moment,
    /// When it ends: [`Moment::UNTIL_LIFTED`] if it is for somebody to end it, [`Moment::NEVER`] if the configuration does.
    pub until: Moment,
    /// What the operator gave as the reason.
    pub note: Option<Arc<str>>,
}

/// Where a list came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ListName {
    /// The configuration: it is in force as long as it stands there. The file, or `block.networks`.
    Configured(Arc<str>),
    /// A file that an operator had loaded; loaded again, it takes the place of what it was.
    File(Arc<str>),
    /// The standard input of a command.
    Input,
}

/// How many different sources and networks are listed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Size {
    /// IPv4 sources.
    pub ipv4: usize,
    /// IPv6 sources.
    pub ipv6: usize,
    /// Networks.
    pub networks: usize,
}

/// Entries of a list, some of them.
pub type Span = (Arc<Entries>, Range<usize>);

/// The most lists at once: each is asked for each entry of another.
pub const MOST_LISTS: usize = 64;

impl Lists {
    /// Makes no lists.
    #[must_use]
    pub fn new(mask: SourceMask) -> Self {
        Self { each: Vec::new(), mask, size: Size::default() }
    }

    /// What makes a source of an address here.
    #[must_use]
    pub fn mask(&self) -> SourceMask {
        self.mask
    }

    /// Puts a list in force; it counts when its entries are [counted](Self::count).
    pub fn add(&mut self, list: List) {
        self.each.push(list);
    }

    /// Takes the first list out that `which` says, and leaves its entries counted.
    pub fn take(&mut self, which: impl Fn(&List) -> bool) -> Option<List> {
        let place = self.each.iter().position(which)?;
        Some(self.each.remove(place))
    }

    /// The lists.
    pub fn iter(&self) -> impl Iterator<Item = &List> {
        self.each.iter()
    }

    /// How many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// How much is listed.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// Counts so much more as listed.
    pub fn count(&mut self, more: Size) {
        self.size.ipv4 += more.ipv4;
        self.size.ipv6 += more.ipv6;
        self.size.networks += more.networks;
    }

    /// Counts an entry that is listed no more.
    pub fn uncount(&mut self, entry: Entry) {
        let size = self.size.of(entry);
        *size = size.saturating_sub(1);
    }

    /// The latest end of exactly this source or network, if it is listed.
    #[must_use]
    pub fn until(&self, entry: Entry) -> Option<Moment> {
        self.naming(entry).map(|list| list.until).max()
    }

    /// Whether exactly this source or network is listed.
    #[must_use]
    pub fn hold(&self, entry: Entry) -> bool {
        self.naming(entry).next().is_some()
    }

    /// The lists that name exactly this source or network.
    pub fn naming(&self, entry: Entry) -> impl Iterator<Item = &List> {
        self.each.iter().filter(move |list| list.entries.find(entry).is_some())
    }

    /// The entries that hold all of `network` and more, with their lists.
    pub fn around(&self, network: Network) -> impl Iterator<Item = (&List, Entry)> {
        self.each.iter().flat_map(move |list| list.entries.around(network).map(move |entry| (list, entry)))
    }

    /// The entries that have an address in common with `network`: those around it, and those in it.
    #[must_use]
    pub fn touching(&self, network: Network) -> (Vec<Entry>, Vec<Span>) {
        let around = self.around(network).map(|(_, entry)| entry).collect();
        let spans = |list: &List| {
            let entries = Arc::clone(&list.entries);
            list.entries.inside(network).map(move |range| (Arc::clone(&entries), range))
        };
        let spans = self.each.iter().flat_map(spans).filter(|(_, range)| !range.is_empty());
        (around, spans.collect())
    }

    /// Takes an entry out of the lists that an operator had loaded, and says whether it was in one. It is uncounted
    /// unless the configuration lists it too.
    pub fn remove(&mut self, entry: Entry) -> bool {
        let mut removed = false;
        for list in self.each.iter_mut().filter(|list| !list.name.is_configured()) {
            if list.entries.find(entry).is_some() {
                removed |= Arc::make_mut(&mut list.entries).remove(entry);
            }
        }
        self.each.retain(|list| !list.entries.is_empty());
        if removed && !self.hold(entry) {
            self.uncount(entry);
        }
        removed
    }

    /// The first end of a list.
    #[must_use]
    pub fn next_end(&self) -> Option<Moment> {
        self.each.iter().map(|list| list.until).min().filter(|until| until.comes())
    }

    /// At least `limit` entries after `after` with their lists, unless there are fewer, in order; all of the last
    /// source or network that is told.
    #[must_use]
    pub fn after(&self, after: Option<Network>, limit: usize) -> Vec<(Entry, &List)> {
        let mut found = Vec::new();
        for list in &self.each {
            for range in list.entries.after(after) {
                found.extend(range.take(limit).filter_map(|number| Some((list.entries.get(number)?, list))));
            }
        }
        found.sort_by_key(|(entry, _)| *entry);
        found
    }
}

impl List {
    /// The whole list.
    #[must_use]
    pub fn span(&self) -> Span {
        (Arc::clone(&self.entries), 0..self.entries.len())
    }
}

impl ListName {
    /// Whether it is in force as long as it is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        matches!(self, Self::Configured(_))
    }

    /// What it is called: a path, or what else it came from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Configured(name) | Self::File(name) => name,
            Self::Input => "standard input",
        }
    }
}

impl Size {
    /// How many sources.
    #[must_use]
    pub fn sources(self) -> usize {
        self.ipv4 + self.ipv6
    }

    /// How many of a scope.
    #[must_use]
    pub fn of_scope(self, scope: Scope) -> usize {
        match scope {
            Scope::Source => self.sources(),
            Scope::Network => self.networks,
        }
    }

    /// The number that an entry counts in.
    pub fn of(&mut self, (network, scope): Entry) -> &mut usize {
        match scope {
            Scope::Source if network.is_v4() => &mut self.ipv4,
            Scope::Source => &mut self.ipv6,
            Scope::Network => &mut self.networks,
        }
    }
}
