//! The kernel's clocks.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_PASS};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// The kernel's tick counter.
#[inline(always)]
pub fn jiffies() -> u64 {
    // SAFETY: the helper takes nothing and only reads (kernel 5.6 and later).
    unsafe { bpf_jiffies64() }
}

/// Writes the jiffies and the time since boot, sleep included, in nanoseconds, over the frame's first 16 bytes. The
/// daemon test-runs it, to learn how the two go together.
#[xdp]
pub fn ssh_guard_clock(ctx: XdpContext) -> u32 {
    let start = ctx.data();
    if start + size_of::<[u64; 2]>() > ctx.data_end() {
        return XDP_ABORTED;
    }
    // SAFETY: the frame was just seen to have 16 bytes; XDP's frames start on a boundary of 8 bytes.
    unsafe { *(start as *mut [u64; 2]) = [jiffies(), bpf_ktime_get_boot_ns()] };
    XDP_PASS
}
