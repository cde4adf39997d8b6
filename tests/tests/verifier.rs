//! What the programs ask of the kernel's verifier.

use aya::programs::Program;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::{MAX_PORTS, names};
use ssh_guard_tests::needs;
use ssh_guard_tests::programs::Programs;
use ssh_guard_tests::skip::Need;

/// The verifier gives up at a million instructions, and its ways differ by a factor of three from one kernel to another.
const BEARABLE: u32 = 200_000;

#[test]
fn the_verifier_is_done_with_each_program_long_before_it_gives_up() {
    needs!(Need::Root, Need::Bpf);
    // As many ports as there can be: what the verifier knows of each must not multiply the ways.
    let ports: Vec<u16> = (1..).take(MAX_PORTS).collect();
    let mut programs = Programs::with(&ports, SourceMask::new(32, 64), false);
    for name in [names::PROGRAM, names::PROGRAM_FRAGS, names::PROGRAM_TC, names::PROGRAM_WITNESS] {
        if name != names::PROGRAM_FRAGS {
            programs.make_ready(name);
        }
        let info = match programs.loaded.ebpf.program(name).expect("the object has the program") {
            Program::Xdp(xdp) => xdp.info(),
            Program::SchedClassifier(tc) => tc.info(),
            other => panic!("'{name}' is {:?}", other.prog_type()),
        };
        // The one for packets of several buffers is not loaded where the kernel has none; and kernels before 5.16 do not
        // tell: that they load a program shows that it is below a million.
        let visited = info.ok().and_then(|info| info.verified_instruction_count());
        println!("{name}: {visited:?} instructions visited");
        assert!(visited.is_none_or(|visited| (1..BEARABLE).contains(&visited)), "{name}: {visited:?}");
    }
}
