//! The keeper: the one task that attaches programs, and the owner of their pins. It listens for changes of the machine's
//! interfaces and looks every second as well: an interface that was deleted and made again is guarded again, and a program
//! that somebody took off is put back. What it tells is what the kernel says.

mod names;
mod start;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::command::Reply;
use crate::clock;
use crate::config::settings::Mode;
use crate::control::api::{Done, InterfaceStatus};
use crate::fault::{Exit, Fault};
use crate::interface::{Changes, Interface, Network};
use crate::kernel::{Attachment, Hooks};
use crate::moment::Moment;
use crate::observe::Metrics;
pub(super) use start::attach;

/// What is guarded, and what guards it.
pub(super) struct Keeper {
    hooks: Hooks,
    /// The mode that is configured.
    mode: Mode,
    guarded: Vec<Guarded>,
    /// Whether somebody had it let go of everything.
    detached: bool,
}

/// Where the keeper's orders come from, and where it writes down what it sees.
pub(super) struct Outlook {
    pub(super) metrics: Arc<Metrics>,
    pub(super) note: watch::Sender<Vec<InterfaceStatus>>,
    /// Orders to let go of everything.
    pub(super) orders: mpsc::Receiver<Reply>,
    /// Told when packets are judged again that were not for a while: sessions may have begun that are to be closed.
    pub(super) blocked: Arc<Notify>,
}

/// An interface that is to be guarded.
struct Guarded {
    /// Its name when the daemon started, by which it is found again.
    name: String,
    /// Its name when it was last seen.
    shown: String,
    index: u32,
    /// The mode that was obtained last, or that is wanted.
    mode: Mode,
    /// Why nothing judges its packets.
    degraded: Option<String>,
    witness: bool,
    /// Why it could not be attached to, once that was told.
    failure: Option<String>,
    /// When the witness is tried again that could not be attached.
    witness_again: Option<Moment>,
}

impl Keeper {
    /// Keeps until `stop` is cancelled; what is attached stays attached then.
    pub(super) async fn run(mut self, mut outlook: Outlook, stop: CancellationToken) {
        let mut every_second = interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = Changes::listen()
            .inspect_err(|fault| warn!(error = fault.told(), "changes of interfaces are seen a second late"))
            .ok();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(answer) = outlook.orders.recv() => {
                    let done = self.let_go().await;
                    self.look(&outlook).await;
                    if answer.send(done).is_err() {
                        debug!("nobody waits for the answer");
                    }
                }
                () = changed(&mut changes) => {
                    self.look(&outlook).await;
                    // Where interfaces come and go by the hundred, one look is enough for many of them.
                    tokio::time::sleep(PAUSE).await;
                }
                _ = every_second.tick() => self.look(&outlook).await,
            }
        }
    }

    /// What is told of the interfaces.
    pub(super) fn status(&self) -> Vec<InterfaceStatus> {
        self.guarded.iter().map(Guarded::status).collect()
    }

    /// Looks whether all is as it should be, puts right what is not, and writes down what it sees.
    async fn look(&mut self, outlook: &Outlook) {
        let Some(there) = self.see(outlook).await else { return };
        self.follow_names(&there);
        if let Err(fault) = self.hooks.renew_pins() {
            debug!(error = fault.told(), "what is in force would not outlive the daemon");
        }
        if self.put_right(&there) {
            self.see(outlook).await;
            outlook.blocked.notify_one();
        }
    }

    /// Writes down what the kernel says, and returns the interfaces that are there.
    async fn see(&mut self, outlook: &Outlook) -> Option<Vec<Interface>> {
        let there = match Network::interfaces().await {
            Ok(there) => there,
            Err(fault) => {
                debug!(error = fault.told(), "cannot look at the interfaces");
                return None;
            }
        };
        let mut moved = false;
        for at in 0..self.guarded.len() {
            moved |= self.see_one(at, &there);
        }
        for guarded in &self.guarded {
            outlook.metrics.set_attached(&guarded.name, guarded.is_attached().then_some(guarded.mode));
        }
        outlook.note.send_replace(self.status());
        if moved {
            let indices: Vec<u32> = there.iter().map(|interface| interface.index).collect();
            if let Err(fault) = self.hooks.pins().sweep(&indices) {
                warn!(error = fault.told(), "pins of interfaces that are gone stay");
            }
        }
        Some(there)
    }

    /// Takes note of one interface; says whether it went or came.
    fn see_one(&mut self, at: usize, there: &[Interface]) -> bool {
        let interface = self.find(at, there);
        let seen = interface.map(|interface| self.hooks.look(interface));
        let detached = self.detached;
        let guarded = &mut self.guarded[at];
        let before = guarded.degraded.clone();
        let index = guarded.index;
        guarded.witness = seen.is_some_and(|seen| seen.witness);
        guarded.degraded = match (interface, seen.and_then(|seen| seen.mode)) {
            (Some(_), Some(mode)) => {
                guarded.mode = mode;
                guarded.failure = None;
                None
            }
            _ if detached => Some("detached by hand".to_owned()),
            (Some(_), None) => {
                let why = guarded.failure.clone();
                Some(why.unwrap_or_else(|| "the program is no longer attached".to_owned()))
            }
            (None, _) => {
                guarded.failure = None;
                // It is waited for by this name.
                guarded.shown.clone_from(&guarded.name);
                Some("the interface is gone".to_owned())
            }
        };
        if let Some(interface) = interface {
            guarded.shown.clone_from(&interface.name);
            guarded.index = interface.index;
        }
        let name = guarded.shown.as_str();
        match (&before, &guarded.degraded) {
            (None, Some(why)) if !detached => {
                error!(interface = name, why, "nothing is blocked there any more");
            }
            (Some(_), None) => info!(interface = name, mode = guarded.mode.as_str(), "guarded again"),
            _ => {}
        }
        guarded.index != index || (before.is_none() && interface.is_none())
    }

    /// Attaches what is missing; says whether it tried.
    fn put_right(&mut self, there: &[Interface]) -> bool {
        if self.detached {
            return false;
        }
        let mut tried = false;
        for at in 0..self.guarded.len() {
            let guarded = &self.guarded[at];
            let Some(interface) = there.iter().find(|interface| interface.index == guarded.index) else {
                continue;
            };
            if !guarded.is_attached() {
                tried = true;
                // The verifier may need a while for a program that is loaded for this.
                tokio::task::block_in_place(|| self.attach_again(at, interface));
            } else if !guarded.witness && guarded.witness_again.is_none_or(|again| again <= clock::now()) {
                tried = true;
                tokio::task::block_in_place(|| self.attach_witness(at, interface));
            }
        }
        tried
    }

    fn attach_again(&mut self, at: usize, interface: &Interface) {
        let attached = self.hooks.attach(interface, self.mode).and_then(|attached| {
            attached.map_or(Ok(None), |attachment| {
                self.hooks.settle(interface.index, attachment.mode).map(|()| Some(attachment))
            })
        });
        match attached {
            Ok(Some(attachment)) => {
                tell(interface, &attachment);
                self.guarded[at].failure = None;
                self.attach_witness(at, interface);
            }
            // The next look tells that it is gone.
            Ok(None) => {}
            Err(fault) => {
                let failure = Some(fault.told());
                if self.guarded[at].failure != failure {
                    warn!(
                        interface = interface.name,
                        error = fault.told(),
                        hint = fault.way_out(),
                        "it is tried again every second"
                    );
                    self.guarded[at].failure = failure;
                }
            }
        }
    }

    fn attach_witness(&mut self, at: usize, interface: &Interface) {
        let attached = self.hooks.attach_witness(interface);
        let again = attached.as_ref().err().map(|_| clock::now().plus(WITNESS_AGAIN));
        let before = std::mem::replace(&mut self.guarded[at].witness_again, again);
        if let (Err(fault), None) = (attached, before) {
            tell_blind(interface, &fault);
        }
    }

    /// Takes the programs off every interface, and leaves it at that.
    async fn let_go(&mut self) -> Result<Done, Fault> {
        self.detached = true;
        let there = Network::interfaces().await?;
        let indices: Vec<u32> = there.iter().map(|interface| interface.index).collect();
        let detached = self.hooks.pins().detach_all(&indices)?;
        for name in names(&there, &detached) {
            warn!(
                interface = name,
                "detached by hand: nothing is blocked there until the daemon is restarted"
            );
        }
        let mut done = told_detached(&there, &detached);
        done.done
            .push("the daemon goes on and attaches again when it is restarted; bans are kept".to_owned());
        Ok(done)
    }
}

impl Guarded {
    fn is_attached(&self) -> bool {
        self.degraded.is_none()
    }

    fn status(&self) -> InterfaceStatus {
        InterfaceStatus {
            name: self.shown.clone(),
            mode: self.mode.as_str().to_owned(),
            attached: self.is_attached(),
            degraded: self.degraded.clone(),
            witness: self.witness,
        }
    }
}

/// The least time between two looks for news of interfaces.
const PAUSE: Duration = Duration::from_millis(50);
/// After this time a witness is tried again.
const WITNESS_AGAIN: Duration = Duration::from_mins(1);

/// What was detached, a line each.
pub(crate) fn told_detached(there: &[Interface], detached: &[u32]) -> Done {
    if detached.is_empty() {
        return Done { done: vec!["nothing is attached".to_owned()] };
    }
    Done { done: names(there, detached).into_iter().map(|name| format!("detached from {name}")).collect() }
}

fn names(there: &[Interface], indices: &[u32]) -> Vec<String> {
    let name = |index: &u32| {
        let interface = there.iter().find(|interface| interface.index == *index);
        interface.map_or_else(|| format!("interface {index}"), |interface| interface.name.clone())
    };
    indices.iter().map(name).collect()
}

/// Says which mode was obtained, and why not another.
fn tell(interface: &Interface, attachment: &Attachment) {
    let Attachment { mode, replaced, instead } = attachment;
    let (interface, mode) = (interface.name.as_str(), mode.as_str());
    let why = instead.as_ref().map(|why| format!("not native: {why}"));
    if *replaced {
        warn!(interface, mode, why, "took the place of an earlier daemon's program");
    } else {
        info!(interface, mode, why, "attached");
    }
}

fn tell_blind(interface: &Interface, fault: &Fault) {
    warn!(
        interface = interface.name,
        error = fault.told(),
        hint = fault.way_out(),
        "without a witness: what servers send there is not seen, and sessions are not proven"
    );
}

/// Waits for a change of an interface; for ever if nobody tells.
async fn changed(changes: &mut Option<Changes>) {
    match changes {
        Some(told) => {
            if !told.next().await {
                debug!("the kernel tells of no more changes");
                *changes = None;
            }
        }
        None => std::future::pending().await,
    }
}

/// What is said when no interface is left to guard.
fn all_gone(interfaces: &[Interface]) -> Fault {
    let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
    Fault::new(Exit::Failure, format!("cannot attach to {}: it is gone", names.join(", ")))
        .hint("see which interfaces there are: ip -brief link")
}
