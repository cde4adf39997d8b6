//! Makes each test run another source's packet, and hands it to the program that is measured.

use aya_ebpf::bindings::xdp_action::XDP_ABORTED;
use aya_ebpf::btf_maps::ProgramArray;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

use crate::frame::Frame;
use crate::sources;
use crate::walk::Walk;

/// The program that is measured. The kernel patches a call with a constant index into a jump.
#[btf_map]
static MEASURED: ProgramArray<1> = ProgramArray::new();

#[xdp(frags)]
pub fn walk_v4(ctx: XdpContext) -> u32 {
    let _walked = rewrite_v4(&ctx);
    // SAFETY: nothing here waits to be dropped.
    unsafe { MEASURED.tail_call(&ctx, 0) };
    XDP_ABORTED
}

#[xdp(frags)]
pub fn walk_v6(ctx: XdpContext) -> u32 {
    let _walked = rewrite_v6(&ctx);
    // SAFETY: nothing here waits to be dropped.
    unsafe { MEASURED.tail_call(&ctx, 0) };
    XDP_ABORTED
}

#[inline(always)]
fn rewrite_v4(ctx: &XdpContext) -> Option<()> {
    let (walk, number, place) = sources::step()?;
    let source = sources::v4(place)?;
    let frame = Frame::with::<54>(ctx)?;
    // SAFETY: Ethernet, IPv4 and TCP headers have 54 bytes.
    unsafe {
        frame.write_word::<26>(source);
        if walk.one_port == 0 {
            frame.write_short::<34>(Walk::port(number).to_be());
        }
    }
    Some(())
}

#[inline(always)]
fn rewrite_v6(ctx: &XdpContext) -> Option<()> {
    let (walk, number, place) = sources::step()?;
    let [a, b, c, d] = sources::v6(place)?;
    let frame = Frame::with::<74>(ctx)?;
    // SAFETY: Ethernet, IPv6 and TCP headers have 74 bytes.
    unsafe {
        frame.write_word::<22>(a);
        frame.write_word::<26>(b);
        frame.write_word::<30>(c);
        frame.write_word::<34>(d);
        if walk.one_port == 0 {
            frame.write_short::<54>(Walk::port(number).to_be());
        }
    }
    Some(())
}
