//! A server with a packet filter before it, and a client that shares its link with the flood.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::client::{Answers, Client};
use super::proof::{Count, Filter};
use super::server::Server;
use crate::bed::{Bed, CLIENT, RECEIVER};
use crate::cpu;
use crate::generator::{Generator, Pace};
use crate::guard::PORT;
use crate::peers::{nftables, put_guard};
use crate::plan::Plan;
use crate::receiver::Window;

/// How long a flood goes on, beyond what the client may take.
const MARGIN: Duration = Duration::from_millis(100);
/// How often a flood is tried that other processes slow down.
const ATTEMPTS: u32 = 6;

/// A server behind a filter, or behind none.
pub struct Site {
    /// The names of what is measured: without a flood, at half of it, at all of it.
    pub rows: [&'static str; 3],
    filter: Filter,
    bed: Bed,
    _server: Server,
}

/// What a client saw.
#[derive(Debug)]
pub struct Seen {
    /// How long each answer took, nothing for one that never came.
    pub answers: Answers,
    /// What was counted of the flood, if there was one.
    pub window: Option<Window>,
}

impl Site {
    /// Makes a site with nothing, one with nftables and one with the guard, which ban this list, and not the client.
    ///
    /// # Errors
    /// If a bed cannot be made, or a filter not be put on it.
    pub fn all(list: &[Ipv4Addr]) -> Result<[Self; 3]> {
        let beds = [Bed::new(0)?, Bed::new(1)?, Bed::new(2)?];
        nftables::put_ingress(&beds[1], list)?;
        let mut guard = put_guard(&beds[2], list)?;
        guard.allow([Ipv4Addr::from_bits(CLIENT.to_bits() & !0xff)])?;
        let [bare, ruled, guarded] = beds;
        let guard = Filter::Guard(Box::new(guard));
        Ok([
            Self::new(["nothing, no flood", "nothing, half", "nothing, full"], Filter::Nothing, bare)?,
            Self::new(
                ["nft-ingress, no flood", "nft-ingress, half", "nft-ingress, full"],
                Filter::Nftables,
                ruled,
            )?,
            Self::new(["guard, no flood", "guard, half", "guard, full"], guard, guarded)?,
        ])
    }

    fn new(rows: [&'static str; 3], filter: Filter, mut bed: Bed) -> Result<Self> {
        bed.let_in_a_client()?;
        bed.thread_receiver()?;
        bed.put_receiver_first()?;
        let server = Server::start(&bed)?;
        Ok(Self { rows, filter, bed, _server: server })
    }

    /// Where frames are sent to it.
    #[must_use]
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// Has the client connect without a flood.
    ///
    /// # Errors
    /// If a banner did not come, or a packet was dropped.
    pub fn calm(&self, plan: &Plan) -> Result<Seen> {
        let [row, ..] = self.rows;
        let before = Count::of(&self.bed, &self.filter)?;
        let answers = self.connect(plan)?;
        let counted = Count::of(&self.bed, &self.filter)? - before;
        counted.prove_calm(row, &self.filter)?;
        let lost = answers.iter().filter(|answer| answer.is_none()).count();
        ensure!(lost == 0, "'{row}': {lost} of {} connections never got the banner", answers.len());
        Ok(Seen { answers, window: None })
    }

    /// Has the client connect through a flood.
    ///
    /// # Errors
    /// If the flood was slower than it should be, whatever was tried, or a packet did not become what it should.
    pub fn flooded(&self, generator: &mut Generator, pace: Pace, plan: &Plan) -> Result<Seen> {
        let [_, half, full] = self.rows;
        let row = if pace == Pace::Full { full } else { half };
        let length = plan.connecting + plan.patience + MARGIN;
        let mut rate = 0.0;
        for _attempt in 0..ATTEMPTS {
            let before = Count::of(&self.bed, &self.filter)?;
            let (window, answers) = generator.flood_while(&self.bed, pace, length, || self.connect(plan))?;
            let counted = Count::of(&self.bed, &self.filter)? - before;
            counted.prove_flooded(row, &self.filter)?;
            rate = window.rate_sent();
            if pace.is_kept(rate) {
                return Ok(Seen { answers, window: Some(window) });
            }
        }
        bail!(
            "'{row}': {rate:.2} million packets/s were sent, not {:.2}: other processes run on CPU {}",
            pace.rate(),
            cpu::SENDER
        )
    }

    fn connect(&self, plan: &Plan) -> Result<Answers> {
        self.bed.sender.within(|| {
            cpu::pin(0, cpu::SENDER)?;
            cpu::put_first(0)?;
            Client::run((RECEIVER, PORT), plan.connecting, plan.patience)
        })
    }
}
