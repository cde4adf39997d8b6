//! The bytes of a packet, as traffic control lends them: from the network header on, whatever the device has in front of
//! it, and wherever in the buffer's pieces they lie.

use core::marker::PhantomData;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::bindings::bpf_hdr_start_off::BPF_HDR_START_NET;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes_relative;
use aya_ebpf::programs::TcContext;
use ssh_guard_common::packet::{Bytes, Stretch};

use crate::join::join;

/// Above all offsets that are looked at, as in XDP.
const BOUND: u64 = 0x7fff;

/// A packet.
pub struct Skb<'a> {
    skb: *mut __sk_buff,
    context: PhantomData<&'a TcContext>,
}

impl<'a> Skb<'a> {
    #[inline(always)]
    pub fn new(context: &'a TcContext) -> Self {
        Self { skb: context.skb.skb, context: PhantomData }
    }

    /// The `EtherType` of what the network header begins, VLAN tags that the device took off not counted.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field holds two bytes in network order")]
    pub fn ethertype(&self) -> u16 {
        // SAFETY: the context lives as long as this.
        u16::from_be(unsafe { (*self.skb).protocol } as u16)
    }
}

impl Bytes for Skb<'_> {
    type Stretch<const N: usize> = Copied<N>;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "offsets and lengths of headers")]
    fn stretch<const N: usize>(&self, offset: usize) -> Option<Copied<N>> {
        let mut bytes = MaybeUninit::<Copied<N>>::uninit();
        // SAFETY: the context lives as long as this, and the helper writes `N` bytes, or zeroes them and refuses.
        let refused = unsafe {
            bpf_skb_load_bytes_relative(
                self.skb.cast(),
                offset as u32,
                bytes.as_mut_ptr().cast(),
                N as u32,
                BPF_HDR_START_NET,
            )
        };
        if refused != 0 {
            return None;
        }
        // SAFETY: the helper has written them.
        Some(unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it was a port before")]
    fn joined_port(&self, port: u16) -> u16 {
        // SAFETY: the context lives as long as this.
        let length = unsafe { (*self.skb).len };
        join::<0xffff>(u64::from(port), u64::from(length)) as u16
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "an offset in a packet")]
    fn joined(&self, offset: usize) -> usize {
        // SAFETY: the context lives as long as this.
        let length = unsafe { (*self.skb).len };
        join::<BOUND>(offset as u64, u64::from(length)) as usize
    }
}

/// A copy of bytes of the packet. The verifier wants what is on the stack read at its own alignment.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Copied<const N: usize>([u8; N]);

impl<const N: usize> Copied<N> {
    /// Reads a value that lies at a multiple of its size.
    #[inline(always)]
    fn at<T: Copy, const AT: usize>(&self) -> T {
        const { assert!(AT.is_multiple_of(size_of::<T>()) && AT + size_of::<T>() <= N) }
        // SAFETY: it lies inside, at its alignment, and any bytes make one: it is a number.
        unsafe { self.0.as_ptr().add(AT).cast::<T>().read() }
    }
}

impl<const N: usize> Stretch for Copied<N> {
    #[inline(always)]
    fn byte<const AT: usize>(self) -> u8 {
        self.at::<u8, AT>()
    }

    #[inline(always)]
    fn short<const AT: usize>(self) -> u16 {
        u16::from_be(self.at::<u16, AT>())
    }

    #[inline(always)]
    fn word<const AT: usize>(self) -> u32 {
        self.at::<u32, AT>()
    }
}
