//! Who may connect, and how often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::moment::Moment;

/// Connections at once.
pub(super) const MOST: usize = 256;
/// Those of one sender.
pub(in crate::input::syslog) const MOST_OF_ONE: usize = 16;

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct Doors {
    senders: HashMap<IpAddr, Sender>,
}

#[derive(Debug)]
struct Sender {
    turn: Arc<Semaphore>,
    places: Vec<Weak<Shared>>,
}

/// What a connection holds as long as it is open.
#[derive(Clone, Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    /// A sender's connections hand on one batch at a time, all together.
    pub(super) turn: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    heard: AtomicU64,
    given_up: AtomicBool,
    stop: CancellationToken,
}

/// What becomes of somebody who connects.
#[derive(Debug)]
pub(super) enum Entry {
    Open {
        place: Place,
        /// The sender's own connection that was silent longest is closed for it.
        instead_of_another: bool,
    },
    /// Others hold all there may be.
    Full,
}

impl Doors {
    /// Lets a sender in. One that holds as many as it may has most likely lost some without knowing: its newest takes the
    /// place of the one that was silent longest.
    pub(super) fn enter(&mut self, sender: IpAddr, now: Moment) -> Entry {
        self.senders.retain(|_, sender| {
            sender.places.retain(|place| place.upgrade().is_some_and(|place| !place.given_up.load(Relaxed)));
            !sender.places.is_empty()
        });
        let open: usize = self.senders.values().map(|sender| sender.places.len()).sum();
        let own = self.senders.get(&sender).map_or(0, |sender| sender.places.len());
        if own < MOST_OF_ONE && open >= MOST {
            return Entry::Full;
        }
        let sender = self
            .senders
            .entry(sender)
            .or_insert_with(|| Sender { turn: Arc::new(Semaphore::new(1)), places: Vec::new() });
        if own >= MOST_OF_ONE {
            sender.give_up_one();
        }
        let shared = Arc::new(Shared {
            heard: AtomicU64::new(nanos(now)),
            given_up: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        sender.places.push(Arc::downgrade(&shared));
        let place = Place { shared, turn: Arc::clone(&sender.turn) };
        Entry::Open { place, instead_of_another: own >= MOST_OF_ONE }
    }
}

impl Sender {
    fn give_up_one(&self) {
        let open = self.places.iter().filter_map(Weak::upgrade);
        if let Some(silent) = open.min_by_key(|place| place.heard.load(Relaxed)) {
            silent.given_up.store(true, Relaxed);
            silent.stop.cancel();
        }
    }
}

impl Place {
    /// Notes that something came.
    pub(super) fn hear(&self, now: Moment) {
        self.shared.heard.store(nanos(now), Relaxed);
    }

    /// Waits until another connection takes the place.
    pub(super) async fn given_up(&self) {
        self.shared.stop.cancelled().await;
    }
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.since_start().min(Duration::from_nanos(u64::MAX)).as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(number: u8) -> IpAddr {
        [198, 51, 100, number].into()
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn entered(entry: Entry) -> (Place, bool) {
        match entry {
            Entry::Open { place, instead_of_another } => (place, instead_of_another),
            Entry::Full => panic!("there is room"),
        }
    }

    #[test]
    fn a_sender_that_connects_too_often_loses_its_own_silent_connection_and_nobody_elses() {
        let mut doors = Doors::default();
        let other = entered(doors.enter(sender(2), at(0))).0;
        let places: Vec<Place> = (0..16).map(|n| entered(doors.enter(sender(1), at(n))).0).collect();
        places[0].hear(at(100));
        let (place, instead) = entered(doors.enter(sender(1), at(101)));
        assert!(instead);
        let ended: Vec<bool> = places.iter().map(|place| place.shared.stop.is_cancelled()).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(1), "the one heard of longest ago");
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert!(!place.shared.stop.is_cancelled() && !other.shared.stop.is_cancelled());
    }

    #[test]
    fn all_together_hold_no_more_than_there_may_be_and_what_ends_makes_room() {
        let mut doors = Doors::default();
        let mut places: Vec<Place> = (0..MOST)
            .map(|number| entered(doors.enter(sender(u8::try_from(number / 16).unwrap()), at(0))).0)
            .collect();
        assert!(matches!(doors.enter(sender(200), at(0)), Entry::Full));
        assert!(entered(doors.enter(sender(0), at(0))).1, "a sender may always replace its own");
        // The one that was replaced goes when its task ends.
        places.remove(17);
        places.remove(18);
        assert!(matches!(doors.enter(sender(200), at(0)), Entry::Open { .. }));
        drop(places);
        drop(doors.enter(sender(201), at(0)));
        assert!(doors.senders.len() <= 2, "those who are gone are forgotten");
    }

    #[test]
    fn a_senders_connections_share_its_turn() {
        let mut doors = Doors::default();
        let [one, two, other] = [1, 1, 2].map(|number| entered(doors.enter(sender(number), at(0))).0);
        let _turn = one.turn.try_acquire().unwrap();
        assert!(two.turn.try_acquire().is_err() && other.turn.try_acquire().is_ok());
    }
}
