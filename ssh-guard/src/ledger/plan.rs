//! What a ban would take: whether it may stand, and in whose place.

use super::Ledger;
use crate::ban::{Ban, By, Scope};
use crate::moment::Moment;
use crate::network::Network;

/// A ban that the ledger will take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The ban as it will stand: one by hand keeps the offences and the rung of the automatic one that it replaces.
    pub ban: Ban,
    /// Whose ban has to make room, to be unblocked first.
    pub displaces: Option<Network>,
}

/// Why the ledger does not take a ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Its end has come before it began.
    #[error("the ban of '{banned}' ends before it begins: give it a longer duration")]
    Over {
        /// Whom it was to ban.
        banned: Network,
    },
    /// The ban in force lasts longer.
    #[error("'{banned}' is already banned for longer: unban it first to shorten the ban")]
    Shorter {
        /// Whom it was to ban.
        banned: Network,
        /// The end of the ban in force.
        until: Moment,
    },
    /// The ban in force is one by hand, and the new one automatic.
    #[error("'{banned}' is banned by hand: an automatic ban does not replace that")]
    ByHand {
        /// Whom it was to ban.
        banned: Network,
    },
    /// There is no room, and no automatic ban to make some.
    #[error(
        "there is room for {capacity} {}, and lists and bans by hand take all of it: '{banned}' is not banned; unban some or raise '{}'",
        .scope.plural(), .scope.limit()
    )]
    Full {
        /// Whom it was to ban.
        banned: Network,
        /// What there is no room for.
        scope: Scope,
        /// How many of them there is room for.
        capacity: usize,
    },
}

/// Finds out what a ban would take.
///
/// # Errors
///
/// As [`Ledger::plan`].
pub(super) fn plan(ledger: &Ledger, ban: &Ban, now: Moment) -> Result<Plan, Refused> {
    let banned = ban.network();
    if ban.is_over(now) {
        return Err(Refused::Over { banned });
    }
    if let Some(standing) = ledger.get(banned) {
        return Ok(Plan { ban: replace(standing, ban, now)?, displaces: None });
    }
    let room = ledger.room(ban.scope);
    let displaces = if room.is_left() {
        None
    } else {
        let over = room.by_hand.first().filter(|(until, _)| *until <= now);
        let full = Refused::Full { banned, scope: ban.scope, capacity: room.capacity };
        Some(over.or(room.automatic.first()).ok_or(full)?.1)
    };
    Ok(Plan { ban: ban.clone(), displaces })
}

/// The ban that takes the place of one of the same source.
///
/// # Errors
///
/// Refuses what the standing ban outlasts or outranks.
fn replace(standing: &Ban, ban: &Ban, now: Moment) -> Result<Ban, Refused> {
    let banned = ban.network();
    if standing.is_over(now) {
        return Ok(ban.clone());
    }
    match (standing.by, ban.by) {
        (By::Hand, By::Automatic) => Err(Refused::ByHand { banned }),
        (By::Automatic, _) if ban.until < standing.until => {
            Err(Refused::Shorter { banned, until: standing.until })
        }
        (By::Automatic, By::Hand) => {
            Ok(Ban { offences: standing.offences, rung: standing.rung, ..ban.clone() })
        }
        (By::Automatic, By::Automatic) | (By::Hand, By::Hand) => Ok(ban.clone()),
    }
}
