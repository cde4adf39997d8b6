//! The one extension: a ban whose source still knocks when it is about to end lasts as long again.

use crate::ban::{Ban, By};
use crate::moment::Moment;

/// The end that a ban gets if it is extended; `last_hit`: when the last packet was dropped because of it. Only an automatic
/// ban is, once, and no offence is recorded for it: packets can be forged in the name of whoever is banned.
#[must_use]
pub fn extended(ban: &Ban, last_hit: Option<Moment>) -> Option<Moment> {
    let length = ban.until.since(ban.since);
    let last_quarter = ban.until.minus(length / 4);
    let knocks = last_hit.is_some_and(|hit| hit >= last_quarter);
    (ban.by == By::Automatic && ban.rung.is_some() && !ban.extended && knocks).then(|| ban.until.plus(length))
}
