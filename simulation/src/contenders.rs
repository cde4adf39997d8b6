//! The policies that are compared.

pub mod counting;
pub mod guard;
pub mod penalties;

use std::net::IpAddr;

use ssh_guard::event::AuthEvent;
use ssh_guard::moment::Moment;
use ssh_guard::network::Network;

use crate::session::End;

/// Something that decides whose packets, or sessions, do not reach the server.
pub trait Contender {
    /// What the report calls it.
    fn name(&self) -> &'static str;

    /// Whether what comes from this address does not reach the server.
    fn drops(&mut self, from: IpAddr, now: Moment) -> bool;

    /// Takes a line of the log; says whether its session goes on.
    fn hear(&mut self, event: &AuthEvent, now: Moment, begun: &mut Vec<Begun>) -> bool;

    /// Takes the end of a session.
    fn leave(&mut self, from: IpAddr, end: End, now: Moment, begun: &mut Vec<Begun>);
}

/// A ban that began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begun {
    /// Who is banned.
    pub banned: Network,
    /// Whether that is more than a source.
    pub is_network: bool,
    /// The step of the ladder, from 0.
    pub rung: usize,
}
