//! How numbers are spread, in bounded memory.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts numbers by size: exactly up to 32, and to a sixteenth above.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// How many there are of each size; at most about a thousand sizes.
    sizes: BTreeMap<u64, u64>,
    count: u64,
    most: u64,
}

/// What is told of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub struct Quantiles {
    /// Half of them are no more.
    pub median: u64,
    /// Nine of ten are no more.
    pub p90: u64,
    /// The greatest.
    pub max: u64,
}

impl Spread {
    /// Takes a number.
    pub fn add(&mut self, number: u64) {
        *self.sizes.entry(rounded(number)).or_default() += 1;
        self.count += 1;
        self.most = self.most.max(number);
    }

    /// What is told of the numbers, if there are any.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let at_least = |part: u64| {
            let mut seen = 0;
            let enough = (self.count * part).div_ceil(10);
            let (size, _) = self.sizes.iter().find(|(_, count)| {
                seen += *count;
                seen >= enough
            })?;
            Some(*size)
        };
        (self.count > 0).then_some(())?;
        Some(Quantiles { median: at_least(5)?, p90: at_least(9)?, max: self.most })
    }
}

/// The first five binary digits of a number, the rest zero.
fn rounded(number: u64) -> u64 {
    let rest = (u64::BITS - number.leading_zeros()).saturating_sub(5);
    number >> rest << rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(numbers: impl IntoIterator<Item = u64>) -> Option<Quantiles> {
        let mut spread = Spread::default();
        numbers.into_iter().for_each(|number| spread.add(number));
        spread.quantiles()
    }

    #[test]
    fn small_numbers_are_exact_and_great_ones_nearly_so() {
        assert_eq!(told(1..=10), Some(Quantiles { median: 5, p90: 9, max: 10 }));
        assert_eq!(told([7]), Some(Quantiles { median: 7, p90: 7, max: 7 }));
        let Quantiles { median, p90, max } = told(1..=100_000).unwrap();
        assert!((46_875..=50_000).contains(&median) && (84_375..=90_000).contains(&p90), "{median} {p90}");
        assert_eq!(max, 100_000);
        assert_eq!(told([]), None);
    }

    #[test]
    fn whatever_comes_there_are_few_sizes() {
        let mut spread = Spread::default();
        (0..64).for_each(|bits| (0..1000).for_each(|part| spread.add((1 << bits) / 1000 * part)));
        assert!(spread.sizes.len() < 1024, "{}", spread.sizes.len());
        assert_eq!(rounded(u64::MAX) >> 59, 31);
    }
}
