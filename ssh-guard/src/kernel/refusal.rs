//! What it means that the kernel does not load or attach a program.

use std::error::Error as _;
use std::io;

use aya::EbpfError;
use aya::programs::ProgramError;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use tracing::debug;

use super::{errno, privileges};
use crate::config::settings::Mode;
use crate::fault::{Exit, Fault};
use crate::interface::Interface;

/// Why a program is not attached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// There is no such interface any more.
    Gone,
    /// The caller may not.
    NotPermitted,
    /// An earlier daemon's program is attached in this mode, and its link keeps it.
    OtherMode(Mode),
    /// It cannot be had there, in words.
    Cannot(String),
}

impl Refusal {
    pub(super) fn xdp(interface: &Interface, error: &io::Error) -> Self {
        let number = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        match number {
            Errno::ENODEV => Self::Gone,
            // What the kernel says where there is no such interface (net/core/dev.c, `bpf_xdp_link_attach`).
            Errno::EINVAL if if_nametoindex(interface.name.as_str()) != Ok(interface.index) => Self::Gone,
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            Errno::EBUSY | Errno::EEXIST => {
                let which = interface.xdp_program.map(|id| format!(" (id {id})")).unwrap_or_default();
                Self::Cannot(format!("another XDP program is attached{which}"))
            }
            Errno::EOPNOTSUPP => Self::Cannot("its driver has no native XDP".to_owned()),
            Errno::ERANGE | Errno::EINVAL => {
                let mtu = interface.mtu.map(|mtu| format!(" {mtu}")).unwrap_or_default();
                Self::Cannot(format!(
                    "its driver refuses native XDP as it is set up (MTU{mtu}, offloads, queues)"
                ))
            }
            _ => Self::Cannot(error.to_string()),
        }
    }

    pub(super) fn tc(error: &io::Error) -> Self {
        let number = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
        match number {
            Errno::ENODEV => Self::Gone,
            Errno::EPERM | Errno::EACCES => Self::NotPermitted,
            Errno::EEXIST => Self::Cannot(format!(
                "a filter of somebody else has preference {} and handle {:#x}",
                super::clsact::PRIORITY,
                super::clsact::HANDLE
            )),
            Errno::EINVAL => Self::Cannot(format!(
                "preference {} is that of filters of another kind or protocol",
                super::clsact::PRIORITY
            )),
            Errno::ENOENT => {
                Self::Cannot("the kernel has no 'clsact' or no filters of kind 'bpf'".to_owned())
            }
            Errno::ENOTSUP => {
                Self::Cannot("the queueing discipline 'ingress' is in the place of 'clsact'".to_owned())
            }
            _ => Self::Cannot(error.to_string()),
        }
    }
}

/// Tells why a program is not attached to an interface, and what to do.
pub(super) fn not_attached(interface: &Interface, mode: Mode, refusal: Refusal) -> Fault {
    let name = &interface.name;
    match refusal {
        Refusal::Gone => Fault::new(Exit::Failure, format!("cannot attach to {name}: it is gone")),
        Refusal::NotPermitted => {
            Fault::new(Exit::NotPermitted, format!("cannot attach to {name}: not permitted"))
                .hint(privileges::hint())
        }
        Refusal::OtherMode(attached) => {
            // A link keeps its mode, and to remove it before the other mode is known to work could take down a guard
            // that is in force for none at all.
            let attached = attached.as_str();
            let what = format!("{name} has an earlier daemon's program, attached in mode {attached}");
            Fault::new(Exit::Failure, what).hint(format!(
                "keep to it: --mode {attached}; or take it off first: ssh-guard detach (bans are taken over all the same)"
            ))
        }
        Refusal::Cannot(why) => {
            let hint = match mode {
                Mode::Native => {
                    "let it choose: --mode auto takes traffic control where native XDP cannot be had"
                        .to_owned()
                }
                Mode::Auto | Mode::Generic | Mode::Tc => {
                    format!(
                        "see what is attached: ip -details link show {name}; tc filter show dev {name} ingress"
                    )
                }
            };
            Fault::new(Exit::Failure, format!("cannot attach to {name}: {why}")).hint(hint)
        }
    }
}

fn not_permitted() -> Fault {
    Fault::new(Exit::NotPermitted, "cannot load BPF programs: not permitted").hint(privileges::hint())
}

/// What the kernel's refusal to load means.
pub(super) fn refused(error: &EbpfError) -> Fault {
    let number = errno(error);
    let denied = matches!(number, Some(Errno::EPERM | Errno::EACCES));
    // Without CAP_PERFMON it is the verifier that refuses, with a log of its own.
    if denied && !privileges::missing().is_empty() {
        return not_permitted();
    }
    if let EbpfError::ProgramError(ProgramError::LoadError { verifier_log, io_error }) = &error
        && (!denied || verifier_log.to_string().contains("processed"))
    {
        let log = verifier_log.to_string();
        debug!(%log, "the verifier's whole log");
        let end: Vec<&str> = log.lines().rev().take(3).collect();
        let end = end.into_iter().rev().collect::<Vec<_>>().join(" | ");
        return Fault::new(Exit::Failure, format!("the kernel refuses the program: {io_error}: {end}"))
            .hint("this needs Linux 5.10 or later; run with RUST_LOG=debug for the verifier's whole log");
    }
    match number {
        Some(Errno::EPERM | Errno::EACCES) => not_permitted(),
        Some(Errno::ENOMEM | Errno::E2BIG) => {
            Fault::new(Exit::Failure, "cannot load BPF programs: the maps do not fit into memory")
                .hint("lower 'limits.blocklist', 'limits.networks', 'limits.sources' and 'limits.sessions'")
        }
        _ => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            Fault::new(Exit::Failure, format!("cannot load BPF programs: {error}"))
                .because(cause)
                .hint("this needs Linux 5.10 or later with BPF enabled")
        }
    }
}
