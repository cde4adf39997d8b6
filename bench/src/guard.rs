//! The guard, loaded through its own library.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, bail};
use aya::programs::{Program, ProgramFd, SchedClassifier, Xdp};
use ssh_guard::kernel::{Capacities, Loaded, Programs, load};
use ssh_guard::network::Network;
use ssh_guard_common::names;
use ssh_guard_common::records::{SessionKey, SessionRecord, Settings};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::packet::{DESTINATION_V4, DESTINATION_V6, SOURCE_PORT};

/// So many that no source of a benchmark asks for more.
const HIGHEST_RATE: u16 = u16::MAX;

/// The port that is guarded.
pub const PORT: u16 = 22;

/// The guard's programs and maps, with the defaults of the configuration but for the size of the blocklist.
pub struct Guard(Loaded);

impl Guard {
    /// Loads it, with room for so many blocks.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn load(blocks: u32) -> Result<Self> {
        let capacities = Capacities {
            blocklist: blocks,
            networks: 65_536,
            allowlist: 1024,
            known_good: blocks.max(2) / 2,
            sources: 131_072,
            sessions: 131_072,
        };
        let programs = Programs {
            ports: vec![PORT],
            mask: SourceMask::new(32, 64),
            dry_run: false,
            new_sessions_per_minute: HIGHEST_RATE,
            capacities,
        };
        let mut loaded = load(&programs)?;
        loaded.settings.put_to_use(Settings::BLOCKLIST, true)?;
        // The daemon would renew it every second.
        loaded.settings.renew(NEVER)?;
        Ok(Self(loaded))
    }

    /// Blocks sources, for ever.
    ///
    /// # Errors
    /// If one of them is not blocked.
    pub fn block(&mut self, sources: impl IntoIterator<Item = Source>) -> Result<()> {
        for source in sources {
            self.0.blocklist.block(source, NEVER, false)?;
        }
        Ok(())
    }

    /// Takes sources for known-good, for ever.
    ///
    /// # Errors
    /// If one of them is not.
    pub fn know(&mut self, sources: impl IntoIterator<Item = Source>) -> Result<()> {
        self.0.settings.put_to_use(Settings::KNOWN_GOOD, true)?;
        for source in sources {
            self.0.known_good.know(source, NEVER, false)?;
        }
        Ok(())
    }

    /// Begins a session of each of these clients, as if the server had answered.
    ///
    /// # Errors
    /// If one of them is not followed.
    pub fn begin_sessions(&mut self, clients: impl IntoIterator<Item = Source>) -> Result<()> {
        for client in clients {
            let server = if client.is_v4() { DESTINATION_V4.into() } else { Source::from(DESTINATION_V6) };
            let key = SessionKey { client, server, client_port: SOURCE_PORT, port: PORT };
            self.0.sessions.restore(key, SessionRecord { answered: 1, ..SessionRecord::default() })?;
        }
        Ok(())
    }

    /// How many packets were counted in sessions.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn packets_of_sessions(&self) -> Result<u64> {
        Ok(self.0.sessions.all()?.iter().map(|(_, record)| record.packets).sum())
    }

    /// Whether a source is in the blocklist.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn blocks(&self, source: Source) -> Result<bool> {
        Ok(self.0.blocklist.block_of(source)?.is_some())
    }

    /// Puts /24 networks into the allowlist, by their first address.
    ///
    /// # Errors
    /// If one of them is not allowed.
    pub fn allow(&mut self, networks: impl IntoIterator<Item = Ipv4Addr>) -> Result<()> {
        self.0.settings.put_to_use(Settings::ALLOWLIST, true)?;
        for first in networks {
            let network = Network::new(first.into(), 24);
            self.0.allowlist.allow(network, NEVER)?;
        }
        Ok(())
    }

    /// How many packets got this verdict so far.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn count(&self, verdict: Verdict) -> Result<u64> {
        Ok(self.0.sampler.verdicts()?[verdict as usize].packets)
    }

    /// The program that sees servers answer.
    ///
    /// # Errors
    /// If it is not what it should be, or the kernel refuses it.
    pub fn witness(&mut self) -> Result<&mut SchedClassifier> {
        match self.0.ebpf.program_mut(names::PROGRAM_WITNESS) {
            Some(Program::SchedClassifier(witness)) => {
                witness.load().context("the kernel refuses the witness")?;
                Ok(witness)
            }
            _ => bail!("the witness is no program for traffic control"),
        }
    }

    /// The program that would be attached.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub fn program(&mut self) -> Result<&mut Xdp> {
        let name = self.0.program_name();
        match self.0.ebpf.program_mut(name) {
            Some(Program::Xdp(xdp)) => Ok(xdp),
            _ => bail!("'{name}' is no XDP program"),
        }
    }
}

/// Opens an XDP program a second time, for a map of programs.
///
/// # Errors
/// If it is not loaded.
pub fn descriptor(program: &Xdp) -> Result<ProgramFd> {
    program
        .fd()
        .context("the program is not loaded")?
        .try_clone()
        .context("cannot open the program a second time")
}
