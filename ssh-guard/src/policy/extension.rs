//! When a ban ends otherwise than it was to: later, once, if its source still knocks; earlier, if it is of a network that
//! nothing comes from any more.

use std::time::Duration;

use crate::ban::Ban;
use crate::moment::Moment;

/// The end that a ban gets if it is extended; `last_hit`: when the last packet was dropped because of it. Only an automatic
/// ban is, once, and no offence is recorded for it: packets can be forged in the name of whoever is banned.
#[must_use]
pub fn extended(ban: &Ban, last_hit: Option<Moment>) -> Option<Moment> {
    let length = ban.until.since(ban.since);
    let last_quarter = ban.until.minus(length / 4);
    let knocks = last_hit.is_some_and(|hit| hit >= last_quarter);
    (ban.is_automatic() && !ban.extended && knocks).then(|| ban.until.plus(length))
}

/// When the ban of a network ends early if nothing of it is dropped any more for `quiet`; `last_hit` as for [`extended`].
#[must_use]
pub fn falls_quiet(ban: &Ban, last_hit: Option<Moment>, quiet: Duration) -> Moment {
    last_hit.map_or(ban.since, |hit| hit.max(ban.since)).plus(quiet)
}
