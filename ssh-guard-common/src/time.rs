//! The clock that ends are measured on.

/// A time in the kernel's clock: jiffies since [`base`](crate::records::Settings::base), in units of 256. At 250 Hz
/// a tick is 1.024 s, at 1000 Hz 0.256 s, at 100 Hz 2.56 s; 32 bits last for decades.
///
/// Jiffies, because reading them costs a program nothing (the JIT inlines `bpf_jiffies64`), where every other clock
/// costs more than the lookup beside it. They stand still while the machine sleeps.
pub type Ticks = u32;

/// The end of what has no end.
pub const NEVER: Ticks = Ticks::MAX;

/// How many bits of the jiffies are left out of a tick.
pub const TICK_SHIFT: u32 = 8;

/// The tick that `jiffies` lie in, counted from `base`.
#[inline(always)]
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "32 bits of ticks last for decades from the base")]
pub const fn ticks(jiffies: u64, base: u64) -> Ticks {
    (jiffies.wrapping_sub(base) >> TICK_SHIFT) as Ticks
}

/// Whether something with this end is over.
#[inline(always)]
#[must_use]
pub const fn is_over(until: Ticks, now: Ticks) -> bool {
    until != NEVER && until <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_a_tick_is_over_in_it_and_not_before() {
        assert!(!is_over(7, 6));
        assert!(is_over(7, 7));
        assert!(!is_over(NEVER, NEVER - 1));
        assert!(!is_over(NEVER, NEVER));
    }

    #[test]
    fn a_tick_is_256_jiffies_from_the_base() {
        assert_eq!([ticks(1000, 1000), ticks(1255, 1000), ticks(1256, 1000)], [0, 0, 1]);
        assert_eq!(ticks(1 << 39, 0), 1 << 31);
    }
}
