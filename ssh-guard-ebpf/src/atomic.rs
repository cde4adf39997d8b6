//! What `core` lacks on this target: adding to memory that other CPUs add to.

use core::arch::asm;

/// Adds to a counter, whatever other CPUs do meanwhile.
///
/// # Safety
/// `counter` must point to 8 bytes of a map's value, aligned to 8, that outlive the call.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the instruction touches nothing but the 8 bytes that the caller vouches for.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {amount}", counter = in(reg) counter, amount = in(reg) amount, options(nostack));
    }
}
