//! The unit that scores are summed in.

use std::fmt;
use std::num::NonZeroU32;

/// A weight, or a sum of weights, in thousandths: whole numbers, so that a sum neither drifts nor depends on the
/// order of its parts. Everything saturates, at about four million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Weight(u32);

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl Weight {
    /// No weight.
    pub const ZERO: Self = Self(0);

    /// Rounds to the nearest thousandth; what is negative or no number weighs nothing.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    pub fn new(value: f64) -> Self {
        Self((value * 1000.0).round() as u32)
    }

    /// The number that it stands for.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Whether it weighs nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The weight of `count` times the same.
    #[must_use]
    pub fn times(self, count: NonZeroU32) -> Self {
        Self(self.0.saturating_mul(count.get()))
    }

    /// One of `count` equal parts, if those are whole thousandths.
    #[must_use]
    pub fn each(self, count: u32) -> Option<Self> {
        (count > 0 && self.0.is_multiple_of(count)).then(|| Self(self.0 / count))
    }

    /// A part of it, rounded to the nearest thousandth.
    #[must_use]
    pub fn part(self, part: f64) -> Self {
        Self::new(self.value() * part)
    }

    /// Half of it, rounded down.
    #[must_use]
    pub fn half(self) -> Self {
        Self(self.0 / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_tenths_are_exactly_five() {
        let sum = (0..50).fold(Weight::ZERO, |sum, _| sum.plus(Weight::new(0.1)));
        assert_eq!(sum, Weight::new(5.0));
    }

    #[test]
    fn weights_saturate_at_both_ends() {
        assert_eq!(Weight::new(-3.0), Weight::ZERO);
        assert_eq!(Weight::new(f64::NAN), Weight::ZERO);
        assert_eq!(Weight::new(f64::INFINITY), Weight(u32::MAX));
        assert_eq!(Weight::new(1.0).times(NonZeroU32::MAX), Weight(u32::MAX));
        assert_eq!(Weight(u32::MAX).plus(Weight::new(1.0)), Weight(u32::MAX));
        assert_eq!(Weight::new(1.0).minus(Weight::new(2.0)), Weight::ZERO);
    }
}
