//! Folders for pins, which go with the test.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

const BPFFS: &str = "/sys/fs/bpf";

/// A folder on bpffs that belongs to one test; it is made by whoever pins there, and removed with all its pins when
/// this is dropped.
#[derive(Debug)]
pub struct PinFolder {
    path: PathBuf,
}

impl PinFolder {
    /// Names a folder that nobody else uses, and mounts bpffs at `/sys/fs/bpf` where it is not.
    ///
    /// # Panics
    /// When bpffs cannot be mounted.
    #[must_use]
    pub fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        mount_bpffs();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self { path: Path::new(BPFFS).join(format!("ssh-guard-test-{}-{number}", std::process::id())) }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for PinFolder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        // Fails where nothing was pinned.
        drop(std::fs::remove_dir_all(&self.path));
    }
}

fn mount_bpffs() {
    // Two tests that both find it missing would mount it twice.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _alone = MOUNTING.lock().expect("whoever held it did not panic");
    let mounted = statfs(BPFFS).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC);
    if !mounted {
        mount(Some("bpffs"), BPFFS, Some("bpf"), MsFlags::empty(), None::<&str>)
            .unwrap_or_else(|why| panic!("cannot mount bpffs at '{BPFFS}': {why}"));
    }
}

#[cfg(test)]
mod tests {
    use aya::maps::{HashMap, MapData};

    use super::*;
    use crate::needs;
    use crate::skip::Need;

    #[test]
    fn pins_go_with_their_folder() {
        needs!(Need::Root, Need::Bpf);
        let folder = PinFolder::new();
        let [path, maps] = [folder.path().to_owned(), folder.path().join("v1/maps")];
        std::fs::create_dir_all(&maps).unwrap();
        let map = HashMap::<MapData, u32, u32>::create(8, 0).unwrap();
        map.pin(maps.join("BLOCKLIST")).unwrap();
        assert!(MapData::from_pin(maps.join("BLOCKLIST")).is_ok());
        drop(folder);
        assert!(!path.exists());
    }
}
