//! The files of a daemon, whether it runs or not.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use toml::Table;

use crate::bpffs::PinFolder;
use crate::netns::Namespace;
use crate::process::Process;
use crate::wait::PATIENCE;

/// A folder with a configuration, and room for the socket and the pins that it names; all of it goes when this is
/// dropped.
#[derive(Debug)]
pub struct Site {
    program: PathBuf,
    pins: PinFolder,
    dir: TempDir,
}

/// What a command of `ssh-guard` came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The exit code.
    pub code: i32,
    /// The output.
    pub stdout: String,
    /// The errors.
    pub stderr: String,
}

/// Where the daemon's HTTP server listens in its namespace.
pub const HTTP: &str = "127.0.0.1:9822";

/// Nobody's user and group id on Linux.
pub const NOBODY: u32 = 65_534;

impl Site {
    /// Prepares what [`Daemon::start`](crate::daemon::Daemon::start) starts from; `config` as there.
    #[must_use]
    pub fn new(config: &str) -> Self {
        Self::of(&program(), config)
    }

    /// Prepares the same for another program.
    ///
    /// # Panics
    /// When no temporary folder can be made, or `config` is no TOML.
    #[must_use]
    pub fn of(program: &Path, config: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let site = Self { program: program.to_owned(), pins: PinFolder::new(), dir };
        site.configure(config);
        site
    }

    /// Prepares what a daemon starts from that reads an empty log; `config` has dotted keys only, which stand before
    /// its table.
    ///
    /// # Panics
    /// When the log cannot be written, or `config` is no TOML.
    #[must_use]
    pub fn with_log(config: &str) -> Self {
        let site = Self::new("");
        let log = site.folder().join("auth.log");
        std::fs::write(&log, "").expect("the temporary folder can be written");
        site.configure(&format!("{config}\n[[input]]\nkind = 'file'\npath = '{}'\n", log.display()));
        site
    }

    /// Writes another configuration.
    ///
    /// # Panics
    /// When `config` is no TOML.
    pub fn configure(&self, config: &str) {
        write_config(self.dir.path(), self.pins.path(), config);
    }

    /// Makes a command of the program, with the site's configuration.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.config()).args(args);
        command
    }

    /// Runs the program with the site's configuration until it ends.
    #[must_use]
    pub fn run(&self, namespace: &Namespace, args: &[&str]) -> Answer {
        Answer::of(namespace, self.command(args))
    }

    /// Runs the program as a user without privileges.
    #[must_use]
    pub fn run_as_nobody(&self, namespace: &Namespace, args: &[&str]) -> Answer {
        let mut command = self.command(args);
        command.uid(NOBODY).gid(NOBODY);
        Answer::of(namespace, command)
    }

    /// The folder, for whatever else belongs to the daemon.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// The folder of the pins.
    #[must_use]
    pub fn pin_path(&self) -> &Path {
        self.pins.path()
    }
}

impl Answer {
    /// Asserts that the command was refused: its exit code, its form, and what it told.
    ///
    /// # Panics
    /// When it was not, or not so.
    pub fn assert_refused(&self, code: i32, told: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("ssh-guard: "), "{self:?}");
        for text in told {
            assert!(self.stderr.contains(text), "no '{text}' in {self:?}");
        }
    }

    /// Runs a command inside a namespace until it ends; its input is empty.
    ///
    /// # Panics
    /// When it cannot be started, does not end in time, or is killed.
    #[must_use]
    pub fn of(namespace: &Namespace, mut command: Command) -> Self {
        let output = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        command.stdin(Stdio::null());
        let mut process = namespace.within(|| Process::start_with(command, Some(output.as_file())));
        let code = process.wait(PATIENCE).code().expect("a command is not killed");
        let stdout = std::fs::read(output.path()).expect("the file is there as long as its handle");
        Self { code, stdout: String::from_utf8_lossy(&stdout).into_owned(), stderr: process.output() }
    }

    /// Reads the output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("no JSON ({why}): {self:?}"))
    }
}

/// Writes `config` to the folder, completed with what the harness must know.
fn write_config(dir: &Path, pins: &Path, config: &str) {
    let parse = |text: &str| text.parse::<Table>().unwrap_or_else(|why| panic!("no TOML: {why}\n{text}"));
    let mut table = parse(&format!(
        "[guard]\ninterfaces = ['eth0']\npin-path = '{pins}'\n\
         [observe]\nlisten = '{HTTP}'\n\
         [control]\nsocket = '{dir}/control.sock'\n\
         [store]\npath = '{dir}/state.db'\n",
        pins = pins.display(),
        dir = dir.display(),
    ));
    merge(&mut table, parse(config));
    std::fs::write(dir.join("config.toml"), table.to_string()).expect("the temporary folder can be written");
}

/// Adds the keys of `over` to `table`, and puts them in the place of those that are there; tables are joined.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// The program under test: what `SSH_GUARD_BIN` names, or else what cargo makes of the sources as they are now, of the test's own
/// profile. For a test, cargo builds the binaries of the test's own package only; cargo holds no lock while tests run.
///
/// # Panics
/// When it does not compile.
#[must_use]
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("SSH_GUARD_BIN") {
            return program.into();
        }
        let test = std::env::current_exe().expect("a test knows its own path");
        let folder = test.ancestors().nth(2).expect("a test runs in target/<profile>/deps");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--package", "ssh-guard"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the daemon does not compile");
        folder.join("ssh-guard")
    });
    program.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tests_own_configuration_wins_and_leaves_the_rest() {
        let dir = TempDir::new().unwrap();
        let config = "[guard]\nports = [2222]\ninterfaces = ['eth1']\n[[input]]\nkind = 'stdin'\n[policy]\nthreshold = 2";
        write_config(dir.path(), Path::new("/sys/fs/bpf/x"), config);
        let written: Table =
            std::fs::read_to_string(dir.path().join("config.toml")).unwrap().parse().unwrap();
        let guard = written["guard"].as_table().unwrap();
        assert_eq!(guard["interfaces"].as_array().unwrap()[0].as_str(), Some("eth1"));
        assert_eq!(guard["ports"].as_array().unwrap()[0].as_integer(), Some(2222));
        assert_eq!(guard["pin-path"].as_str(), Some("/sys/fs/bpf/x"));
        assert_eq!(written["policy"]["threshold"].as_integer(), Some(2));
        assert_eq!(written["observe"]["listen"].as_str(), Some(HTTP));
    }
}
