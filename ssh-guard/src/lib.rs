//! The guard of SSH servers: reads authentication failures, and has the kernel drop the sources they come from.
//!
//! Data passes through the modules in this order, and each knows only those before it:
//!
//! ```text
//! input → parse → event → policy → ledger → kernel
//! ```
//!
//! `parse`, `event`, `policy`, `session`, `ledger`, `rehearsal`, `lists`, `ban`, `network` and `allowlist` are pure: no clock,
//! no input, no output. Beside that line stand `config`, `control` and `serve` (the control socket), `observe` (metrics),
//! `replay` (old logs), `daemon` (what ties all together) and `cli`.

pub mod allowlist;
pub mod ban;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod daemon;
pub mod event;
pub mod fault;
pub mod input;
pub mod inputs;
pub mod interface;
pub mod kernel;
pub mod ledger;
pub mod list_file;
pub mod lists;
pub mod membership;
pub mod moment;
pub mod network;
pub mod observe;
pub mod parse;
pub mod policy;
pub mod recent;
pub mod rehearsal;
pub mod replay;
pub mod serve;
pub mod session;
mod socket_file;
pub mod store;
