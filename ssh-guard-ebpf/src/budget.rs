//! What sources may still ask for.

use ssh_guard_common::budget::{Draw, ENTRIES};
use ssh_guard_common::flat::{Family, Place, V4, V6};
use ssh_guard_common::source::Source;

use crate::maps::SYN_BUDGET;
use crate::{clock, sessions, settings};

/// Draws on the source's budget; says whether it was used up.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "budgets are kept in the lower half of the jiffies")]
pub fn is_used_up(source: Source) -> bool {
    let rate = settings::syn_rate();
    if !rate.limits() {
        return false;
    }
    let shape = settings::syn_budget();
    let Place { bucket, tag } =
        if source.is_v4() { V4::place(&shape, source) } else { V6::place(&shape, source) };
    let now = clock::jiffies() as u32;
    let Some(group) = SYN_BUDGET.get_ptr_mut(bucket) else { return false };
    let group = group.cast::<u64>();
    // SAFETY: the lookup returned a group, and the map lives as long as the program. Other CPUs write whole words, so that
    // each is read as it was or as it is.
    let seen = unsafe {
        [
            group.read_volatile(),
            group.add(1).read_volatile(),
            group.add(2).read_volatile(),
            group.add(3).read_volatile(),
        ]
    };
    match rate.draw(&seen, tag, now) {
        Draw::Drawn { entry, word, often } => {
            // SAFETY: as above; the number is brought below the entries. What another CPU drew meanwhile may be lost.
            unsafe { group.add(entry % ENTRIES).write_volatile(word) };
            if often {
                sessions::keeps_asking(source);
            }
            false
        }
        Draw::Contested => false,
        Draw::UsedUp => {
            sessions::keeps_asking(source);
            true
        }
    }
}
