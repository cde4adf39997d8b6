//! XDP: one reading, one verdict, one action. Each program is inlined into its entry point: a call could not be given the
//! frame's end.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ssh_guard_common::packet;

use crate::frame::{Frame, LEAST_FIRST_BUFFER};
use crate::judge::{Evidence, judge};
use crate::maps::Kernel;
use crate::settings::{self, GuardedPorts};

#[xdp]
#[inline(always)]
pub fn ssh_guard(ctx: XdpContext) -> u32 {
    guard(&Frame::new(&ctx), || first_buffer(&ctx))
}

#[xdp(frags)]
#[inline(always)]
pub fn ssh_guard_frags(ctx: XdpContext) -> u32 {
    guard(&Frame::new(&ctx), || match first_buffer(&ctx) {
        // A call costs as much as a lookup.
        all if all < LEAST_FIRST_BUFFER => all,
        // SAFETY: `ctx` is the context this program was called with.
        _ => unsafe { aya_ebpf::helpers::generated::bpf_xdp_get_buff_len(ctx.ctx) },
    })
}

/// Bytes of the frame's first buffer.
#[inline(always)]
fn first_buffer(ctx: &XdpContext) -> u64 {
    (ctx.data_end() - ctx.data()) as u64
}

/// Judges a frame. What is not TCP to a guarded port passes uncounted, and by the shortest way: most packets of the machine
/// take it.
#[inline(always)]
fn guard(frame: &Frame, length: impl FnOnce() -> u64) -> u32 {
    let Some(evidence) = Evidence::from(packet::read(frame, &GuardedPorts)) else {
        return XDP_PASS;
    };
    let verdict = judge(evidence, length(), &Kernel);
    if verdict.drops() && !settings::dry_run() { XDP_DROP } else { XDP_PASS }
}
