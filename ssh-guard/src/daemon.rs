//! The daemon: builds everything, in an order in which a failure leaves nothing behind; watches over the tasks; ends
//! them in order.
//!
//! | task | does |
//! |---|---|
//! | one for each input | reads lines, makes auth events of them, hands those to the guard |
//! | guard | owns who is banned; the only writer of the maps |
//! | closer | ends the sockets of whoever is dropped; not in a dry run |
//! | sessions | counts sessions every second: who is authenticated, who may open no more, where operators are logged in from |
//! | allowlist | reads the files of the allowlist again when they change |
//! | operators | asks who belongs to a group of operators |
//! | keeper | attaches the programs, and sees to it that they stay attached |
//! | store | writes every second how far the inputs were read |
//! | sampler | reads every second what the programs count |
//! | control | answers on the control socket |
//! | http | answers scrapes |
//!
//! On SIGTERM the inputs end first, then the guard, once it has judged all they heard, then the store, then those that answer. What is
//! pinned stays in force: the program, the blocks, their ends.

mod adopt;
mod allow_files;
mod board;
mod caller;
mod closer;
mod command;
mod configured;
mod dating;
mod guard;
mod intake;
mod keeper;
mod operators;
mod positions;
mod poster;
mod sampler;
mod seldom;
mod sessions;
mod start;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Settings;
use crate::fault::{Exit, Fault};
pub(crate) use configured::{capacity, read as read_lists};
pub(crate) use keeper::told_detached;
use start::Stages;
pub(crate) use start::programs;

/// Guards until SIGTERM or SIGINT.
///
/// # Errors
/// If it cannot start; nothing is attached then that was not before.
pub async fn run(settings: Settings) -> Result<(), Fault> {
    let mut terminate = handle(SignalKind::terminate())?;
    let mut interrupt = handle(SignalKind::interrupt())?;
    let mut stages = start::start(settings).await?;
    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        task = stages.any_ends() => Err(task),
    };
    info!("ending; what is blocked stays blocked until its end");
    stages.end().await;
    ended
}

fn handle(kind: SignalKind) -> Result<Signal, Fault> {
    signal(kind).map_err(|error| Fault::new(Exit::Failure, "cannot handle signals").because(error))
}

/// Tasks that end together.
struct Stage {
    name: &'static str,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Stage {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: JoinSet::new(), stop: CancellationToken::new() }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, task: impl FnOnce(CancellationToken) -> F) {
        self.tasks.spawn(task(self.stop.clone()));
    }

    /// Waits until a task of it ends, which none does by itself.
    async fn any_ends(&mut self) -> Fault {
        match self.tasks.join_next().await {
            Some(Err(error)) => {
                Fault::new(Exit::Failure, format!("a task of '{}' broke down", self.name)).because(error)
            }
            Some(Ok(())) => Fault::new(Exit::Failure, format!("a task of '{}' ended by itself", self.name)),
            None => std::future::pending().await,
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            warn!(stage = self.name, "did not end in time");
            self.tasks.abort_all();
        }
    }
}

/// How long a stage may take to end. There are four of them; service managers wait 90 s by default.
const GRACE: Duration = Duration::from_secs(5);

impl Stages {
    async fn any_ends(&mut self) -> Fault {
        tokio::select! {
            fault = self.inputs.any_ends() => fault,
            fault = self.guard.any_ends() => fault,
            fault = self.store.any_ends() => fault,
            fault = self.answering.any_ends() => fault,
        }
    }

    async fn end(self) {
        let Self { inputs, guard, store, answering } = self;
        inputs.end().await;
        guard.end().await;
        store.end().await;
        answering.end().await;
    }
}
