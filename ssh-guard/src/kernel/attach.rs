//! Puts the programs into the way of an interface's packets, and takes them out again.
//!
//! What is attached outlives the daemon: by pinned links, or, in traffic control before Linux 6.6, by filters that stay by
//! themselves. A new program takes the place of the old one with no packet in between; where the place itself is another
//! one, the new program is attached before the old one is let go.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use aya::Ebpf;
use aya::programs::{Program, ProgramFd};
use nix::errno::Errno;
use ssh_guard_common::names;

use super::clsact::{self, Way};
use super::link::{Link, Place};
use super::load::{Kept, load_classifier};
use super::pins::{Hook, Pins, forget};
use super::refusal::{Refusal, not_attached};
use crate::config::settings::Mode;
use crate::fault::Fault;
use crate::interface::Interface;

/// The programs as they can be attached, and the pins that keep them attached.
pub struct Hooks {
    ebpf: Ebpf,
    kept: Kept,
    pins: Pins,
    /// Whether traffic control may have links, if the kernel has them.
    tcx: bool,
}

/// How a program was attached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// The mode that was obtained, which is never [`Mode::Auto`].
    pub mode: Mode,
    /// Whether it has taken the place of an earlier daemon's program, with no packet in between.
    pub replaced: bool,
    /// Why it is not native, where that was tried.
    pub instead: Option<String>,
}

/// What is attached to an interface, as the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Seen {
    /// The mode in which our program judges what comes in.
    pub mode: Option<Mode>,
    /// Whether our witness sees what goes out.
    pub witness: bool,
}

impl Hooks {
    /// Takes the programs that were loaded.
    #[must_use]
    pub fn new(ebpf: Ebpf, kept: Kept, pins: Pins) -> Self {
        Self { ebpf, kept, pins, tcx: true }
    }

    /// The same, on a kernel that has no links in traffic control, or as if it had none.
    #[must_use]
    pub fn without_tcx(self) -> Self {
        Self { tcx: false, ..self }
    }

    /// The pins.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Pins the maps, in the place of an earlier daemon's.
    ///
    /// # Errors
    /// If the folder may not be written.
    pub fn keep_maps(&self) -> Result<(), Fault> {
        self.pins.keep(&self.kept.maps)
    }

    /// Makes folders and pins again that somebody has removed: what is in force would be gone with this process.
    ///
    /// # Errors
    /// If the folders may not be written.
    pub fn renew_pins(&self) -> Result<(), Fault> {
        if self.pins.has_maps() {
            return Ok(());
        }
        self.pins.make_folders()?;
        self.keep_maps()?;
        tracing::warn!("somebody has removed the pins of the maps: they are made again");
        Ok(())
    }

    /// Whether a program that is attached to an interface in this mode would take an earlier one's place.
    #[must_use]
    pub fn would_replace(&self, interface: u32, mode: Mode) -> bool {
        match mode {
            Mode::Native | Mode::Generic => self.pins.has(interface, Hook::Xdp),
            Mode::Tc => self.pins.has(interface, Hook::Tc),
            Mode::Auto => self.pins.has_any(interface),
        }
    }

    /// Has packets that come in by an interface judged. Programs of ours in other places of the interface stay until
    /// [`Hooks::settle`]. None if the interface is gone.
    ///
    /// # Errors
    /// If it cannot be had in this mode; nothing has changed then.
    pub fn attach(&mut self, interface: &Interface, mode: Mode) -> Result<Option<Attachment>, Fault> {
        let xdp = match mode {
            Mode::Auto | Mode::Native => Some(Mode::Native),
            Mode::Generic => Some(Mode::Generic),
            Mode::Tc => None,
        };
        let mut native_failed = None;
        if let Some(xdp) = xdp {
            native_failed = match self.attach_xdp(interface, xdp) {
                Ok(replaced) => return Ok(Some(Attachment { mode: xdp, replaced, instead: None })),
                Err(Refusal::Gone) => return Ok(None),
                Err(Refusal::Cannot(why)) if mode == Mode::Auto => Some(why),
                Err(Refusal::OtherMode(attached)) if mode == Mode::Auto => {
                    Some(format!("an earlier daemon's program is attached in mode {}", attached.as_str()))
                }
                Err(refusal) => return Err(not_attached(interface, xdp, refusal)),
            };
        }
        match self.attach_tc(interface, Hook::Tc) {
            Ok(replaced) => Ok(Some(Attachment { mode: Mode::Tc, replaced, instead: native_failed })),
            Err(Refusal::Gone) => Ok(None),
            Err(refusal) => {
                let fault = not_attached(interface, Mode::Tc, refusal);
                Err(match native_failed {
                    Some(why) => Fault::new(fault.exit(), format!("{}; nor native XDP: {why}", fault.told()))
                        .hint(fault.way_out().unwrap_or("see what is attached: ip -details link")),
                    None => fault,
                })
            }
        }
    }

    /// Has the witness see what goes out by an interface.
    ///
    /// # Errors
    /// If it cannot be had; the guard works without it.
    pub fn attach_witness(&mut self, interface: &Interface) -> Result<(), Fault> {
        match self.attach_tc(interface, Hook::Witness) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(not_attached(interface, Mode::Tc, refusal)),
        }
    }

    /// Lets go of what judges packets of an interface in another place than that of `mode`.
    ///
    /// # Errors
    /// If it may not be removed.
    pub fn settle(&self, interface: u32, mode: Mode) -> Result<(), Fault> {
        if mode == Mode::Tc {
            self.pins.detach_hook(interface, Hook::Xdp)?;
            // One of the two is the place, the other may be left of a time when the kernel had not both.
            let is_ours = self.is_linked(interface, Hook::Tc);
            return if is_ours { self.pins.detach_filter(interface, Way::Ingress).map(drop) } else { Ok(()) };
        }
        self.pins.detach_hook(interface, Hook::Tc).map(drop)
    }

    /// Takes back what was attached in `mode`, and the witness too if nothing else of ours is there.
    ///
    /// # Errors
    /// If it may not be removed.
    pub fn take_back(&self, interface: u32, mode: Mode) -> Result<(), Fault> {
        let (hook, other) = if mode == Mode::Tc { (Hook::Tc, Hook::Xdp) } else { (Hook::Xdp, Hook::Tc) };
        self.pins.detach_hook(interface, hook)?;
        if self.pins.has(interface, other) { Ok(()) } else { self.pins.detach(interface).map(drop) }
    }

    /// What of ours is attached to an interface.
    #[must_use]
    pub fn look(&self, interface: &Interface) -> Seen {
        let xdp = interface.xdp_program.filter(|id| *id == self.kept.program_id);
        let mode = match xdp {
            Some(_) => interface.xdp_mode,
            None => self.is_in_tc(interface.index, Hook::Tc).then_some(Mode::Tc),
        };
        Seen { mode, witness: self.is_in_tc(interface.index, Hook::Witness) }
    }

    fn is_in_tc(&self, interface: u32, hook: Hook) -> bool {
        let Some(program) = self.classifier_id(hook) else { return false };
        self.is_linked(interface, hook)
            || clsact::find(interface, way_of(hook))
                .is_ok_and(|filter| filter.is_some_and(|filter| filter.program == program))
    }

    /// Whether a pinned link has this very program there.
    fn is_linked(&self, interface: u32, hook: Hook) -> bool {
        let link = Link::pinned(&self.pins.link(interface, hook)).ok().flatten();
        let attached = link.and_then(|link| link.attached().ok());
        attached.is_some_and(|attached| {
            attached.interface == interface && Some(attached.program) == self.classifier_id(hook)
        })
    }

    /// The number of a program for traffic control, once it is loaded.
    fn classifier_id(&self, hook: Hook) -> Option<u32> {
        let Program::SchedClassifier(program) = self.ebpf.program(name_of(hook)?)? else { return None };
        program.info().ok().map(|info| info.id())
    }

    /// Says whether it took the place of an earlier one.
    fn attach_xdp(&mut self, interface: &Interface, mode: Mode) -> Result<bool, Refusal> {
        let path = self.pins.link(interface.index, Hook::Xdp);
        let Some(Program::Xdp(program)) = self.ebpf.program_mut(self.kept.program) else {
            return Err(Refusal::Cannot(format!("the program '{}' is gone", self.kept.program)));
        };
        let program = program.fd().map_err(|error| Refusal::Cannot(error.to_string()))?;
        if let Some(link) = in_force(&path, interface.index) {
            if let Some(attached) = interface.xdp_mode.filter(|attached| *attached != mode) {
                return Err(Refusal::OtherMode(attached));
            }
            if replace(&link, program.as_fd()).map_err(|error| Refusal::xdp(interface, &error))? {
                return Ok(true);
            }
        }
        let place = if mode == Mode::Generic { Place::Generic } else { Place::Native };
        attach_pinned(program.as_fd(), interface.index, place, &path)
            .map_err(|error| Refusal::xdp(interface, &error))?;
        Ok(false)
    }

    /// Says whether it took the place of an earlier one.
    fn attach_tc(&mut self, interface: &Interface, hook: Hook) -> Result<bool, Refusal> {
        let path = self.pins.link(interface.index, hook);
        let (index, way) = (interface.index, way_of(hook));
        let name = name_of(hook).unwrap_or(names::PROGRAM_TC);
        let program = self.classifier(name)?;
        let program = program.as_fd();
        let failed = |error: io::Error| Refusal::tc(&error);
        if self.tcx {
            if let Some(link) = in_force(&path, index)
                && replace(&link, program).map_err(failed)?
            {
                return Ok(true);
            }
            let place = if way == Way::Ingress { Place::Ingress } else { Place::Egress };
            match attach_pinned(program, index, place, &path) {
                Ok(()) => return Ok(false),
                // Before 6.6 the kernel knows no such kind of attachment.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.tcx = false,
                Err(error) => return Err(failed(error)),
            }
        }
        let added = clsact::add_qdisc(index, way).map_err(failed)?;
        if added {
            self.pins.note_qdisc(index).map_err(|fault| Refusal::Cannot(fault.told()))?;
        }
        let replaced = clsact::find(index, way).map_err(failed)?.is_some();
        clsact::attach(program, name, index, way).map_err(failed)?;
        // The other place, from a time in which the kernel, or whoever started us, had it.
        forget(&path).map_err(failed)?;
        Ok(replaced)
    }

    /// A program for traffic control, which is loaded once it is needed.
    fn classifier(&mut self, name: &'static str) -> Result<ProgramFd, Refusal> {
        let program = load_classifier(&mut self.ebpf, name).map_err(|fault| Refusal::Cannot(fault.told()))?;
        let descriptor = program.fd().and_then(|fd| fd.try_clone().map_err(Into::into));
        descriptor.map_err(|error| Refusal::Cannot(error.to_string()))
    }
}

/// The link that is pinned there, if it still attaches something to this interface.
fn in_force(path: &std::path::Path, interface: u32) -> Option<Link> {
    let link = Link::pinned(path).ok().flatten()?;
    link.attached().is_ok_and(|attached| attached.interface == interface).then_some(link)
}

/// Says no if the interface of the link has gone meanwhile.
fn replace(link: &Link, program: BorrowedFd<'_>) -> io::Result<bool> {
    match link.replace(program) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOLINK as i32) => Ok(false),
        replaced => replaced.map(|()| true),
    }
}

/// Attaches by a link, in the place of a dead one that is pinned there.
fn attach_pinned(
    program: BorrowedFd<'_>,
    interface: u32,
    place: Place,
    path: &std::path::Path,
) -> io::Result<()> {
    let link = Link::attach(program, interface, place)?;
    forget(path)?;
    link.pin(path)
}

fn way_of(hook: Hook) -> Way {
    match hook {
        Hook::Xdp | Hook::Tc => Way::Ingress,
        Hook::Witness => Way::Egress,
    }
}

/// The program for a place in traffic control.
fn name_of(hook: Hook) -> Option<&'static str> {
    match hook {
        Hook::Xdp => None,
        Hook::Tc => Some(names::PROGRAM_TC),
        Hook::Witness => Some(names::PROGRAM_WITNESS),
    }
}
