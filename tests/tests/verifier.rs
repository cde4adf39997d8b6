//! What the programs ask of the kernel's verifier.

use aya::programs::Xdp;
use ssh_guard_common::names;
use ssh_guard_tests::needs;
use ssh_guard_tests::programs::Programs;
use ssh_guard_tests::skip::Need;

/// The verifier gives up at a million instructions, and its ways differ by a factor of three from one kernel to another.
const BEARABLE: u32 = 100_000;

#[test]
fn the_verifier_is_done_with_each_program_long_before_it_gives_up() {
    needs!(Need::Root, Need::Bpf);
    let programs = Programs::limiting(10, false);
    for name in [names::PROGRAM, programs.loaded.program_name()] {
        let program = programs.loaded.ebpf.program(name).expect("the object has the program");
        let xdp: &Xdp = program.try_into().expect("it is an XDP program");
        // Kernels before 5.16 do not tell; that they load it shows that it is below a million.
        if let Some(visited) = xdp.info().expect("it is loaded").verified_instruction_count() {
            assert!((1..BEARABLE).contains(&visited), "{name}: {visited}");
        }
    }
}
