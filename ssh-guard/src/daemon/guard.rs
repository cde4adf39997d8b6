//! The guard: the one task that owns who is banned, and the only writer of the maps.
//!
//! It waits for three things: a command from the control socket, a batch of auth events from an input, and the next
//! end of a ban, a list or an entry of the allowlist. Commands come first: an operator must get through to it while a
//! flood keeps the inputs busy. What takes long, as a list does, it does a part of each time round.
//!
//! Within one ban the kernel is written first, then the ledger, then the log. If the kernel refuses, nothing else has
//! happened.

mod answers;
mod automatic;
mod banning;
mod closing;
mod dropped;
mod enact;
mod ends;
mod known;
mod limits;
mod orders;
mod presence;
mod reallow;
mod remarks;
mod resync;
mod trial;
mod why;
mod work;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ssh_guard_common::records::Settings;
use ssh_guard_common::source::SourceMask;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::command::Command;
use super::intake::{Batch, Heard};
use super::positions::Positions;
use super::sessions::Orders;
use crate::allowlist::{Allowlist, Covered};
use crate::ban::Ban;
use crate::clock;
use crate::control::api::BanCounts;
use crate::fault::{Exit, Fault};
use crate::kernel;
use crate::ledger::{Ledger, Plan};
use crate::lists::{Entry, Lists};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::{Gauges, Heartbeat, MapOperation, Metrics, Unbanned};
use crate::policy::bannable::Protected;
pub(super) use crate::policy::bannable::is_exempt;
use crate::policy::{Login, Policy, Standing};
use crate::session::presence::Presence;
pub(super) use automatic::Withheld;
pub(super) use banning::{check_reason, plain};
pub(super) use closing::Closings;
pub(super) use enact::Enactor;
pub(super) use ends::Looked;
pub(super) use known::Known;
pub(super) use limits::Logins;
pub(super) use orders::length;
pub(super) use remarks::Remarks;
pub(super) use resync::Resync;
pub(super) use trial::Trial;
use work::Settling;
pub(super) use work::Work;

/// All mutable state of the daemon.
pub(super) struct Guard {
    pub(super) policy: Policy,
    pub(super) ledger: Ledger,
    /// What is listed, beside the bans.
    pub(super) lists: Lists,
    pub(super) allowlist: Allowlist,
    /// What is never banned.
    pub(super) protected: Protected,
    /// How much of an address makes a source.
    pub(super) mask: SourceMask,
    pub(super) maps: Maps,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bans: watch::Sender<BanCounts>,
    /// When the guard last went round.
    pub(super) heartbeat: Heartbeat,
    pub(super) dry_run: bool,
    /// It was said that a banned source still reaches a server.
    pub(super) wondered: bool,
    /// Where successful logins are told.
    pub(super) logins: Logins,
    /// Told whenever something may be dropped that was not before.
    pub(super) blocked: Arc<Notify>,
    /// What it does a part of at a time.
    pub(super) work: Work,
    /// Compares the maps with what is to stand in them.
    pub(super) resync: Resync,
    /// How it goes through whom the programs know.
    pub(super) known: Known,
    /// Which bans it has looked at, to end them later or sooner.
    pub(super) looked: Looked,
    /// Sessions that are to be closed by themselves.
    pub(super) closings: Closings,
    /// What it tells seldom.
    pub(super) withheld: Withheld,
    /// Where it notes how far the inputs were read.
    pub(super) positions: Positions,
    /// Who is logged in from where.
    pub(super) presence: Arc<Presence>,
    /// A change that is undone unless it is confirmed.
    pub(super) trial: Option<Trial>,
}

/// What the guard writes in the kernel.
pub(super) struct Maps {
    pub(super) blocklist: kernel::Blocklist,
    pub(super) networks: kernel::Networks,
    pub(super) allowlist: kernel::Allowlist,
    pub(super) known_good: kernel::KnownGood,
    pub(super) settings: kernel::SettingsMap,
    pub(super) clock: kernel::KernelClock,
}

/// What comes in to the guard.
pub(super) struct Mailbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Receiver<Batch>,
    /// What happened while nobody read.
    pub(super) late: mpsc::Receiver<Batch>,
    /// What is never banned, whenever that changes.
    pub(super) protected: watch::Receiver<Protected>,
    /// What is to be enforced of sessions, whenever that changes.
    pub(super) sessions: watch::Receiver<Orders>,
    /// Who is logged in from where, whenever that changes.
    pub(super) presence: watch::Receiver<Arc<Presence>>,
    /// Logins that are taken for true, and when they happened.
    pub(super) admitted: mpsc::Receiver<Vec<(Login, Moment)>>,
}

impl Guard {
    /// Works until `stop` is cancelled and every event that was heard before is judged.
    pub(super) async fn run(mut self, mut mailbox: Mailbox, stop: CancellationToken) {
        let mut renewal = clock::now();
        loop {
            self.heartbeat.beat();
            let now = clock::now();
            let next = self.expire(now);
            self.work();
            self.resync(now);
            self.close(now);
            if renewal <= now {
                self.renew_lease(now);
                self.policy.expire(now);
                self.extend(now);
                self.narrow(now);
                self.forget_known_good(now);
                renewal = now.plus(RENEWAL);
            }
            let next = next.map_or(renewal, |next| next.min(renewal)).min(self.resync.due());
            let next = self.closings.due().map_or(next, |due| due.min(next));
            let sleep = tokio::time::sleep(next.since(clock::now()));
            tokio::select! {
                biased;
                Some(command) = mailbox.commands.recv() => self.obey(command),
                Some(logins) = mailbox.admitted.recv() => {
                    for (login, at) in logins {
                        self.admit(login, at);
                    }
                }
                Some(batch) = mailbox.events.recv() => self.judge(batch),
                Ok(()) = mailbox.protected.changed() => {
                    let protected = mailbox.protected.borrow_and_update().clone();
                    self.protect(protected);
                }
                Ok(()) = mailbox.sessions.changed() => {
                    let orders = *mailbox.sessions.borrow_and_update();
                    self.limit(orders);
                }
                Ok(()) = mailbox.presence.changed() => {
                    let presence = Arc::clone(&mailbox.presence.borrow_and_update());
                    self.attend(presence);
                }
                Some(batch) = mailbox.late.recv() => self.judge(batch),
                () = stop.cancelled() => break,
                () = tokio::task::yield_now(), if self.work.is_under_way() || self.resync.is_under_way() => {}
                () = sleep => {}
            }
        }
        for mut events in [mailbox.events, mailbox.late] {
            events.close();
            while let Some(batch) = events.recv().await {
                self.judge(batch);
            }
        }
        debug!(bans = self.ledger.len(), "the guard has ended; its blocks stay in force until their ends");
    }

    /// Vouches for the maps for a few seconds more: what is over was just taken out.
    fn renew_lease(&mut self, now: Moment) {
        if let Some(slept) = self.maps.clock.wake(clock::asleep()) {
            info!(
                seconds = slept.as_secs(),
                "the machine has slept, and the kernel's ends with it; they are written anew"
            );
            self.resync.wake();
        }
        let until = self.maps.clock.ticks_at(Some(now.plus(LEASE)));
        if let Err(fault) = self.maps.settings.renew(until) {
            warn!(error = fault.told(), "the program's limits end: their lease is not renewed");
        }
    }

    fn judge(&mut self, batch: Batch) {
        for heard in &batch.heard {
            self.hear(heard, batch.line_of(heard));
        }
        if !batch.heard.is_empty() {
            self.publish();
        }
        if let Some(reached) = batch.reached {
            self.positions.note(reached);
        }
    }

    /// Takes one auth event, and does what is called for; `line`: what told of it.
    fn hear(&mut self, heard: &Heard, line: Option<&[u8]>) {
        let Heard { event, at, .. } = heard;
        self.metrics.heard(event.outcome, event.kind, event.count.get());
        let Some(address) = event.address else { return };
        self.count_failure(heard);
        let source = self.mask.apply(address.into());
        let prefix = self.mask.prefix_of(source);
        // What an event in a backlog is worth was decided when it was written, not when it is read at last; where that
        // time is not vouched for, the time of reading it is taken.
        let now = *at;
        let mut banned = false;
        let judgement = self.policy.observe(event, source, now, || {
            // One that is excepted from its source's blocks is not to bring them about either.
            if is_exempt(Network::from(address), &self.protected, &self.allowlist)
                || self.presence.protects(source)
            {
                return Standing::Exempt;
            }
            banned = self.ledger.is_banned(Network::new(source, prefix), now);
            if banned { Standing::Banned } else { Standing::Judged }
        });
        self.policy.keep(event, source, &judgement, line, now);
        self.spare_session(event);
        self.tell_login(heard, judgement.login);
        if banned {
            self.wonder_at(Network::new(source, prefix), now);
        }
        debug!(
            %source,
            outcome = event.outcome.as_str(),
            kind = event.kind.as_str(),
            user = event.user.as_deref(),
            weight = judgement.weight,
            score = judgement.score,
            "auth event"
        );
        if let Some(closing) = &judgement.close {
            self.close_by_and_by(closing, source, heard);
        }
        for decision in [judgement.ban, judgement.network].into_iter().flatten() {
            self.enact(decision, heard);
        }
    }

    /// The source that an address belongs to.
    fn source_of(&self, address: IpAddr) -> Network {
        let source = self.mask.apply(address.into());
        Network::new(source, self.mask.prefix_of(source))
    }

    /// Whether no ban may stand for a whole network.
    fn is_exempt(&self, network: Network) -> bool {
        is_exempt(network, &self.protected, &self.allowlist)
    }

    /// Says, once, if a source is banned and all the same still tried to log in: its packets do not pass here, or go to
    /// a port that is not guarded.
    fn wonder_at(&mut self, source: Network, now: Moment) {
        let Some(ban) = self.ledger.get(source) else { return };
        if self.dry_run || self.wondered || now.since(ban.since) < STILL_UNDER_WAY {
            return;
        }
        self.wondered = true;
        warn!(
            source = %ban.network(),
            hint = "guard the port and the interface that sshd is reached by: 'guard.ports', 'guard.interfaces'",
            "a banned source still reaches a server"
        );
    }

    /// Takes note of other addresses that are never banned: excepts them from blocks, and lifts bans of them.
    pub(super) fn protect(&mut self, protected: Protected) {
        let before = std::mem::replace(&mut self.protected, protected);
        let old: Vec<Network> = before.addresses().collect();
        let new: Vec<Network> = self.protected.addresses().collect();
        for network in old.iter().filter(|network| !new.contains(network)) {
            if self.allowlist.covers(network.first(), network.prefix()) == Covered::No
                && let Err(fault) =
                    self.leave_allowlist(*network).and_then(|()| self.settle_by_and_by(*network))
            {
                warn!(%network, error = fault.told(), "is still excepted from blocks");
            }
        }
        for network in new.iter().filter(|network| !old.contains(network)) {
            let settled = self.let_pass(*network, None).and_then(|()| self.settle_blocks(*network));
            match settled.and_then(|_| self.settle_by_and_by(*network)) {
                Ok(()) => debug!(%network, "is never banned: it is this machine's, or a gateway's"),
                Err(fault) => warn!(%network, error = fault.told(), "is not excepted from blocks"),
            }
        }
        self.publish();
    }

    /// Takes a network out of the kernel's allowlist, unless it is there for good.
    fn leave_allowlist(&mut self, network: Network) -> Result<(), Fault> {
        if self.protected.addresses().chain(self.forced_exceptions(network)).any(|own| own == network) {
            return self.let_pass(network, None);
        }
        self.maps
            .allowlist
            .disallow(network)
            .inspect_err(|_| self.metrics.refused(MapOperation::Disallow))?;
        self.blocked.notify_one();
        Ok(())
    }

    /// The addresses that no client has in or around a network, if a ban holds them.
    fn forced_exceptions(&self, network: Network) -> impl Iterator<Item = Network> {
        let forced = |special: &Network| self.ledger.around(*special).any(|ban| ban.forced);
        Protected::special_in(network).filter(forced)
    }

    /// Puts a network into the allowlist, where what blocks it is still to be settled.
    fn put_in_allowlist(&mut self, network: Network, until: Option<Moment>) -> Result<(), Fault> {
        self.maps
            .settings
            .put_to_use(Settings::ALLOWLIST, true)
            .inspect_err(|_| self.metrics.refused(MapOperation::Allow))?;
        self.let_pass(network, until)?;
        self.allowlist.add(network, until);
        Ok(())
    }

    /// Puts a network into the kernel's allowlist.
    fn let_pass(&mut self, network: Network, until: Option<Moment>) -> Result<(), Fault> {
        let end = self.maps.clock.ticks_at(until);
        self.maps.allowlist.allow(network, end).inspect_err(|_| self.metrics.refused(MapOperation::Allow))
    }

    /// Finds out what a ban would take.
    fn plan(&self, ban: &Ban) -> Result<Plan, Fault> {
        let plan = self.ledger.plan(ban, clock::now());
        plan.map_err(|refused| Fault::new(Exit::Failure, refused.to_string()))
    }

    /// Puts a ban in force: in the kernel, then in the ledger.
    fn ban(&mut self, ban: &Ban) -> Result<Ban, Fault> {
        self.check_decided(ban)?;
        let plan = self.plan(ban)?;
        let ban = plan.ban.clone();
        let entry = ban.entry();
        // The map has room for some more than the ledger: if the kernel refuses, nobody has been let in for nothing.
        self.write([(entry, Some(ban.until).max(self.listed_until(entry)))])?;
        let displaced = plan.displaces;
        self.ledger.commit(plan);
        if let Some(displaced) = displaced {
            if let Err(fault) = self.settle([(displaced, ban.scope)]) {
                warn!(source = %displaced, error = fault.told(), "a block that made room stays in the kernel");
            }
            self.metrics.unbanned(Unbanned::Displaced, 1);
            warn!(source = %displaced, "there is no room for all bans: the one that ends first made some");
        }
        self.metrics.banned(ban.reason, 1);
        Ok(ban)
    }

    /// Ends a ban: in the kernel, then in the ledger. What is listed as well stays blocked.
    fn lift(&mut self, entry: Entry, cause: Unbanned) -> Result<Option<Ban>, Fault> {
        self.write([(entry, self.listed_until(entry))])?;
        let lifted = self.ledger.remove(entry.0);
        if lifted.is_some() {
            self.metrics.unbanned(cause, 1);
        }
        Ok(lifted)
    }

    /// Whether a ban may not stand beside the allowlist, or what is never banned.
    fn may_not_stand(&self, ban: &Ban) -> bool {
        if ban.forced {
            return self.allowlist.covers(ban.source, ban.prefix) == Covered::Whole;
        }
        self.is_exempt(ban.network())
    }

    /// Settles what is listed in a network, some of it later perhaps.
    fn settle_by_and_by(&mut self, network: Network) -> Result<(), Fault> {
        let spans = self.settle_listed(network)?;
        if !spans.is_empty() {
            self.settle_spans(Settling { spans: spans.into(), gone: false, answer: None });
        }
        Ok(())
    }

    /// Ends what is over, a bounded part of it at a time, and says when there is more to end. The program has let
    /// these sources in by itself already; this makes room.
    fn expire(&mut self, now: Moment) -> Option<Moment> {
        let expired = self.ledger.expire(now);
        for ban in &expired.bans {
            if let Err(fault) = self.settle([ban.entry()]) {
                warn!(source = %ban.network(), error = fault.told(), "a block that is over stays in the kernel");
            }
            self.metrics.unbanned(Unbanned::Expired, 1);
            info!(source = %ban.network(), "the ban is over");
        }
        for network in self.allowlist.expire(now) {
            let left = self.leave_allowlist(network).and_then(|()| self.settle_by_and_by(network));
            if let Err(fault) = left {
                warn!(%network, error = fault.told(), "an entry of the allowlist that is over stays in the kernel");
            }
            info!(%network, "is no longer in the allowlist: its time is over");
        }
        self.expire_lists(now);
        let trial = self.expire_trial(now);
        if !expired.bans.is_empty() {
            self.publish();
        }
        [expired.next, self.lists.next_end(), self.allowlist.next_end(), trial].into_iter().flatten().min()
    }

    /// Shows the counts, and has the program leave out maps that hold nothing.
    fn publish(&mut self) {
        let (counts, listed) = (self.ledger.counts(), self.lists.size());
        self.ledger.leave_to_lists(listed.sources(), listed.networks);
        let (ipv4, ipv6) = (counts.ipv4 + listed.ipv4, counts.ipv6 + listed.ipv6);
        let networks = self.maps.networks.in_use();
        for (map, used) in [
            (Settings::BLOCKLIST, ipv4 + ipv6 > 0),
            (Settings::NETWORKS_V4, networks & Settings::NETWORKS_V4 != 0),
            (Settings::NETWORKS_V6, networks & Settings::NETWORKS_V6 != 0),
            (Settings::ALLOWLIST, !self.allowlist.is_empty()),
        ] {
            if let Err(fault) = self.maps.settings.put_to_use(map, used) {
                warn!(error = fault.told(), "the program keeps asking a map that holds nothing");
            }
        }
        let networks = counts.networks + listed.networks;
        self.metrics.set(Gauges { ipv4, ipv6, networks, sources_tracked: self.policy.sources_tracked() });
        self.bans.send_replace(BanCounts { ipv4: ipv4 as u64, ipv6: ipv6 as u64, networks: networks as u64 });
    }
}

/// How often the guard renews the lease of the maps, and for how long.
const RENEWAL: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(3);
/// How long after a ban a server may still write about what the source did before it.
const STILL_UNDER_WAY: Duration = Duration::from_secs(10);
