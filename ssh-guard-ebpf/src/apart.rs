//! Parts of the judge as global functions (kernel 5.6 and later), which take numbers and give a number. The verifier goes
//! through each once, whatever their arguments; what is inlined it goes through once for each of the many ways that lead
//! there, and their product is more than it bears. A call costs a packet as much as a lookup, so that none is made for
//! the drop of a banned source. None of them calls another: the stacks of a chain of calls may have 512 bytes together.

use ssh_guard_common::records::KnownGood;
use ssh_guard_common::source::Source;
use ssh_guard_common::verdict::Verdict;

use crate::judge::{self, Evidence};
use crate::known;
use crate::maps::{self, Kernel};

/// See [`judge::drops_network`].
#[inline(always)]
pub fn drops_network(evidence: Evidence, bytes: u64) -> bool {
    let [high, low, rest, _, _] = evidence.pack(bytes, false);
    ssh_guard_net(high, low, rest) != 0
}

/// See [`judge::go_on`]; counts the verdict as well.
#[inline(always)]
pub fn go_on(evidence: Evidence, bytes: u64, allowed: bool) -> Verdict {
    let [high, low, rest, server_high, server_low] = evidence.pack(bytes, allowed);
    verdict(ssh_guard_go_on(high, low, rest, server_high, server_low))
}

/// See [`judge::open`].
#[inline(always)]
pub fn open(evidence: Evidence) -> Verdict {
    let [high, low, rest, _, _] = evidence.pack(0, false);
    verdict(ssh_guard_open(high, low, rest))
}

#[inline(always)]
fn verdict(number: u32) -> Verdict {
    Verdict::ALL.into_iter().find(|verdict| *verdict as u32 == number).unwrap_or(Verdict::Passed)
}

/// See [`known::known_good`].
#[inline(always)]
pub fn known_good(source: Source) -> Option<KnownGood> {
    let [high, low] = source.halves();
    match ssh_guard_known(high, low) {
        0 => None,
        end => Some(KnownGood { end }),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ssh_guard_net(high: u64, low: u64, rest: u64) -> u32 {
    let (evidence, bytes, _) = Evidence::unpack([high, low, rest, 0, 0]);
    u32::from(judge::drops_network(evidence, bytes, &Kernel))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ssh_guard_go_on(high: u64, low: u64, rest: u64, server_high: u64, server_low: u64) -> u32 {
    let (evidence, bytes, allowed) = Evidence::unpack([high, low, rest, server_high, server_low]);
    let verdict = judge::go_on(evidence, bytes, allowed, &Kernel);
    maps::tally(verdict, bytes);
    verdict as u32
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ssh_guard_open(high: u64, low: u64, rest: u64) -> u32 {
    let (evidence, _, _) = Evidence::unpack([high, low, rest, 0, 0]);
    judge::open(evidence, &Kernel) as u32
}

/// The word of the end of the source's entry in force; none is 0, which would be over.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn ssh_guard_known(high: u64, low: u64) -> u32 {
    known::known_good(Source::from_halves([high, low])).map_or(0, |known| known.end)
}
