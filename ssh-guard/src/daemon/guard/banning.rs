//! Bans by hand, and how they are lifted.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tracing::info;

use super::Guard;
use super::orders::{Begun, length};
use super::trial::{AtRisk, Change};
use crate::allowlist::Covered;
use crate::ban::{Ban, By, Reason, Scope};
use crate::clock;
use crate::control::api::{BanRequest, Done, UnbanRequest};
use crate::daemon::caller::Caller;
use crate::fault::{Exit, Fault};
use crate::lists::{Entry, scope_of};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::Unbanned;
use crate::policy::bannable::{Protected, is_wide};

/// What an operator names.
#[derive(Clone, Copy)]
struct Asked {
    /// As it was written.
    itself: Network,
    /// What is banned for it: the source of an address, or the network.
    entry: Entry,
}

impl Guard {
    /// What an operator names by addresses, which stand for their sources, and by networks.
    fn asked(&self, addresses: &[IpAddr], networks: &[IpNet]) -> Vec<Asked> {
        let address = |address: &IpAddr| Asked {
            itself: Network::from(*address),
            entry: (self.source_of(*address), Scope::Source),
        };
        let network = |network: &IpNet| {
            let network = Network::from(*network);
            Asked { itself: network, entry: (network, scope_of(network, self.mask)) }
        };
        addresses.iter().map(address).chain(networks.iter().map(network)).collect()
    }

    pub(super) fn ban_by_hand(&mut self, request: BanRequest, caller: Caller) -> Result<Done, Fault> {
        let BanRequest { addresses, networks, seconds, reason, force } = request;
        let length = length(seconds)?;
        check_reason(reason.as_deref())?;
        let asked = self.asked(&addresses, &networks);
        for asked in &asked {
            self.check_bannable(*asked, force)?;
        }
        let covered = if force { None } else { self.check_covered(&asked, caller)? };
        let mut done = Done::default();
        let now = clock::now();
        let plan = |Asked { entry: (network, scope), .. }: Asked| Ban {
            source: network.first(),
            prefix: network.prefix(),
            since: now,
            until: now.plus(length),
            reason: Reason::Manual,
            rule: Arc::from("by hand"),
            rung: None,
            offences: self.policy.offences(network, now),
            note: reason.clone(),
            by: By::Hand,
            scope,
            extended: false,
            forced: force,
        };
        let bans: Vec<Ban> = asked.into_iter().map(plan).collect();
        // All or none: what the ledger would refuse is found out before the first is in force.
        for ban in &bans {
            self.plan(ban)?;
        }
        if let Some(covered) = covered {
            return self.try_bans(bans, now, &covered);
        }
        for ban in bans {
            self.ban_for_good(&ban)?;
            done.done.push(format!("banned {} until {}", ban.network(), clock::wall(ban.until)));
        }
        Ok(done)
    }

    /// Puts a ban by hand in force, until its own end.
    pub(super) fn ban_for_good(&mut self, ban: &Ban) -> Result<(), Fault> {
        if ban.forced {
            Protected::special_in(ban.network()).try_for_each(|special| self.let_pass(special, None))?;
        }
        let ban = self.ban(ban)?;
        self.policy.punish(&ban);
        let seconds = ban.until.since(clock::now()).as_secs();
        info!(source = %ban.network(), seconds, reason = ban.note, "banned by hand");
        Ok(())
    }

    /// Puts bans by hand in force for as long as a trial lasts.
    fn try_bans(&mut self, bans: Vec<Ban>, since: Moment, covered: &AtRisk) -> Result<Done, Fault> {
        let until = Self::trial_end(since);
        let tried = bans.iter().map(|ban| Ban { until: until.min(ban.until), ..ban.clone() });
        // What is banned for longer already is so without a trial.
        let tried: Vec<Ban> = tried
            .filter(|ban| self.ledger.get(ban.network()).is_none_or(|standing| standing.until < ban.until))
            .collect();
        let mut done: Vec<String> =
            bans.iter().map(|ban| format!("banned {} for a trial", ban.network())).collect();
        // Before anything is dropped for it, so that no session is closed.
        done.extend(self.begin_trial(since, Change::Bans(bans), covered));
        for ban in tried {
            let ban = self.ban(&ban)?;
            info!(source = %ban.network(), "banned by hand, for a trial");
        }
        Ok(Done { done })
    }

    /// Says whether these cover the caller; refuses those that would cut an operator off.
    fn check_covered(&self, asked: &[Asked], caller: Caller) -> Result<Option<AtRisk>, Fault> {
        let covers = |address: Network| asked.iter().any(|asked| asked.entry.0.contains(&address));
        self.check_operators(covers)?;
        self.covers_caller(caller, covers).map(|covered| self.check_no_trial().map(|()| covered)).transpose()
    }

    /// Refuses what would lock out this machine or somebody in the allowlist, and what nobody bans in passing.
    fn check_bannable(&self, asked: Asked, forced: bool) -> Result<(), Fault> {
        let Asked { itself, entry: (network, _) } = asked;
        let insisted = forced && Protected::special_in(network).next().is_some();
        let why = [itself, network].iter().find_map(|network| self.protected.why_not(network));
        if let Some(why) = why.filter(|_| !insisted || is_special(network)) {
            let shown = plain(itself);
            let is =
                if Protected::special_in(network).any(|special| special != network) { "holds" } else { "is" };
            let fault = Fault::new(Exit::Usage, format!("{shown} is never banned: it {is} {why}"));
            return Err(match is {
                "holds" => {
                    fault.hint("name narrower networks; or, with --force, those addresses are excepted")
                }
                _ => fault,
            });
        }
        if is_wide(network) && !forced {
            let what = format!("{network} is wider than a /8, or a /16 of IPv6");
            return Err(Fault::new(Exit::Usage, what).hint("if that is meant, add --force"));
        }
        if self.allowlist.covers(network.first(), network.prefix()) == Covered::Whole {
            let fault = Fault::new(Exit::Usage, format!("{network} is in the allowlist"));
            return Err(match self.allowlist.network_of(network) {
                Some(allowed) => fault.hint(format!("take it out first: ssh-guard allow --remove {allowed}")),
                None => fault.hint("networks that together hold all of it are allowed: take one out first"),
            });
        }
        Ok(())
    }

    pub(super) fn unban(&mut self, request: UnbanRequest) -> Result<Begun, Fault> {
        match request {
            UnbanRequest::Each { addresses, networks } => self.unban_each(&self.asked(&addresses, &networks)),
            UnbanRequest::List(name) => self.unlist(name.as_deref()),
            UnbanRequest::All => self.unban_all(),
        }
    }

    fn unban_each(&mut self, asked: &[Asked]) -> Result<Begun, Fault> {
        let mut done = Done::default();
        for Asked { entry, .. } in asked {
            done.done.push(self.unban_one(*entry)?);
        }
        // Only now: an address and the network around it may have been named together.
        let holders: Vec<Holder> =
            asked.iter().filter_map(|Asked { itself, entry }| self.holder(*itself, *entry)).collect();
        let Some(first) = holders.first() else { return Ok((done, Vec::new())) };
        let stay: Vec<&str> = holders.iter().map(|holder| holder.told.as_str()).collect();
        let told = [done.done.join("; "), stay.join("; ")].join("; ");
        Err(Fault::new(Exit::Failure, told).hint(first.hint.clone()))
    }

    /// Lifts what bans exactly this source or network, and tells what that was.
    fn unban_one(&mut self, entry: Entry) -> Result<String, Fault> {
        let now = clock::now();
        let (network, scope) = entry;
        let configured = self.lists.naming(entry).filter(|list| list.name.is_configured());
        let stays = configured.map(|list| list.until).max().filter(|_| !self.is_exempt(network));
        self.write([(entry, stays)])?;
        let banned = self.ledger.remove(network);
        let listed = self.lists.remove(entry);
        if banned.is_some() || listed {
            self.metrics.unbanned(Unbanned::Manual, usize::from(banned.is_some()) + usize::from(listed));
        }
        self.policy.pardon(network, banned.as_ref(), now);
        if banned.is_some() || listed {
            info!(source = %network, listed, "unbanned by hand");
            return Ok(format!("unbanned {network}"));
        }
        let inside = self.inside(network);
        Ok(match scope {
            Scope::Source => format!("{network} was not banned; its score is cleared"),
            Scope::Network if inside > 0 => format!("{network} was not banned; {inside} bans inside it stay"),
            Scope::Network => format!("{network} was not banned"),
        })
    }

    /// How many bans and entries of lists lie in a network.
    pub(super) fn inside(&self, network: Network) -> usize {
        let bans = self.ledger.touching(network).filter(|ban| network.contains(&ban.network())).count();
        let (_, spans) = self.lists.touching(network);
        bans + spans.iter().map(|(_, range)| range.len()).sum::<usize>()
    }

    /// What still blocks somebody who was just unbanned, the narrowest network first.
    fn holder(&self, itself: Network, entry: Entry) -> Option<Holder> {
        if self.is_exempt(itself) {
            return None;
        }
        let now = clock::now();
        let shown = plain(itself);
        let (mut told, mut lift, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for list in self.lists.naming(entry) {
            let name = list.name.as_str();
            told.push((entry.0, format!("the configuration lists it in '{name}'")));
            out.push(format!("'{name}'"));
        }
        let bans = self.ledger.get(itself).into_iter().chain(self.ledger.around(itself));
        for ban in bans.filter(|ban| !ban.is_over(now) && ban.network() != entry.0) {
            let network = ban.network();
            told.push((network, format!("it lies in {network}, which is banned")));
            lift.push(network.to_string());
        }
        let lists = self.lists.around(itself);
        for (list, (network, _)) in lists.filter(|(_, around)| *around != entry && !self.is_exempt(around.0))
        {
            let name = list.name.as_str();
            told.push((network, format!("it lies in {network}, which '{name}' lists")));
            if list.name.is_configured() {
                out.push(format!("'{name}'"));
            } else {
                lift.push(network.to_string());
            }
        }
        if told.is_empty() {
            return None;
        }
        told.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix()));
        let told: Vec<String> = told.into_iter().map(|(_, told)| told).collect();
        lift.dedup();
        let mut ways = Vec::new();
        if !lift.is_empty() {
            ways.push(format!("lift that: ssh-guard unban {}", lift.join(" ")));
        }
        if !out.is_empty() {
            ways.push(format!("take it out of {} and restart the daemon", out.join(", ")));
        }
        let (told, ways) = (told.join(", and "), ways.join("; "));
        Some(Holder {
            told: format!("{shown} stays blocked: {told}"),
            hint: format!("{ways}; or let it pass: ssh-guard allow {shown}"),
        })
    }

    /// Whether what a source sends is dropped, because of a ban or a list, of it or of a network around it.
    pub(super) fn is_blocked(&self, source: Network, now: Moment) -> bool {
        let listed = |entry: Entry| self.lists.until(entry).is_some_and(|until| until > now);
        self.ledger.is_banned(source, now)
            || self.ledger.around(source).any(|ban| !ban.is_over(now))
            || listed((source, Scope::Source))
            || self.lists.around(source).any(|(_, entry)| listed(entry))
    }

    /// Lifts what was loaded from a file, or from standard inputs.
    fn unlist(&mut self, name: Option<&str>) -> Result<Begun, Fault> {
        let which = |list: &crate::lists::List| {
            !list.name.is_configured() && list.name.as_str() == name.unwrap_or("standard input")
        };
        let (spans, told) = self.end_lists(which, Unbanned::Manual);
        if told.is_empty() {
            let name = name.unwrap_or("standard input");
            let loaded: Vec<String> =
                self.lists.iter().map(|list| format!("'{}'", list.name.as_str())).collect();
            let fault = Fault::new(Exit::Failure, format!("no list '{name}' was loaded"));
            return Err(if loaded.is_empty() {
                fault
            } else {
                fault.hint(format!("in force are {}", loaded.join(", ")))
            });
        }
        Ok((Done { done: told }, spans))
    }

    fn unban_all(&mut self) -> Result<Begun, Fault> {
        let now = clock::now();
        let mut done = Done::default();
        let banned: Vec<Entry> = self.ledger.after(None).map(Ban::entry).collect();
        for entry in banned {
            let lifted = self.lift(entry, Unbanned::Manual)?;
            self.policy.pardon(entry.0, lifted.as_ref(), now);
            info!(source = %entry.0, "unbanned by hand");
            done.done.push(format!("unbanned {}", entry.0));
        }
        let (spans, told) = self.end_lists(|list| !list.name.is_configured(), Unbanned::Manual);
        done.done.extend(told);
        if done.done.is_empty() {
            done.done.push("nobody was banned".to_owned());
        }
        for list in self.lists.iter() {
            let (name, entries) = (list.name.as_str(), list.entries.len());
            done.done.push(format!("{entries} that the configuration lists in '{name}' stay blocked"));
        }
        Ok((done, spans))
    }
}

/// What still blocks somebody.
struct Holder {
    told: String,
    hint: String,
}

/// As people write it: an address, or a network.
pub(in crate::daemon) fn plain(network: Network) -> String {
    let whole = if network.is_v4() { 32 } else { 128 };
    if network.prefix() == whole { network.first().to_string() } else { network.to_string() }
}

fn is_special(network: Network) -> bool {
    Protected::special_in(network).any(|special| special == network)
}

/// Refuses a reason that would fill the memory.
pub(in crate::daemon) fn check_reason(reason: Option<&str>) -> Result<(), Fault> {
    if reason.is_some_and(|reason| reason.len() > REASON_BYTES) {
        let what = format!("the reason is longer than {REASON_BYTES} bytes");
        return Err(Fault::new(Exit::Usage, what).hint("shorten it"));
    }
    Ok(())
}

/// The longest reason that is kept with a ban.
const REASON_BYTES: usize = 1024;
