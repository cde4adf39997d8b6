//! Reads the files of the allowlist again when they change.
//!
//! A file counts as soon as it rests: editors and programs write in pieces, or cut a file off before they fill it again. One
//! that is gone, empty or wrong changes nothing: what it listed before stays allowed, as an allowlist that is lost for a
//! moment locks out those whom it is there for.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::command::Command;
use crate::config::problem::Problem;
use crate::config::settings::AllowSettings;
use crate::config::{ConfigError, list};
use crate::fault::Fault;
use crate::input::Watch;
use crate::network::Network;

/// What the configuration allows now and did not, and the other way round.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Reallowed {
    pub(super) new: Vec<Network>,
    pub(super) gone: Vec<Network>,
}

/// The configured allowlist, and its files as they were read last.
pub(super) struct AllowFiles {
    sources: Vec<IpNet>,
    files: Vec<Followed>,
}

struct Followed {
    path: PathBuf,
    networks: Vec<IpNet>,
    /// The file that was read last, or found wanting.
    read: Option<Stamp>,
    /// The file at the last look.
    seen: Option<Stamp>,
}

/// What tells one content of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What a look at the files came to.
struct Looked {
    change: Reallowed,
    /// Whether a file does not rest yet.
    unsettled: bool,
}

impl AllowFiles {
    /// Follows these, which were read when the configuration was.
    pub(super) fn new(settings: AllowSettings) -> Self {
        let AllowSettings { sources, files } = settings;
        let follow = |(path, networks)| Followed { path, networks, read: None, seen: None };
        Self { sources, files: files.into_iter().map(follow).collect() }
    }

    /// Works until `stop` is cancelled.
    pub(super) async fn run(mut self, guard: mpsc::Sender<Command>, stop: CancellationToken) {
        if self.files.is_empty() {
            return stop.cancelled().await;
        }
        let mut watch = Watch::new().unwrap_or_else(|error| {
            warn!(%error, seconds = POLL.as_secs(), "the files of the allowlist are looked at now and then");
            Watch::none()
        });
        loop {
            // First, so that what changes during the look is heard of.
            let open: Vec<File> = self.files.iter().filter_map(|file| refer_to(&file.path)).collect();
            watch.cover(self.files.iter().map(|file| file.path.as_path()), open.iter().map(File::as_fd));
            let look = move || {
                let looked = self.look();
                (self, looked)
            };
            let Ok((files, looked)) = tokio::task::spawn_blocking(look).await else { return };
            self = files;
            let Looked { change, unsettled } = looked;
            if change != Reallowed::default() && guard.send(Command::Reallow { change }).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(if unsettled { REST } else { POLL }) => {}
                _ = watch.change(), if !unsettled => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Looks at each file once, and reads those that have changed and are at rest.
    fn look(&mut self) -> Looked {
        let before = self.allowed();
        let mut unsettled = false;
        for number in 0..self.files.len() {
            unsettled |= self.look_at(number);
        }
        let now = self.allowed();
        let difference = |one: &BTreeSet<Network>, other| one.difference(other).copied().collect();
        Looked {
            change: Reallowed { new: difference(&now, &before), gone: difference(&before, &now) },
            unsettled,
        }
    }

    /// Looks at a file, and says whether it has changed and does not rest yet.
    fn look_at(&mut self, number: usize) -> bool {
        let Some(file) = self.files.get_mut(number) else { return false };
        let stamp = Stamp::of(&file.path);
        let rests = std::mem::replace(&mut file.seen, stamp) == stamp;
        let Some(stamp) = stamp else {
            if file.read.take().is_some() {
                file.keep("it is gone", None);
            }
            return false;
        };
        if file.read == Some(stamp) {
            return false;
        }
        if !rests {
            return true;
        }
        let listed = list::read(&file.path);
        if Stamp::of(&file.path) != Some(stamp) {
            return true;
        }
        file.read = Some(stamp);
        match listed {
            Ok(networks) if networks == file.networks => {}
            Ok(networks) if networks.is_empty() => {
                let hint =
                    "to allow nothing of it any more, take it out of 'allow.files', and restart the daemon";
                file.keep("it lists nothing", Some(hint));
            }
            Ok(networks) => self.take(number, networks),
            Err(problems) => file.keep_wrong(problems),
        }
        false
    }

    /// Takes what a file lists now, unless that is too much.
    fn take(&mut self, number: usize, networks: Vec<IpNet>) {
        let Some(file) = self.files.get_mut(number) else { return };
        let before = std::mem::replace(&mut file.networks, networks);
        let room = list::check_room(self.allowed().len());
        let Some(file) = self.files.get_mut(number) else { return };
        if let Err(many) = room {
            file.networks = before;
            return file.keep(&format!("with it, there are {}", many.message), many.hint.as_deref());
        }
        info!(file = %file.path.display(), networks = file.networks.len(), "the allowlist is read again");
    }

    fn allowed(&self) -> BTreeSet<Network> {
        let listed = self.files.iter().flat_map(|file| &file.networks);
        self.sources.iter().chain(listed).copied().map(Network::from).collect()
    }
}

impl Followed {
    fn keep(&self, why: &str, hint: Option<&str>) {
        let (file, networks) = (self.path.display(), self.networks.len());
        warn!(%file, networks, hint, "what it listed before stays allowed: {why}");
    }

    fn keep_wrong(&self, problems: Vec<Problem>) {
        let Some(error) = ConfigError::gather(problems) else { return };
        let fault = Fault::from(error);
        self.keep(&fault.told(), fault.way_out());
    }
}

impl Stamp {
    /// The file that a path leads to, through whatever links; none if there is none, or something else.
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }
}

/// Opens a file in a way that waits for nothing, and reads nothing.
fn refer_to(path: &Path) -> Option<File> {
    File::options().read(true).custom_flags(libc::O_PATH).open(path).ok()
}

/// How long a file must not change before it is read.
const REST: Duration = Duration::from_millis(250);
/// How often files are looked at that the kernel does not tell of, as on a network.
const POLL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
