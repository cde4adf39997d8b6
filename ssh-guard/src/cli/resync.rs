//! `ssh-guard resync`.

use super::ban::tell;
use crate::control::Client;
use crate::control::api::ResyncRequest;
use crate::fault::Fault;

pub(super) async fn act(daemon: &Client) -> Result<(), Fault> {
    tell(&daemon.post("/v1/resync", &ResyncRequest {}).await?)
}
