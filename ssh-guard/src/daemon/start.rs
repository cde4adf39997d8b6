//! Builds the daemon. What can fail without a trace comes first, the interface last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ssh_guard_common::records::Settings as MapSettings;
use tokio::sync::{Notify, mpsc, watch};

use super::Stage;
use super::adopt::counters::{Counters, Counting};
use super::allow_files::AllowFiles;
use super::board::{Board, InputNote, KernelNote};
use super::closer::Closer;
use super::command::{Counter, Reply};
use super::guard::{Closings, Enactor, Guard, Known, Looked, Mailbox, Maps, Resync, Withheld, Work};
use super::intake::{Intake, ToGuard};
use super::keeper::{self, Keeper, Outlook};
use super::positions::{self, Positions};
use super::poster::Poster;
use super::sampler::Sampling;
use super::sessions::Around;
use super::sessions::begin::{Begun, Parts, begin};
use super::sessions::sensing::Sensing;
use super::{adopt, configured};
use crate::allowlist::Allowlist;
use crate::config::Settings;
use crate::config::settings::{ControlSettings, InputKind};
use crate::control::api::{BanCounts, InterfaceStatus};
use crate::control::{self, Listening};
use crate::fault::{Exit, Fault};
use crate::input::{self, Choice, Origin, Place, Resume, Spec, Stats};
use crate::interface::{Interface, Network};
use crate::kernel::{self, Capacities, Earlier, Hooks, Loaded, Pins, Programs};
use crate::ledger::{Capacity, Ledger};
use crate::lists::Lists;
use crate::network;
use crate::observe::{self, Heartbeat, LineOutcome, Metrics};
use crate::policy::Policy;
use crate::policy::bannable::Protected;
use crate::{clock, inputs};

/// The tasks, in the order in which they end.
pub(super) struct Stages {
    pub(super) inputs: Stage,
    pub(super) guard: Stage,
    pub(super) store: Stage,
    pub(super) answering: Stage,
}

/// Starts everything.
#[expect(clippy::too_many_lines, reason = "the start is one sequence, and its order matters")]
pub(super) async fn start(settings: Settings) -> Result<Stages, Fault> {
    let network = Network::survey().await?;
    let interfaces = network.choose(&settings.guard.interfaces)?;
    let lists = configured::read(&settings).await?;
    let chosen = inputs::choose(&settings).await?;
    inputs::announce(&settings, &chosen).await;
    let metrics = measure(&settings, &interfaces)?;

    let pins = Pins::prepare(&settings.guard.pin_path)?;
    let earlier = Earlier::find(&pins)?;
    let (store, places) = positions::open(&settings.store);
    let mut loaded = kernel::load_from(&programs(&settings), earlier.as_ref())?;
    let protected = Protected::from(network);
    let allowlist = allow(&settings, &protected, &mut loaded)?;
    let capacity = configured::capacity(&settings);
    let ledger = {
        let Loaded { blocklist, networks, settings, clock, .. } = &mut loaded;
        let (allowlist, protected, metrics) = (&allowlist, &protected, &metrics);
        let mut enactor = Enactor { blocklist, networks, settings, clock, allowlist, protected, metrics };
        enforce(&lists, earlier.as_ref(), capacity, &mut enactor)?
    };
    if let Some(earlier) = &earlier {
        let Loaded { known_good, clock, .. } = &mut loaded;
        let known = adopt::know(earlier, settings.guard.mask(), known_good, clock)?;
        loaded.settings.put_to_use(MapSettings::KNOWN_GOOD, known)?;
    }
    let sockets = listen(&settings.control)?;
    let http = observe::listen(settings.listen).await?;
    let Loaded {
        ebpf,
        kept,
        blocklist,
        networks,
        allowlist: allowed,
        known_good,
        known_good_view,
        settings: switches,
        mut sampler,
        clock,
        sessions: mut followed,
    } = loaded;
    let hooks = Hooks::new(ebpf, kept, pins);
    let counting = Counting { sessions: &mut followed, sampler: &mut sampler };
    let (keeper, last_account) = attach_counting(hooks, counting, &interfaces, &settings, earlier.as_ref())?;
    metrics.set_capacity(capacity.sources, capacity.networks);
    let (bans, bans_seen) = watch::channel(BanCounts::default());
    let (kernel_note, kernel_seen) = watch::channel(KernelNote::default());
    let (live, events) = mpsc::channel(BATCHES);
    let (to_late, late) = mpsc::channel(LATE_BATCHES);
    let to_guard = ToGuard { live, late: to_late };
    let positions = Positions::default();
    let (orders, commands) = mpsc::channel(COMMANDS);
    let sampler = Arc::new(Mutex::new(sampler));
    let (protected, protected_seen) = watch::channel(protected);

    let from = Parts { maps: followed, known_good: known_good_view, clock, last_account };
    let Begun { registrar, wires, logins, orders: sessions_seen, presence, asker, admitted, sight } =
        begin(&settings, from, &sampler, &protected_seen, &metrics);
    let blocked = Arc::new(Notify::new());
    let (resync, drift) = Resync::new(clock::now());
    let heartbeat = Heartbeat::start();
    let (to_close, failed) = mpsc::channel(FAILED);
    let mut guard = Guard {
        policy: Policy::new(settings.policy.clone()),
        ledger,
        lists,
        allowlist,
        protected: Protected::default(),
        mask: settings.guard.mask(),
        maps: Maps { blocklist, networks, allowlist: allowed, known_good, settings: switches, clock },
        metrics: Arc::clone(&metrics),
        bans,
        heartbeat: heartbeat.clone(),
        dry_run: settings.guard.dry_run,
        wondered: false,
        logins,
        blocked: Arc::clone(&blocked),
        work: Work::default(),
        resync,
        known: Known::default(),
        looked: Looked::default(),
        closings: Closings::new((!settings.guard.dry_run).then_some(to_close)),
        withheld: Withheld::default(),
        positions: positions.clone(),
        presence: Arc::default(),
        trial: None,
    };
    // The guard takes note of the first as of a change.
    guard.protect(protected_seen.borrow().clone());
    let (reading, input_notes, poster) = follow(&settings, chosen, places, &metrics, &to_guard);
    let mut guarding = Stage::new("guard");
    let mailbox = Mailbox {
        commands,
        events,
        late,
        protected: protected_seen,
        sessions: sessions_seen,
        presence: presence.clone(),
        admitted,
    };
    guarding.spawn(|stop| guard.run(mailbox, stop));
    let mut keeping = Stage::new("store");
    keeping.spawn(|stop| positions::keep(store, positions, stop));
    let mut answering = Stage::new("control and metrics");
    let sampling = Sampling {
        sampler: Arc::clone(&sampler),
        metrics: Arc::clone(&metrics),
        note: kernel_note,
        protected,
    };
    answering.spawn(|stop| sampling.run(stop));
    let (to_keeper, interfaces_seen) = keep(keeper, &metrics, Arc::clone(&blocked), &mut answering);
    let input_notes: Arc<[InputNote]> = input_notes.into();
    let around =
        Around { interfaces: interfaces_seen.clone(), sensing: Sensing::new(Arc::clone(&input_notes)) };
    answering.spawn(|stop| registrar.run(wires, around, stop));
    answering.spawn(|stop| asker.run(stop));
    let allow_files = AllowFiles::new(settings.allow.clone());
    let to_guard = orders.clone();
    answering.spawn(|stop| allow_files.run(to_guard, stop));
    let closer = Closer {
        ports: Arc::clone(&sight.ports),
        blocked,
        failed,
        guard: orders.clone(),
        book: Arc::clone(&sight.book),
        closed: metrics.sockets_closed(),
    };
    close_sockets(closer, settings.guard.dry_run, &mut answering);
    let board = Board {
        started: clock::now(),
        dry_run: settings.guard.dry_run,
        inputs: input_notes,
        bans: bans_seen,
        interfaces: interfaces_seen,
        kernel: kernel_seen,
        capacity,
        sockets_closed: metrics.sockets_closed(),
        book: Arc::clone(&sight.book),
        drift,
        presence,
    };
    let counter = Arc::new(Counter { board, sight, guard: orders, keeper: to_keeper, poster });
    answer(&counter, sockets, &mut answering);
    answering.spawn(|stop| observe::answer(http, metrics, heartbeat, stop));
    Ok(Stages { inputs: reading, guard: guarding, store: keeping, answering })
}

/// Sets up the metrics.
fn measure(settings: &Settings, interfaces: &[Interface]) -> Result<Arc<Metrics>, Fault> {
    let names: Vec<String> = interfaces.iter().map(|interface| interface.name.clone()).collect();
    let mut inputs: Vec<String> = settings.read_inputs().map(|input| input.name.clone()).collect();
    inputs.push(settings.socket_input().to_owned());
    let metrics = Metrics::new(&inputs, &names)
        .map_err(|error| Fault::new(Exit::Failure, "cannot set up the metrics").because(error))?;
    Ok(Arc::new(metrics))
}

/// Attaches, and takes over what was counted until then; returns the greatest number that an account has, too.
fn attach_counting(
    hooks: Hooks,
    mut counting: Counting<'_>,
    interfaces: &[Interface],
    settings: &Settings,
    earlier: Option<&Earlier>,
) -> Result<(Keeper, u32), Fault> {
    let (ports, mask) = (settings.guard.port_numbers(), settings.guard.mask());
    let counters = Counters::take_over(hooks.pins(), earlier, &mut counting, &ports, mask);
    let keeper = keeper::attach(hooks, interfaces, &settings.guard)?;
    Ok((keeper, counters.finish(&mut counting, &ports)))
}

/// Has what is attached kept so; returns the way to the keeper, and what it sees.
fn keep(
    keeper: Keeper,
    metrics: &Arc<Metrics>,
    blocked: Arc<Notify>,
    stage: &mut Stage,
) -> (mpsc::Sender<Reply>, Interfaces) {
    let (note, seen) = watch::channel(keeper.status());
    let (orders, to_let_go) = mpsc::channel(COMMANDS);
    let outlook = Outlook { metrics: Arc::clone(metrics), note, orders: to_let_go, blocked };
    stage.spawn(|stop| keeper.run(outlook, stop));
    (orders, seen)
}

/// What is told of the interfaces.
type Interfaces = watch::Receiver<Vec<InterfaceStatus>>;

/// Has the sockets closed of whoever is dropped, first of all those who are from the start on.
fn close_sockets(closer: Closer, dry_run: bool, stage: &mut Stage) {
    if dry_run {
        return;
    }
    closer.blocked.notify_one();
    stage.spawn(|stop| closer.run(stop));
}

/// Makes the control socket, and that for those who may post events and do nothing else, if it is configured.
fn listen(control: &ControlSettings) -> Result<(Listening, Option<Listening>), Fault> {
    let socket = control::listen(&control.socket, &control.group)?;
    let events = control.events.as_ref();
    let events = events.map(|events| control::listen(&events.socket, &events.group)).transpose()?;
    Ok((socket, events))
}

/// Answers at these sockets.
fn answer(counter: &Arc<Counter>, sockets: (Listening, Option<Listening>), stage: &mut Stage) {
    let (socket, events) = sockets;
    if let Some(events) = events {
        let counter = Arc::clone(counter);
        stage.spawn(|stop| events.answer_events(counter, stop));
    }
    let counter = Arc::clone(counter);
    stage.spawn(|stop| socket.answer(counter, stop));
}

/// Follows the inputs, from the places that an earlier daemon has reached, and makes that of what applications post.
fn follow(
    settings: &Settings,
    chosen: Vec<Choice>,
    mut places: BTreeMap<String, Place>,
    metrics: &Arc<Metrics>,
    to_guard: &ToGuard,
) -> (Stage, Vec<InputNote>, Poster) {
    let line_bytes = settings.limits.line_bytes.get();
    let mut reading = Stage::new("inputs");
    let mut input_notes = Vec::new();
    for (input, Choice { origin, .. }) in settings.read_inputs().zip(chosen) {
        let stats = Arc::new(Stats::default());
        let bare = input.kind.is_bare();
        let intake = Intake::new(
            &input.name,
            (input.parser.clone(), bare),
            settings.policy.window,
            metrics,
            Arc::clone(&stats),
            to_guard.clone(),
        );
        input_notes.push(InputNote {
            name: input.name.clone(),
            kind: match origin {
                Origin::File(_) => "file",
                Origin::Journal(_) => "journal",
                Origin::Syslog(_) => "syslog",
                Origin::Stdin => "stdin",
            },
            stats: Arc::clone(&stats),
            understood: metrics.lines(&input.name, LineOutcome::Understood),
        });
        let resume = places.remove(&input.name).map(|place| Resume { place, reach: settings.policy.window });
        let spec = Spec { name: input.name.clone(), origin, line_bytes, resume };
        reading.spawn(|stop| input::follow(spec, intake, stats, stop));
    }
    let name = settings.socket_input();
    let poster = Poster::new(name, line_bytes, metrics, to_guard.live.clone());
    let (stats, understood) = (Arc::clone(&poster.stats), poster.understood.clone());
    input_notes.push(InputNote {
        name: name.to_owned(),
        kind: InputKind::Socket.as_str(),
        stats,
        understood,
    });
    (reading, input_notes, poster)
}

/// Batches of auth events that may wait for the guard; then the inputs wait, and what they have not read lies in the
/// file or the journal.
const BATCHES: usize = 64;
/// The same of what happened while nobody read.
const LATE_BATCHES: usize = 4;
/// Commands that may wait for the guard; then the control socket waits.
const COMMANDS: usize = 64;
/// Orders to close sessions that may wait for the closer; what is beyond stays open until it fails again.
const FAILED: usize = 64;
/// Networks that the allowlist holds, those that are added while the daemon runs included.
const ALLOWLIST_CAPACITY: u32 = 1 << 20;
/// Sources that can be known-good at once.
const KNOWN_GOOD_CAPACITY: u32 = 1 << 16;

/// What is loaded for a configuration.
pub(crate) fn programs(settings: &Settings) -> Programs {
    let blocklist = settings.limits.blocklist.get();
    Programs {
        ports: settings.guard.port_numbers(),
        mask: settings.guard.mask(),
        dry_run: settings.guard.dry_run,
        new_sessions_per_minute: settings.limits.new_sessions_per_minute,
        capacities: Capacities {
            blocklist,
            networks: settings.limits.networks.get(),
            allowlist: ALLOWLIST_CAPACITY,
            known_good: KNOWN_GOOD_CAPACITY,
            sources: settings.limits.sources.get(),
            sessions: settings.limits.sessions.get(),
        },
    }
}

/// Puts in force what is configured and what an earlier daemon has in force, before the program sees the first packet.
fn enforce(
    lists: &Lists,
    earlier: Option<&Earlier>,
    capacity: Capacity,
    enactor: &mut Enactor<'_>,
) -> Result<Ledger, Fault> {
    configured::enforce(lists, enactor)?;
    let mut ledger = Ledger::new(capacity);
    ledger.leave_to_lists(lists.size().sources(), lists.size().networks);
    if let Some(earlier) = earlier {
        adopt::take_over(earlier, lists, capacity, enactor, &mut ledger)?;
    }
    Ok(ledger)
}

/// Writes the configured allowlist into the kernel, and what is never banned beside it, before the program sees the first
/// packet.
fn allow(settings: &Settings, protected: &Protected, loaded: &mut Loaded) -> Result<Allowlist, Fault> {
    for network in protected.addresses() {
        loaded.allowlist.allow(network, loaded.clock.ticks_at(None))?;
    }
    let mut allowlist = Allowlist::new();
    for network in settings.allow.networks().into_iter().map(network::Network::from) {
        loaded.allowlist.allow(network, loaded.clock.ticks_at(None))?;
        allowlist.add(network, None);
    }
    loaded.settings.put_to_use(MapSettings::ALLOWLIST, !allowlist.is_empty())?;
    Ok(allowlist)
}
