//! Puts the configured lists in force, before the program sees the first packet.

use tracing::{info, warn};

use super::guard::{Enactor, Remarks, is_exempt};
use crate::ban::Scope;
use crate::clock;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::ledger::Capacity;
use crate::list_file;
use crate::lists::{Entries, List, ListName, Lists, Size};
use crate::moment::Moment;

/// Reads the configured lists.
///
/// # Errors
/// If one cannot be read, is no list, or if together they hold more than is to be blocked.
pub(crate) async fn read(settings: &Settings) -> Result<Lists, Fault> {
    let (block, mask) = (settings.block.clone(), settings.guard.mask());
    let capacity = capacity(settings);
    let read = tokio::task::spawn_blocking(move || {
        let mut lists = Lists::new(mask);
        add(&mut lists, "block.networks", Entries::new(block.listed, mask));
        for path in &block.files {
            let listed = list_file::read(path, Exit::Configuration)?;
            add(&mut lists, &path.display().to_string(), Entries::new(listed, mask));
        }
        lists.size().check(capacity)?;
        Ok(lists)
    });
    read.await.map_err(|error| Fault::new(Exit::Failure, "cannot read the lists").because(error))?
}

/// How much may be blocked.
pub(crate) fn capacity(settings: &Settings) -> Capacity {
    let limits = &settings.limits;
    Capacity { sources: limits.blocklist.get() as usize, networks: limits.networks.get() as usize }
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
pub(super) fn enforce(lists: &Lists, enactor: &mut Enactor<'_>) -> Result<(), Fault> {
    let Enactor { allowlist, protected, .. } = *enactor;
    for list in lists.iter() {
        let mut remarks = Remarks::default();
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
    }
    Ok(())
}

/// Puts a list that holds anything beside others, and counts what is new of it.
fn add(lists: &mut Lists, name: &str, entries: Entries) {
    if entries.is_empty() {
        return;
    }
    let mut new = Size::default();
    for entry in (0..entries.len()).filter_map(|number| entries.get(number)) {
        if !lists.hold(entry) {
            *new.of(entry) += 1;
        }
    }
    lists.count(new);
    let name = ListName::Configured(name.into());
    let (since, until) = (clock::now(), Moment::NEVER);
    lists.add(List { name, entries: entries.into(), since, until, note: None });
}
