//! Runs tests on the kernels that Debian supports or will: each boots in a virtual machine that this processor
//! imitates instruction by instruction (TCG), so that it needs no help of the machine that it runs on.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{root, say},
    packages, setup,
};

mod archive;
mod initramfs;
mod kernels;
mod machine;
mod modules;
mod programs;
mod report;

use initramfs::Contents;
use programs::{Programs, TESTS, Tests};
use report::{Expected, Outcome, Report};

/// Set to 1, it keeps `cargo xtask test` from starting machines.
pub const LEFT_OUT: &str = "SSH_GUARD_SKIP_VM";

/// Machines that run at a time: while one boots or waits, the other has something to do.
const AT_ONCE: usize = 2;

/// What may be missing where this fails, and how to go on without.
const WITHOUT: &str = "the tests on Debian's kernels need qemu and Debian's archives; to go on without them, set SSH_GUARD_SKIP_VM=1";

/// Sets up, fetches kernels, and runs the tests on each; all kernels unless some are named, with these arguments for the
/// test programs.
pub fn vm(named: &[String], arguments: &[String]) -> Result<()> {
    let series = kernels::named(named)?;
    if std::env::consts::ARCH != "x86_64" {
        bail!("the machines are x86_64, and so must be what builds for them: set {LEFT_OUT}=1");
    }
    setup::setup()?;
    packages::ensure(packages::TESTS).context(WITHOUT)?;
    packages::ensure(packages::VM).context(WITHOUT)?;
    let kernels = kernels::fetch(&folder(), &series).context(WITHOUT)?;
    let programs = Programs::build(&folder())?;
    let contents = Contents::of(&programs, arguments)?;

    let (waiting, passed) = (Mutex::new(kernels.iter()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(kernel) = next(&waiting) {
                    let report = machine::run(&folder(), kernel, &contents, &expected(arguments));
                    show(&kernel.release, &report);
                    let good = report.is_ok_and(|report| report.passed());
                    passed.fetch_add(usize::from(good), Ordering::Relaxed);
                }
            });
        }
    });
    let failed = kernels.len() - passed.into_inner();
    if failed > 0 {
        bail!("the tests did not pass on {failed} of {} kernels", kernels.len());
    }
    Ok(())
}

/// Takes the next of what is waiting.
fn next<'a, T>(waiting: &Mutex<impl Iterator<Item = &'a T>>) -> Option<&'a T> {
    waiting.lock().ok()?.next()
}

/// The programs that are to run, and how many tests each: as many as the list names, unless arguments choose others.
fn expected(arguments: &[String]) -> Vec<Expected<'static>> {
    let tests = |only: &[&str]| match only.len() {
        _ if !arguments.is_empty() => 0..=usize::MAX,
        0 => 1..=usize::MAX,
        named => named..=named,
    };
    TESTS.iter().map(|&Tests { program, only }| Expected { name: program, tests: tests(only) }).collect()
}

/// Whether the variable says to leave the machines out.
pub fn is_left_out() -> bool {
    std::env::var_os(LEFT_OUT).is_some_and(|value| value == "1")
}

/// Where all of it is kept from one run to the next.
fn folder() -> PathBuf {
    root().join("target/vm")
}

/// Tells in a line how it went, and everything about what failed.
fn show(release: &str, report: &Result<Report>) {
    match report {
        Err(error) => say(&format!("vm: {release}: {error:#}")),
        Ok(report) => {
            if !report.passed() {
                say(&report.console);
            }
            say(&format!("vm: {release}: {report}"));
            for program in &report.programs {
                if let Outcome::Failed(why) = &program.outcome {
                    say(&format!("vm: {release}: {}: {why}", program.name));
                }
                for skipped in &program.skipped {
                    say(&format!("vm: {release}: {}: {skipped}", program.name));
                }
            }
        }
    }
}

/// Makes a folder, with those above it.
fn make(folder: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&folder).with_context(|| format!("cannot make '{}'", folder.display()))?;
    Ok(folder)
}
