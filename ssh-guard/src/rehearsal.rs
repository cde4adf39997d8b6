//! What the daemon would do, without a kernel: the policy, the ledger and what is never banned, on a clock that the caller
//! drives. Old logs and simulations are held against it.
//!
//! A caller asks for each event whether its packets would be [dropped](Rehearsal::drops), and has those that are not
//! [heard](Rehearsal::hear). The clock never steps back: what is earlier than what came before happens when that did.

mod blocks;
mod flood;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod whatever;

use std::net::IpAddr;
use std::time::Duration;

use ssh_guard_common::source::Source;

use crate::allowlist::Allowlist;
use crate::ban::{Ban, Scope};
use crate::event::AuthEvent;
use crate::ledger::{Capacity, Ledger};
use crate::lists::{Entry, Lists};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::bannable::{Protected, holds_exempt, is_exempt};
use crate::policy::blast::{Beyond, Held};
use crate::policy::extension::{extended, falls_quiet};
use crate::policy::networks::around;
use crate::policy::{Admitted, Closing, Decision, Policy, Rules, Standing};
use blocks::Blocks;
use flood::Flood;

/// A daemon that judges and bans, and guards nothing. What it remembers is bounded by the rules' capacity and the ledger's.
#[derive(Debug)]
pub struct Rehearsal {
    policy: Policy,
    ledger: Ledger,
    blocks: Blocks,
    lists: Lists,
    allowlist: Allowlist,
    protected: Protected,
    /// What the bans in force hold.
    held: Held,
    flood: Flood,
    now: Moment,
    /// When something has to be done next.
    due: Moment,
    tally: Tally,
}

/// What came of an event.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Heard {
    /// What it added to the score of its source.
    pub weight: f64,
    /// The score with it.
    pub score: f64,
    /// The bans that came into force: of its source, and of networks around it.
    pub bans: Vec<Ban>,
    /// A ban that was called for and has to wait.
    pub waits: Option<Beyond>,
    /// Its session is closed instead of a ban, as its source is shared.
    pub close: Option<Closing>,
    /// Somebody has logged in.
    pub admitted: Option<Admitted>,
}

/// What became of bans, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Bans of sources or networks that lasted twice as long, as packets still came at their end.
    pub extended: u64,
    /// Bans of networks that ended early, as nothing came any more.
    pub quiet: u64,
    /// Bans that were called for and had to wait; each further failure calls for one again.
    pub waited: u64,
    /// Bans of networks that were called for and are not allowed, as somebody in them is never banned.
    pub spared: u64,
}

impl Rehearsal {
    /// Begins one in which nobody is banned.
    #[must_use]
    pub fn new(rules: Rules, capacity: Capacity, allowlist: Allowlist, protected: Protected) -> Self {
        Self {
            lists: Lists::new(rules.mask),
            policy: Policy::seeded(rules, 0),
            ledger: Ledger::new(capacity),
            blocks: Blocks::default(),
            allowlist,
            protected,
            held: Held::default(),
            flood: Flood::default(),
            now: Moment::EARLIEST,
            due: Moment::EARLIEST,
            tally: Tally::default(),
        }
    }

    /// Has what is listed blocked too, with its part of the room.
    #[must_use]
    pub fn with_lists(mut self, lists: Lists) -> Self {
        self.ledger.leave_to_lists(lists.size().sources(), lists.size().networks);
        Self { lists, ..self }
    }

    /// Names the source or network that a packet of this address would be dropped for: it is banned, or listed if there is no
    /// [ban](Rehearsal::ban). What is dropped is a hit, which may extend the ban.
    pub fn drops(&mut self, address: IpAddr, now: Moment) -> Option<Entry> {
        self.pass(now);
        if self.ledger.is_empty() && self.lists.is_empty() {
            return None;
        }
        let entry = self.blocking(self.policy.rules().mask.apply(address.into()))?;
        if is_exempt(Network::from(address), &self.protected, &self.allowlist) {
            return None;
        }
        self.blocks.hit(entry.0, self.now);
        Some(entry)
    }

    /// Takes an event that reached a server, and puts in force what follows from it.
    pub fn hear(&mut self, event: &AuthEvent, now: Moment) -> Heard {
        self.pass(now);
        let Some(address) = event.address else { return Heard::default() };
        let Self { policy, ledger, allowlist, protected, now, .. } = self;
        let now = *now;
        let source = policy.rules().mask.apply(address.into());
        let itself = Network::new(source, policy.rules().mask.prefix_of(source));
        let judgement = policy.observe(event, source, now, || {
            if is_exempt(Network::from(address), protected, allowlist) {
                Standing::Exempt
            } else if ledger.is_banned(itself, now) {
                Standing::Banned
            } else {
                Standing::Judged
            }
        });
        let admitted = judgement.login.map(|login| policy.admit(login, now));
        if event.user.is_some() && judgement.weight > 0.0 {
            self.flood.note(event.count.get().into(), &self.policy.rules().flood, now);
        }
        let mut heard = Heard {
            weight: judgement.weight,
            score: judgement.score,
            close: judgement.close,
            admitted,
            ..Heard::default()
        };
        for decision in [judgement.ban, judgement.network].into_iter().flatten() {
            self.enact(decision, &mut heard);
        }
        heard
    }

    /// Lets time pass: bans end, or are extended, and what is past is forgotten.
    pub fn pass(&mut self, now: Moment) {
        self.now = self.now.max(now);
        if self.now < self.due {
            return;
        }
        self.flood.pass(&self.policy.rules().flood, self.now);
        self.end_quiet();
        let next = self.end_bans();
        self.policy.expire(self.now);
        let sweep = self.now.plus(SWEEP);
        self.due = [next, self.blocks.next_look()].into_iter().flatten().fold(sweep, Moment::min);
    }

    /// The ban of exactly this source or network.
    #[must_use]
    pub fn ban(&self, banned: Network) -> Option<&Ban> {
        self.ledger.get(banned)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The bans in force.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What became of bans so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether failures come in a surge.
    #[must_use]
    pub fn is_flooded(&self) -> bool {
        self.flood.is_on()
    }

    /// How long there was a surge, taken together.
    #[must_use]
    pub fn flooded_for(&self) -> Duration {
        self.flood.lasted()
    }

    /// Puts a decision in force, unless somebody is spared or it has to wait, and what follows from that.
    fn enact(&mut self, decision: Decision, heard: &mut Heard) {
        if decision.scope == Scope::Network && !self.may_widen(decision.banned) {
            return;
        }
        let ban = decision.into_ban(self.now);
        let Ok(plan) = self.ledger.plan(&ban, self.now) else { return };
        if let Err(beyond) = self.policy.restrain(&ban, self.held, self.now) {
            self.tally.waited += 1;
            heard.waits = Some(beyond);
            return;
        }
        if let Some(displaced) = self.ledger.commit(plan) {
            self.forget(&displaced);
        }
        self.held = self.held.plus(Held::of(&ban));
        self.blocks.add(&ban, self.policy.rules().networks.quiet);
        self.due =
            [Some(ban.until), self.blocks.next_look()].into_iter().flatten().fold(self.due, Moment::min);
        let around = self.policy.punish(&ban);
        heard.bans.push(ban);
        if let Some(network) = around {
            self.enact(network, heard);
        }
    }

    /// Whether a network may be banned: it is not yet, and nobody in it is spared.
    fn may_widen(&mut self, network: Network) -> bool {
        if self.ledger.is_banned(network, self.now) || around(network).any(|wider| self.blocks.hold(wider)) {
            return false;
        }
        let spared = holds_exempt(network, &self.protected, &self.allowlist);
        self.tally.spared += u64::from(spared);
        !spared
    }

    /// What blocks a source, as the program asks: known-good sources stay reachable inside a banned network.
    fn blocking(&self, source: Source) -> Option<Entry> {
        let itself = Network::new(source, self.policy.rules().mask.prefix_of(source));
        if self.blocks.hold(itself) || self.lists.hold((itself, Scope::Source)) {
            return Some((itself, Scope::Source));
        }
        let banned = || around(itself).find(|network| self.blocks.hold(*network));
        let banned = if self.ledger.counts().networks == 0 { None } else { banned() };
        let network = banned.or_else(|| self.lists.around(itself).next().map(|(_, (network, _))| network))?;
        (!self.policy.is_known_good(source, self.now)).then_some((network, Scope::Network))
    }

    /// Ends the bans of networks that nothing comes from any more.
    fn end_quiet(&mut self) {
        let quiet = self.policy.rules().networks.quiet;
        while let Some(network) = self.blocks.look(self.now) {
            let Some(ban) = self.ledger.get(network) else { continue };
            if falls_quiet(ban, self.blocks.last_hit(network), quiet) > self.now {
                self.blocks.follow(ban, quiet);
            } else if let Some(ban) = self.ledger.remove(network) {
                self.forget(&ban);
                self.tally.quiet += 1;
            }
        }
    }

    /// Ends or extends the bans whose end has come, and says when the next one ends.
    fn end_bans(&mut self) -> Option<Moment> {
        loop {
            let expired = self.ledger.expire(self.now);
            for ban in &expired.bans {
                self.end(ban);
            }
            // An extended ban may be over as well by now.
            let next = self.ledger.next_end();
            if next.is_none_or(|next| next > self.now) {
                return next;
            }
        }
    }

    fn end(&mut self, ban: &Ban) {
        let end = extended(ban, self.blocks.last_hit(ban.network()));
        if let Some(until) = end.filter(|_| self.policy.rules().extend) {
            let longer = Ban { until, extended: true, ..ban.clone() };
            if self.ledger.insert(&longer, ban.until).is_ok() {
                self.blocks.follow(&longer, self.policy.rules().networks.quiet);
                self.tally.extended += 1;
                return;
            }
        }
        self.forget(ban);
    }

    /// Forgets the block of a ban that is no longer in the ledger.
    fn forget(&mut self, ban: &Ban) {
        self.blocks.remove(ban.network());
        self.held = self.held.minus(Held::of(ban));
    }
}

/// How often what is past is forgotten. It only makes room, and each event makes some: every second, as in the daemon, it
/// would be most of the work of weeks that pass in seconds.
const SWEEP: Duration = Duration::from_mins(1);
