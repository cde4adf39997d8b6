//! Logins that succeeded, and would have been refused.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::ban::{Ban, Reason};
use crate::event::AuthEvent;
use crate::moment::Moment;
use crate::network::Network;
use crate::replay::clock::timestamp;
use crate::replay::decided::{RefusedLogin, RefusedLogins};
use crate::replay::summary::shortened;

/// So many are told, those that come first; all are counted.
pub(super) const MOST: usize = 1024;

/// The refused logins; those of one account from one address that one ban refuses are told as one.
#[derive(Debug, Default)]
pub(super) struct Refused {
    count: u64,
    logins: Vec<RefusedLogin>,
    places: HashMap<Key, usize>,
}

type Key = (IpAddr, String, Network, Option<Moment>);

impl Refused {
    /// Notes a login that is refused for what is banned, or listed if there is no ban.
    pub(super) fn note(
        &mut self,
        event: &AuthEvent,
        address: IpAddr,
        (banned, ban): (Network, Option<&Ban>),
        at: Moment,
    ) {
        let times = u64::from(event.count.get());
        self.count += times;
        let user = event.user.as_deref().unwrap_or_default();
        let user = shortened(user).unwrap_or_else(|| user.to_owned());
        let key = (address, user, banned, ban.map(|ban| ban.since));
        if let Some(place) = self.places.get(&key) {
            let login = &mut self.logins[*place];
            (login.until, login.count) = (timestamp(at), login.count + times);
            return;
        }
        if self.logins.len() >= MOST {
            return;
        }
        self.logins.push(RefusedLogin {
            source: address,
            user: key.1.clone(),
            since: timestamp(at),
            until: timestamp(at),
            count: times,
            banned: banned.to_string(),
            banned_since: ban.and_then(|ban| timestamp(ban.since)),
            banned_until: ban.and_then(|ban| timestamp(ban.until)),
            reason: ban.map_or(Reason::List, |ban| ban.reason),
            rule: ban.map_or_else(|| "it is listed".to_owned(), |ban| ban.rule.to_string()),
        });
        self.places.insert(key, self.logins.len() - 1);
    }

    /// All of them, of so many logins.
    pub(super) fn told(&self, logins: u64) -> RefusedLogins {
        let listed: u64 = self.logins.iter().map(|login| login.count).sum();
        RefusedLogins {
            logins,
            refused: self.count,
            unlisted: self.count - listed,
            listed: self.logins.clone(),
        }
    }
}
