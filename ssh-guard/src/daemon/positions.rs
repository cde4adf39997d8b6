//! Keeps how far the inputs have been read, so that a daemon that is started again goes on there.
//!
//! A place comes with the batch of events before it. It is noted once the guard has judged that batch, and written about once
//! a second and at the end: a daemon that is killed reads again what it judged in its last second, and skips nothing. What is
//! read again does no harm: the scores that it made have gone with the process, and a source that was banned for it is
//! banned still.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::input::Place;
use crate::store::{Opened, Store, StoreError};

/// How far one input has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reached {
    /// The input's name.
    pub(super) input: Arc<str>,
    /// Everything before it was handed on.
    pub(super) place: Place,
}

/// The places that are to be written.
#[derive(Clone, Default, Debug)]
pub(super) struct Positions {
    places: Arc<Mutex<BTreeMap<String, Place>>>,
    /// Told when there is one.
    any: Arc<Notify>,
}

impl Positions {
    /// Notes how far an input has been read: what came before is judged.
    pub(super) fn note(&self, reached: Reached) {
        let Reached { input, place } = reached;
        let mut places = self.lock();
        match places.get_mut(&*input) {
            Some(old) => *old = place,
            None => drop(places.insert(input.to_string(), place)),
        }
        self.any.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> BTreeMap<String, Place> {
        std::mem::take(&mut *self.lock())
    }

    /// Puts back what could not be written, unless there is something newer.
    fn put_back(&self, places: BTreeMap<String, Place>) {
        self.any.notify_one();
        let mut newer = self.lock();
        for (input, place) in places {
            newer.entry(input).or_insert(place);
        }
    }
}

/// Opens the store, if that can be: the daemon works without it. Returns what it holds, too.
pub(super) fn open(path: &Path) -> (Option<Store>, BTreeMap<String, Place>) {
    let opened = Store::open(path).and_then(|opened| {
        let places = opened.store.places()?;
        Ok((opened, places))
    });
    match opened {
        Ok((Opened { store, moved_aside }, places)) => {
            if let Some(moved_aside) = moved_aside {
                tell_broken(path, &moved_aside);
            }
            (Some(store), places)
        }
        Err(error) => {
            warn!(
                error = chain(&error),
                hint = error.hint(),
                "without the store: the inputs are read from their ends, and again after the next start"
            );
            (None, BTreeMap::new())
        }
    }
}

/// Writes the places until `stop` is cancelled, and once more then.
pub(super) async fn keep(mut store: Option<Store>, positions: Positions, stop: CancellationToken) {
    let mut pause = EVERY;
    let mut told = false;
    let mut rest = tokio::time::sleep(Duration::ZERO);
    loop {
        // The first is written at once, those that follow wait.
        let another = async {
            rest.await;
            positions.any.notified().await;
        };
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = another => false,
        };
        let places = positions.take();
        if let Some(open) = store.take().filter(|_| !places.is_empty()) {
            // A disk may take its time, and no other task is to wait for it.
            let written = tokio::task::spawn_blocking(move || {
                let result = write(open, &places);
                (result, places)
            });
            let Ok((Written { open, error }, places)) = written.await else { return };
            store = open;
            match error {
                None if told => {
                    info!("the store can be written again");
                    (told, pause) = (false, EVERY);
                }
                None => {}
                Some(error) => {
                    positions.put_back(places);
                    if !told {
                        warn!(
                            error = chain(&error),
                            hint = error.hint(),
                            "how far the inputs were read is not kept: trying again"
                        );
                    }
                    (told, pause) = (true, AFTER_A_FAILURE);
                }
            }
        }
        if stopped {
            return;
        }
        rest = tokio::time::sleep(pause);
    }
}

/// What came of writing.
struct Written {
    /// None if it is gone for good.
    open: Option<Store>,
    error: Option<StoreError>,
}

/// Writes places; into a new database, if the one that is open is found broken.
fn write(mut store: Store, places: &BTreeMap<String, Place>) -> Written {
    let now = clock::micros(clock::since_epoch());
    match store.write_places(places, now) {
        Ok(()) => Written { open: Some(store), error: None },
        Err(error) if error.is_broken() => {
            let path = store.path().to_owned();
            match store.reopen() {
                Ok(Opened { mut store, moved_aside }) => {
                    if let Some(moved_aside) = moved_aside {
                        tell_broken(&path, &moved_aside);
                    }
                    let error = store.write_places(places, now).err();
                    Written { open: Some(store), error }
                }
                Err(error) => Written { open: None, error: Some(error) },
            }
        }
        Err(error) => Written { open: Some(store), error: Some(error) },
    }
}

fn tell_broken(path: &Path, moved_aside: &Path) {
    warn!(
        hint = "look at the disk that it lies on",
        "the store '{}' was broken: it is '{}' now, and a new one is begun",
        path.display(),
        moved_aside.display()
    );
}

fn chain(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// How often places are written.
const EVERY: Duration = Duration::from_secs(1);
/// How long until the next try after one that failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(10);
