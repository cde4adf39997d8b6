//! The bytes of a frame, as XDP lends them.

use core::arch::asm;
use core::marker::PhantomData;

use aya_ebpf::programs::XdpContext;
use ssh_guard_common::packet::{Bytes, Divisible, Stretch};

use crate::join::join;

/// Of a frame of several buffers the first holds at least so many bytes (`MLX5E_RX_MAX_HEAD` of mlx5 is the least of
/// all drivers).
pub const LEAST_FIRST_BUFFER: u64 = 256;

/// Loads one value, by hand: headers lie as the wire has them, so Rust would have to load them byte by byte, while
/// the machines the kernel lets do so (`CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS`) load them whole.
macro_rules! load {
    ($width:literal, $start:expr, $at:expr) => {{
        let value: u64;
        // SAFETY: the frame was seen to have the bytes, and is lent for as long as the context lives; the verifier
        // checks it once more.
        unsafe {
            asm!(
                concat!("{value} = *(", $width, " *)({start} + {at})"),
                value = out(reg) value,
                start = in(reg) $start,
                at = const $at,
                options(pure, readonly, nostack),
            );
        }
        value
    }};
}

/// The first buffer of a frame. Drivers put all headers there.
pub struct Frame<'a> {
    start: usize,
    end: usize,
    context: PhantomData<&'a XdpContext>,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub fn new(context: &'a XdpContext) -> Self {
        Self { start: context.data(), end: context.data_end(), context: PhantomData }
    }
}

impl<'a> Bytes for Frame<'a> {
    type Stretch<const N: usize> = Inside<'a>;

    #[inline(always)]
    fn stretch<const N: usize>(&self, offset: usize) -> Option<Inside<'a>> {
        let start = self.start + offset;
        if start + N > self.end {
            return None;
        }
        Some(Inside { start, context: PhantomData })
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it was a port before")]
    fn joined_port(&self, port: u16) -> u16 {
        join::<0xffff>(u64::from(port), load!("u64", self.start, 0)) as u16
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a BPF program's words are 64 bits wide")]
    fn joined(&self, offset: usize) -> usize {
        // The addresses stand there: a header that ends anywhere begins behind them.
        join::<BOUND>(offset as u64, load!("u64", self.start, 0)) as usize
    }
}

/// Above all offsets that are looked at: 1024 tags, and six extension headers of 2048 bytes.
const BOUND: u64 = 0x7fff;

/// A place in the frame behind which bytes are known to lie.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    start: usize,
    context: PhantomData<&'a XdpContext>,
}

#[expect(clippy::cast_possible_truncation, reason = "what is loaded is as wide as the result")]
impl Stretch for Inside<'_> {
    #[inline(always)]
    fn byte<const AT: usize>(self) -> u8 {
        load!("u8", self.start, AT) as u8
    }

    #[inline(always)]
    fn short<const AT: usize>(self) -> u16 {
        u16::from_be(load!("u16", self.start, AT) as u16)
    }

    #[inline(always)]
    fn word<const AT: usize>(self) -> u32 {
        load!("u32", self.start, AT) as u32
    }
}

impl Divisible for Inside<'_> {
    #[inline(always)]
    fn behind<const AT: usize>(self) -> Self {
        Self { start: self.start + AT, ..self }
    }
}
