//! What takes the guard longer than others may wait: it does a part of it at a time, between commands and events, and
//! answers when the last part is in force.
//!
//! A list is counted first, then it is in force as a whole, then its entries are written; a failure on the way takes it
//! back. What ends, or is allowed, is settled in parts as well: each entry's block is made what bans and lists say then.

use std::collections::VecDeque;

use tracing::{info, warn};

use super::super::command::{Command, NewList, Reply};
use super::Guard;
use super::remarks::Remarks;
use super::trial::{AtRisk, Change};
use crate::ban::{Reason, Scope};
use crate::clock;
use crate::control::api::Done;
use crate::daemon::caller::Caller;
use crate::fault::{Exit, Fault};
use crate::lists::{Entry, List, ListName, MOST_LISTS, Size, Span};
use crate::moment::Moment;
use crate::network::Network;
use crate::observe::Unbanned;

/// What is under way, and what waits for it.
#[derive(Default)]
pub(in crate::daemon) struct Work {
    jobs: VecDeque<Job>,
    /// Commands that change lists, which no job could bear.
    waiting: VecDeque<Command>,
}

enum Job {
    Count(Box<Counting>),
    Enter(Box<Entering>),
    Settle(Settling),
}

/// Finds out what a list holds and whether there is room for it, and changes nothing.
struct Counting {
    list: List,
    at: usize,
    new: Size,
    /// Of these, bans of an earlier daemon that the list takes the place of.
    absorbed: Size,
    remarks: Remarks,
    forced: bool,
    caller: Caller,
    answer: Reply,
}

/// Writes the entries of a list that is in force.
struct Entering {
    list: List,
    at: usize,
    replaced: Option<List>,
    done: Done,
    answer: Reply,
}

/// Makes blocks what bans and lists say.
pub(super) struct Settling {
    pub(super) spans: VecDeque<Span>,
    /// Whether these are the entries of a list that is no more.
    pub(super) gone: bool,
    pub(super) answer: Option<(Reply, Result<Done, Fault>)>,
}

/// Entries that are looked at or written in one part: a millisecond or two.
const PART: usize = 2048;

const FORCE: &str = "if that is meant, add --force";

impl Work {
    pub(super) fn is_under_way(&self) -> bool {
        !self.jobs.is_empty()
    }
}

impl Guard {
    /// Keeps a command that changes lists while work on one is under way; gives back any other.
    pub(super) fn put_off(&mut self, command: Command) -> Option<Command> {
        if !self.work.is_under_way() || !command.changes_lists() {
            return Some(command);
        }
        self.work.waiting.push_back(command);
        None
    }

    /// Does the next part of what is under way.
    pub(super) fn work(&mut self) {
        let Some(job) = self.work.jobs.pop_front() else { return };
        let next = match job {
            Job::Count(counting) => self.count(counting),
            Job::Enter(entering) => Some(self.enter(entering)),
            Job::Settle(settling) => self.settle_part(settling),
        };
        if let Some(job) = next {
            self.work.jobs.push_front(job);
        }
        self.publish();
        while !self.work.is_under_way()
            && let Some(command) = self.work.waiting.pop_front()
        {
            self.obey(command);
        }
    }

    /// Begins to put a list in force.
    pub(super) fn load(&mut self, new: NewList, answer: Reply) {
        let now = clock::now();
        let replaces = self.lists.iter().any(|list| list.name.is_file() && list.name == new.name);
        if self.lists.len() >= MOST_LISTS && !replaces {
            let many = format!("{MOST_LISTS} lists are in force, and no more can be");
            let fault = Fault::new(Exit::Failure, many).hint("lift one: ssh-guard unban --file LIST");
            return reply(answer, Err(fault));
        }
        let list = List {
            name: new.name,
            entries: new.entries.into(),
            since: now,
            until: new.length.map_or(Moment::UNTIL_LIFTED, |length| now.plus(length)),
            note: new.reason.map(Into::into),
        };
        let (new, forced, caller) = (Size::default(), new.forced, new.caller);
        let (absorbed, remarks) = (Size::default(), Remarks::default());
        let counting = Counting { list, at: 0, new, absorbed, remarks, forced, caller, answer };
        self.work.jobs.push_back(Job::Count(Box::new(counting)));
    }

    fn count(&mut self, mut counting: Box<Counting>) -> Option<Job> {
        let Counting { list, at, new, absorbed, remarks, forced, .. } = &mut *counting;
        let end = (*at + PART).min(list.entries.len());
        for entry in (*at..end).filter_map(|number| list.entries.get(number)) {
            if !self.lists.hold(entry) {
                *new.of(entry) += 1;
                *absorbed.of(entry) += usize::from(self.is_absorbed(entry, list));
            }
            remarks.note(entry, &self.protected, &self.allowlist, *forced);
        }
        *at = end;
        if end < list.entries.len() {
            return Some(Job::Count(counting));
        }
        let Counting { mut list, new, absorbed, remarks, forced, caller, answer, .. } = *counting;
        let checked = remarks
            .check(list.name.as_str(), FORCE)
            .and_then(|()| self.check_room(&list, new, absorbed))
            .and_then(|()| if forced { Ok(None) } else { self.check_listed(&list, caller) });
        let covered = match checked {
            Ok(covered) => covered,
            Err(fault) => {
                reply(answer, Err(fault));
                return None;
            }
        };
        // What it takes the place of stays beside a list that is on trial.
        let takes_place = list.name.is_file() && covered.is_none();
        let replaced = takes_place.then(|| self.lists.take(|other| other.name == list.name)).flatten();
        let mut done = remarks.tell(&list, replaced.is_some());
        if let Some(covered) = covered {
            let (name, since, until) = (list.name.clone(), list.since, list.until);
            done.done.extend(self.begin_trial(since, Change::List { name, since, until }, &covered));
            list.until = until.min(Self::trial_end(since));
        }
        self.lists.add(list.clone());
        self.lists.count(new);
        Some(Job::Enter(Box::new(Entering { list, at: 0, replaced, done, answer })))
    }

    /// Says whether a list covers the caller; refuses one that would cut an operator off.
    fn check_listed(&self, list: &List, caller: Caller) -> Result<Option<AtRisk>, Fault> {
        let covers = |address: Network| list.entries.touch(address);
        self.check_operators(covers)?;
        self.covers_caller(caller, covers).map(|covered| self.check_no_trial().map(|()| covered)).transpose()
    }

    /// Refuses a list that does not fit; bans that others could displace are no room for it.
    fn check_room(&self, list: &List, new: Size, absorbed: Size) -> Result<(), Fault> {
        for scope in Scope::ALL {
            let (free, new) = (self.ledger.free(scope), new.of_scope(scope) - absorbed.of_scope(scope));
            if new > free {
                let (what, limit) = (scope.plural(), scope.limit());
                let capacity = self.ledger.capacity(scope);
                let needed = capacity - free + new;
                return Err(Fault::new(
                    Exit::Failure,
                    format!(
                        "'{}' does not fit: it blocks {new} {what} more, and there is room for {free} of {capacity}; \
                         nothing is changed",
                        list.name.as_str()
                    ),
                )
                .hint(format!("set '{limit}' to {needed} or more, and restart the daemon")));
            }
        }
        Ok(())
    }

    /// Whether a list takes the place of a ban that an earlier daemon left: the same list, perhaps, as it was loaded then.
    fn is_absorbed(&self, (network, _): Entry, list: &List) -> bool {
        let ban = self.ledger.get(network);
        ban.is_some_and(|ban| ban.reason == Reason::Unknown && ban.until <= list.until)
    }

    fn enter(&mut self, mut entering: Box<Entering>) -> Job {
        let Entering { list, at, .. } = &mut *entering;
        let end = (*at + PART).min(list.entries.len());
        let part: Vec<Entry> = (*at..end).filter_map(|number| list.entries.get(number)).collect();
        *at = end;
        for entry in &part {
            if self.is_absorbed(*entry, list) {
                self.ledger.remove(entry.0);
            }
        }
        let entered = self.settle(part);
        if entered.is_ok() && end < list.entries.len() {
            return Job::Enter(entering);
        }
        let Entering { list, replaced, done, answer, .. } = *entering;
        let (gone, result) = match entered {
            Ok(()) => {
                let (name, entries) = (list.name.as_str(), list.entries.len());
                info!(list = name, entries, "listed");
                self.metrics.banned(Reason::List, entries);
                (replaced, Ok(done))
            }
            Err(fault) => {
                let name = list.name.as_str();
                warn!(list = name, error = fault.told(), "the list is taken back");
                let taken = self.lists.take(|other| other.name == list.name && other.since == list.since);
                self.abandon_trial_of(&list);
                if let Some(replaced) = replaced {
                    self.lists.add(replaced);
                }
                (taken, Err(fault))
            }
        };
        let spans = gone.iter().map(List::span).collect();
        Job::Settle(Settling { spans, gone: true, answer: Some((answer, result)) })
    }

    /// Takes the lists out of force that `which` says, and tells each; their entries are settled by and by.
    pub(super) fn end_lists(
        &mut self,
        which: impl Fn(&List) -> bool,
        cause: Unbanned,
    ) -> (Vec<Span>, Vec<String>) {
        let (mut spans, mut told) = (Vec::new(), Vec::new());
        while let Some(list) = self.lists.take(&which) {
            let (name, entries) = (list.name.as_str(), list.entries.len());
            info!(list = name, entries, cause = cause.as_str(), "listed no more");
            self.metrics.unbanned(cause, entries);
            told.push(format!("lifted what '{name}' lists: {entries} sources and networks"));
            spans.push(list.span());
        }
        (spans, told)
    }

    /// Settles these, at once if they are few.
    pub(super) fn settle_spans(&mut self, settling: Settling) {
        self.work.jobs.push_back(Job::Settle(settling));
    }

    /// Brings the blocks of what is listed in line with the allowlist, where they touch a network. Gives back what is too
    /// much to be done at once.
    pub(super) fn settle_listed(&mut self, network: Network) -> Result<Vec<Span>, Fault> {
        let (around, spans) = self.lists.touching(network);
        self.settle(around)?;
        if spans.iter().map(|(_, range)| range.len()).sum::<usize>() > PART {
            return Ok(spans);
        }
        for (entries, range) in spans {
            self.settle(range.filter_map(|number| entries.get(number)).collect::<Vec<_>>())?;
        }
        Ok(Vec::new())
    }

    fn settle_part(&mut self, mut settling: Settling) -> Option<Job> {
        let mut left = PART;
        while left > 0
            && let Some((entries, range)) = settling.spans.front_mut()
        {
            let end = (range.start + left).min(range.end);
            let part: Vec<Entry> = (range.start..end).filter_map(|number| entries.get(number)).collect();
            left -= end - range.start;
            range.start = end;
            if range.start == range.end {
                settling.spans.pop_front();
            }
            for entry in part.iter().filter(|_| settling.gone) {
                if !self.lists.hold(*entry) {
                    self.lists.uncount(*entry);
                }
            }
            if let Err(fault) = self.settle(part) {
                warn!(error = fault.told(), "what is listed no more may stay in the kernel");
                if let Some((_, result)) = &mut settling.answer
                    && result.is_ok()
                {
                    *result = Err(fault);
                }
            }
        }
        if !settling.spans.is_empty() {
            return Some(Job::Settle(settling));
        }
        if let Some((answer, result)) = settling.answer {
            reply(answer, result);
        }
        None
    }

    /// Ends the lists whose time is over, unless other work is under way.
    pub(super) fn expire_lists(&mut self, now: Moment) {
        if self.work.is_under_way() {
            return;
        }
        let (spans, _) = self.end_lists(|list| list.until <= now, Unbanned::Expired);
        if !spans.is_empty() {
            self.settle_spans(Settling { spans: spans.into(), gone: true, answer: None });
        }
    }
}

impl ListName {
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// Answers; whoever asked may have gone meanwhile, and that changes nothing.
pub(super) fn reply(answer: Reply, result: Result<Done, Fault>) {
    if answer.send(result).is_err() {
        tracing::debug!("nobody waits for the answer");
    }
}
