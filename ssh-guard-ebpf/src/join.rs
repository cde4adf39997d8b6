//! What makes one of many ways that the verifier would go each by itself.

use core::arch::asm;

/// The same number, of which the verifier knows nothing any longer: it has to be shown a bound again. `any` is anything
/// of which it knows nothing.
///
/// States that differ in nothing but a number are one to it from here on. A program whose branches and loops each leave a
/// number behind has their product of states otherwise, more than the verifiers of older kernels bear (Linux 6.1).
#[inline(always)]
pub fn join<const BOUND: u64>(number: u64, any: u64) -> u64 {
    let joined: u64;
    // SAFETY: this computes with registers only. No bit is set in a number and in its complement, so 0 is added; the
    // verifier knows of neither how they hang together.
    unsafe {
        asm!(
            "{joined} = {any}",
            "{joined} ^= -1",
            "{joined} &= {any}",
            "{joined} += {number}",
            "{joined} &= {bound}",
            any = in(reg) any,
            number = in(reg) number,
            joined = out(reg) joined,
            bound = const BOUND,
            options(pure, nomem, nostack),
        );
    }
    joined
}
