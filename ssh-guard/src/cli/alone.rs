//! What an operator can do while no daemon answers: on the pins themselves.

use std::path::Path;

use ssh_guard_common::source::SourceMask;

use crate::ban::Scope;
use crate::control::api::{Done, UnbanRequest};
use crate::daemon::told_detached;
use crate::fault::{Exit, Fault};
use crate::interface::Network as Machine;
use crate::kernel::{Lifted, Pins, Rescue};
use crate::lists::scope_of;
use crate::network::Network;

/// Takes the programs off every interface.
pub(super) async fn detach(pin_path: &Path) -> Result<Done, Fault> {
    let there = Machine::interfaces().await?;
    let pins = Pins::find(pin_path)?;
    let indices: Vec<u32> = there.iter().map(|interface| interface.index).collect();
    let detached = pins.detach_all(&indices)?;
    let mut done = told_detached(&there, &detached);
    if !detached.is_empty() {
        done.done.push("bans stay in the kernel's maps: the next daemon takes them over".to_owned());
    }
    if pins.is_there() && !pins.is_ours() {
        done.done.push(
            "a daemon that does not answer still runs; should it go on, it does what it was asked meanwhile"
                .to_owned(),
        );
    }
    Ok(done)
}

/// Lifts blocks in the maps of an earlier daemon. `silent` is what is told of the daemon.
pub(super) fn unban(pin_path: &Path, request: &UnbanRequest, silent: Fault) -> Result<Done, Fault> {
    let UnbanRequest::Each { addresses, networks } = request else {
        return match request {
            UnbanRequest::All => lift_all(pin_path, silent),
            // Which list an entry is of, only a daemon knows.
            _ => Err(silent),
        };
    };
    let Some(mut rescue) = Rescue::open(pin_path)? else { return Err(silent) };
    let mask = rescue.mask();
    let mut told = Vec::new();
    let mut holders: Vec<(Network, Vec<Network>)> = Vec::new();
    let addresses = addresses.iter().map(|address| Network::from(*address));
    let networks = networks.iter().map(|network| Network::from(*network));
    let each = addresses.map(|itself| (itself, true)).chain(networks.map(|itself| (itself, false)));
    for (itself, is_address) in each {
        told.push(lift(&mut rescue, itself, is_address, mask)?);
        let around = rescue.holders(itself)?;
        if !around.is_empty() {
            holders.push((itself, around));
        }
    }
    if let Some((_, first)) = holders.first() {
        let list = |networks: &[Network], between: &str| {
            networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
        };
        let hint = format!("lift that: ssh-guard unban {}", list(first, " "));
        let stays = holders.iter().map(|(itself, around)| {
            format!("{itself} stays blocked: it lies in {}, which is banned", list(around, " and in "))
        });
        told.extend(stays);
        return Err(Fault::new(Exit::Failure, told.join("; ")).hint(hint));
    }
    told.push(ALONE.to_owned());
    Ok(Done { done: told })
}

/// Lifts what bans exactly this, and tells what that was.
fn lift(rescue: &mut Rescue, itself: Network, is_address: bool, mask: SourceMask) -> Result<String, Fault> {
    let source = mask.apply(itself.first());
    let entry = if is_address { Network::new(source, mask.prefix_of(source)) } else { itself };
    let lifted = match scope_of(entry, mask) {
        Scope::Source => rescue.lift_source(source)?,
        Scope::Network => rescue.lift_network(entry)?,
    };
    match lifted {
        Lifted::Yes => Ok(format!("unbanned {entry}")),
        Lifted::Absent => Ok(format!("{entry} was not banned")),
        Lifted::Configured => {
            Err(Fault::new(Exit::Failure, format!("{entry} stays blocked: the configuration lists it")).hint(
                "take it out of '[block]' and start the daemon; or take the guard off: ssh-guard detach",
            ))
        }
    }
}

fn lift_all(pin_path: &Path, silent: Fault) -> Result<Done, Fault> {
    let Some(mut rescue) = Rescue::open(pin_path)? else { return Err(silent) };
    let (lifted, kept) = rescue.lift_all()?;
    let mut done = vec![match lifted {
        0 => "nobody was banned".to_owned(),
        lifted => format!("unbanned {lifted} sources and networks"),
    }];
    if kept > 0 {
        done.push(format!("{kept} that the configuration lists stay blocked"));
    }
    done.push(ALONE.to_owned());
    Ok(Done { done })
}

const ALONE: &str = "no daemon answers: this was done in the kernel, and the next daemon begins with it";
