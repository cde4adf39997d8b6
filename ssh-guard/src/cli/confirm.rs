//! `ssh-guard confirm`.

use super::ban::tell;
use crate::control::Client;
use crate::control::api::ConfirmRequest;
use crate::fault::Fault;

pub(super) async fn act(daemon: &Client) -> Result<(), Fault> {
    tell(&daemon.post("/v1/confirm", &ConfirmRequest {}).await?)
}
