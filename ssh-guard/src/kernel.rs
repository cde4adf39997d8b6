//! The kernel's half: loads the programs, attaches them, and is the only way to their maps. All unsafe code of the
//! daemon stands here.
//!
//! What is pinned outlives the daemon: drops go on, and bans end on time, while none runs.

mod allowlist;
mod attach;
mod batch;
mod blocklist;
mod clock;
mod clsact;
mod detach;
mod drift;
mod earlier;
mod flat;
mod known;
mod link;
mod load;
mod memory;
mod netlink;
mod networks;
mod object;
mod pins;
mod privileges;
mod refusal;
mod sample;
mod sessions;
mod settings;
mod sockets;
mod syscall;
mod tables;
mod walk;

pub use allowlist::{Allowed, Allowlist};
pub use attach::{Attachment, Hooks, Seen};
pub use blocklist::Blocklist;
pub use clock::KernelClock;
pub use drift::{Drift, is_same_end};
pub use earlier::{Counted, Earlier, Lifted, Rescue};
pub use known::{KnownGood, KnownGoodView};
pub use load::{Capacities, Kept, Loaded, Programs, load, load_from, load_with};
pub use networks::{Look, Networks};
pub use pins::Pins;
pub use sample::Sampler;
pub use sessions::Sessions;
pub use settings::SettingsMap;
pub use sockets::{Socket, Sockets, Stage, Unclosed};

use std::error::Error;
use std::io;

use aya::maps::MapError;
use nix::errno::Errno;

/// Whether a map has no such entry; aya passes on the kernel's own word for it from some calls.
fn is_missing(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound) || errno(error) == Some(Errno::ENOENT)
}

/// Whether a map has the entry already, where it is written as [`NOT_THERE`].
fn is_there(error: &MapError) -> bool {
    errno(error) == Some(Errno::EEXIST)
}

/// `BPF_NOEXIST`: an entry is written only if there is none.
const NOT_THERE: u64 = 1;

/// The error number at the bottom of an error's chain, if the kernel gave one.
fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(Errno::from_raw(number));
        }
        next = error.source();
    }
    None
}
