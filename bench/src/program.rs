//! Nanoseconds that the program takes for a packet, by test runs: another source at every run, since one source alone
//! would be in the first cache all the time.
//!
//! A walker makes each run's packet and calls what is measured. What the walker and the kernel's loop cost is taken
//! off: it's what the empty program costs behind the same walker, in the same round.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use aya::TestRunOptions;
use aya::programs::{ProgramFd, TestRun as _};
use ssh_guard_common::source::{Source, SourceMask};
use ssh_guard_common::verdict::Verdict;

use crate::frame::{Template, data, data_v6, syn_v6};
use crate::guard::{Guard, PORT, descriptor};
use crate::plan::Plan;
use crate::programs::{EMPTY_DROP, Programs, WALK_V4, WALK_V6};
use crate::report::Report;
use crate::statistics::paired;
use crate::walk::Walk;
use crate::{clock, cpu, sources};

/// How many /24 networks the allowlist holds.
const ALLOWED_NETWORKS: u32 = 256;
/// How many sessions are open.
const SESSIONS: u32 = 1000;
/// `XDP_DROP` and `XDP_PASS` of `linux/bpf.h`.
const DROP: u32 = 1;
const PASS: u32 = 2;

/// Measures each path through the program, with lists of each size.
///
/// # Errors
/// If the kernel refuses, or a run did not end in the verdict that its row stands for.
pub fn measure(object: &Path, plan: &Plan, report: &mut Report) -> Result<()> {
    for size in plan.sizes {
        cpu::on(cpu::RECEIVER, || measure_with(object, *size, plan, report))?;
    }
    Ok(())
}

/// One way through a program.
struct Way {
    row: &'static str,
    walker: &'static str,
    program: ProgramFd,
    /// Which guard counts the verdicts; none for the empty program.
    guard: Option<usize>,
    /// Where its sources begin in the list.
    first: u32,
    /// How many of them there are.
    count: u32,
    /// Whether each packet is one of a session that is there.
    in_session: bool,
    frame: Vec<u8>,
    action: u32,
    verdict: Option<Verdict>,
}

fn measure_with(object: &Path, size: u32, plan: &Plan, report: &mut Report) -> Result<()> {
    report.progress(&format!("program: {size} entries"));
    let many = size as usize;
    let mut all = sources::strangers_v4();
    let strangers: Vec<Ipv4Addr> = all.by_ref().take(2 * many).collect();
    let friends = sources::friends_v4(ALLOWED_NETWORKS).take(many);
    let list_v4: Vec<_> = strangers.iter().copied().chain(friends).collect();
    let list_v6: Vec<_> = sources::strangers_v6().take(SESSIONS as usize + many).collect();

    let mut guards = [Guard::load(size)?, Guard::load(size)?, Guard::load(size)?];
    for guard in &mut guards[..2] {
        guard.block(strangers[..many].iter().copied().map(Source::from))?;
    }
    guards[0].know(all.take(many / 2).map(Source::from))?;
    guards[1].allow(sources::networks_of_friends(ALLOWED_NETWORKS))?;
    guards[0].begin_sessions(strangers[many..].iter().copied().take(SESSIONS as usize).map(Source::from))?;
    guards[2].begin_sessions(list_v6.iter().copied().take(SESSIONS as usize))?;
    // Those of the sessions are not banned.
    guards[2]
        .block(list_v6.iter().skip(SESSIONS as usize).map(|source| SourceMask::new(32, 64).apply(*source)))?;
    let mut programs = Programs::load(object, &[EMPTY_DROP, WALK_V4, WALK_V6], &list_v4, &list_v6)?;

    let ways = ways(size, &programs, &mut guards)?;
    let mut repeats = Vec::new();
    for way in &ways {
        let nanos = run(&mut programs, way, &guards, CALIBRATION)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tens of millions at most"
        )]
        repeats.push((plan.test_run.as_secs_f64() * 1e9 / nanos.max(1.0)) as u32);
    }
    let mut taken = vec![Vec::new(); ways.len()];
    for _round in 0..plan.rounds {
        for ((way, repeat), taken) in ways.iter().zip(&repeats).zip(&mut taken) {
            taken.push(run(&mut programs, way, &guards, *repeat)?);
        }
    }
    for (way, nanos) in ways.iter().zip(&taken) {
        report.add("program", way.row, size, "ns/packet with the walker", nanos);
        let floor = ways.iter().position(|floor| floor.guard.is_none() && floor.walker == way.walker);
        if let (Some(_), Some(floor)) = (way.guard, floor) {
            report.set_aside();
            let added = paired(nanos, &taken[floor], |nanos, floor| nanos - floor);
            report.add("program", way.row, size, "ns/packet over the empty program", &added);
        }
    }
    Ok(())
}

/// How many runs it takes to learn about how long one takes.
const CALIBRATION: u32 = 300_000;

fn ways(size: u32, programs: &Programs, guards: &mut [Guard; 3]) -> Result<Vec<Way>> {
    let empty = || descriptor(programs.program(EMPTY_DROP)?);
    let [guard, allowing, guard_v6] = guards;
    let (guard, allowing, guard_v6) = (guard.program()?, allowing.program()?, guard_v6.program()?);
    let v4 = |row, guard: Option<usize>, program, first, port, action, verdict| Way {
        row,
        walker: WALK_V4,
        program,
        guard,
        first,
        count: size,
        in_session: false,
        frame: Template::syn(port).bytes,
        action,
        verdict,
    };
    let v6 = |row, guard: Option<usize>, program, verdict| Way {
        walker: WALK_V6,
        frame: syn_v6(PORT),
        ..v4(row, guard, program, 0, PORT, DROP, verdict)
    };
    let sessions = |way, frame| Way { count: SESSIONS, in_session: true, frame, action: PASS, ..way };
    Ok(vec![
        v4("empty", None, empty()?, 0, PORT, DROP, None),
        v4("blocked", Some(0), descriptor(guard)?, 0, PORT, DROP, Some(Verdict::Blocked)),
        v4("passed", Some(0), descriptor(guard)?, size, PORT, PASS, Some(Verdict::Passed)),
        v4("allowed", Some(1), descriptor(allowing)?, 2 * size, PORT, PASS, Some(Verdict::Allowed)),
        v4("elsewhere", Some(0), descriptor(guard)?, 0, 443, PASS, None),
        sessions(
            v4("session", Some(0), descriptor(guard)?, size, PORT, PASS, Some(Verdict::Passed)),
            data(PORT),
        ),
        v6("empty-v6", None, empty()?, None),
        Way {
            first: SESSIONS,
            count: size,
            ..v6("blocked-v6", Some(2), descriptor(guard_v6)?, Some(Verdict::Blocked))
        },
        sessions(v6("session-v6", Some(2), descriptor(guard_v6)?, Some(Verdict::Passed)), data_v6(PORT)),
    ])
}

/// Test-runs a way that often: nanoseconds a run, on the thread's own clock, so that neither what other processes take
/// of the CPU counts nor the kernel's wait at the end of the call.
fn run(programs: &mut Programs, way: &Way, guards: &[Guard; 3], repeat: u32) -> Result<f64> {
    programs.measure(&way.program)?;
    let one_port = u32::from(way.in_session);
    programs.begin(Walk { first: way.first, count: way.count, one_port, ..Walk::default() })?;
    let counted = |verdict| match way.guard {
        Some(guard) => guards[guard].count(verdict),
        None => Ok(0),
    };
    let in_sessions = || match way.guard {
        Some(guard) if way.in_session => guards[guard].packets_of_sessions(),
        _ => Ok(0),
    };
    let before_in_sessions = in_sessions()?;
    let before = Verdict::ALL.into_iter().map(counted).collect::<Result<Vec<_>>>()?;
    let walker = programs.program(way.walker)?;
    let start = clock::own_cpu_time()?;
    let result = walker
        .test_run(TestRunOptions { data_in: Some(&way.frame), repeat, ..TestRunOptions::default() })
        .with_context(|| format!("'{}' cannot be test-run", way.walker))?;
    let taken = clock::own_cpu_time()?.saturating_sub(start);

    // What was measured is what the row says: each run walked on, and ended in the verdict.
    let row = way.row;
    ensure!(result.return_value == way.action, "'{row}' ended in action {}", result.return_value);
    ensure!(
        programs.frames()? == repeat,
        "'{row}': the walker made {} frames of {repeat}",
        programs.frames()?
    );
    let in_sessions = in_sessions()? - before_in_sessions;
    let wanted = if way.in_session { u64::from(repeat) } else { 0 };
    ensure!(in_sessions == wanted, "'{row}': {in_sessions} packets of {repeat} were counted in sessions");
    for (verdict, before) in Verdict::ALL.into_iter().zip(before) {
        let wanted = if way.verdict == Some(verdict) { u64::from(repeat) } else { 0 };
        let seen = counted(verdict)? - before;
        ensure!(
            seen == wanted,
            "'{row}': {seen} packets of {repeat} were {}, not {wanted}",
            verdict.as_str()
        );
    }
    Ok(taken.as_secs_f64() * 1e9 / f64::from(repeat))
}
