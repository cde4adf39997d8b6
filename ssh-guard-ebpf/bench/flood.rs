//! The generator: run over live frames, it sends each from another source, with the checksums that belong to it.

use aya_ebpf::bindings::xdp_action::XDP_DROP;
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::frame::Frame;
use crate::sources;
use crate::walk::{Walk, checksum};

#[xdp]
pub fn flood(ctx: XdpContext) -> u32 {
    match send(&ctx) {
        Some(action) => action,
        // The walk is over.
        None => XDP_DROP,
    }
}

#[inline(always)]
fn send(ctx: &XdpContext) -> Option<u32> {
    if !sources::is_due()? {
        return Some(XDP_DROP);
    }
    let (walk, number, place) = sources::step()?;
    let source = sources::v4(place)?;
    let port = Walk::port(number).to_be();
    let frame = Frame::with::<54>(ctx)?;
    // SAFETY: Ethernet, IPv4 and TCP headers have 54 bytes.
    unsafe {
        frame.write_short::<24>(checksum(walk.ip_sum, source, 0));
        frame.write_word::<26>(source);
        frame.write_short::<34>(port);
        frame.write_short::<50>(checksum(walk.tcp_sum, source, port));
    }
    // SAFETY: the helper only notes where the frame shall go.
    let action = unsafe { bpf_redirect(walk.interface, 0) };
    u32::try_from(action).ok()
}
