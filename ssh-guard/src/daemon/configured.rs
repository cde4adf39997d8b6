//! Puts the configured lists in force, before the program sees the first packet.

use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::NEVER;
use tracing::{info, warn};

use super::guard::{Enactor, Remarks, is_exempt};
use crate::allowlist::Allowlist;
use crate::ban::Scope;
use crate::clock;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::kernel::Loaded;
use crate::ledger::Capacity;
use crate::list_file;
use crate::lists::{Entries, List, ListName, Lists, Size};
use crate::moment::Moment;
use crate::observe::Metrics;
use crate::policy::bannable::Protected;

/// The configured lists, as they were read.
pub(crate) type Configured = Vec<(ListName, Entries)>;

/// Reads the configured lists.
///
/// # Errors
/// If one cannot be read, is no list, or if together they hold more than is to be blocked.
pub(crate) async fn read(settings: &Settings) -> Result<Configured, Fault> {
    let (block, mask) = (settings.block.clone(), settings.guard.mask());
    let capacity = capacity(settings);
    let read = tokio::task::spawn_blocking(move || {
        let inline = (ListName::Configured("block.networks".into()), Entries::new(block.listed, mask));
        let mut lists = vec![inline];
        for path in &block.files {
            let entries = Entries::new(list_file::read(path, Exit::Configuration)?, mask);
            lists.push((ListName::Configured(path.display().to_string().into()), entries));
        }
        lists.retain(|(_, entries)| !entries.is_empty());
        count(&lists, mask).check(capacity)?;
        Ok(lists)
    });
    read.await.map_err(|error| Fault::new(Exit::Failure, "cannot read the lists").because(error))?
}

/// How much may be blocked.
pub(super) fn capacity(settings: &Settings) -> Capacity {
    let limits = &settings.limits;
    Capacity { sources: limits.blocklist.get() as usize, networks: limits.networks.get() as usize }
}

/// How many different entries there are.
fn count(lists: &Configured, mask: SourceMask) -> Size {
    let mut known = Lists::new(mask);
    for (name, entries) in lists {
        add(&mut known, list(name.clone(), entries.clone()));
    }
    known.size()
}

impl Size {
    fn check(self, capacity: Capacity) -> Result<(), Fault> {
        let Capacity { sources, networks } = capacity;
        for (scope, room) in [(Scope::Source, sources), (Scope::Network, networks)] {
            let listed = self.of_scope(scope);
            if listed > room {
                let (what, limit) = (scope.plural(), scope.limit());
                return Err(Fault::new(
                    Exit::Configuration,
                    format!("the configured lists do not fit: they hold {listed} {what}, and there is room for {room}"),
                )
                .hint(format!("set '{limit}' to more than {listed}, so that there is room for bans too")));
            }
        }
        Ok(())
    }
}

/// Blocks what the lists hold.
///
/// # Errors
/// If the kernel refuses, or a file lists networks that are too wide.
pub(super) fn enforce(
    configured: Configured,
    mask: SourceMask,
    loaded: &mut Loaded,
    allowlist: &Allowlist,
    (protected, metrics): (&Protected, &Metrics),
) -> Result<Lists, Fault> {
    for network in protected.addresses() {
        loaded.allowlist.allow(network, NEVER)?;
    }
    let Loaded { blocklist, networks, settings, clock, .. } = loaded;
    let mut enactor = Enactor { blocklist, networks, settings, clock, allowlist, protected, metrics };
    let mut lists = Lists::new(mask);
    for (name, entries) in configured {
        let mut remarks = Remarks::default();
        let list = list(name, entries);
        let (name, entries) = (list.name.as_str(), &list.entries);
        let every = || (0..entries.len()).filter_map(|number| entries.get(number));
        every().for_each(|entry| remarks.note(entry, protected, allowlist, false));
        remarks
            .check(name, "name the networks in them that are meant")
            .map_err(|fault| Fault::new(Exit::Configuration, fault.told()))?;
        let exempt = |network| is_exempt(network, protected, allowlist);
        enactor.write(
            every().filter(|(network, _)| !exempt(*network)).map(|entry| (entry, Some(Moment::NEVER))),
        )?;
        info!(list = name, entries = entries.len(), "listed");
        for told in remarks.excepted() {
            warn!(list = name, "{told}");
        }
        add(&mut lists, list);
    }
    Ok(lists)
}

fn list(name: ListName, entries: Entries) -> List {
    List { name, entries: entries.into(), since: clock::now(), until: Moment::NEVER, note: None }
}

/// Puts a list beside others, and counts what is new of it.
fn add(lists: &mut Lists, list: List) {
    let mut new = Size::default();
    for entry in (0..list.entries.len()).filter_map(|number| list.entries.get(number)) {
        if !lists.hold(entry) {
            *new.of(entry) += 1;
        }
    }
    lists.count(new);
    lists.add(list);
}
