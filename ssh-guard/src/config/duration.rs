//! Lengths of time as an operator writes them: `90s`, `10m`, `1h30m`, `7d`.

use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use super::quote::shown;

/// The longest time that can be configured: ten years of 365 days. The kernel counts the end of a block in 32 bits
/// of a quarter of a second where the clock ticks fastest (`CONFIG_HZ=1000`), which lasts for 34 years.
pub const LONGEST: Duration = Duration::from_secs(3_650 * DAY);

/// Why a text is no length of time.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DurationError {
    /// It is not made of numbers with a unit.
    #[error("'{}' is not a time such as '90s', '10m', '1h30m' or '7d'", shown(.0))]
    Form(String),
    /// It is zero.
    #[error("'{}' is no time at all", shown(.0))]
    Zero(String),
    /// It is longer than `LONGEST`.
    #[error("'{}' is longer than ten years ('3650d')", shown(.0))]
    TooLong(String),
}

/// Reads a length of time from one second to `LONGEST`: whole numbers of the units `s`, `m`, `h`, `d` and `w`,
/// added up.
///
/// # Errors
/// Fails if the text has another form, and if the time is zero or longer than `LONGEST`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    // humantime takes more: its 'M' is a month, where a minute was meant, and it panics where a second's worth of 'ms'
    // follows as many seconds as it can hold.
    let known = |c: char| c.is_ascii_digit() || "smhdw ".contains(c);
    let unit = |byte: &u8| byte.is_ascii_alphabetic();
    let units_of_one_letter = text.as_bytes().windows(2).all(|pair| !pair.iter().all(unit));
    if !text.chars().all(known) || !text.bytes().any(|byte| unit(&byte)) || !units_of_one_letter {
        return Err(DurationError::Form(text.to_owned()));
    }
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(DurationError::Zero(text.to_owned())),
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => Err(DurationError::TooLong(text.to_owned())),
        Err(_) => Err(DurationError::Form(text.to_owned())),
    }
}

/// Writes a length of time in the form that `parse` reads, in whole seconds.
#[must_use]
pub fn to_text(duration: Duration) -> String {
    let mut left = duration.as_secs();
    let mut text = String::new();
    for (unit, seconds) in [("d", DAY), ("h", 3_600), ("m", 60), ("s", 1)] {
        if left >= seconds {
            write!(text, "{}{unit}", left / seconds).expect("a string takes all");
            left %= seconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_read_and_printed_in_the_same_form() {
        for text in ["1s", "90s", "10m", "1h", "1h30m", "1d", "1d12h", "7d", "30d", "3650d", "2w", "1h 30m"] {
            let duration = parse(text).unwrap();
            assert_eq!(parse(&to_text(duration)), Ok(duration), "{text}");
        }
        let printed = |text| to_text(parse(text).unwrap());
        assert_eq!(
            ["10m", "36h", "90s", "1w", "1m60m"].map(printed),
            ["10m", "1d12h", "1m30s", "7d", "1h1m"]
        );
        assert_eq!(to_text(Duration::ZERO), "0s");
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_reason() {
        let refused = |text: &str| parse(text).unwrap_err().to_string();
        for text in [
            "",
            " ",
            "10",
            "0",
            "m",
            "10x",
            "10M",
            "1day",
            "-5m",
            "1.5h",
            "10 m m",
            "10ms",
            "ten",
            "5m\n",
            "18446744073709551615s1000ms",
        ] {
            assert_eq!(
                refused(text),
                format!("'{}' is not a time such as '90s', '10m', '1h30m' or '7d'", text.escape_debug())
            );
        }
        assert_eq!(refused("0s"), "'0s' is no time at all");
        assert_eq!(refused("0d0h"), "'0d0h' is no time at all");
        for text in ["3651d", "3650d1s", "99999999999999999999s", "18446744073709551615w"] {
            assert_eq!(refused(text), format!("'{text}' is longer than ten years ('3650d')"));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            drop(parse(&text));
        }

        #[test]
        fn no_text_of_numbers_and_units_panics(text in "([0-9]{0,22}[smhdw ]?){0,5}") {
            drop(parse(&text));
        }

        #[test]
        fn every_time_is_read_as_it_was_printed(seconds in 1..=LONGEST.as_secs()) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&to_text(duration)), Ok(duration));
        }
    }
}
