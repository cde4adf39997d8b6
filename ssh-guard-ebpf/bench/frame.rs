//! The frame that is made another one on each run.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;

/// A frame that was seen to have at least the bytes asked for.
pub struct Frame(usize);

impl Frame {
    /// Takes a frame of at least `N` bytes.
    #[inline(always)]
    pub fn with<const N: usize>(ctx: &XdpContext) -> Option<Self> {
        let start = ctx.data();
        if start + N > ctx.data_end() { None } else { Some(Self(start)) }
    }

    /// Writes 4 bytes, in one store: the guard's load of them would have to wait for two.
    ///
    /// # Safety
    /// The frame was taken with at least `AT + 4` bytes.
    #[inline(always)]
    pub unsafe fn write_word<const AT: usize>(&self, value: u32) {
        // SAFETY: the caller vouches for the bytes; the verifier checks it once more.
        unsafe {
            asm!(
                "*(u32 *)({start} + {at}) = {value}",
                start = in(reg) self.0,
                at = const AT,
                value = in(reg) u64::from(value),
                options(nostack),
            );
        }
    }

    /// Writes 2 bytes.
    ///
    /// # Safety
    /// The frame was taken with at least `AT + 2` bytes.
    #[inline(always)]
    pub unsafe fn write_short<const AT: usize>(&self, value: u16) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "*(u16 *)({start} + {at}) = {value}",
                start = in(reg) self.0,
                at = const AT,
                value = in(reg) u64::from(value),
                options(nostack),
            );
        }
    }
}
