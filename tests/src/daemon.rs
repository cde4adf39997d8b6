//! The daemon under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http;
use crate::netns::Namespace;
use crate::process::Process;
pub use crate::site::{Answer, HTTP, Site, program};
use crate::skip::find_program;
use crate::wait::{PATIENCE, poll};

/// A running `ssh-guard` with a configuration, a socket and pins of its own, inside a namespace; all of it
/// goes when this is dropped.
#[derive(Debug)]
pub struct Daemon<'lab> {
    process: Process,
    namespace: &'lab Namespace,
    // Dropped after the process that uses it.
    site: Site,
}

impl<'lab> Daemon<'lab> {
    /// Starts the daemon that was built beside the tests (or that `SSH_GUARD_BIN` names), and waits until it answers.
    ///
    /// `config` is TOML. Unless it says otherwise the daemon guards `eth0`, and its paths are the test's own.
    ///
    /// # Panics
    /// When the program is missing or older than its sources, or is not ready in time.
    #[must_use]
    pub fn start(namespace: &'lab Namespace, config: &str) -> Self {
        Self::start_program(&program(), namespace, config)
    }

    /// Starts another program as the daemon.
    ///
    /// # Panics
    /// When it is not ready in time.
    #[must_use]
    pub fn start_program(program: &Path, namespace: &'lab Namespace, config: &str) -> Self {
        Self::start_at(Site::of(program, config), namespace, &[])
    }

    /// Starts the daemon of a site, with these arguments after `run`.
    ///
    /// # Panics
    /// When it is not ready in time.
    #[must_use]
    pub fn start_at(site: Site, namespace: &'lab Namespace, args: &[&str]) -> Self {
        let process = namespace.start(site.command(&[&["run"], args].concat()));
        let mut daemon = Self { process, namespace, site };
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the daemon again after it ended, with the files and pins that it left.
    ///
    /// # Panics
    /// When it still runs, or is not ready in time.
    pub fn start_again(&mut self) {
        assert!(self.process.has_ended(), "the daemon still runs");
        self.process = self.namespace.start(self.site.command(&["run"]));
        self.wait_until_ready();
    }

    /// Its files and pins.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Writes another configuration, which nobody reads before `reload` or the next start.
    ///
    /// # Panics
    /// When `config` is no TOML.
    pub fn configure(&self, config: &str) {
        self.site.configure(config);
    }

    /// Runs `ssh-guard` with `args`, as a client of this daemon, in its namespace; it has no terminal, whatever the tests are
    /// run from, as it would be taken for somebody's who is logged in.
    ///
    /// # Panics
    /// When there is no `setsid`.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> Answer {
        let mut command = Command::new(find_program("setsid").expect("setsid is installed"));
        command.arg(self.site.program()).arg("--socket").arg(self.socket()).args(args);
        Answer::of(self.namespace, command)
    }

    /// Runs `ssh-guard` with `args` and `--json`, and returns what it answers.
    ///
    /// # Panics
    /// When it fails, or answers anything but JSON.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let answer = self.cli(&[args, &["--json"]].concat());
        assert_eq!(answer.code, 0, "{args:?} failed: {}{}", answer.stderr, self.output());
        answer.json()
    }

    /// Asks for the metrics over HTTP.
    ///
    /// # Panics
    /// When they are not served.
    #[must_use]
    pub fn metrics(&self) -> String {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        response.body
    }

    /// Asks for `path` over HTTP.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> http::Response {
        let server: SocketAddr = HTTP.parse().expect("it is an address");
        http::get(self.namespace, server, path)
            .unwrap_or_else(|why| panic!("cannot get '{path}': {why}\n{}", self.output()))
    }

    /// Kills the daemon (SIGKILL), as a crash would.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Asks the daemon to end (SIGTERM), and waits for its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or by a signal.
    pub fn terminate(&mut self) -> i32 {
        self.process.signal(Signal::SIGTERM);
        self.process.wait(PATIENCE).code().expect("the daemon exits by itself")
    }

    /// Writes a line to the daemon's standard input.
    ///
    /// # Panics
    /// When it is closed.
    pub fn write_line(&mut self, line: &str) {
        self.process.write_line(line).expect("the daemon holds its standard input");
    }

    /// Closes the daemon's standard input.
    pub fn close_input(&mut self) {
        self.process.close_input();
    }

    /// Where events can be posted, and nothing else, if `control.events-group` is set.
    #[must_use]
    pub fn events_socket(&self) -> PathBuf {
        self.socket().with_file_name("events.sock")
    }

    /// Posts auth events to the control socket.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn post_events(&self, content_type: &str, body: &str) -> http::Response {
        http::post(&self.socket(), "/v1/events", content_type, body)
            .unwrap_or_else(|why| panic!("cannot post: {why}\n{}", self.output()))
    }

    /// An input, as `status` tells it.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn input(&self, name: &str) -> Value {
        let status = self.json(&["status"]);
        let inputs = status["inputs"].as_array().unwrap_or_else(|| panic!("no inputs: {status}"));
        let input = inputs.iter().find(|input| input["name"] == name);
        input.unwrap_or_else(|| panic!("no input '{name}': {status}")).clone()
    }

    /// Who is banned, in the order of the addresses.
    ///
    /// # Panics
    /// When the daemon does not tell.
    #[must_use]
    pub fn banned(&self) -> Vec<String> {
        let bans = self.json(&["bans"]);
        let bans = bans["bans"].as_array().unwrap_or_else(|| panic!("no bans: {bans}"));
        bans.iter().map(|ban| ban["source"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What the daemon wrote since it was started last.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.site.socket()
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.site.config()
    }

    /// The folder of the pins.
    #[must_use]
    pub fn pin_path(&self) -> &Path {
        self.site.pin_path()
    }

    fn wait_until_ready(&mut self) {
        let ready = poll(PATIENCE, || {
            assert!(!self.process.has_ended(), "the daemon ended:\n{}", self.output());
            let answer = self.cli(&["status", "--json"]);
            (answer.code == 0 && serde_json::from_str::<Value>(&answer.stdout).is_ok()).then_some(())
        });
        assert!(ready.is_some(), "the daemon is not ready within {PATIENCE:?}:\n{}", self.output());
    }
}

#[cfg(test)]
mod tests;
