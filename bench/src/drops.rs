//! Banned packets through a veth pair: how many a CPU drops, and what each costs it, by packet filter.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use crate::generator::Generator;
use crate::peers::Peer;
use crate::plan::Plan;
use crate::receiver::Window;
use crate::report::Report;
use crate::sources;
use crate::statistics::paired;

/// Floods each filter in turn, with lists of each size: every packet is of a banned source, each of another one.
///
/// # Errors
/// If a bed cannot be made, or a packet was not dropped where it should be.
pub fn measure(object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    for size in plan.sizes {
        report.progress(&format!("drops: {size} entries: filling every filter"));
        let list: Vec<Ipv4Addr> = sources::strangers_v4().take(*size as usize).collect();
        let mut generator = Generator::load(object, &list)?;
        let peers = Peer::all(object, &list, |missing| report.progress(&format!("drops: {missing}")))?;
        let mut windows: Vec<Vec<Window>> = vec![Vec::new(); peers.len()];
        for round in 1..=plan.rounds {
            report.progress(&format!("drops: {size} entries: round {round} of {}", plan.rounds));
            for (peer, windows) in peers.iter().zip(&mut windows) {
                let before = peer.blocked()?;
                let flood = generator.flood(peer.bed(), plan.window)?;
                peer.prove(&flood, peer.blocked()? - before)?;
                windows.push(flood.window);
            }
        }
        let all = || windows.iter().flatten();
        if 2 * all().filter(|window| window.is_disturbed()).count() > all().count() {
            report.progress(
                "drops: warning: other processes took the receiver's CPU: rates are low, look at CPU time",
            );
        }
        tell(*size, &peers, &windows, report);
    }
    Ok(())
}

fn tell(size: u32, peers: &[Peer], windows: &[Vec<Window>], report: &mut Report) {
    let each = |windows: &[Window], of: fn(&Window) -> f64| windows.iter().map(of).collect::<Vec<_>>();
    let empty = each(&windows[0], Window::cost);
    for (peer, windows) in peers.iter().zip(windows) {
        let cost = each(windows, Window::cost);
        let share = paired(&empty, &cost, |empty, cost| empty / cost);
        report.add("drops", peer.name, size, COST, &cost);
        report.add("drops", peer.name, size, SHARE, &share);
        report.add("drops", peer.name, size, RATE, &each(windows, Window::rate));
        report.add("drops", peer.name, size, "million packets/s sent", &each(windows, Window::rate_sent));
        report.set_aside();
        report.add("drops", peer.name, size, "% of its CPU busy", &each(windows, Window::share));
        report.set_aside();
    }
}

const COST: &str = "ns CPU/packet";
const SHARE: &str = "of the empty program's packets a CPU second";
const RATE: &str = "million packets/s";
