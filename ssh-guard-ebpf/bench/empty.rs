//! Programs that do nothing: what a guard costs is what it costs beyond these.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

#[xdp(frags)]
pub fn empty_drop(_: XdpContext) -> u32 {
    XDP_DROP
}

#[xdp(frags)]
pub fn empty_pass(_: XdpContext) -> u32 {
    XDP_PASS
}
