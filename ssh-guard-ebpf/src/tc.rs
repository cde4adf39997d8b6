//! Traffic control: the same judge where XDP is not to be had, and the witness, which sees what servers send. Both hand the
//! packet on to whatever else is attached there (`TC_ACT_UNSPEC`), unless it is dropped.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use ssh_guard_common::packet::{self, Reading};

use crate::judge::{Evidence, judge};
use crate::maps::Kernel;
use crate::sessions;
use crate::settings::{self, Answers, GuardedPorts};
use crate::skb::Skb;

#[classifier]
#[inline(always)]
pub fn ssh_guard_tc(ctx: TcContext) -> i32 {
    let packet = Skb::new(&ctx);
    let Some(evidence) = Evidence::from(packet::read_bare(&packet, packet.ethertype(), &GuardedPorts)) else {
        return TC_ACT_UNSPEC;
    };
    let verdict = judge(evidence, u64::from(ctx.len()), &Kernel);
    if verdict.drops() && !settings::dry_run() { TC_ACT_SHOT } else { TC_ACT_UNSPEC }
}

#[classifier]
#[inline(always)]
pub fn ssh_guard_witness(ctx: TcContext) -> i32 {
    let packet = Skb::new(&ctx);
    if let Reading::Guarded(segment) = packet::read_bare(&packet, packet.ethertype(), &Answers) {
        sessions::witness(&segment);
    }
    TC_ACT_UNSPEC
}
