//! Entries of the blocklist while they are written: the program on another CPU sees each whole, or not at all.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use aya::TestRunOptions;
use aya::programs::{TestRun as _, Xdp};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use ssh_guard::kernel::{Capacities, Loaded, Programs, load};
use ssh_guard_common::records::Settings;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::NEVER;
use ssh_guard_common::verdict::Verdict;
use ssh_guard_tests::needs;
use ssh_guard_tests::packet;
use ssh_guard_tests::programs::source_of;
use ssh_guard_tests::skip::Need;

/// Three sources of one bucket: all there are have only one.
struct Sources {
    /// Is blocked all the time.
    held: &'static str,
    /// These two are blocked in turn, in the same slot; the first until a moment that has long passed.
    over: &'static str,
    blocked: &'static str,
}

const V4: Sources = Sources { held: "203.0.113.7", over: "203.0.113.8", blocked: "203.0.113.9" };
const V6: Sources = Sources { held: "2001:db8:7::", over: "2001:db8:8::", blocked: "2001:db8:9::" };

/// Test runs in a call, and calls.
const RUNS: u32 = 100_000;
const CALLS: u32 = 20;

/// Keeps this thread on a CPU, if there is one of this number.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    let _only_with_two = sched_setaffinity(Pid::from_raw(0), &set);
}

fn loaded() -> Loaded {
    let capacities =
        Capacities { blocklist: 7, networks: 64, allowlist: 64, known_good: 64, sources: 1024, sessions: 64 };
    let programs = Programs {
        ports: vec![22],
        mask: SourceMask::new(32, 64),
        dry_run: false,
        new_sessions_per_minute: 0,
        capacities,
    };
    let mut loaded = load(&programs).unwrap();
    loaded.settings.put_to_use(Settings::BLOCKLIST, true).unwrap();
    loaded
}

/// How many packets of a source, of so many, are dropped.
fn dropped(xdp: &Xdp, count: &dyn Fn() -> u64, source: &str) -> u64 {
    let frame = packet::from(source.parse().unwrap()).tcp(22).syn().to_bytes();
    let before = count();
    xdp.test_run(TestRunOptions { data_in: Some(&frame), repeat: RUNS, ..TestRunOptions::default() })
        .unwrap();
    count() - before
}

/// Runs the program on one CPU while `sources` come and go on the other; `lease`: whether a tag is enough in a flood.
fn read_while_written(sources: &Sources, lease: bool) {
    let mut loaded = loaded();
    if lease {
        loaded.settings.renew(NEVER).unwrap();
    }
    let name = loaded.program_name();
    let Loaded { ebpf, blocklist, sampler, .. } = &mut loaded;
    blocklist.block(source_of(sources.held), NEVER, false).unwrap();
    let xdp: &Xdp = ebpf.program(name).unwrap().try_into().unwrap();
    let count = || sampler.verdicts().unwrap()[Verdict::Blocked as usize].packets;
    let (done, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            pin(0);
            while !done.load(Relaxed) {
                // While there is a lease, nothing that is over stands in the table.
                if !lease {
                    blocklist.block(source_of(sources.over), 0, false).unwrap();
                    blocklist.unblock(source_of(sources.over)).unwrap();
                }
                blocklist.block(source_of(sources.blocked), NEVER, false).unwrap();
                blocklist.unblock(source_of(sources.blocked)).unwrap();
                rounds.fetch_add(1, Relaxed);
            }
        });
        let reader = scope.spawn(|| {
            pin(1);
            let mut seen = 0;
            for _ in 0..CALLS {
                assert_eq!(dropped(xdp, &count, sources.held), u64::from(RUNS), "what is blocked is dropped");
                for _ in 0..10 {
                    assert_eq!(dropped(xdp, &count, sources.over), 0, "what is over takes nobody else's end");
                }
                let some = dropped(xdp, &count, sources.blocked);
                seen += u32::from(some > 0 && some < u64::from(RUNS));
            }
            done.store(true, Relaxed);
            seen
        });
        let seen = reader.join();
        done.store(true, Relaxed);
        writer.join().unwrap();
        assert!(seen.unwrap() > 0, "the program saw entries come and go");
    });
    assert!(rounds.into_inner() > 1000);
}

#[test]
fn the_program_never_believes_half_an_entry_of_ipv4() {
    needs!(Need::Root, Need::Bpf);
    read_while_written(&V4, false);
}

#[test]
fn the_program_never_believes_half_an_entry_of_ipv6() {
    needs!(Need::Root, Need::Bpf);
    read_while_written(&V6, false);
}

#[test]
fn what_is_blocked_is_dropped_by_its_tag_alone_while_its_bucket_changes() {
    needs!(Need::Root, Need::Bpf);
    for sources in [V4, V6] {
        read_while_written(&sources, true);
    }
}
