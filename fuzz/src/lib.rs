//! What is fuzzed, and what must hold of it: one function for each target in `fuzz_targets/`.
//!
//! The daemon's own modules are compiled here, those that read what strangers write and need neither kernel nor runtime, under
//! the names that they have there: so a target reaches what is private to the daemon, and is built in seconds, without
//! the daemon's other dependencies and without the programs in the kernel.

#![expect(dead_code, reason = "nobody calls here what only the daemon does")]

pub mod journal;
pub mod logs;
pub mod packets;
pub mod patterns;
pub mod posts;
pub mod stamps;
pub mod streams;
pub mod texts;

#[doc(hidden)]
#[path = "../../ssh-guard/src"]
pub mod guard {
    pub mod allowlist;
    pub mod ban;
    pub mod config;
    pub mod event;
    pub mod fault;
    pub mod lists;
    pub mod moment;
    pub mod network;
    pub mod parse;
    pub mod policy;
    pub mod recent;

    pub mod input {
        pub mod archive;
        pub mod lines;

        pub mod journal {
            pub mod entry;
        }

        pub mod syslog {
            pub mod framing;
            pub mod listen;
        }

        pub use self::syslog::listen::Listen;
    }

    pub mod control {
        pub mod events;
    }
}

pub use guard::parse::Parser;
use guard::*;
