//! Asks the kernel to say when a file, or what its path names, changes.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use futures_util::{FutureExt, StreamExt};
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};

/// What changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// Something was written.
    Content,
    /// A file or a directory was made, renamed, deleted, or its permissions changed.
    Names,
}

/// The watches on some files and the directories that lead to them; or none, where the kernel refuses.
#[derive(Debug)]
pub(crate) struct Watch {
    events: Option<EventStream<Vec<u8>>>,
    held: Vec<WatchDescriptor>,
}

impl Watch {
    /// Makes an inotify instance; fails where the user has too many.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { events: Some(Inotify::init()?.into_event_stream(vec![0; 4096])?), held: Vec::new() })
    }

    /// Watches nothing.
    pub(crate) fn none() -> Self {
        Self { events: None, held: Vec::new() }
    }

    /// Watches the open `files`, the directories in which `paths` are looked up, and those in which the files lie to
    /// which they lead; nothing else any more. What cannot be watched is left out.
    pub(crate) fn cover<'a>(
        &mut self,
        paths: impl Iterator<Item = &'a Path>,
        files: impl Iterator<Item = BorrowedFd<'a>>,
    ) {
        let Some(events) = &self.events else { return };
        let mut watches = events.watches();
        // By descriptor, so that it is this file whatever its name is now.
        let files =
            files.map(|fd| (PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())), WatchMask::MODIFY));
        let directories = paths.flat_map(directories).map(|directory| (directory, names()));
        let wanted: Vec<_> =
            files.chain(directories).filter_map(|(path, mask)| watches.add(path, mask).ok()).collect();
        for old in self.held.drain(..).filter(|old| !wanted.contains(old)) {
            // A watch on what was deleted is gone already.
            drop(watches.remove(old));
        }
        self.held = wanted;
    }

    /// Waits for a change; for ever where nothing is watched.
    pub(crate) async fn change(&mut self) -> Change {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        let mut next = events.next().await;
        let mut change = Change::Content;
        // All that the kernel has to say at once: one look at the log answers it.
        while let Some(Ok(event)) = next {
            if event.mask != EventMask::MODIFY {
                change = Change::Names;
            }
            next = events.next().now_or_never().flatten();
        }
        change
    }
}

fn names() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::MOVE
        | WatchMask::DELETE
        | WatchMask::ATTRIB
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
}

/// The directories in which something must happen before `path` leads elsewhere: its own and that of the file it
/// links to, or the last on the way that exists.
fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let own = path.ancestors().skip(1).map(or_here).find(|directory| directory.is_dir()).map(Path::to_owned);
    let linked = path.canonicalize().ok().and_then(|file| Some(file.parent()?.to_owned()));
    own.into_iter().chain(linked)
}

fn or_here(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}
