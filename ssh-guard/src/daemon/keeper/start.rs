//! Attaches for the first time: to all interfaces or to none, while whatever an earlier daemon attached stays in force until
//! its place is taken.

use tracing::warn;

use super::{Guarded, Keeper, WITNESS_AGAIN, all_gone, tell, tell_blind};
use crate::clock;
use crate::config::settings::GuardSettings;
use crate::fault::Fault;
use crate::interface::Interface;
use crate::kernel::{Attachment, Hooks};

/// Attaches the programs to all interfaces, or to none: what was attached here is taken back if a later one fails. One that
/// has gone meanwhile is waited for, if others are left.
///
/// # Errors
/// If one cannot be attached to, or the maps cannot be pinned.
pub(in crate::daemon) fn attach(
    mut hooks: Hooks,
    interfaces: &[Interface],
    settings: &GuardSettings,
) -> Result<Keeper, Fault> {
    let mut done: Vec<Option<Attachment>> = vec![None; interfaces.len()];
    let attached = attach_each(&mut hooks, interfaces, settings, &mut done).and_then(|()| {
        if done.iter().all(Option::is_none) { Err(all_gone(interfaces)) } else { hooks.keep_maps() }
    });
    if let Err(fault) = attached {
        let new = interfaces.iter().zip(&done).filter_map(|(interface, attachment)| {
            attachment.as_ref().filter(|attachment| !attachment.replaced).map(|new| (interface, new.mode))
        });
        let failed = new.filter_map(|(interface, mode)| hooks.take_back(interface.index, mode).err());
        let fault = failed.fold(fault, Fault::and);
        // A program that has taken an earlier one's place goes on with these maps: they are what is in force there.
        let replaced = done.iter().flatten().any(|attachment| attachment.replaced);
        return Err(match replaced.then(|| hooks.keep_maps()) {
            Some(Err(unkept)) => fault.and(unkept),
            _ => fault,
        });
    }
    let mut guarded = Vec::new();
    for (interface, attachment) in interfaces.iter().zip(&done) {
        let mode = attachment.as_ref().map(|attachment| attachment.mode);
        let mut witness = false;
        if let Some(mode) = mode {
            hooks.settle(interface.index, mode)?;
            let seen = hooks.attach_witness(interface);
            witness = seen.is_ok();
            if let Err(fault) = seen {
                tell_blind(interface, &fault);
            }
        } else {
            warn!(interface = interface.name, "it is gone; it is guarded as soon as it is there again");
        }
        guarded.push(Guarded {
            name: interface.name.clone(),
            shown: interface.name.clone(),
            index: interface.index,
            mode: mode.unwrap_or(settings.mode),
            degraded: mode.is_none().then(|| "the interface is gone".to_owned()),
            witness,
            failure: None,
            witness_again: (!witness).then(|| clock::now().plus(WITNESS_AGAIN)),
        });
    }
    let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
    for index in hooks.pins().detach_others(&indices)? {
        warn!(
            index,
            "an interface that an earlier daemon guarded is guarded no longer: it is not configured"
        );
    }
    if settings.dry_run {
        warn!("dry run: packets are judged and counted, and none is dropped");
    }
    Ok(Keeper { hooks, mode: settings.mode, guarded, detached: false })
}

/// Notes in `done` what was attached.
fn attach_each(
    hooks: &mut Hooks,
    interfaces: &[Interface],
    settings: &GuardSettings,
    done: &mut [Option<Attachment>],
) -> Result<(), Fault> {
    let each = || interfaces.iter().enumerate();
    // Another's program is in the way of a new link, not of a pinned one: what fails should fail before an earlier
    // daemon's program and its bans are gone.
    let (earlier, fresh): (Vec<_>, Vec<_>) =
        each().partition(|(_, interface)| hooks.would_replace(interface.index, settings.mode));
    for (at, interface) in fresh.into_iter().chain(earlier) {
        done[at] = hooks.attach(interface, settings.mode)?;
        if let Some(attachment) = &done[at] {
            tell(interface, attachment);
        }
    }
    Ok(())
}
