//! What is asked of the guard, and how to ask it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use ssh_guard_common::source::Source;
use tokio::sync::{mpsc, oneshot};

use super::allow_files::Reallowed;
use super::board::Board;
use super::caller::{self, Caller};
use super::guard::{check_reason, length};
use super::poster::Poster;
use super::sampler::{Sight, Tally};
use super::sessions;
use crate::control::api::{
    AllowRequest, Allowlist, BanRequest, Bans, ConfirmRequest, DetachRequest, DisallowRequest, Done,
    ListRequest, ResyncRequest, Sessions, Sources, Status, UnbanRequest, Why,
};
use crate::control::events::{Batch, Declined, EventsTaken, Form};
use crate::control::{Desk, Peer};
use crate::fault::{Exit, Fault};
use crate::lists::parse::Listed;
use crate::lists::{Entries, ListName};
use crate::network::Network;

/// A question or an order to the guard, with the way back for its answer.
pub(super) enum Command {
    Bans { after: Option<Network>, limit: usize, answer: oneshot::Sender<Bans> },
    Allowed { after: Option<Network>, limit: usize, answer: oneshot::Sender<Allowlist> },
    Describe { sources: Vec<(Source, Tally)>, answer: oneshot::Sender<Sources> },
    Why { asked: Network, answer: oneshot::Sender<Why> },
    Dropped { addresses: Vec<IpAddr>, answer: oneshot::Sender<Vec<IpAddr>> },
    Resync { answer: Reply },
    Ban { request: BanRequest, caller: Caller, answer: Reply },
    Load { list: NewList, answer: Reply },
    Unban { request: UnbanRequest, answer: Reply },
    Allow { request: AllowRequest, answer: Reply },
    Disallow { request: DisallowRequest, caller: Caller, answer: Reply },
    Confirm { caller: Caller, answer: Reply },
    Reallow { change: Reallowed },
}

/// A list to be put in force.
pub(super) struct NewList {
    pub(super) name: ListName,
    pub(super) entries: Entries,
    pub(super) length: Option<Duration>,
    pub(super) reason: Option<String>,
    pub(super) forced: bool,
    pub(super) caller: Caller,
}

impl Command {
    /// Whether it may change which lists are in force, or what they hold.
    pub(super) fn changes_lists(&self) -> bool {
        match self {
            Self::Load { .. } | Self::Unban { .. } | Self::Confirm { .. } => true,
            Self::Bans { .. }
            | Self::Allowed { .. }
            | Self::Describe { .. }
            | Self::Why { .. }
            | Self::Dropped { .. }
            | Self::Resync { .. }
            | Self::Ban { .. }
            | Self::Allow { .. }
            | Self::Disallow { .. }
            | Self::Reallow { .. } => false,
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Done, Fault>>;

/// The control socket's way to the guard.
pub(super) struct Counter {
    pub(super) board: Board,
    pub(super) sight: Sight,
    pub(super) guard: mpsc::Sender<Command>,
    /// The way to the keeper: orders to let go.
    pub(super) keeper: mpsc::Sender<Reply>,
    /// Takes what applications post.
    pub(super) poster: Poster,
}

impl Counter {
    async fn ask<A>(&self, command: impl FnOnce(oneshot::Sender<A>) -> Command) -> Result<A, Fault> {
        let gone = || Fault::new(Exit::NoDaemon, "the daemon is shutting down");
        let (answer, answered) = oneshot::channel();
        self.guard.send(command(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Counter {
    /// Finds out where a command comes from, unless that is no matter.
    async fn caller(&self, peer: Peer, forced: bool) -> Result<Caller, Fault> {
        if forced {
            return Ok(Caller::Nowhere);
        }
        let ports = Arc::clone(&self.sight.ports);
        // Going through files takes longer than others may wait.
        let found = tokio::task::spawn_blocking(move || caller::find(&peer, &ports)).await;
        found.map_err(|error| {
            Fault::new(Exit::Failure, "cannot find out where the command comes from").because(error)
        })
    }

    /// Says so if what is banned is dropped nowhere.
    fn doubts(&self) -> Option<String> {
        let attached = self.board.status().interfaces.iter().any(|interface| interface.attached);
        (!attached)
            .then(|| "but nothing is attached: nobody is dropped anywhere (ssh-guard status)".to_owned())
    }

    fn with_doubts(&self, mut done: Done) -> Done {
        done.done.extend(self.doubts());
        done
    }
}

impl Desk for Counter {
    fn status(&self) -> Status {
        self.board.status()
    }

    async fn bans(&self, after: Option<Network>, limit: usize) -> Result<Bans, Fault> {
        self.ask(|answer| Command::Bans { after, limit, answer }).await
    }

    async fn allowlist(&self, after: Option<Network>, limit: usize) -> Result<Allowlist, Fault> {
        self.ask(|answer| Command::Allowed { after, limit, answer }).await
    }

    async fn sources(&self, limit: usize) -> Result<Sources, Fault> {
        let sources = self.sight.busiest(limit).await?;
        self.ask(|answer| Command::Describe { sources, answer }).await
    }

    async fn why(&self, asked: Network) -> Result<Why, Fault> {
        let mut why = self.ask(|answer| Command::Why { asked, answer }).await?;
        why.steps.extend(self.doubts());
        Ok(why)
    }

    async fn sessions(&self, of: Option<Network>, limit: usize) -> Result<Sessions, Fault> {
        let Sight { book, mask, clock, .. } = self.sight.clone();
        // Sorting a hundred thousand takes longer than others may wait.
        let told = move || sessions::lock(&book).tell(of, limit, mask, &clock);
        let told = tokio::task::spawn_blocking(told).await;
        told.map_err(|error| Fault::new(Exit::Failure, "cannot read the sessions").because(error))
    }

    async fn resync(&self, _: ResyncRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Resync { answer }).await?
    }

    async fn ban(&self, request: BanRequest, peer: Peer) -> Result<Done, Fault> {
        let caller = self.caller(peer, request.force).await?;
        let done = self.ask(|answer| Command::Ban { request, caller, answer }).await?;
        done.map(|done| self.with_doubts(done))
    }

    async fn list(&self, request: ListRequest, listed: Listed, peer: Peer) -> Result<Done, Fault> {
        let ListRequest { name, seconds, reason, force } = request;
        let length = seconds.map(length).transpose()?;
        check_reason(reason.as_deref())?;
        let mask = self.sight.mask;
        // Sorting a million takes longer than others may wait.
        let entries = tokio::task::spawn_blocking(move || Entries::new(listed, mask)).await;
        let entries =
            entries.map_err(|error| Fault::new(Exit::Failure, "cannot sort the list").because(error))?;
        let name = name.map_or(ListName::Input, |name| ListName::File(name.into()));
        let caller = self.caller(peer, force).await?;
        let list = NewList { name, entries, length, reason, forced: force, caller };
        let done = self.ask(|answer| Command::Load { list, answer }).await?;
        done.map(|done| self.with_doubts(done))
    }

    async fn unban(&self, request: UnbanRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Unban { request, answer }).await?
    }

    async fn allow(&self, request: AllowRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Allow { request, answer }).await?
    }

    async fn disallow(&self, request: DisallowRequest, peer: Peer) -> Result<Done, Fault> {
        let caller = self.caller(peer, request.force).await?;
        self.ask(|answer| Command::Disallow { request, caller, answer }).await?
    }

    async fn confirm(&self, _: ConfirmRequest, peer: Peer) -> Result<Done, Fault> {
        let caller = self.caller(peer, false).await?;
        self.ask(|answer| Command::Confirm { caller, answer }).await?
    }

    async fn events(&self, form: Form, body: Bytes) -> Result<EventsTaken, Declined> {
        let limit = self.poster.line_bytes;
        // Thousands of lines take longer than others may wait.
        let parsed = tokio::task::spawn_blocking(move || Batch::parse(form, &body, limit)).await;
        self.poster.take(parsed.map_err(|_| Declined::Ending)?).await
    }

    async fn detach(&self, DetachRequest {}: DetachRequest) -> Result<Done, Fault> {
        let gone = || Fault::new(Exit::NoDaemon, "the daemon is shutting down");
        let (answer, answered) = oneshot::channel();
        self.keeper.send(answer).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}
