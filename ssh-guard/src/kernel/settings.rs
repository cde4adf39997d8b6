//! What may change while the program runs.

use aya::maps::{Array, Map, MapData};
use ssh_guard_common::ABI;
use ssh_guard_common::records::Settings;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::Ticks;

use super::KernelClock;
use crate::fault::{Exit, Fault};

/// The map `SETTINGS`, and what stands in it.
pub struct SettingsMap {
    map: Array<MapData, Settings>,
    now: Settings,
}

impl SettingsMap {
    /// Takes the map and writes what the other maps mean.
    ///
    /// # Errors
    /// If the kernel refuses to write it.
    pub(super) fn new(map: Map, clock: &KernelClock, mask: SourceMask) -> Result<Self, Fault> {
        let map = Array::try_from(map).map_err(|error| write_failed(error.into()))?;
        let now = Settings {
            base: clock.base(),
            abi: ABI,
            mask,
            flood_budget: Settings::NO_FLOOD,
            ..Settings::default()
        };
        let mut settings = Self { map, now };
        settings.write()?;
        Ok(settings)
    }

    /// Has the program ask a map ([`Settings::BLOCKLIST`] or another one) from now on, or no more. A map is
    /// put to use before the first entry is written, and out of use after the last one is gone.
    ///
    /// # Errors
    /// If the kernel refuses to write it; nothing has changed then.
    pub fn put_to_use(&mut self, map: u32, used: bool) -> Result<(), Fault> {
        let before = self.now;
        self.now.in_use = if used { before.in_use | map } else { before.in_use & !map };
        if self.now == before {
            return Ok(());
        }
        self.write().inspect_err(|_| self.now = before)
    }

    /// Vouches for what is in the maps until a tick. Without that nothing but blocks that have not ended is enforced, so
    /// it is done again before that tick comes, for as long as ends are kept and what limits act on is counted.
    ///
    /// # Errors
    /// If the kernel refuses to write it; the earlier lease stands.
    pub fn renew(&mut self, until: Ticks) -> Result<(), Fault> {
        let before = self.now.lease;
        self.now.lease = until;
        self.write().inspect_err(|_| self.now.lease = before)
    }

    /// Limits the sessions of sources that are not known-good: all of them together may hold `budget` that are not
    /// authenticated, and hold `unauthenticated`. Without a budget flood mode is off.
    ///
    /// # Errors
    /// If the kernel refuses to write it; nothing has changed then.
    pub fn limit_flood(&mut self, budget: Option<u32>, unauthenticated: u32) -> Result<(), Fault> {
        let before = self.now;
        let flood_budget = budget.map_or(Settings::NO_FLOOD, |budget| budget.min(Settings::NO_FLOOD - 1));
        self.now = Settings { flood_budget, unauthenticated, ..before };
        self.write().inspect_err(|_| self.now = before)
    }

    fn write(&mut self) -> Result<(), Fault> {
        self.map.set(0, self.now, 0).map_err(|error| write_failed(error.into()))
    }
}

fn write_failed(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    Fault::new(Exit::Failure, "cannot write the program's settings").because(error)
}
