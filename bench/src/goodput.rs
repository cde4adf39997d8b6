//! Good traffic under a flood: how long a client that is let in waits for the server's banner while banned sources send
//! over the same link.

mod client;
mod proof;
mod server;
mod site;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use self::site::{Seen, Site};
use crate::generator::{Generator, Pace};
use crate::plan::Plan;
use crate::receiver::Window;
use crate::report::Report;
use crate::sources;
use crate::statistics::{paired, percentile};

/// What takes longer has lost a packet: a client's kernel sends its SYN again after a second.
const LOST: Duration = Duration::from_millis(500);

/// Lets clients connect to a server with nothing, nftables, and the guard before it: without a flood, at half of what
/// the generator can send, and at all of it.
///
/// # Errors
/// If a bed cannot be made, or a packet did not become what it should.
pub fn measure(object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    let banned = plan.banned_in_flood;
    report.progress(&format!("goodput: {banned} sources banned"));
    let list: Vec<Ipv4Addr> = sources::strangers_v4().take(banned as usize).collect();
    let mut generator = Generator::load(object, &list)?;
    let sites = Site::all(&list)?;
    let full = reached(&mut generator, &sites, plan)?;
    let paces = [None, Some(Pace::of(full / 2.0)), Some(Pace::Full)];

    let mut seen: [[Vec<Seen>; 3]; 3] = Default::default();
    for round in 1..=plan.rounds {
        report.progress(&format!("goodput: round {round} of {}", plan.rounds));
        for (site, seen) in sites.iter().zip(&mut seen) {
            for (pace, seen) in paces.into_iter().zip(seen) {
                seen.push(match pace {
                    None => site.calm(plan)?,
                    Some(pace) => site.flooded(&mut generator, pace, plan)?,
                });
            }
        }
    }
    for (site, seen) in sites.iter().zip(&seen) {
        tell(site.rows, seen, plan, report);
    }
    Ok(())
}

/// What the generator reaches in front of every filter, in million frames a second: the best of three attempts at that
/// which slows it down most.
fn reached(generator: &mut Generator, sites: &[Site], plan: &Plan) -> Result<f64> {
    let mut reached = f64::INFINITY;
    for site in sites {
        let mut best = 0.0_f64;
        for _attempt in 0..3 {
            best = best.max(generator.flood(site.bed(), plan.window)?.window.rate_sent());
        }
        reached = reached.min(best);
    }
    Ok(reached)
}

fn tell(rows: [&'static str; 3], seen: &[Vec<Seen>; 3], plan: &Plan, report: &mut Report) {
    let calm = percentiles(&seen[0], 99, plan);
    for (row, seen) in rows.into_iter().zip(seen) {
        let mut add = |unit, rounds: &[f64]| report.add("goodput", row, plan.banned_in_flood, unit, rounds);
        let slow = percentiles(seen, 99, plan);
        add("µs to the banner, median", &percentiles(seen, 50, plan));
        add("µs to the banner, p99", &slow);
        add("% took longer than 500 ms", &seen.iter().map(|seen| lost(&seen.answers)).collect::<Vec<_>>());
        let windows: Vec<Window> = seen.iter().filter_map(|seen| seen.window).collect();
        if windows.is_empty() {
            continue;
        }
        let each = |of: fn(&Window) -> f64| windows.iter().map(of).collect::<Vec<_>>();
        add("times the p99 without a flood", &paired(&slow, &calm, |slow, calm| slow / calm));
        add("million packets/s sent", &each(Window::rate_sent));
        report.add("goodput", row, plan.banned_in_flood, "million packets/s", &each(Window::rate));
        report.set_aside();
        report.add("goodput", row, plan.banned_in_flood, "% of its CPU busy", &each(Window::share));
        report.set_aside();
    }
}

/// A percentile of each round, in microseconds; what was given up took as long as it was waited for.
fn percentiles(seen: &[Seen], percent: usize, plan: &Plan) -> Vec<f64> {
    let times = |seen: &Seen| -> Vec<f64> {
        seen.answers.iter().map(|answer| answer.unwrap_or(plan.patience).as_secs_f64() * 1e6).collect()
    };
    seen.iter().filter_map(|seen| percentile(&times(seen), percent)).collect()
}

/// Per cent of the answers that came late, or never.
#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn lost(answers: &[Option<Duration>]) -> f64 {
    let lost = answers.iter().filter(|answer| answer.is_none_or(|time| time > LOST)).count();
    100.0 * lost as f64 / answers.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Vec<Option<Duration>> {
        vec![Some(Duration::from_micros(80)), None, Some(LOST), Some(LOST + Duration::from_nanos(1))]
    }

    #[test]
    fn what_came_late_or_never_is_lost() {
        assert!((lost(&answers()) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn what_never_came_took_as_long_as_it_was_waited_for() {
        let seen = [Seen { answers: answers(), window: None }];
        let told = [25, 100].map(|percent| percentiles(&seen, percent, &Plan::FULL));
        assert_eq!(told, [vec![80.0], vec![Plan::FULL.patience.as_secs_f64() * 1e6]]);
    }
}
