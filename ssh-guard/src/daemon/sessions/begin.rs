//! Begins to keep the sessions.

use std::sync::{Arc, Mutex};

use ssh_guard_common::source::SourceMask;
use tokio::sync::{mpsc, watch};

use super::{Beginning, Book, Orders, Registrar, SocketWatch, Wires};
use crate::config::Settings;
use crate::daemon::guard::Logins;
use crate::daemon::operators::{Asker, operators};
use crate::daemon::sampler::Sight;
use crate::kernel::{self, KernelClock, KnownGoodView, Sampler};
use crate::moment::Moment;
use crate::observe::Metrics;
use crate::policy::Login;
use crate::policy::bannable::Protected;
use crate::session::presence::Presence;

/// A registrar that is ready to run, and what others have to do with it.
pub(in crate::daemon) struct Begun {
    pub(in crate::daemon) registrar: Registrar,
    pub(in crate::daemon) wires: Wires,
    /// For the guard to tell logins.
    pub(in crate::daemon) logins: Logins,
    /// For the guard to hear what is to be enforced.
    pub(in crate::daemon) orders: watch::Receiver<Orders>,
    /// Who is logged in from where.
    pub(in crate::daemon) presence: watch::Receiver<Arc<Presence>>,
    /// Asks who is an operator.
    pub(in crate::daemon) asker: Asker,
    /// For the guard to hear which logins are taken for true.
    pub(in crate::daemon) admitted: mpsc::Receiver<Vec<(Login, Moment)>>,
    /// For those who ask.
    pub(in crate::daemon) sight: Sight,
}

/// What the kernel has for it.
pub(in crate::daemon) struct Parts {
    pub(in crate::daemon) maps: kernel::Sessions,
    pub(in crate::daemon) known_good: KnownGoodView,
    pub(in crate::daemon) clock: KernelClock,
    /// The greatest number that an account has already.
    pub(in crate::daemon) last_account: u32,
}

/// Prepares it.
pub(in crate::daemon) fn begin(
    settings: &Settings,
    from: Parts,
    sampler: &Arc<Mutex<Sampler>>,
    protected: &watch::Receiver<Protected>,
    metrics: &Arc<Metrics>,
) -> Begun {
    let Parts { maps, known_good, clock, last_account } = from;
    let mask: SourceMask = settings.guard.mask();
    let ports: Arc<[u16]> = settings.guard.port_numbers().into();
    let book = Book::new(settings.limits.sources.get() as usize, last_account);
    let book = Arc::new(Mutex::new(book));
    let (registrar, successes) = mpsc::channel(LOGINS);
    let (to_guard, orders) = watch::channel(Orders::default());
    let (operators, asker) = operators(&settings.guard.operators);
    let (to_all, presence) = watch::channel(Arc::default());
    let (admit, admitted) = mpsc::channel(ROUNDS);
    let failures = Arc::default();
    let from = Beginning {
        maps,
        clock,
        is_known_good: Box::new(move |source, now| known_good.spares(source, now)),
        sockets: SocketWatch::new(Arc::clone(&ports), protected.clone()),
        sampler: Arc::clone(sampler),
        metrics: Arc::clone(metrics),
        book: Arc::clone(&book),
        flood: settings.policy.flood,
        failures: Arc::clone(&failures),
        blind_after: settings.blind_after,
        operators,
        presence: to_all,
        ports: Arc::clone(&ports),
    };
    Begun {
        registrar: Registrar::new(&settings.limits, mask, from),
        wires: Wires { successes, orders: to_guard, admitted: admit },
        logins: Logins { registrar, lost: metrics.logins_lost(), failures },
        orders,
        presence,
        asker,
        admitted,
        sight: Sight { sampler: Arc::clone(sampler), book, ports, mask, clock },
    }
}

/// Rounds whose logins may wait for the guard; then the next round does.
const ROUNDS: usize = 4;
/// Logins that may come in a second.
const LOGINS: usize = 4096;
