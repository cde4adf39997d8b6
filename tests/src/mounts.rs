//! A private view of the file system, for servers that would write to the machine's own places.

use std::fs::{DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::netns::{Namespace, on_a_thread};
use crate::process::Process;

/// A folder whose contents lie over the machine's own files, but only for programs started here: `/run` is its
/// `run`, `/var/log` is empty and forgotten, `/dev` has the devices that a server needs and a `log` of the test's
/// choice, and single files are replaced by others.
#[derive(Debug)]
pub struct PrivateFiles {
    dir: TempDir,
    dev_log: PathBuf,
    replaced: Vec<(PathBuf, PathBuf)>,
}

impl PrivateFiles {
    /// Makes the folder; syslog(3) will reach the socket at `dev_log`, as the programs started here see that path.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    #[must_use]
    pub fn new(dev_log: &Path) -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        // Servers read files in it after they put on another user's id.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        for folder in ["run", "dev"] {
            DirBuilder::new().mode(0o755).create(dir.path().join(folder)).expect("the folder is empty");
        }
        Self { dir, dev_log: dev_log.to_owned(), replaced: Vec::new() }
    }

    /// The folder, which every user may read; its `run` is what the programs see as `/run`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into the folder, for its owner only unless `mode` says more.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|why| panic!("cannot write '{}': {why}", path.display()));
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("the file is ours");
        path
    }

    /// Lays `by`, a file of the folder, over the machine's `path`.
    pub fn replace(&mut self, path: &str, by: PathBuf) {
        self.replaced.push((by, PathBuf::from(path)));
    }

    /// Starts a program that sees these files, inside a network namespace.
    ///
    /// # Panics
    /// When the files cannot be mounted, or the program not started.
    #[must_use]
    pub fn start(&self, namespace: &Namespace, command: std::process::Command) -> Process {
        namespace.within(|| {
            on_a_thread(|| {
                self.enter().unwrap_or_else(|why| panic!("cannot mount private files: {why}"));
                Process::start(command)
            })
        })
    }

    /// Gives the calling thread a mount namespace of its own, and lays the files in place.
    ///
    /// # Errors
    /// Those of unshare(2) and mount(2).
    fn enter(&self) -> nix::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        for (by, path) in &self.replaced {
            bind(by, path)?;
        }
        mount(Some("tmpfs"), "/var/log", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
        let dev = self.dir.path().join("dev");
        mount(Some("tmpfs"), &dev, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
        for device in ["null", "zero", "full", "random", "urandom", "tty", "kmsg"] {
            let own = Path::new("/dev").join(device);
            if own.exists() {
                File::create(dev.join(device)).expect("a new tmpfs can be written");
                bind(&own, &dev.join(device))?;
            }
        }
        for folder in ["pts", "shm"] {
            std::fs::create_dir(dev.join(folder)).expect("a new tmpfs can be written");
            bind(&Path::new("/dev").join(folder), &dev.join(folder))?;
        }
        let links =
            [("pts/ptmx", "ptmx"), ("/proc/self/fd", "fd")].map(|(to, name)| (PathBuf::from(to), name));
        for (to, name) in links.into_iter().chain([(self.dev_log.clone(), "log")]) {
            symlink(to, dev.join(name)).expect("a new tmpfs can be written");
        }
        bind(&dev, Path::new("/dev"))?;
        // Last: the temporary folder may itself lie below.
        bind(&self.dir.path().join("run"), Path::new("/run"))
    }
}

/// Lays `from` over `to`.
///
/// # Errors
/// Those of mount(2).
fn bind(from: &Path, to: &Path) -> nix::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::needs;
    use crate::skip::Need;
    use crate::wait::PATIENCE;

    #[test]
    fn a_program_with_private_files_leaves_the_machines_alone() {
        needs!(Need::Root, Need::Netns);
        let mut files = PrivateFiles::new(Path::new("/run/some-socket"));
        let passwd = files.write("passwd", 0o644, "alice:x:60001:60001::/:/bin/sh\n");
        files.replace("/etc/passwd", passwd);
        let namespace = Namespace::new();
        let mut command = Command::new("sh");
        let script = "cat /etc/passwd; readlink /dev/log; ls /var/log; : > /dev/null; \
                      touch /run/only-here /dev/only-here /var/log/only-here; echo done";
        command.args(["-c", script]);
        let mut shell = files.start(&namespace, command);
        let output = shell.wait_for_output("done", PATIENCE);
        assert_eq!(output, "alice:x:60001:60001::/:/bin/sh\n/run/some-socket\ndone\n");
        assert!(files.path().join("run/only-here").exists());
        for folder in ["/run", "/dev", "/var/log"] {
            assert!(!Path::new(folder).join("only-here").exists(), "{folder}");
        }
    }
}
