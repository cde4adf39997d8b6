//! Puts the program into the way of an interface's packets.

use std::error::Error;
use std::path::PathBuf;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::SchedClassifierLink;
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{Program, TcAttachType, Xdp};
use nix::errno::Errno;

use super::errno;
use super::load::Loaded;
use super::pins::{Pins, forget};
use crate::config::settings::Mode;
use crate::fault::{Exit, Fault};
use crate::interface::Interface;

/// What was found when the program was attached to an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attachment {
    /// Nothing was attached.
    New,
    /// The link of an earlier daemon was pinned; this program has taken the place of its program, with no packet in
    /// between.
    Replaced,
}

impl Loaded {
    /// Attaches the program to an interface and pins the link, so that it stays when the daemon ends.
    ///
    /// # Errors
    /// If another XDP program is there, the driver knows no native XDP, or the caller may not attach.
    pub fn attach(&mut self, interface: &Interface, mode: Mode, pins: &Pins) -> Result<Attachment, Fault> {
        let path = pins.link(interface.index);
        if let Some(link) = pinned(&path) {
            if let Some(attached) = interface.xdp_mode.filter(|attached| *attached != mode) {
                // A link keeps its mode, and to remove it before the other mode is known to work could take down a guard
                // that is in force for none at all.
                let (name, attached) = (&interface.name, attached.as_str());
                let what = format!("{name} has an earlier daemon's program, attached in mode {attached}");
                let hint = format!(
                    "keep to mode {attached}; or take it off first, bans and all: rm {}",
                    path.display()
                );
                return Err(Fault::new(Exit::Failure, what).hint(hint));
            }
            if let Some(replaced) = self.replace(link, interface)? {
                return Ok(replaced);
            }
        }
        forget(&path).map_err(|error| not_attached(interface, &error))?;
        let how = match mode {
            Mode::Native => XdpMode::Driver,
            Mode::Generic => XdpMode::Skb,
        };
        let xdp = self.xdp()?;
        let id =
            xdp.attach_to_if_index(interface.index, how).map_err(|error| not_attached(interface, &error))?;
        let link = xdp.take_link(id).map_err(|error| not_attached(interface, &error))?;
        FdLink::try_from(link).map_err(|error| not_attached(interface, &error))?.pin(&path).map_err(
            |error| Fault::new(Exit::Failure, format!("cannot pin '{}'", path.display())).because(error),
        )?;
        Ok(Attachment::New)
    }

    /// Puts the program in the place of that of a link; nothing if the interface of the link is gone, and its number
    /// has come back.
    fn replace(&mut self, link: FdLink, interface: &Interface) -> Result<Option<Attachment>, Fault> {
        let link = XdpLink::try_from(link).map_err(|error| not_attached(interface, &error))?;
        match self.xdp()?.attach_to_link(link) {
            Ok(id) => {
                // The pin keeps the link; ours would take it down with the daemon.
                let _kept = self.xdp()?.take_link(id).map_err(|error| not_attached(interface, &error))?;
                Ok(Some(Attachment::Replaced))
            }
            Err(error) if errno(&error) == Some(Errno::ENOLINK) => Ok(None),
            Err(error) => Err(not_attached(interface, &error)),
        }
    }

    /// Attaches the witness to an interface and pins its link.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach_witness(&mut self, interface: &Interface, pins: &Pins) -> Result<(), Fault> {
        let path = pins.witness(interface.index);
        let program = self.ebpf.program_mut(ssh_guard_common::names::PROGRAM_WITNESS);
        let Some(Program::SchedClassifier(witness)) = program else {
            return Err(Fault::new(Exit::Failure, "the object has no witness"));
        };
        if witness.fd().is_err() {
            witness.load().map_err(|error| not_attached(interface, &error))?;
        }
        let earlier = pinned(&path).and_then(|link| SchedClassifierLink::try_from(link).ok());
        if let Some(link) = earlier
            && let Ok(id) = witness.attach_to_link(link)
        {
            let _kept = witness.take_link(id).map_err(|error| not_attached(interface, &error))?;
            return Ok(());
        }
        forget(&path).map_err(|error| not_attached(interface, &error))?;
        let id = witness
            .attach(&interface.name, TcAttachType::Egress)
            .map_err(|error| not_attached(interface, &error))?;
        let link = witness.take_link(id).map_err(|error| not_attached(interface, &error))?;
        let link = FdLink::try_from(link).map_err(|error| not_attached(interface, &error))?;
        link.pin(&path).map_err(|error| not_attached(interface, &error))?;
        Ok(())
    }

    /// Pins the maps, in the place of an earlier daemon's.
    ///
    /// # Errors
    /// If the folder may not be written.
    pub fn keep_maps(&self, pins: &Pins) -> Result<(), Fault> {
        pins.keep(&self.maps)
    }

    fn xdp(&mut self) -> Result<&mut Xdp, Fault> {
        match self.ebpf.program_mut(self.program) {
            Some(Program::Xdp(xdp)) => Ok(xdp),
            _ => Err(Fault::new(Exit::Failure, format!("the program '{}' is gone", self.program))),
        }
    }
}

/// The link that is pinned there, if there is one.
fn pinned(path: &PathBuf) -> Option<FdLink> {
    PinnedLink::from_pin(path).ok().map(FdLink::from)
}

/// What the kernel's refusal to attach means.
fn not_attached(interface: &Interface, error: &(dyn Error + 'static)) -> Fault {
    let name = &interface.name;
    let see = format!("see what is attached: ip -details link show {name}");
    match errno(error) {
        Some(Errno::EBUSY | Errno::EEXIST) => {
            let which = interface.xdp_program.map(|id| format!(" (id {id})")).unwrap_or_default();
            Fault::new(Exit::Failure, format!("cannot attach to {name}: another XDP program is attached{which}"))
                .hint(see)
        }
        Some(Errno::EPERM | Errno::EACCES) => {
            Fault::new(Exit::NotPermitted, format!("cannot attach to {name}: not permitted"))
                .hint("run as root, or with CAP_BPF and CAP_NET_ADMIN")
        }
        Some(Errno::EOPNOTSUPP) => {
            Fault::new(Exit::Failure, format!("cannot attach to {name}: its driver has no native XDP"))
                .hint("use mode 'generic' (slower): --mode generic")
        }
        Some(Errno::ERANGE | Errno::EINVAL) => Fault::new(
            Exit::Failure,
            format!("cannot attach to {name}: its driver refuses native XDP as it is set up (MTU, offloads, queues)"),
        )
        .hint("lower its MTU, switch large receive offload off (ethtool -K), or use mode 'generic': --mode generic"),
        Some(Errno::ENODEV) => Fault::new(Exit::Failure, format!("cannot attach to {name}: it is gone")),
        _ => Fault::new(Exit::Failure, format!("cannot attach to {name}: {error}")).because(cause_of(error)).hint(see),
    }
}

/// The text below an error, which aya's own text leaves out.
fn cause_of(error: &dyn Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
