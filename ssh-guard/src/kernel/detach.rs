//! Takes programs off interfaces. It needs the pins only, no program and no daemon.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::clsact::{self, Way};
use super::link::Link;
use super::pins::{Hook, Pins, forget, unwritable};
use crate::fault::{Exit, Fault};

impl Pins {
    /// Takes our programs off an interface; says whether one was there.
    ///
    /// # Errors
    /// If a pin or a filter may not be removed.
    pub fn detach(&self, interface: u32) -> Result<bool, Fault> {
        let mut any = false;
        for hook in Hook::ALL {
            any |= self.detach_hook(interface, hook)?;
        }
        let note = self.qdisc_note(interface);
        if note.exists() {
            clsact::remove_empty_qdisc(interface).map_err(|error| stays(interface, error))?;
            fs::remove_dir(&note).map_err(|error| unwritable(&note, error))?;
        }
        Ok(any)
    }

    /// Takes our programs off every interface of this machine that has one; says of which ones.
    ///
    /// # Errors
    /// If a pin or a filter may not be removed.
    pub fn detach_all(&self, interfaces: &[u32]) -> Result<Vec<u32>, Fault> {
        let mut indices = self.pinned()?;
        indices.extend(interfaces);
        self.detach_each(indices)
    }

    /// Takes our programs off every interface that has a pin here but those; returns which ones they were on.
    ///
    /// # Errors
    /// If the folder may not be read, or a pin not be removed.
    pub fn detach_others(&self, guarded: &[u32]) -> Result<Vec<u32>, Fault> {
        self.detach_each(self.pinned()?.into_iter().filter(|index| !guarded.contains(index)))
    }

    fn detach_each(&self, interfaces: impl IntoIterator<Item = u32>) -> Result<Vec<u32>, Fault> {
        let mut detached = Vec::new();
        for index in interfaces {
            if self.detach(index)? {
                detached.push(index);
            }
        }
        Ok(detached)
    }

    /// Removes the pins of interfaces that are no more: nothing is attached by them. `there` are those that are.
    ///
    /// # Errors
    /// If the folder may not be read, or a pin not be removed.
    pub fn sweep(&self, there: &[u32]) -> Result<(), Fault> {
        for index in self.pinned()? {
            for hook in Hook::ALL {
                let path = self.link(index, hook);
                let link = Link::pinned(&path).ok().flatten();
                if link.is_some_and(|link| link.attached().is_ok_and(|attached| attached.interface == 0)) {
                    forget(&path).map_err(|error| unwritable(&path, error))?;
                }
            }
            let note = self.qdisc_note(index);
            if !there.contains(&index) && note.exists() {
                fs::remove_dir(&note).map_err(|error| unwritable(&note, error))?;
            }
        }
        Ok(())
    }

    /// Takes a program out of one place; says whether it was there.
    pub(super) fn detach_hook(&self, interface: u32, hook: Hook) -> Result<bool, Fault> {
        let path = self.link(interface, hook);
        let link = Link::pinned(&path).ok().flatten();
        let link = link.filter(|link| link.attached().is_ok_and(|attached| attached.interface == interface));
        if let Some(link) = &link
            && let Err(error) = link.detach()
        {
            // Without its pin it comes off all the same.
            tracing::debug!(%error, interface, "cannot take a program off at once");
        }
        let was_attached = link.is_some();
        forget(&path).map_err(|error| unwritable(&path, error))?;
        let filtered = match hook {
            Hook::Xdp => false,
            Hook::Tc => self.detach_filter(interface, Way::Ingress)?,
            Hook::Witness => self.detach_filter(interface, Way::Egress)?,
        };
        Ok(was_attached || filtered)
    }

    /// Removes our filter; says whether it was there.
    #[expect(clippy::unused_self, reason = "whoever has the pins decides what is attached")]
    pub(super) fn detach_filter(&self, interface: u32, way: Way) -> Result<bool, Fault> {
        match clsact::detach(interface, way) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            detached => detached.map_err(|error| stays(interface, error)),
        }
    }

    /// Whether something of ours is in one place.
    pub(super) fn has(&self, interface: u32, hook: Hook) -> bool {
        self.link(interface, hook).exists()
            || (hook == Hook::Tc
                && clsact::find(interface, Way::Ingress).is_ok_and(|filter| filter.is_some()))
    }

    /// Whether something of ours is attached to an interface.
    #[must_use]
    pub fn has_any(&self, interface: u32) -> bool {
        self.has(interface, Hook::Xdp) || self.has(interface, Hook::Tc)
    }

    /// Notes that the queueing discipline of an interface is ours, for whoever detaches: by a folder, as nothing else can be
    /// written here.
    pub(super) fn note_qdisc(&self, interface: u32) -> Result<(), Fault> {
        let note = self.qdisc_note(interface);
        match fs::create_dir(&note) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unwritable(&note, error)),
            _ => Ok(()),
        }
    }

    fn qdisc_note(&self, interface: u32) -> PathBuf {
        self.links().join(format!("if{interface}-clsact"))
    }

    /// The interfaces that something is pinned for.
    fn pinned(&self) -> Result<BTreeSet<u32>, Fault> {
        let links = self.links();
        let entries = match fs::read_dir(&links) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(|error| unwritable(&links, error))?,
        };
        let mut indices = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(|error| unwritable(&links, error))?.file_name();
            let index: Option<u32> =
                name.to_str().and_then(|name| name.strip_prefix("if")?.split('-').next()?.parse().ok());
            indices.extend(index);
        }
        Ok(indices)
    }
}

fn stays(interface: u32, error: io::Error) -> Fault {
    let what = format!("cannot remove the filters of interface {interface}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Fault::new(Exit::NotPermitted, what).because(error).hint("run as root, or with CAP_NET_ADMIN")
        }
        _ => Fault::new(Exit::Failure, what).because(error),
    }
}
