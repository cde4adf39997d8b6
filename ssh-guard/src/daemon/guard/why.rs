//! Why an address is blocked, or is not.

use ssh_guard_common::time::is_over;
use ssh_guard_common::verdict::Verdict;

use super::Guard;
use super::banning::plain;
use super::dropped::Purpose;
use crate::allowlist::Covered;
use crate::ban::{Ban, Scope};
use crate::clock;
use crate::control::api::{AllowedEntry, EventEntry, Why};
use crate::lists::{Entry, List};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::evidence::{Part, Trace};
use crate::policy::why::Explanation;

/// What was asked for, and all that may block it.
struct Case<'a> {
    /// As it was asked for.
    itself: Network,
    /// What is banned for it: its source, or the network.
    entry: Entry,
    /// Its own ban.
    ban: Option<&'a Ban>,
    /// The bans around it, the widest first.
    around: Vec<&'a Ban>,
    /// The lists that name it, or a network around it.
    listed: Vec<(&'a List, Entry)>,
    verdict: Answered,
}

/// What becomes of its packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    NeverBanned(&'static str),
    Is(Verdict),
}

impl Guard {
    /// Says all that is known of an address, or a network; what is narrower than a source stands for its source.
    pub(super) fn tell_why(&self, asked: Network) -> Why {
        let now = clock::now();
        let case = self.case(asked, now);
        let (network, _) = case.entry;
        let explanation = self.policy.explain(network, now);
        let wall = |moment: Moment| clock::wall(moment).to_string();
        let mut steps = explanation.steps(case.ban, now, wall);
        let lists = || case.listed.iter().map(|(list, entry)| self.tell_listed(*entry, list, now));
        let told = |ban: &Ban| self.tell_ban(ban, now);
        let (ban, networks) = (case.ban.map(told), case.around.iter().map(|ban| told(ban)).collect());
        self.tell_beside(&case, &mut steps);
        let drift = self.tell_drift(&case, now, &mut steps);
        Why {
            source: plain(network),
            verdict: case.verdict.as_str().to_owned(),
            answer: self.answer(&case, &explanation, now),
            rule: ban.as_ref().map(|ban| ban.rule.clone()),
            ban,
            networks,
            lists: lists().collect(),
            allowed: self.allowed(case.itself),
            known_good: explanation.known_good.map_or(0, |known| known.accounts),
            in_kernel: self.is_in_kernel(case.entry, now),
            drift,
            score: explanation.score.total().value(),
            threshold: explanation.threshold.value(),
            events: explanation.events.iter().map(|trace| tell_event(trace, &explanation, now)).collect(),
            steps,
            undo: case.undo(),
        }
    }

    fn case(&self, asked: Network, now: Moment) -> Case<'_> {
        let source = self.mask.apply(asked.first());
        let source = Network::new(source, self.mask.prefix_of(source));
        let is_source = source.contains(&asked);
        let entry = if is_source { (source, Scope::Source) } else { (asked, Scope::Network) };
        let in_force = |ban: &&Ban| !ban.is_over(now);
        let bans = self.ledger.around(asked).chain(self.ledger.get(asked)).filter(in_force);
        let around = bans.filter(|ban| ban.entry() != entry).collect();
        let naming = self.lists.naming(entry).map(|list| (list, entry));
        let listed = self.lists.around(asked).filter(|(_, around)| *around != entry).chain(naming);
        let verdict = if let Some(why) = self.protected.why_not(&asked) {
            Answered::NeverBanned(why.as_str())
        } else if self.is_exempt(asked) {
            Answered::Is(Verdict::Allowed)
        } else if is_source && self.is_source_blocked(source, Purpose::Packets, now) {
            Answered::Is(Verdict::Blocked)
        } else if self.is_in_blocked_network(asked, Purpose::Packets, now)
            && !(is_source && self.is_known_good(source, now))
        {
            Answered::Is(Verdict::BlockedNetwork)
        } else {
            Answered::Is(Verdict::Passed)
        };
        Case {
            itself: asked,
            entry,
            ban: self.ledger.get(entry.0).filter(in_force),
            around,
            listed: listed.collect(),
            verdict,
        }
    }

    /// The answer in a sentence, for whoever reads no further.
    fn answer(&self, case: &Case<'_>, explanation: &Explanation, now: Moment) -> String {
        let shown = plain(case.itself);
        let blocked = if self.dry_run { "would be blocked, were this no dry run," } else { "is blocked" };
        match case.verdict {
            Answered::NeverBanned(why) => format!("{shown} is never banned: it is {why}"),
            Answered::Is(Verdict::Allowed) => match self.allowed(case.itself) {
                Some(AllowedEntry { network, .. }) => {
                    format!("{shown} passes: it is in the allowlist, which holds {network}")
                }
                None => format!("{shown} passes: it is in the allowlist"),
            },
            Answered::Is(verdict) if verdict.drops() => {
                let (until, why) = self.strongest(case);
                match until {
                    Some(until) => format!("{shown} {blocked} until {until}: {why}"),
                    None => format!("{shown} {blocked} until that is lifted: {why}"),
                }
            }
            Answered::Is(_) if !case.is_free() => {
                format!("{shown} is not blocked, although a network around it is: its source is known-good")
            }
            Answered::Is(_) if explanation.is_source => {
                format!("{shown} is not blocked: {}", explanation.sum(now))
            }
            Answered::Is(_) => {
                format!("{shown} is not blocked as such; {} bans lie in it", self.inside(case.itself))
            }
        }
    }

    /// What blocks it for longest, and until when, if that has an end.
    fn strongest(&self, case: &Case<'_>) -> (Option<jiff::Timestamp>, String) {
        let bans = case.ban.into_iter().chain(case.around.iter().copied());
        let own = case.entry;
        let lies =
            |entry: Entry| if entry == own { String::new() } else { format!("it lies in {}, ", entry.0) };
        let banned = bans.map(|ban| {
            let rule = ban.note.as_deref().unwrap_or(&ban.rule);
            let which = if ban.entry() == own { String::new() } else { "which is banned: ".to_owned() };
            (ban.until, format!("{}{which}{rule}", lies(ban.entry())))
        });
        let listed = case.listed.iter().filter(|(_, entry)| !self.is_exempt(entry.0)).map(|(list, entry)| {
            let which = if *entry == own { "it is listed in" } else { "which is listed in" };
            (list.until, format!("{}{which} '{}'", lies(*entry), list.name.as_str()))
        });
        match banned.chain(listed).max_by_key(|(until, _)| *until) {
            Some((until, why)) => (Some(until).filter(|until| until.comes()).map(clock::wall), why),
            None => (None, "its block is about to end".to_owned()),
        }
    }

    fn allowed(&self, itself: Network) -> Option<AllowedEntry> {
        let network = self.allowlist.network_of(itself)?;
        let until = self.allowlist.iter().find_map(|(other, until)| (other == network).then_some(until))?;
        Some(AllowedEntry { network: plain(network), until: until.map(clock::wall) })
    }

    /// Adds what follows from networks, lists and the allowlist.
    fn tell_beside(&self, case: &Case<'_>, steps: &mut Vec<String>) {
        for ban in &case.around {
            let until = clock::wall(ban.until);
            steps.push(format!("it lies in {}, which is banned until {until}: {}", ban.network(), ban.rule));
        }
        for (list, entry) in &case.listed {
            let name = list.name.as_str();
            let what =
                if *entry == case.entry { "it".to_owned() } else { format!("{}, around it,", entry.0) };
            steps.push(if list.name.is_configured() {
                format!("{what} is listed in '{name}' of the configuration, as long as it stands there")
            } else {
                format!("{what} is listed in '{name}', which was loaded by hand")
            });
        }
        let (network, _) = case.entry;
        if self.allowlist.covers(network.first(), network.prefix()) == Covered::Part {
            steps.push(format!("parts of {network} are in the allowlist, and excepted from any block"));
        }
        if self.dry_run {
            steps.push("this is a dry run: nothing is dropped".to_owned());
        }
    }

    /// Adds what the kernel has, where that is not what it should have, and says whether it is so.
    fn tell_drift(&self, case: &Case<'_>, now: Moment, steps: &mut Vec<String>) -> bool {
        let before = steps.len();
        let around =
            case.around.iter().map(|ban| ban.entry()).chain(case.listed.iter().map(|(_, entry)| *entry));
        for entry in std::iter::once(case.entry).chain(around.filter(|entry| *entry != case.entry)) {
            let until = self.until(entry);
            let has = self.is_in_kernel(entry, now);
            if until.is_some_and(|until| until > now) && !has {
                steps.push(format!("the kernel does not have the block of {}: ssh-guard resync", entry.0));
            } else if until.is_none() && has {
                let nobody = "and nothing here calls for it: ssh-guard resync";
                steps.push(format!("the kernel has a block of {}, {nobody}", entry.0));
            }
        }
        steps.len() > before
    }

    fn is_in_kernel(&self, entry: Entry, now: Moment) -> bool {
        let now = self.maps.clock.ticks_of(now);
        self.block_of(entry).is_some_and(|block| !is_over(block.until(), now))
    }
}

impl Case<'_> {
    fn is_free(&self) -> bool {
        self.ban.is_none() && self.around.is_empty() && self.listed.is_empty()
    }

    /// The command that lets it in.
    fn undo(&self) -> Option<String> {
        if !matches!(self.verdict, Answered::Is(verdict) if verdict.drops()) {
            return None;
        }
        if self.listed.iter().any(|(list, _)| list.name.is_configured()) {
            return Some(format!("ssh-guard allow {}", plain(self.itself)));
        }
        let bans = self.ban.into_iter().chain(self.around.iter().copied()).map(Ban::network);
        let listed = self.listed.iter().map(|(_, (network, _))| *network);
        let mut holders: Vec<Network> = bans.chain(listed).collect();
        // Whoever unbans an address is told of the networks that still hold it.
        holders.sort_by_key(Network::prefix);
        holders.dedup();
        let holders: Vec<String> = holders.into_iter().map(plain).collect();
        (!holders.is_empty()).then(|| format!("ssh-guard unban {}", holders.join(" ")))
    }
}

impl Answered {
    fn as_str(self) -> &'static str {
        match self {
            Self::NeverBanned(_) => "never_banned",
            Self::Is(verdict) => verdict.as_str(),
        }
    }
}

fn tell_event(trace: &Trace, explanation: &Explanation, now: Moment) -> EventEntry {
    let counts = match trace.part {
        Part::Score if explanation.is_outdated(trace, now) => "outdated",
        Part::Score => "score",
        Part::Ban => "ban",
        Part::Earlier => "earlier",
        Part::Cleared => "cleared",
        Part::Login => "login",
    };
    EventEntry {
        at: clock::wall(trace.at),
        event: trace.outcome.as_str().to_owned(),
        kind: trace.kind.as_str().to_owned(),
        user: trace.user.as_ref().map(ToString::to_string),
        count: trace.count,
        weight: trace.weight.value(),
        counts: counts.to_owned(),
        known_good: trace.own,
        bait: trace.bait,
        line: trace.line.as_ref().map(|line| String::from_utf8_lossy(line).into_owned()),
    }
}
