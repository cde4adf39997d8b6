//! How long a killed daemon takes to stand guard again, with all bans in force; and whether a packet of a banned source comes
//! through meanwhile.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use ssh_guard_tests::daemon::{Daemon, Site};

use crate::bed::Bed;
use crate::daemon::program;
use crate::generator::{Generator, Pace};
use crate::plan::Plan;
use crate::report::Report;
use crate::{clock, sources};

/// Million packets of banned sources a second, while the daemon is away: few enough to leave it a part of a CPU.
const RATE: f64 = 0.5;
/// Longer than the daemon is killed and starts.
const AWAY: Duration = Duration::from_secs(6);

/// Kills and starts the daemon again and again, first with nothing else to do, then under a flood of banned packets.
///
/// # Errors
/// If a ban is not taken over, or a packet of a banned source comes as far as IP.
pub fn measure(object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    for (size, rounds) in plan.loads {
        report.progress(&format!("restart: {size} bans"));
        // The daemon bans no link-local address.
        let bannable = sources::strangers_v4().filter(|address| !address.is_link_local());
        let list: Vec<Ipv4Addr> = bannable.take(*size as usize).collect();
        let mut bed = Bed::new(0)?;
        bed.thread_receiver()?;
        let site = Site::of(&program()?, "");
        let (log, file) = (site.folder().join("auth.log"), site.folder().join("list.txt"));
        std::fs::write(&log, "").context("cannot write a log")?;
        let mut text = String::new();
        for ban in &list {
            writeln!(text, "{ban}")?;
        }
        std::fs::write(&file, text).context("cannot write the list")?;
        site.configure(&format!(
            "guard.interfaces = ['{}']\nlimits.blocklist = {size}\n[[input]]\nkind = 'file'\npath = '{}'\n",
            bed.interface,
            log.display()
        ));
        let mut daemon = Daemon::start_at(site, &bed.receiver, &[]);
        let banned = daemon.cli(&["ban", "--file", &file.to_string_lossy(), "--for", "1h"]);
        ensure!(banned.code == 0, "cannot ban the list: {}", banned.stderr);

        let mut seconds = Vec::new();
        for _round in 0..*rounds {
            seconds.push(restart(&mut daemon, *size)?);
        }
        report.add("restart", "guard", *size, "s", &seconds);

        let mut generator = Generator::load(object, &list)?;
        let (mut flooded, mut sent) = (Vec::new(), Vec::new());
        for _round in 0..*rounds {
            let before = bed.counters()?;
            let (window, taken) =
                generator.flood_while(&bed, Pace::of(RATE), AWAY, || restart(&mut daemon, *size))?;
            let counted = bed.counters()? - before;
            ensure!(
                counted.at_ip == 0,
                "{} of {} packets of banned sources came through",
                counted.at_ip,
                counted.packets
            );
            ensure!(counted.packets > 0, "no packet was sent while the daemon was away");
            flooded.push(taken);
            sent.push(window.rate_sent());
        }
        report.add("restart", "guard, flooded", *size, "s", &flooded);
        report.add("restart", "guard, flooded", *size, "million packets/s dropped, none let through", &sent);
    }
    Ok(())
}

/// Kills the daemon and starts it: seconds until it is attached with all bans and answers.
fn restart(daemon: &mut Daemon<'_>, bans: u32) -> Result<f64> {
    daemon.kill9();
    let start = clock::now();
    daemon.start_again();
    let taken = start.elapsed().as_secs_f64();
    let status = daemon.json(&["status"]);
    ensure!(status["bans"]["ipv4"].as_u64() == Some(u64::from(bans)), "bans were lost: {}", status["bans"]);
    ensure!(status["interfaces"][0]["attached"] == Value::Bool(true), "it is not attached: {status}");
    Ok(taken)
}
