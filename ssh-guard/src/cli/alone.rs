//! What an operator can do while no daemon answers: on the pins themselves.

use std::path::Path;

use crate::control::api::Done;
use crate::daemon::told_detached;
use crate::fault::Fault;
use crate::interface::Network as Machine;
use crate::kernel::Pins;

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
        done.done
            .push("a daemon that does not answer still runs; should it go on, it attaches again".to_owned());
    }
    Ok(done)
}
