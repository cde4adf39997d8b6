//! What the programs in the kernel and the daemon must agree on.
//!
//! | map | key → value | written by |
//! |---|---|---|
//! | `BLOCKED_V4`, `BLOCKED_V6` | [flat tables](flat) of sources | the daemon; hits by the program |
//! | `BLOCKED_BESIDE` | [`Source`](source::Source) → [`Block`](records::Block) | the daemon; hits by the program |
//! | `BLOCKED_NETS` | [two bits](networks) for each IPv4 /24 | the daemon |
//! | `BLOCKED_NETS_24` | flat table of IPv4 /24s, by their first address | the daemon; hits by the program |
//! | `BLOCKED_NETS_V4` | 4 bytes and their length → [`Block`](records::Block) | the daemon; hits by the program |
//! | `BLOCKED_NETS_V6` | [`NetworkKey`](records::NetworkKey) → [`Block`](records::Block) | the daemon; hits by the program |
//! | `ALLOWLIST` | [`NetworkKey`](records::NetworkKey) → end in [ticks](time::Ticks) | the daemon |
//! | `KNOWN_V4`, `KNOWN_V6` | flat tables of sources | the daemon |
//! | `KNOWN_BESIDE` | `Source` → [`KnownGood`](records::KnownGood) | the daemon |
//! | `SYN_BUDGET` | [groups](budget::Group) of sources | the program |
//! | `SESSIONS` | [`SessionKey`](records::SessionKey) → [`SessionRecord`](records::SessionRecord) | the program and the witness; the daemon takes out what is over |
//! | `AUTHENTICATED` | `SessionKey` → [`Authenticated`](records::Authenticated) | the daemon |
//! | `CROWDED` | `Source` → [what it holds too many of](records::crowd) | the daemon |
//! | `ASKERS` | 0 → a tick and a count | the program |
//! | `SOURCES` | [`Source`](source::Source) → [`SourceRecord`](records::SourceRecord) | the program and the witness |
//! | `VERDICTS` | [`Verdict`](verdict::Verdict) → [`VerdictCount`](records::VerdictCount) for each CPU | the program |
//! | `SETTINGS` | 0 → [`Settings`](records::Settings) | the daemon |
//!
//! All addresses are bytes in network order. A change of any of this is a new [`ABI`] number.

#![cfg_attr(not(test), no_std)]
#![expect(
    clippy::inline_always,
    reason = "a program has no stack to spare for calls, and each costs it as much as its lookup"
)]

pub mod budget;
pub mod flat;
pub mod names;
pub mod networks;
pub mod packet;
#[cfg(feature = "user")]
mod pod;
pub mod records;
pub mod source;
pub mod time;
pub mod verdict;

/// The number of this agreement; pinned maps of another one are not ours.
pub const ABI: u32 = 1;

/// How many ports can be guarded.
pub const MAX_PORTS: usize = 16;
