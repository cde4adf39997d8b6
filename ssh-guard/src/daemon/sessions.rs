//! Keeps the sessions: every second it takes a census of them, says which are authenticated and who may open no more,
//! forgets those that are over, and tells the guard what the programs are to enforce. It is the only writer of these maps
//! in user space.
//!
//! The work is done on a thread of its own: a hundred thousand sessions take tens of milliseconds.

pub(super) mod begin;
pub(super) mod book;
mod flooding;
pub(super) mod half_open;
mod holders;
mod logins;
pub(super) mod sensing;
mod sockets;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;
use ssh_guard_common::verdict::Verdict;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::operators::Operators;
use crate::clock;
use crate::config::settings::LimitSettings;
use crate::control::api::InterfaceStatus;
use crate::fault::Fault;
use crate::kernel::{self, KernelClock, Sampler};
use crate::moment::Moment;
use crate::observe::{MapOperation, Metrics};
use crate::policy::{Login, rules};
use crate::session::blindness::{Blindness, Change, Seen};
use crate::session::flood::{Came, FloodMode};
use crate::session::presence::Presence;
use crate::session::sensor::{Noticed, Sensor};
use crate::session::successes::{Success, Successes};
use crate::session::{Census, Evidence, Rules};
pub(super) use book::Book;
use sensing::Sensing;
use sockets::Looked;
pub(super) use sockets::SocketWatch;

/// What the programs are to enforce, as the sessions are now.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Orders {
    /// How many unauthenticated sessions sources that are not known-good may hold together, and how many they hold;
    /// nothing outside flood mode.
    pub(super) flood: Option<(u32, u32)>,
    /// Whether any source holds as many as it may.
    pub(super) crowded: bool,
    /// Whether sessions are counted from the client's first payload.
    pub(super) unproven: bool,
}

/// Whether a source is known-good at a tick, so that no limit holds for it: what the programs go by.
pub(super) type IsKnownGood = Box<dyn Fn(Source, Ticks) -> bool + Send>;

/// All state of the registrar.
pub(super) struct Registrar {
    maps: kernel::Sessions,
    clock: KernelClock,
    rules: Rules,
    is_known_good: IsKnownGood,
    successes: Successes,
    /// Logins that are taken for true, until the guard is told.
    admitted: Vec<(Login, Moment)>,
    /// It was said that no session was seen of a login.
    doubted: bool,
    blindness: Blindness,
    sensor: Sensor,
    flood: FloodMode,
    /// Failures that the guard has heard, and how many they were the last time.
    failures: Arc<AtomicU64>,
    failures_before: u64,
    /// Sessions that began before this tick are counted, or began under another daemon.
    counted: Option<Ticks>,
    sockets: SocketWatch,
    /// What stands in the kernel of who is crowded.
    crowded: HashMap<Source, u32>,
    /// It was said that the kernel refused to write.
    complained: bool,
    begun: bool,
    sampler: Arc<Mutex<Sampler>>,
    metrics: Arc<Metrics>,
    book: Arc<Mutex<Book>>,
    operators: Operators,
    presence: watch::Sender<Arc<Presence>>,
    ports: Arc<[u16]>,
}

/// What a registrar is made from.
pub(super) struct Beginning {
    pub(super) maps: kernel::Sessions,
    pub(super) clock: KernelClock,
    pub(super) is_known_good: IsKnownGood,
    pub(super) sockets: SocketWatch,
    pub(super) sampler: Arc<Mutex<Sampler>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) flood: rules::Flood,
    pub(super) failures: Arc<AtomicU64>,
    /// How long the sensor must be blind before it is believed.
    pub(super) blind_after: Option<Duration>,
    pub(super) operators: Operators,
    /// Where it says who is logged in from where.
    pub(super) presence: watch::Sender<Arc<Presence>>,
    /// The guarded ports.
    pub(super) ports: Arc<[u16]>,
}

/// What comes in to the registrar, and goes out.
pub(super) struct Wires {
    pub(super) successes: mpsc::Receiver<Success>,
    pub(super) orders: watch::Sender<Orders>,
    /// Logins that are taken for true.
    pub(super) admitted: mpsc::Sender<Vec<(Login, Moment)>>,
}

/// What the registrar looks at beside the kernel's maps.
pub(super) struct Around {
    pub(super) interfaces: watch::Receiver<Vec<InterfaceStatus>>,
    pub(super) sensing: Sensing,
}

impl Registrar {
    pub(super) fn new(
        limits: &LimitSettings,
        mask: ssh_guard_common::source::SourceMask,
        from: Beginning,
    ) -> Self {
        let Beginning {
            maps,
            clock,
            is_known_good,
            sockets,
            sampler,
            metrics,
            book,
            flood,
            failures,
            blind_after,
            operators,
            presence,
            ports,
        } = from;
        let ticks = |time| clock.ticks_in(time);
        let rules = Rules {
            mask,
            most_open: limits.open_sessions,
            closing: ticks(CLOSING),
            kept: ticks(KEPT),
            silent: ticks(SILENT),
        };
        Self {
            maps,
            rules,
            is_known_good,
            successes: Successes::new(SUCCESSES, ticks(SLACK)),
            admitted: Vec::new(),
            doubted: false,
            blindness: Blindness::new(ticks(BLIND)),
            sensor: Sensor::new(blind_after.map(ticks)),
            flood: FloodMode::new(limits.unauthenticated_sessions, flood),
            failures_before: failures.load(Relaxed),
            failures,
            counted: None,
            sockets,
            clock,
            crowded: HashMap::new(),
            complained: false,
            begun: false,
            sampler,
            metrics,
            book,
            operators,
            presence,
            ports,
        }
    }

    /// Works until `stop` is cancelled.
    pub(super) async fn run(mut self, mut wires: Wires, mut around: Around, stop: CancellationToken) {
        let mut every_second = interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = false;
        loop {
            tokio::select! {
                _ = every_second.tick() => {}
                () = stop.cancelled() => return,
            }
            let mut heard = Vec::new();
            while let Ok(success) = wires.successes.try_recv() {
                heard.push(success);
            }
            let work = move || {
                let done = self.round(heard, &mut around);
                (self, around, done)
            };
            let Ok((registrar, seen, done)) = tokio::task::spawn_blocking(work).await else { return };
            (self, around) = (registrar, seen);
            let admitted = std::mem::take(&mut self.admitted);
            if !admitted.is_empty() && wires.admitted.send(admitted).await.is_err() {
                debug!("the guard has ended: logins are told to nobody");
            }
            let orders = match done {
                Ok(orders) => {
                    reported = false;
                    orders
                }
                // Nobody is limited by what nobody counts.
                Err(fault) => {
                    if !reported {
                        warn!(error = fault.told(), "sessions are not counted; no limit of theirs holds");
                    }
                    reported = true;
                    self.metrics.refused(MapOperation::ReadSessions);
                    Orders::default()
                }
            };
            wires.orders.send_if_modified(|before| std::mem::replace(before, orders) != orders);
        }
    }

    /// Looks at everything once, and does what follows from it.
    fn round(&mut self, heard: Vec<Success>, around: &mut Around) -> Result<Orders, Fault> {
        self.clock.wake(clock::asleep());
        let successes = heard.len();
        let vouches = self.vouches(&around.interfaces.borrow());
        for mut success in heard {
            // Nobody can say more about it than the line.
            if !vouches {
                self.admitted.extend(success.login.take());
            }
            self.successes.add(success);
        }
        let records = self.maps.all()?;
        let mut marks: HashMap<SessionKey, Authenticated> = self.maps.marks()?.into_iter().collect();
        let now = self.clock.ticks_of(clock::now());
        if !std::mem::replace(&mut self.begun, true) {
            self.recall(&records, &mut marks);
        }
        self.mark(&records, &mut marks, vouches, now);
        let Looked { without_socket, gone } = self.sockets.look(&records, now, &self.rules);
        let evidence =
            Evidence { records: &records, marks: &marks, without_socket: &without_socket, gone: &gone, now };
        let (sessions, failures) = (self.new_sessions(&records, now), self.new_failures());
        let knows = &self.is_known_good;
        let is_known_good = |source| knows(source, now);
        let census = Census::take(evidence, &self.rules, is_known_good);
        let unauthenticated = census.unauthenticated;
        let flood = self.flood.observe(Came { now: clock::now(), sessions, failures, unauthenticated });
        let crowded = census.crowded(&self.rules, flood.is_some(), is_known_good);
        self.write_crowded(crowded);
        self.forget(&census);
        self.watch_the_witness(&records, successes, now)?;
        self.watch_the_sensor(&records, now, &mut around.sensing);
        // Where nobody sees answers, sessions are counted all the same: nothing is limited by them, but that they are served
        // is seen.
        let unseen = around.interfaces.borrow().iter().all(|interface| !interface.witness);
        let sensor_blind = self.sensor.is_blind();
        let unproven = self.blindness.is_blind() || unseen;
        self.metrics.set_sessions(census.totals);
        self.metrics.set_flood_mode(flood.is_some());
        self.metrics.set_sensor_blind(sensor_blind);
        self.metrics.set_witness_blind(self.blindness.is_blind());
        let orders = Orders {
            flood: flood.map(|(_, budget)| (budget, census.unauthenticated)),
            crowded: !self.crowded.is_empty(),
            unproven,
        };
        self.tell_presence(&census);
        let mut book = lock(&self.book);
        if book.flood.is_some() != flood.is_some() {
            flooding::tell(flood, census.unauthenticated);
        }
        (book.flood, book.witness_blind) = (flood.map(|(why, _)| why), self.blindness.is_blind());
        book.sensor_blind = sensor_blind;
        book.census = Arc::new(census);
        Ok(orders)
    }

    /// Says who is logged in from where, as far as that has changed.
    fn tell_presence(&mut self, census: &Census) {
        let now = clock::now();
        self.operators.learn(now);
        let (book, operators) = (lock(&self.book), &mut self.operators);
        let operator_of =
            |account| book.accounts.name(account).filter(|name| operators.include(name, now)).map(Arc::from);
        let presence = Presence::of(census, self.rules.mask, operator_of);
        drop(book);
        self.presence.send_if_modified(|before| {
            let changed = **before != presence;
            if changed {
                *before = Arc::new(presence);
            }
            changed
        });
    }

    /// Counts the logins that an earlier daemon has marked, and finds out whose they are.
    fn recall(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        marks: &mut HashMap<SessionKey, Authenticated>,
    ) {
        let is_marked = |(key, record): &&(SessionKey, SessionRecord)| {
            marks.get(key).is_some_and(|mark| mark.session == record.first_seen)
        };
        let marked: Vec<&(SessionKey, SessionRecord)> = records.iter().filter(is_marked).collect();
        if marked.is_empty() {
            return;
        }
        let names = holders::accounts(&self.ports).unwrap_or_else(|fault| {
            debug!(error = fault.told(), "whose sessions are open is not known");
            HashMap::new()
        });
        for (key, record) in marked {
            let mut book = lock(&self.book);
            book.past.touch(&self.rules.mask.apply(key.client)).authenticated += 1;
            let Some(name) = names.get(&(key.client, key.client_port)) else { continue };
            let mark = Authenticated { account: book.accounts.number(name), session: record.first_seen };
            drop(book);
            marks.insert(*key, mark);
            let written = self.maps.mark(*key, mark);
            self.note(written, MapOperation::Mark);
        }
    }

    /// Says in the kernel who may open no more, as far as that has changed.
    fn write_crowded(&mut self, crowded: HashMap<Source, u32>) {
        let before = std::mem::take(&mut self.crowded);
        for source in before.keys().filter(|source| !crowded.contains_key(source)) {
            let written = self.maps.crowd(*source, 0);
            if !self.note(written, MapOperation::Uncrowd) {
                self.crowded.insert(*source, before[source]);
            }
        }
        for (source, bits) in crowded {
            let is_written = before.get(&source) == Some(&bits) || {
                let written = self.maps.crowd(source, bits);
                self.note(written, MapOperation::Crowd)
            };
            if is_written {
                self.crowded.insert(source, bits);
            }
        }
    }

    /// Forgets what is over, but for what was sent in it.
    fn forget(&mut self, census: &Census) {
        for session in &census.over {
            let written = self.maps.forget(&session.key);
            // What was counted in a session moves to its source's record when the server ends it.
            if self.note(written, MapOperation::Forget) && session.record.ended == 0 {
                let mut book = lock(&self.book);
                let past = book.past.touch(&self.rules.mask.apply(session.key.client));
                past.packets = past.packets.saturating_add(session.record.packets);
                past.bytes = past.bytes.saturating_add(session.record.bytes);
            }
        }
        for key in &census.stale_marks {
            let written = self.maps.unmark(key);
            self.note(written, MapOperation::Forget);
        }
    }

    fn watch_the_sensor(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        now: Ticks,
        sensing: &mut Sensing,
    ) {
        let noticed = Noticed { now, understood: sensing.understood() };
        let began = records.iter().map(|(_, record)| record.first_seen);
        if let Some(change) = self.sensor.observe(noticed, began) {
            sensing.tell(change, self.sensor.untold());
        }
    }

    fn watch_the_witness(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        successes: usize,
        now: Ticks,
    ) -> Result<(), Fault> {
        let answered = records.iter().map(|(_, record)| record.answered).max().unwrap_or(0);
        let verdicts = self.sampler.lock().unwrap_or_else(PoisonError::into_inner).verdicts()?;
        let packets = [Verdict::Passed, Verdict::Allowed].map(|verdict| verdicts[verdict as usize].packets);
        let seen = Seen { now, answered, successes, packets: packets.iter().sum() };
        match self.blindness.observe(seen) {
            Some(Change::Begins) => warn!(
                hint = "where answers leave by another interface than packets come in, or this one only mirrors a port, \
                        guard the one that sshd answers by as well ('guard.interfaces')",
                "logins succeed, and no server is seen to answer: sessions are unproven, and their limits do not hold"
            ),
            Some(Change::Ends) => info!("a server is seen to answer: sessions are proven again"),
            None => {}
        }
        Ok(())
    }

    /// Counts what the kernel refused, and says it once; says whether it was done.
    fn note(&mut self, written: Result<(), Fault>, operation: MapOperation) -> bool {
        let Err(fault) = written else { return true };
        self.metrics.refused(operation);
        if std::mem::replace(&mut self.complained, true) {
            debug!(error = fault.told(), ?operation, "the kernel refuses to keep what is known of sessions");
        } else {
            warn!(error = fault.told(), ?operation, "the kernel refuses to keep what is known of sessions");
        }
        false
    }
}

/// Nothing is half-written behind this lock.
pub(super) fn lock(book: &Mutex<Book>) -> std::sync::MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server answers a FIN or RST that is forged within this time, if the client says anything at all.
const CLOSING: Duration = Duration::from_mins(1);
/// The kernel sends again what was not acknowledged, up to so long after the last time (`TCP_RTO_MAX`, 120 s), and a bit.
const KEPT: Duration = Duration::from_secs(130);
/// Longer than most keep-alives.
const SILENT: Duration = Duration::from_mins(1);
/// How far a line may be off its session.
const SLACK: Duration = Duration::from_secs(10);
/// How long no server answers while logins succeed before it is believed.
const BLIND: Duration = Duration::from_mins(1);
/// Logins that may wait for their sessions.
const SUCCESSES: usize = 4096;
