//! `ssh-guard detach`.

use std::path::PathBuf;

use clap::Args;

use super::alone;
use super::ban::tell;
use crate::control::Client;
use crate::control::api::DetachRequest;
use crate::fault::{Exit, Fault};

#[derive(Args, Debug)]
pub(super) struct Detach {}

impl Detach {
    /// `pin_path` says where the pins lie, should no daemon answer.
    pub(super) async fn act(
        self,
        daemon: &Client,
        pin_path: impl FnOnce() -> Result<PathBuf, Fault>,
    ) -> Result<(), Fault> {
        let Self {} = self;
        match daemon.post_soon("/v1/detach", &DetachRequest {}).await {
            Err(fault) if fault.exit() == Exit::NoDaemon => tell(&alone::detach(&pin_path()?).await?),
            answered => tell(&answered?),
        }
    }
}
