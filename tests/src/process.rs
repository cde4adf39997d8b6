//! Programs that a test starts, and ends.

use std::fs::File;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::NamedTempFile;

use crate::wait::poll;

/// A running program; what it writes is kept, and it is killed with all its descendants when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    output: NamedTempFile,
}

impl Process {
    /// Starts `command` with a pipe as its standard input, its output and errors in one file.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        Self::start_with(command, None)
    }

    /// Starts `command` with the standard input that it has, and its output in `apart` where there is one.
    pub(crate) fn start_with(mut command: Command, apart: Option<&File>) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = NamedTempFile::new().expect("a temporary file can be made");
        let stream = |file: &File| file.try_clone().expect("a descriptor can be duplicated");
        command.stdout(stream(apart.unwrap_or(output.as_file()))).stderr(stream(output.as_file()));
        let child = command.spawn().unwrap_or_else(|why| panic!("cannot start '{name}': {why}"));
        Self { child, name, output }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, output and errors in the order they came.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = std::fs::read(self.output.path()).expect("the output file is there as long as this is");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the output contains `text`, and returns all of it.
    ///
    /// # Panics
    /// When it does not within `within`, or the program ends without it.
    pub fn wait_for_output(&mut self, text: &str, within: Duration) -> String {
        let seen = poll(within, || {
            let ended = self.has_ended();
            let output = self.output();
            (ended || output.contains(text)).then_some(output)
        });
        match seen {
            Some(output) if output.contains(text) => output,
            Some(output) => panic!("'{}' ended without saying '{text}', but:\n{output}", self.name),
            None => panic!("'{}' did not say '{text}' within {within:?}, but:\n{}", self.name, self.output()),
        }
    }

    /// Tells whether the program ended by now.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Writes a line to the program's standard input.
    ///
    /// # Errors
    /// When either side has closed it.
    pub fn write_line(&mut self, line: &str) -> std::io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{line}\n").as_bytes())
    }

    /// Closes the program's standard input.
    pub fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the program has been waited for already.
    pub fn signal(&mut self, signal: Signal) {
        assert!(!self.has_ended(), "'{}' ended before {signal}:\n{}", self.name, self.output());
        kill(as_pid(self.pid()), signal).expect("a child that was not waited for can be signalled");
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    /// When it does not within `within`.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let status = poll(within, || self.child.try_wait().expect("a child can be waited for"));
        status.unwrap_or_else(|| {
            panic!("'{}' did not end within {within:?}, but said:\n{}", self.name, self.output())
        })
    }

    /// Kills the program alone (SIGKILL), as a crash would, and waits for it; its children live on.
    pub fn kill(&mut self) {
        // Both fail only where it has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let descendants = descendants(self.pid());
        self.kill();
        kill_all(&descendants);
    }
}

/// Kills (SIGKILL) those of `pids` that still run.
pub(crate) fn kill_all(pids: &[u32]) {
    for pid in pids {
        // It may have ended by itself in between.
        let _ended = kill(as_pid(*pid), Signal::SIGKILL);
    }
}

/// Lists the ids of all processes.
pub(crate) fn every_pid() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Lists the children of a process, their children, and so on; none once it was waited for.
fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<_> = every_pid().into_iter().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family.split_off(1)
}

fn parent_of(pid: u32) -> Option<u32> {
    // proc(5): `pid (comm) state ppid …`, where comm may hold blanks and brackets.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id is below 2^22"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{PATIENCE, eventually};

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command)
    }

    #[test]
    fn what_a_program_reads_and_writes_is_seen() {
        let mut echo = shell("read line; echo \"heard $line\"; echo end >&2; read forever");
        echo.write_line("hello").unwrap();
        assert_eq!(echo.wait_for_output("end", PATIENCE), "heard hello\nend\n");
        echo.close_input();
        assert!(!echo.wait(PATIENCE).success());
    }

    #[test]
    #[should_panic(expected = "ended without saying 'hello', but:\ngoodbye")]
    fn a_program_that_ends_without_the_awaited_words_is_not_waited_for() {
        shell("echo goodbye").wait_for_output("hello", Duration::from_hours(1));
    }

    #[test]
    fn the_children_of_a_dropped_program_end_with_it() {
        let mut parent = shell("setsid sleep 1000 & echo child $!; wait");
        let output = parent.wait_for_output("\n", PATIENCE);
        let child = output.trim().strip_prefix("child ").unwrap().parse().unwrap();
        eventually(PATIENCE, "the child starts", || parent_of(child) == Some(parent.pid()));
        drop(parent);
        let gone =
            || !std::fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|c| c.contains("1000"));
        eventually(PATIENCE, "the child ends", gone);
    }

    #[test]
    fn a_signal_reaches_the_program() {
        let mut process =
            shell("trap 'echo caught; exit 3' TERM; echo ready; while :; do read x || sleep 0.01; done");
        process.wait_for_output("ready", PATIENCE);
        process.close_input();
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait(PATIENCE).code(), Some(3));
        assert!(process.output().contains("caught"));
    }
}
