//! A sender and a receiver, joined by a veth pair, each in a network namespace of its own: no packet of the benchmark
//! meets the machine's network, and all of it is gone with the process, however that ends.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use aya::programs::xdp::XdpMode;
use aya::programs::{SchedClassifier, TcAttachType, Xdp};
use nix::mount::{MsFlags, mount};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use ssh_guard_tests::netns::Namespace;
use ssh_guard_tests::wait::{PATIENCE, poll};

use crate::cpu;
use crate::receiver::Counters;

/// The sender's interface; the kernel makes its namespace's own list of names.
const SENDER: &str = "bench0";
const NO_THREAD: &str = "the receiver has no thread yet";

/// The receiver's address.
pub const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// That of a client on the sender's side, where one is let in.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);

/// A link, with nothing on it yet.
#[derive(Debug)]
pub struct Bed {
    /// Where frames come from.
    pub sender: Namespace,
    /// Where they go.
    pub receiver: Namespace,
    /// The receiver's interface. No other one on the machine has its name, so that its thread is found by it.
    pub interface: String,
    thread: Option<i32>,
}

impl Bed {
    /// Makes the link: the receiver is 10.77.0.1, and all other addresses are behind the sender.
    ///
    /// # Errors
    /// If the interface cannot be switched to NAPI.
    pub fn new(number: usize) -> Result<Self> {
        let [sender, receiver] = [Namespace::new(), Namespace::new()];
        for namespace in [&sender, &receiver] {
            // Neighbour discovery would be the only traffic beside that of the benchmark.
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "1");
            namespace.sysctl("ipv4/conf/all/rp_filter", "0");
            namespace.sysctl("ipv4/conf/default/rp_filter", "0");
        }
        let interface = format!("b{:x}n{number}", std::process::id());
        sender.ip(&format!(
            "link add {SENDER} index 100 type veth peer name {interface} netns {}\nlink set {SENDER} up",
            receiver.path()
        ));
        // Answers are for a MAC address that the sender has not: it throws them away at once.
        receiver.ip(&format!(
            "link set {interface} address 02:00:00:00:00:01\n\
             addr add {RECEIVER}/24 dev {interface}\n\
             link set {interface} up\n\
             neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev {interface} nud permanent\n\
             route add default via 10.77.0.2"
        ));
        let bed = Self { sender, receiver, interface, thread: None };
        // Without XDP and without this, veth takes no frames from XDP at all.
        bed.run(Command::new("ethtool").args(["-K", &bed.interface, "gro", "on"]), "")?;
        Ok(bed)
    }

    /// Runs a program on the receiver's side, with `input` on its standard input.
    ///
    /// # Errors
    /// If it cannot be run, or fails; with what it said.
    pub fn run(&self, command: &mut Command, input: &str) -> Result<()> {
        self.receiver.within(|| run(command, input))
    }

    /// Gives the sender's side an address, [`CLIENT`], from which it can speak to the receiver.
    ///
    /// # Errors
    /// If the interface cannot be switched.
    pub fn let_in_a_client(&self) -> Result<()> {
        // Neither side asks for its neighbour: a flood would have the question lost, and that is not measured.
        self.sender.ip(&format!(
            "link set {SENDER} address 02:00:00:00:00:03\n\
             addr add {CLIENT}/24 dev {SENDER}\n\
             neigh add {RECEIVER} lladdr 02:00:00:00:00:01 dev {SENDER} nud permanent"
        ));
        self.receiver
            .ip(&format!("neigh add {CLIENT} lladdr 02:00:00:00:00:03 dev {} nud permanent", self.interface));
        // Else veth hands what a program sends past the ring and the thread behind it, unless an XDP program waits there.
        self.sender.within(|| run(Command::new("ethtool").args(["-K", SENDER, "tso", "off"]), ""))
    }

    /// Attaches a program to the receiver's interface, in native mode, for as long as the program is loaded.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn attach(&self, program: &mut Xdp) -> Result<()> {
        self.receiver.within(|| {
            let index = if_nametoindex(self.interface.as_str()).context("the interface is gone")?;
            program.attach_to_if_index(index, XdpMode::Driver).context("cannot attach")?;
            Ok(())
        })
    }

    /// Attaches a program to what leaves by the receiver's interface, for as long as it is loaded.
    ///
    /// # Errors
    /// If the kernel refuses (before 6.6).
    pub fn attach_to_egress(&self, program: &mut SchedClassifier) -> Result<()> {
        self.receiver.within(|| {
            program
                .attach(&self.interface, TcAttachType::Egress)
                .context("cannot attach what sees answers")?;
            Ok(())
        })
    }

    /// Has a kernel thread on a CPU of its own receive what comes; the last thing to do to a bed. In the sender's own
    /// interrupt, sender and receiver together would be measured.
    ///
    /// # Errors
    /// If the kernel has no such threads (before 5.12).
    pub fn thread_receiver(&mut self) -> Result<()> {
        self.receiver.within(|| {
            // Which interfaces sysfs shows depends on who mounted it; this one is gone with the thread.
            unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
                .context("cannot make mounts private")?;
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)
                .context("cannot mount sysfs")?;
            let file = format!("/sys/class/net/{}/threaded", self.interface);
            fs::write(&file, "1").with_context(|| format!("cannot write '{file}'"))
        })?;
        let name = format!("napi/{}-", self.interface);
        let thread = poll(PATIENCE, || thread_named(&name))
            .with_context(|| format!("no thread is named '{name}…'"))?;
        cpu::pin(thread, cpu::RECEIVER)?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Has the receiver's thread run before every process, as the interrupt does that it stands for.
    ///
    /// # Errors
    /// If it has no thread yet, or that may not be put there.
    pub fn put_receiver_first(&self) -> Result<()> {
        cpu::put_first(self.thread.context(NO_THREAD)?)
    }

    /// What the receiver's side has counted so far.
    ///
    /// # Errors
    /// If it has no thread yet, or `/proc` says something else than it should.
    pub fn counters(&self) -> Result<Counters> {
        let thread = self.thread.context(NO_THREAD)?;
        self.receiver.within(|| Counters::read(&self.interface, thread))
    }

    /// The number of the sender's interface.
    ///
    /// # Errors
    /// If it is gone.
    pub fn sending_interface(&self) -> Result<u32> {
        self.sender.within(|| if_nametoindex(SENDER)).context("the sender's interface is gone")
    }
}

fn run(command: &mut Command, input: &str) -> Result<()> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run '{name}'"))?;
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().with_context(|| format!("'{name}' cannot be waited for"))?;
    // One that fails early closes its input; what it says about that is worth more.
    if output.status.success() {
        written.transpose().with_context(|| format!("'{name}' does not read"))?;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "'{name}' failed: {}", said.trim());
    Ok(())
}

/// The kernel's thread whose name begins so.
fn thread_named(start: &str) -> Option<i32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let thread = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        name.starts_with(start).then_some(thread)
    })
}
