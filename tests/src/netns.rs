//! Network namespaces that vanish with the test.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};
use std::{io::Write as _, panic, thread};

use nix::sched::{CloneFlags, setns, unshare};

use crate::process::{Process, every_pid, kill_all};
use crate::skip::find_program;
use crate::wait::{PATIENCE, eventually, poll};

/// A network namespace that no name keeps alive: it ends with this value, or with the test's process, however that
/// ends. Whatever still runs in it is killed when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes an empty namespace, its loopback interface up.
    ///
    /// # Panics
    /// Without the right to.
    #[must_use]
    pub fn new() -> Self {
        let enter = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("root may make a network namespace");
            File::open("/proc/thread-self/ns/net").expect("a thread can open its own namespace")
        };
        let namespace = Self { file: on_a_thread(enter) };
        // Without its link-local address, which waits a second or two for duplicates, an interface asks for no
        // neighbour on behalf of an address it does not have (Linux, net/ipv6/ndisc.c, `ndisc_send_ns`).
        namespace.sysctl("ipv6/conf/default/accept_dad", "0");
        namespace.ip("link set lo up");
        namespace
    }

    /// Runs `f` inside, on a thread of its own; sockets made there stay there.
    ///
    /// # Panics
    /// When `f` does.
    pub fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace it made");
            f()
        })
    }

    /// Starts a program inside.
    #[must_use]
    pub fn start(&self, command: Command) -> Process {
        self.within(|| Process::start(command))
    }

    /// Runs `ip` inside, with one command a line.
    ///
    /// # Panics
    /// When a command fails.
    pub fn ip(&self, commands: &str) {
        let mut ip = Command::new(find_program("ip").expect("`ip` is installed"));
        ip.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let output = self.within(|| {
            let mut child = ip.spawn().expect("`ip` starts");
            let mut stdin = child.stdin.take().expect("the pipe was asked for");
            stdin.write_all(commands.as_bytes()).expect("`ip` reads its commands");
            drop(stdin);
            child.wait_with_output().expect("a child can be waited for")
        });
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "'ip' failed: {said}\n{commands}");
    }

    /// Runs a program inside, and returns what it says, whether it fails or not.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn said_by(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(args);
        let output = self.within(|| command.output()).unwrap_or_else(|why| panic!("'{program}': {why}"));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Writes a setting below `/proc/sys/net` of this namespace.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn sysctl(&self, name: &str, value: &str) {
        let file = format!("/proc/sys/net/{name}");
        let written = self.within(|| std::fs::write(&file, value));
        written.unwrap_or_else(|why| panic!("cannot write '{value}' to '{file}': {why}"));
    }

    /// Waits until `interface` may ask for neighbours and answer them, which it does some time after it is up.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait_for_neighbours(&self, interface: &str) {
        let read =
            |name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        eventually(PATIENCE, &format!("'{interface}' has its IPv6 addresses in use"), || {
            let (addresses, groups) = self.within(|| (read("if_inet6"), read("igmp6")));
            has_addresses_in_use(interface, &addresses, &groups)
        });
    }

    /// Where the namespace is found, for programs that take a path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The number that the kernel gave it (the inode, as in `lsns`).
    #[must_use]
    pub fn number(&self) -> u64 {
        self.file.metadata().expect("an open file has metadata").ino()
    }

    /// Lists the processes inside.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let number = self.number();
        let inside = |pid: &u32| {
            std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found.ino() == number)
        };
        every_pid().into_iter().filter(inside).collect()
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Again and again: one of them may be forking. No panic when time is up, this may be one already.
        poll(PATIENCE, || {
            let pids = self.pids();
            kill_all(&pids);
            pids.is_empty().then_some(())
        });
    }
}

/// Tells whether an interface has a link-local address, and has joined the groups by which neighbours ask for its
/// addresses (RFC 4291 §2.7.1); `addresses` is `/proc/net/if_inet6`, `groups` is `/proc/net/igmp6`.
fn has_addresses_in_use(interface: &str, addresses: &str, groups: &str) -> bool {
    let joined = |address: &str| {
        let group = format!("ff0200000000000000000001ff{}", &address[26..]);
        groups.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next() == Some(interface) && fields.next() == Some(&group)
        })
    };
    let mut own = Vec::new();
    for line in addresses.lines() {
        if let &[address, _, _, _, flags, name] = line.split_whitespace().collect::<Vec<_>>().as_slice()
            && name == interface
        {
            let tentative = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & IFA_F_TENTATIVE != 0);
            own.push((address, joined(address) && !tentative));
        }
    }
    own.iter().any(|(address, _)| address.starts_with("fe80")) && own.iter().all(|(_, in_use)| *in_use)
}

/// From `linux/if_addr.h`.
const IFA_F_TENTATIVE: u32 = 0x40;

/// Runs `f` on a new thread, whose namespaces nobody else has, and passes a panic on.
pub(crate) fn on_a_thread<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    let joined = thread::scope(|scope| scope.spawn(f).join());
    joined.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::needs;
    use crate::skip::Need;

    #[test]
    fn a_port_in_a_namespace_is_nobody_elses() {
        needs!(Need::Root, Need::Netns);
        let [one, other] = [Namespace::new(), Namespace::new()];
        let listener = one.within(|| TcpListener::bind("127.0.0.1:22")).unwrap();
        assert!(one.within(|| TcpStream::connect("127.0.0.1:22")).is_ok());
        assert!(other.within(|| TcpStream::connect("127.0.0.1:22")).is_err());
        drop(listener);
    }

    #[test]
    fn programs_end_with_the_namespace_they_run_in_even_those_that_nobody_knows() {
        needs!(Need::Root, Need::Netns);
        let namespace = Namespace::new();
        let mut command = Command::new("sh");
        command.args(["-c", "setsid sleep 1000 & echo started; exit"]);
        let mut shell = namespace.start(command);
        shell.wait_for_output("started", PATIENCE);
        shell.wait(PATIENCE);
        drop(shell);
        eventually(PATIENCE, "the orphan is seen", || namespace.pids().len() == 1);
        let orphan = namespace.pids()[0];
        drop(namespace);
        assert!(
            !std::fs::read_to_string(format!("/proc/{orphan}/cmdline")).is_ok_and(|c| c.contains("1000"))
        );
    }

    #[test]
    fn an_interface_is_ready_once_each_address_is_its_own_and_can_be_asked_for() {
        let global = "fd000077000000000000000000000001 02 40 00 82     eth0\n";
        let link_local = "fe800000000000003018fffffe9b94d4 02 40 20 80     eth0\n";
        let groups = "2    eth0            ff0200000000000000000001ff000001     1 00000004 0\n\
                      2    eth0            ff0200000000000000000001ff9b94d4     1 00000004 0\n";
        let both = [global, link_local].concat();
        assert!(has_addresses_in_use("eth0", &both, groups));
        assert!(!has_addresses_in_use("eth1", &both, groups), "another interface");
        assert!(!has_addresses_in_use("eth0", global, groups), "no link-local address");
        assert!(!has_addresses_in_use("eth0", &both.replace(" 80 ", " c0 "), groups), "a tentative address");
        assert!(!has_addresses_in_use("eth0", &both, &groups[..70]), "a group that is not joined");
    }

    #[test]
    #[should_panic(expected = "from inside")]
    fn a_panic_inside_reaches_the_test() {
        if Need::Root.is_met() && Need::Netns.is_met() {
            Namespace::new().within(|| panic!("from inside"));
        }
        panic!("from inside would have been the panic of a namespace");
    }
}
