//! The harness of the tests that need a kernel, a network namespace or a real server.
//!
//! A test builds a [`lab::Lab`] (a server and its clients, each in a network namespace of its own), puts a real
//! [`sshd::Sshd`] and a [`daemon::Daemon`] in it, lets [`client::Client`]s log in from any address they like, and
//! drops all of it: nothing is left behind, also after a panic. [`packet`] builds single packets for programs that
//! are run without a network.

#![expect(
    clippy::missing_panics_doc,
    reason = "a harness panics where a test has failed; public items say when"
)]

pub mod bare;
pub mod bpffs;
pub mod capture;
pub mod client;
pub mod daemon;
pub mod dropbear;
pub mod guarded;
pub mod http;
pub mod journald;
pub mod lab;
pub mod mounts;
pub mod netns;
pub mod packet;
pub mod process;
pub mod programs;
pub mod site;
pub mod skip;
pub mod sshd;
pub mod syslog;
pub mod wait;
pub mod wire;
