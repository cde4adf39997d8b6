//! The middle of some numbers, and how far they lie apart.

use serde::Serialize;

/// Median, smallest and largest of one number a round.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Takes the numbers in any order; nothing of none.
    #[must_use]
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

/// The smallest of the numbers that so many per cent of them do not exceed (by nearest rank); nothing of none.
#[must_use]
pub fn percentile(numbers: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Sets each number against the one of the same round.
#[must_use]
pub fn paired(numbers: &[f64], others: &[f64], set: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    numbers.iter().zip(others).map(|(number, other)| set(*number, *other)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_one_in_the_middle() {
        let spread = Spread::of(&[9.0, 1.0, 5.0]).unwrap();
        assert_eq!(spread, Spread { median: 5.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of(&[4.0, -1.0, 2.0, 8.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, min: -1.0, max: 8.0 });
    }

    #[test]
    fn one_far_off_does_not_move_the_median() {
        assert_eq!(Spread::of(&[3.0, 3.0, 3.0, 3.0, 1e9]).map(|spread| spread.median), Some(3.0));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_numbers() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let told = [1, 50, 99, 100].map(|percent| percentile(&hundred, percent));
        assert_eq!(told, [Some(1.0), Some(50.0), Some(99.0), Some(100.0)]);
    }

    #[test]
    fn a_percentile_of_few_numbers_is_the_next_larger_one() {
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 50), Some(2.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 67), Some(3.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 0), Some(1.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn numbers_are_set_against_those_of_the_same_round() {
        assert_eq!(paired(&[30.0, 50.0], &[20.0, 45.0], |one, other| one - other), [10.0, 5.0]);
    }
}
