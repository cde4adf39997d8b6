//! Clients that log in for real, from an address of their own.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::netns::Namespace;
use crate::process::Process;
use crate::skip::find_program;
use crate::wait::PATIENCE;

/// Somebody at one address of a client namespace, who speaks to the server.
#[derive(Debug)]
pub struct Client<'lab> {
    namespace: &'lab Namespace,
    address: IpAddr,
    server: IpAddr,
}

/// How an attempt to log in ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// The server accepted it, and the command wrote this.
    Accepted(String),
    /// The server refused the password or the key.
    Denied,
    /// The server did not answer in time.
    TimedOut,
    /// Something else, with what ssh said.
    Failed(String),
}

/// How a TCP connect ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connect {
    /// The server accepted it.
    Open,
    /// The server answered that nobody listens.
    Refused,
    /// Nothing came back in time.
    TimedOut,
}

impl<'lab> Client<'lab> {
    pub(crate) fn new(namespace: &'lab Namespace, address: IpAddr, server: IpAddr) -> Self {
        Self { namespace, address, server }
    }

    /// The address it speaks from.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Tries one wrong password.
    #[must_use]
    pub fn fail_password(&self, user: &str) -> Login {
        self.login_with_password(user, "wrong horse")
    }

    /// Tries one password, and runs `echo welcome` when it is the right one.
    #[must_use]
    pub fn login_with_password(&self, user: &str, password: &str) -> Login {
        let mut command = Command::new(find_program("sshpass").expect("sshpass is installed"));
        command.args(["-p", password]).arg(find_program("ssh").expect("ssh is installed"));
        command.args(["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password"]);
        self.finish_ssh(command, user, "echo welcome")
    }

    /// Tries to log in as ssh does with these options, which win over the harness's own. What asks for a password is told
    /// what the program `askpass` writes, as often as `NumberOfPasswordPrompts` allows.
    #[must_use]
    pub fn login_as_told(&self, user: &str, askpass: &Path, options: &[String]) -> Login {
        let mut command = Command::new(find_program("ssh").expect("ssh is installed"));
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force").arg("-n");
        for option in options {
            command.args(["-o", option]);
        }
        self.finish_ssh(command, user, "echo welcome")
    }

    /// Tries to log in to the account, and in the way, that a file as of `ssh_config`(5) says.
    #[must_use]
    pub fn login_as_configured(&self, config: &Path, askpass: &Path) -> Login {
        let mut command = Command::new(find_program("ssh").expect("ssh is installed"));
        command.env("SSH_ASKPASS", askpass).env("SSH_ASKPASS_REQUIRE", "force");
        command.arg("-n").arg("-F").arg(config).args(["-b", &self.address.to_string()]);
        self.run_ssh(command, "echo welcome")
    }

    /// Logs in with a private key, and runs `script`.
    #[must_use]
    pub fn login_with_key(&self, user: &str, key: &Path, script: &str) -> Login {
        let mut command = with_key(key);
        command.arg("-n");
        self.finish_ssh(command, user, script)
    }

    /// Logs in with a private key and stays.
    ///
    /// # Panics
    /// When the login does not succeed.
    #[must_use]
    pub fn hold_session(&self, user: &str, key: &Path) -> HeldSession {
        let mut command = with_key(key);
        self.add_destination(&mut command, user);
        command.arg("echo open; while read -r line; do echo \"heard $line\"; done");
        let mut process = self.namespace.start(command);
        process.wait_for_output("open", PATIENCE);
        HeldSession { process }
    }

    /// Logs in with a private key and stays, for commands to be run there.
    ///
    /// # Panics
    /// When the login does not succeed.
    #[must_use]
    pub fn hold_shell(&self, user: &str, key: &Path) -> Shell {
        let mut command = with_key(key);
        self.add_destination(&mut command, user);
        command.arg("echo open; while read -r line; do sh -c \"$line\" 2>&1; echo \"ended $?\"; done");
        let mut process = self.namespace.start(command);
        let read = process.wait_for_output("open\n", PATIENCE).len();
        Shell { process, read }
    }

    /// Opens a TCP connection to a port of the server, and says how that went; it is closed at once.
    ///
    /// # Panics
    /// On any error but a refusal or a timeout.
    #[must_use]
    pub fn connect(&self, port: u16, within: Duration) -> Connect {
        match self.open(port, within) {
            Ok(_) => Connect::Open,
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => Connect::Refused,
            Err(why) if why.kind() == io::ErrorKind::TimedOut => Connect::TimedOut,
            Err(why) => panic!("cannot connect from '{}': {why}", self.address),
        }
    }

    /// Opens a TCP connection to a port of the server.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn open(&self, port: u16, within: Duration) -> io::Result<TcpStream> {
        self.namespace.within(|| {
            let socket = Socket::new(Domain::for_address((self.address, 0).into()), Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(self.address, 0).into())?;
            socket.connect_timeout(&SocketAddr::new(self.server, port).into(), within)?;
            Ok(socket.into())
        })
    }

    fn finish_ssh(&self, mut command: Command, user: &str, script: &str) -> Login {
        command.args(["-F", "none", "-b", &self.address.to_string(), "-l", user]);
        self.run_ssh(command, script)
    }

    fn run_ssh(&self, mut command: Command, script: &str) -> Login {
        self.add_server(&mut command);
        command.arg(script);
        let output = self.namespace.within(|| command.output()).expect("ssh starts");
        Login::of(&output)
    }

    fn add_destination(&self, command: &mut Command, user: &str) {
        command.args(["-F", "none", "-b", &self.address.to_string(), "-l", user]);
        self.add_server(command);
    }

    fn add_server(&self, command: &mut Command) {
        for option in OPTIONS {
            command.args(["-o", option]);
        }
        command.arg(self.server.to_string());
    }
}

impl Login {
    fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Self::Accepted(String::from_utf8_lossy(&output.stdout).into_owned())
        } else if said.contains("Permission denied") {
            Self::Denied
        } else if said.contains("timed out") {
            Self::TimedOut
        } else {
            Self::Failed(format!("{}: {said}", output.status))
        }
    }
}

/// An open session whose far end repeats what it is told.
#[derive(Debug)]
pub struct HeldSession {
    process: Process,
}

impl HeldSession {
    /// Tells whether the far end repeats `word` in time; `word` must be a new one each time.
    #[must_use]
    pub fn echoes(&mut self, word: &str, within: Duration) -> bool {
        let heard = format!("heard {word}\n");
        self.process.write_line(word).is_ok()
            && crate::wait::poll(within, || self.process.output().contains(&heard).then_some(())).is_some()
    }

    /// Tells whether ssh has given up.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }
}

/// An open session that runs commands.
#[derive(Debug)]
pub struct Shell {
    process: Process,
    /// How much of what it wrote was read.
    read: usize,
}

impl Shell {
    /// Runs a command at the far end, and returns its exit code and what it wrote; none if that does not come in time.
    pub fn try_run(&mut self, command: &str, within: Duration) -> Option<(i32, String)> {
        self.process.write_line(command).ok()?;
        let (output, code) = crate::wait::poll(within, || {
            let output = self.process.output();
            let code = output.get(self.read..)?.lines().find_map(|line| line.strip_prefix("ended "))?.parse();
            Some((output, code.ok()?))
        })?;
        let said = output[self.read..].to_owned();
        self.read = output.len();
        Some((code, said))
    }

    /// Runs a command at the far end, and returns its exit code and what it wrote.
    ///
    /// # Panics
    /// When that does not come in time.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        let ran = self.try_run(command, PATIENCE);
        ran.unwrap_or_else(|| panic!("'{command}' does not end, but says:\n{}", self.process.output()))
    }

    /// Tells whether ssh has given up.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }
}

fn with_key(key: &Path) -> Command {
    let mut command = Command::new(find_program("ssh").expect("ssh is installed"));
    command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(key);
    command
}

const OPTIONS: [&str; 7] = [
    "ConnectTimeout=10",
    "GlobalKnownHostsFile=/dev/null",
    "IdentityAgent=none",
    "LogLevel=ERROR",
    "NumberOfPasswordPrompts=1",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
];
