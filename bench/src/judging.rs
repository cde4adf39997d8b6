//! How many auth events a second the policy judges on one CPU while it follows many sources, and the memory that this takes.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::time::ClockId;
use ssh_guard::event::{AuthEvent, Kind, Outcome, Process, Service};
use ssh_guard::moment::Moment;
use ssh_guard::policy::{Policy, Rules, Standing};
use ssh_guard_common::source::Source;

use crate::plan::Plan;
use crate::report::Report;
use crate::{cpu, daemon, sources};

/// Accounts that are tried; all of them exist, so that no source is banned at its first failure.
const ACCOUNTS: u32 = 200;

/// Has every source fail once, which fills the tables, and then again and again, each time in another session.
///
/// # Errors
/// If the policy does not follow as many sources as there are.
pub fn measure(_programs: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    for size in plan.judged {
        report.progress(&format!("judging: {size} sources"));
        let judged = cpu::on(cpu::RECEIVER, || judge(*size, plan.rounds))?;
        report.add("judging", "policy", *size, "million events/s", &judged.rates);
        report.add("judging", "policy", *size, "MiB", &[judged.memory]);
    }
    Ok(())
}

struct Judged {
    rates: Vec<f64>,
    memory: f64,
}

fn judge(size: u32, rounds: u32) -> Result<Judged> {
    let mut events: Vec<(Source, AuthEvent)> = sources::strangers_v4()
        .take(size as usize)
        .zip(0..)
        .map(|(address, number)| (Source::from(address), failure(address.into(), number)))
        .collect();
    let before = daemon::memory_of(std::process::id())?;
    let mut policy = Policy::new(Rules { capacity: size as usize, ..Rules::default() });
    // As many as fail within the window: none is forgotten before its turn comes again.
    let step = policy.rules().window / (size + 1);
    let mut now = Moment::from_start(Duration::ZERO);
    let mut rates = Vec::new();
    // One more would ban it: the accounts are sprayed.
    for round in 0..=rounds.min(3) {
        for (number, (_, event)) in (1_u64..).zip(&mut events) {
            event.process = NonZeroU64::new(u64::from(round) << 32 | number).map(Process);
        }
        let begun = cpu_time()?;
        for (source, event) in &events {
            now = now.plus(step);
            let judgement = policy.observe(event, *source, now, || Standing::Judged);
            std::hint::black_box(judgement);
        }
        if round > 0 {
            rates.push(f64::from(size) / cpu_time()?.saturating_sub(begun).as_secs_f64() / 1e6);
        }
    }
    let followed = policy.sources_tracked();
    ensure!(followed > size as usize * 9 / 10, "{followed} of {size} sources are followed");
    Ok(Judged { rates, memory: daemon::memory_of(std::process::id())? - before })
}

/// How long this thread has been on a CPU.
fn cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

fn failure(address: IpAddr, number: u32) -> AuthEvent {
    AuthEvent {
        outcome: Outcome::Failure,
        kind: Kind::Password,
        address: Some(address),
        port: Some(1024),
        user: Some(format!("user{}", number % ACCOUNTS).into()),
        service: Service::Openssh,
        count: NonZeroU32::MIN,
        process: None,
    }
}
