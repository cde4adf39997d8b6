//! What is asked of the guard, and how to ask it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ssh_guard_common::records::SourceRecord;
use ssh_guard_common::source::Source;
use tokio::sync::{mpsc, oneshot};

use super::board::Board;
use super::sampler::busiest;
use crate::control::Desk;
use crate::control::api::{
    AllowRequest, BanRequest, Bans, DisallowRequest, Done, Sources, Status, UnbanRequest,
};
use crate::fault::{Exit, Fault};
use crate::kernel::Sampler;

/// A question or an order to the guard, with the way back for its answer.
pub(super) enum Command {
    Bans { after: Option<IpAddr>, limit: usize, answer: oneshot::Sender<Bans> },
    Describe { sources: Vec<(Source, SourceRecord)>, answer: oneshot::Sender<Sources> },
    Ban { request: BanRequest, answer: Reply },
    Unban { request: UnbanRequest, answer: Reply },
    Allow { request: AllowRequest, answer: Reply },
    Disallow { request: DisallowRequest, answer: Reply },
}

pub(super) type Reply = oneshot::Sender<Result<Done, Fault>>;

/// The control socket's way to the guard.
pub(super) struct Counter {
    pub(super) board: Board,
    pub(super) sampler: Arc<Mutex<Sampler>>,
    pub(super) guard: mpsc::Sender<Command>,
}

impl Counter {
    async fn ask<A>(&self, command: impl FnOnce(oneshot::Sender<A>) -> Command) -> Result<A, Fault> {
        let gone = || Fault::new(Exit::NoDaemon, "the daemon is shutting down");
        let (answer, answered) = oneshot::channel();
        self.guard.send(command(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Desk for Counter {
    fn status(&self) -> Status {
        self.board.status()
    }

    async fn bans(&self, after: Option<IpAddr>, limit: usize) -> Result<Bans, Fault> {
        self.ask(|answer| Command::Bans { after, limit, answer }).await
    }

    async fn sources(&self, limit: usize) -> Result<Sources, Fault> {
        let sources = busiest(&self.sampler, limit).await?;
        self.ask(|answer| Command::Describe { sources, answer }).await
    }

    async fn ban(&self, request: BanRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Ban { request, answer }).await?
    }

    async fn unban(&self, request: UnbanRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Unban { request, answer }).await?
    }

    async fn allow(&self, request: AllowRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Allow { request, answer }).await?
    }

    async fn disallow(&self, request: DisallowRequest) -> Result<Done, Fault> {
        self.ask(|answer| Command::Disallow { request, answer }).await?
    }
}
