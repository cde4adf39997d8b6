//! Where in the BPF file system the maps and links are kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use aya::maps::Map;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::unistd::Uid;
use ssh_guard_common::{ABI, names};

use crate::fault::{Exit, Fault};

/// The folder of the pins of this [`ABI`], `maps/<NAME>` and `links/if<index>-<hook>`, which nobody else uses as long as
/// this is there. Folders in which nothing is pinned by then go with it.
#[derive(Debug)]
pub struct Pins {
    folder: PathBuf,
    /// The configured path, if it was not there before.
    made: Option<PathBuf>,
    /// On the configured path, so that daemons of different ABI keep out of each other's way as well. None if somebody
    /// else has it who does not answer.
    lock: Option<Flock<File>>,
}

/// Where a program is attached to an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hook {
    /// XDP.
    Xdp,
    /// Traffic control, what comes in.
    Tc,
    /// Traffic control, what goes out.
    Witness,
}

impl Hook {
    /// All of them; what judges comes first.
    pub(super) const ALL: [Self; 3] = [Self::Xdp, Self::Tc, Self::Witness];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Witness => "witness",
        }
    }
}

impl Pins {
    /// Locks `path` for this process, and makes the folders, unless they are there.
    ///
    /// # Errors
    /// If another daemon uses `path`, it is not in a BPF file system, or it may not be written.
    pub fn prepare(path: &Path) -> Result<Self, Fault> {
        Self::check(path)?;
        let made = (!path.exists()).then(|| path.to_owned());
        let lock = lock(path)?;
        let pins = Self { folder: Self::folder(path), made, lock: Some(lock) };
        pins.make_folders()?;
        Ok(pins)
    }

    /// Makes the folders, unless they are there.
    pub(super) fn make_folders(&self) -> Result<(), Fault> {
        for folder in [self.maps(), self.links()] {
            fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
        }
        Ok(())
    }

    /// Whether maps are pinned.
    pub(super) fn has_maps(&self) -> bool {
        self.maps().join(names::SETTINGS).exists() && self.links().exists()
    }

    /// Whether a daemon has pinned a link of its XDP program for an interface below `path`.
    #[must_use]
    pub fn has_link(path: &Path, interface: u32) -> bool {
        link(&Self::folder(path), interface, Hook::Xdp).exists()
    }

    /// What is pinned below `path`, while no daemon answers. If one that does not answer has the lock, it stays that one's.
    ///
    /// # Errors
    /// If the folder may not be looked into.
    pub fn find(path: &Path) -> Result<Self, Fault> {
        let folder = Self::folder(path);
        let lock = match File::open(path) {
            Ok(opened) => match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => Some(lock),
                Err((_, Errno::EWOULDBLOCK)) => None,
                Err((_, number)) => return Err(unwritable(path, number.into())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(path, error)),
        };
        Ok(Self { folder, made: None, lock })
    }

    /// Whether there is anything for anybody to write to.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.folder.exists()
    }

    /// Whether nobody else writes to what is pinned.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.lock.is_some()
    }

    fn folder(path: &Path) -> PathBuf {
        path.join(format!("v{ABI}"))
    }

    /// Whether pins can lie at `path`, or below the nearest folder above it that is there.
    ///
    /// # Errors
    /// If that is not in a BPF file system.
    pub fn check(path: &Path) -> Result<(), Fault> {
        let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
        in_bpf_file_system(there)
    }

    /// Pins maps under their names, in the place of those that are pinned there. One that is killed in the middle
    /// leaves maps of the same bans under each name, old or new.
    ///
    /// # Errors
    /// If the folder may not be written.
    pub(super) fn keep(&self, maps: &[(&'static str, Map)]) -> Result<(), Fault> {
        for (name, map) in maps {
            let path = self.maps().join(name);
            let next = self.maps().join(format!("{name}_next"));
            forget(&next).map_err(|error| unwritable(&next, error))?;
            map.pin(&next).map_err(|error| {
                Fault::new(Exit::Failure, format!("cannot pin '{}'", next.display())).because(error)
            })?;
            fs::rename(&next, &path).map_err(|error| unwritable(&path, error))?;
        }
        Ok(())
    }

    /// Where the maps are pinned.
    pub(super) fn maps(&self) -> PathBuf {
        self.folder.join("maps")
    }

    /// Where the links are pinned.
    pub(super) fn links(&self) -> PathBuf {
        self.folder.join("links")
    }

    /// Where a link of an interface is pinned.
    pub(super) fn link(&self, interface: u32, hook: Hook) -> PathBuf {
        link(&self.folder, interface, hook)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        let folders = [self.maps(), self.links(), self.folder.clone()];
        for folder in folders.iter().chain(&self.made) {
            // The kernel refuses it while something is pinned there, which is what is wanted.
            if let Err(error) = fs::remove_dir(folder) {
                tracing::trace!(?folder, %error, "stays");
            }
        }
    }
}

/// Makes the folder and locks it; the lock ends with the process, however that ends.
fn lock(path: &Path) -> Result<Flock<File>, Fault> {
    let denied = |error: io::Error| unwritable(path, error);
    loop {
        // Whoever may open the folder could lock it, and keep the guard from starting.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(denied)?;
        let owner = fs::metadata(path).map_err(denied)?.uid();
        if owner != Uid::effective().as_raw() {
            return Err(Fault::new(Exit::Failure, format!("'{}' belongs to user {owner}", path.display()))
                .hint("remove it, or set 'guard.pin-path' to a folder of this user's own"));
        }
        let folder = File::open(path).map_err(denied)?;
        let lock =
            Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|(_, number)| match number {
                Errno::EWOULDBLOCK => Fault::new(
                    Exit::Failure,
                    format!("another daemon keeps its pins in '{}'", path.display()),
                )
                .hint("stop it first, or set 'guard.pin-path' and 'control.socket' to other paths"),
                number => {
                    Fault::new(Exit::Failure, format!("cannot lock '{}'", path.display())).because(number)
                }
            })?;
        // A daemon that could not start may have removed the folder before it let go of the lock.
        let locked = lock.metadata().map_err(denied)?;
        if fs::metadata(path).is_ok_and(|there| there.ino() == locked.ino() && there.dev() == locked.dev()) {
            return Ok(lock);
        }
    }
}

fn link(folder: &Path, interface: u32, hook: Hook) -> PathBuf {
    folder.join(format!("links/if{interface}-{}", hook.as_str()))
}

fn in_bpf_file_system(path: &Path) -> Result<(), Fault> {
    let kind = statfs(path).map_err(|error| unwritable(path, error.into()))?.filesystem_type();
    if kind == BPF_FS_MAGIC {
        return Ok(());
    }
    Err(Fault::new(Exit::Failure, format!("'{}' is not in a BPF file system", path.display()))
        .hint("mount one: mount -t bpf bpf /sys/fs/bpf"))
}

/// Removes a pin, if there is one.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> Fault {
    let what = format!("cannot write '{}'", path.display());
    if error.kind() == io::ErrorKind::PermissionDenied {
        let hint = "run as root, or let this user write the folder that 'guard.pin-path' names";
        return Fault::new(Exit::NotPermitted, what).because(error).hint(hint);
    }
    Fault::new(Exit::Failure, what)
        .because(error)
        .hint("'guard.pin-path' must lie in a BPF file system: mount -t bpf bpf /sys/fs/bpf")
}
