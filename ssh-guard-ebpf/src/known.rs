//! The sources that are known-good.

use ssh_guard_common::flat::{Family, Found, Shape, V4, V6, find};
use ssh_guard_common::records::{KnownGood, Settings};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{is_over, ticks};

use crate::flat::{Lines, Table};
use crate::maps::{self, KNOWN_BESIDE, KNOWN_V4, KNOWN_V6};
use crate::{clock, settings};

/// The source's entry, in force.
#[inline(always)]
pub fn known_good(source: Source) -> Option<KnownGood> {
    let settings = maps::settings(Settings::KNOWN_GOOD)?;
    let known = if source.is_v4() {
        look::<V4>(&KNOWN_V4, &settings::known_v4(), source)?
    } else {
        look::<V6>(&KNOWN_V6, &settings::known_v6(), source)?
    };
    if is_over(known.until(), ticks(clock::jiffies(), settings.base)) { None } else { Some(known) }
}

#[inline(always)]
fn look<F: Family>(table: &'static Table, shape: &Shape, source: Source) -> Option<KnownGood> {
    match find::<F>(&Lines(table), shape, source) {
        Found::Absent => None,
        // SAFETY: the program holds RCU, so the memory outlives the look. If the daemon takes the entry out meanwhile, the
        // worst is that the word is another source's, for a packet.
        Found::Beside => unsafe { KNOWN_BESIDE.get(&source.key()).copied() },
        Found::Entry(entry) => Some(KnownGood { end: entry.end }),
    }
}
