//! A SYN flood from sources that nobody banned, in front of a listener: what the guard adds to what the flood costs
//! anyway.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ssh_guard_common::verdict::Verdict;

use crate::bed::Bed;
use crate::generator::Generator;
use crate::guard::{Guard, PORT};
use crate::peers::put_guard;
use crate::plan::Plan;
use crate::programs::{EMPTY_PASS, Programs};
use crate::receiver::Window;
use crate::report::Report;
use crate::sources;
use crate::statistics::paired;

/// A listener behind something.
struct Server {
    row: &'static str,
    bed: Bed,
    guard: Option<Guard>,
    _program: Option<Programs>,
    _listener: TcpListener,
}

/// Floods a listener with nothing, an empty program, and the guard before it.
///
/// # Errors
/// If a bed cannot be made, or a SYN did not reach TCP.
pub fn measure(object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    let (banned, flooding) = (plan.banned_in_flood, plan.flooding);
    report.progress(&format!("flood: {flooding} sources, {banned} others banned"));
    let mut strangers = sources::strangers_v4();
    let banned_list: Vec<Ipv4Addr> = strangers.by_ref().take(banned as usize).collect();
    let flooding: Vec<Ipv4Addr> = strangers.take(flooding as usize).collect();
    let mut generator = Generator::load(object, &flooding)?;

    let beds = [Bed::new(0)?, Bed::new(1)?, Bed::new(2)?];
    let mut program = Programs::load(object, &[EMPTY_PASS], &[], &[])?;
    beds[1].attach(program.program_mut(EMPTY_PASS)?)?;
    let guard = put_guard(&beds[2], &banned_list)?;
    let [nothing, empty, guarded] = beds;
    let servers = [
        serve("nothing", nothing, None, None)?,
        serve("empty", empty, None, Some(program))?,
        serve("guard", guarded, Some(guard), None)?,
    ];
    let mut windows: [Vec<Window>; 3] = Default::default();
    for _round in 0..plan.rounds {
        for (server, windows) in servers.iter().zip(&mut windows) {
            windows.push(server.flood(&mut generator, plan)?);
        }
    }
    let cost = |windows: &[Window]| windows.iter().map(Window::cost).collect::<Vec<_>>();
    let nothing = cost(&windows[0]);
    for (server, windows) in servers.iter().zip(&windows) {
        let own = cost(windows);
        report.add("flood", server.row, banned, "ns CPU/SYN", &own);
        report.add(
            "flood",
            server.row,
            banned,
            "times the cost with nothing before it",
            &paired(&own, &nothing, |own, nothing| own / nothing),
        );
        report.add(
            "flood",
            server.row,
            banned,
            "million SYNs/s",
            &windows.iter().map(Window::rate).collect::<Vec<_>>(),
        );
    }
    Ok(())
}

fn serve(row: &'static str, mut bed: Bed, guard: Option<Guard>, program: Option<Programs>) -> Result<Server> {
    bed.thread_receiver()?;
    let listener =
        bed.receiver.within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))).context("cannot listen")?;
    Ok(Server { row, bed, guard, _program: program, _listener: listener })
}

impl Server {
    /// Floods the listener; an error unless every SYN reached TCP.
    fn flood(&self, generator: &mut Generator, plan: &Plan) -> Result<Window> {
        let passed = || self.guard.as_ref().map_or(Ok(0), |guard| guard.count(Verdict::Passed));
        let before = passed()?;
        let flood = generator.flood(&self.bed, plan.window)?;
        let (packets, at_tcp) = (flood.whole.packets, flood.whole.at_tcp);
        ensure!(packets > 0 && at_tcp == packets, "'{}': {at_tcp} of {packets} SYNs reached TCP", self.row);
        let passed = passed()? - before;
        ensure!(
            self.guard.is_none() || passed == packets,
            "'{}': {passed} of {packets} SYNs passed",
            self.row
        );
        Ok(flood.window)
    }
}
