//! The programs in the kernel, run on single frames without a network.

use aya::TestRunOptions;
use aya::programs::{Program, TestRun as _, TestRunResult};
use ssh_guard::kernel::{Capacities, Loaded, Networks, Programs as Load, load};
use ssh_guard::network::Network;
use ssh_guard_common::names;
use ssh_guard_common::records::{Settings, VerdictCount};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::{NEVER, Ticks};
use ssh_guard_common::verdict::Verdict;

/// The programs and maps of their own, attached to nothing.
pub struct Programs {
    /// What the daemon holds as well.
    pub loaded: Loaded,
}

/// One of the programs that judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// For packets of one buffer.
    Plain,
    /// For packets of several; where the kernel has none (before 5.18), the other one again.
    Frags,
    /// For traffic control.
    Tc,
}

/// What a program does with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Hands it on.
    Pass,
    /// Throws it away.
    Drop,
}

impl Which {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Frags, Self::Tc];
}

/// Few, so that tests can fill what they want full.
const CAPACITIES: Capacities = Capacities {
    blocklist: 64,
    networks: 64,
    allowlist: 64,
    known_good: 64,
    sources: 65_536,
    sessions: 1024,
};

impl Programs {
    /// Loads the programs: port 22, whole IPv4 addresses and /64.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[22], SourceMask::new(32, 64), false)
    }

    /// Loads the programs for these ports and masks, with no limit of new sessions.
    ///
    /// # Panics
    /// When the kernel refuses them.
    #[must_use]
    pub fn with(ports: &[u16], mask: SourceMask, dry_run: bool) -> Self {
        Self::load(&Load {
            ports: ports.to_vec(),
            mask,
            dry_run,
            new_sessions_per_minute: 0,
            capacities: CAPACITIES,
        })
    }

    /// Loads the programs with a limit of new sessions, and a lease that does not end.
    ///
    /// # Panics
    /// When the kernel refuses them.
    #[must_use]
    pub fn limiting(new_sessions_per_minute: u16, dry_run: bool) -> Self {
        let (ports, mask) = (vec![22], SourceMask::new(32, 64));
        let mut programs =
            Self::load(&Load { ports, mask, dry_run, new_sessions_per_minute, capacities: CAPACITIES });
        programs.loaded.settings.renew(NEVER).expect("the lease is renewed");
        // A budget that is used up fills again while another program is verified.
        for name in [names::PROGRAM, names::PROGRAM_TC, names::PROGRAM_WITNESS] {
            programs.make_ready(name);
        }
        programs
    }

    fn load(programs: &Load) -> Self {
        Self { loaded: load(programs).expect("programs load") }
    }

    /// Puts a program into the kernel, unless it is there: one that no frame is run on need not be, and the verifier takes
    /// seconds for each in an imitated machine.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn make_ready(&mut self, name: &'static str) {
        let program = program(&mut self.loaded, name);
        if program.fd().is_ok() {
            return;
        }
        let loaded = match program {
            Program::Xdp(xdp) => xdp.load(),
            Program::SchedClassifier(tc) => tc.load(),
            other => panic!("'{name}' is {:?}", other.prog_type()),
        };
        // The verifier may have said hundreds of thousands of lines, of which the last ones matter.
        loaded.unwrap_or_else(|why| {
            let said = why.to_string();
            let end: Vec<&str> = said.lines().rev().take(10).collect();
            panic!("{name}: {}", end.into_iter().rev().collect::<Vec<_>>().join("\n"))
        });
    }

    /// Blocks a source without an end.
    pub fn block(&mut self, source: &str) {
        self.block_until(source, NEVER, false);
    }

    /// Blocks a source.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn block_until(&mut self, source: &str, until: Ticks, overlaps: bool) {
        self.loaded.settings.put_to_use(Settings::BLOCKLIST, true).expect("the map is put to use");
        self.loaded.blocklist.block(source_of(source), until, overlaps).expect("the source is blocked");
    }

    /// Blocks a network.
    ///
    /// # Panics
    /// When it is no network, or the kernel refuses it.
    pub fn block_network(&mut self, network: &str, until: Ticks, overlaps: bool) {
        let network = network_of(network);
        self.loaded.settings.put_to_use(Networks::flag_of(network), true).expect("the maps are put to use");
        self.loaded.networks.block(network, until, overlaps).expect("the network is blocked");
    }

    /// Allows an address.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn allow_until(&mut self, address: &str, until: Ticks) {
        let address = source_of(address);
        let network = Network::new(address, 128);
        self.loaded.settings.put_to_use(Settings::ALLOWLIST, true).expect("the map is put to use");
        self.loaded.allowlist.allow(network, until).expect("the address is allowed");
    }

    /// Takes a source for known-good.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn know_until(&mut self, source: &str, until: Ticks, shared: bool) {
        self.loaded.settings.put_to_use(Settings::KNOWN_GOOD, true).expect("the tables are put to use");
        self.loaded.known_good.know(source_of(source), until, shared).expect("the source is known-good");
    }

    /// Runs a program on a frame.
    ///
    /// # Panics
    /// When the kernel does not run it, or the program does anything but pass or drop.
    pub fn run(&mut self, which: Which, frame: &[u8]) -> Action {
        self.flood(which, frame, 1)
    }

    /// Runs a program on a frame so many times, and tells what it did with the last.
    ///
    /// # Panics
    /// As [`Programs::run`].
    pub fn flood(&mut self, which: Which, frame: &[u8], repeat: u32) -> Action {
        let name = match which {
            Which::Plain => names::PROGRAM,
            Which::Frags => self.loaded.program_name(),
            Which::Tc => names::PROGRAM_TC,
        };
        let returned = self.test_run(name, frame, repeat);
        match (which, returned) {
            (Which::Tc, TC_ACT_SHOT) | (Which::Plain | Which::Frags, XDP_DROP) => Action::Drop,
            (Which::Tc, TC_ACT_UNSPEC) | (Which::Plain | Which::Frags, XDP_PASS) => Action::Pass,
            (_, other) => panic!("{which:?} returned {other}"),
        }
    }

    /// Has the witness see a frame that leaves.
    ///
    /// # Panics
    /// When the kernel does not run it, or it does anything but leave the frame alone.
    pub fn leave(&mut self, frame: &[u8]) {
        assert_eq!(self.test_run(names::PROGRAM_WITNESS, frame, 1), TC_ACT_UNSPEC);
    }

    fn test_run(&mut self, name: &'static str, frame: &[u8], repeat: u32) -> u32 {
        self.make_ready(name);
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let result: Result<TestRunResult, _> = match program(&mut self.loaded, name) {
            Program::Xdp(xdp) => xdp.test_run(options),
            Program::SchedClassifier(tc) => tc.test_run(options),
            _ => panic!("'{name}' is a program of another kind"),
        };
        result.unwrap_or_else(|why| panic!("{name}, {} bytes: {why}", frame.len())).return_value
    }

    /// Runs a program on a frame, and tells what it counted in doing so: packets and bytes of each verdict.
    ///
    /// # Panics
    /// As [`Programs::run`].
    pub fn judge(&mut self, which: Which, frame: &[u8]) -> (Action, Vec<(Verdict, u64, u64)>) {
        let before = self.counts();
        let action = self.run(which, frame);
        let after = self.counts();
        let counted = Verdict::ALL.into_iter().filter_map(|verdict| {
            let [before, after] = [before, after].map(|counts| counts[verdict as usize]);
            let grown = (after.packets - before.packets, after.bytes - before.bytes);
            (grown != (0, 0)).then_some((verdict, grown.0, grown.1))
        });
        (action, counted.collect())
    }

    fn counts(&self) -> [VerdictCount; Verdict::ALL.len()] {
        self.loaded.sampler.verdicts().expect("the counts can be read")
    }
}

impl Default for Programs {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads an address as the source of the same bytes, whatever the mask.
///
/// # Panics
/// When it is no address.
#[must_use]
pub fn source_of(address: &str) -> Source {
    let address: std::net::IpAddr = address.parse().unwrap_or_else(|_| panic!("'{address}' is no address"));
    address.into()
}

/// Reads a network.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn network_of(network: &str) -> Network {
    let (address, prefix) = network.split_once('/').unwrap_or_else(|| panic!("'{network}' has no length"));
    let prefix = prefix.parse().unwrap_or_else(|_| panic!("'{network}' has no length"));
    Network::new(source_of(address), prefix)
}

fn program<'a>(loaded: &'a mut Loaded, name: &'static str) -> &'a mut Program {
    loaded.ebpf.program_mut(name).expect("the object has the program")
}

/// `enum xdp_action` of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// `TC_ACT_*` of `linux/pkt_cls.h`.
const TC_ACT_UNSPEC: u32 = u32::MAX;
const TC_ACT_SHOT: u32 = 2;
