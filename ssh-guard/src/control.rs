//! The control socket: HTTP/1.1 with JSON on a Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`api::Status`] |
//! | `GET /v1/bans?after=NET&limit=N` | [`api::Bans`], in the order of the addresses |
//! | `GET /v1/allowlist?after=NET&limit=N` | [`api::Allowlist`], in the order of the addresses |
//! | `GET /v1/sources?limit=N` | [`api::Sources`], the busiest first |
//! | `GET /v1/why?source=ADDR` | [`api::Why`] |
//! | `POST /v1/ban` [`api::BanRequest`] | [`api::Done`] |
//! | `POST /v1/list?name=FILE&seconds=N&reason=TEXT&force=B`, the list | [`api::Done`] |
//! | `POST /v1/unban` [`api::UnbanRequest`] | [`api::Done`] |
//! | `POST /v1/allow` [`api::AllowRequest`] | [`api::Done`] |
//! | `POST /v1/disallow` [`api::DisallowRequest`] | [`api::Done`] |
//! | `POST /v1/confirm` [`api::ConfirmRequest`] | [`api::Done`] |
//! | `POST /v1/detach` [`api::DetachRequest`] | [`api::Done`] |
//! | `POST /v1/events` [`events::PostedEvent`], one a line as `application/x-ndjson` | [`events::EventsTaken`] |
//!
//! Another socket, if it is configured, answers the last of these alone.
//!
//! What is refused is answered with status 4xx or 5xx and [`api::Refusal`].

pub mod api;
mod client;
pub mod events;
mod peer;
mod post;
mod server;

pub use client::Client;
pub use peer::Peer;
pub use server::{Desk, Listening, listen};
