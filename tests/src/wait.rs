//! Waiting for a condition instead of sleeping.

use std::time::{Duration, Instant};

/// How long a test waits for what takes milliseconds on an idle machine, and seconds on a busy one. Tests that are built for
/// an imitated machine, which is slower by far, have `SSH_GUARD_TEST_PATIENCE` set to their seconds.
pub const PATIENCE: Duration = Duration::from_secs(match option_env!("SSH_GUARD_TEST_PATIENCE") {
    Some(seconds) => match u64::from_str_radix(seconds, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SSH_GUARD_TEST_PATIENCE is no number of seconds"),
    },
    None => 20,
});

const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `holds` does.
///
/// # Panics
/// When it does not within `within`; the message says `what` did not happen.
pub fn eventually(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let held = poll(within, || holds().then_some(()));
    assert!(held.is_some(), "not within {within:?}: {what}");
}

/// Waits until `look` returns something, and returns that; nothing if it does not within `within`.
pub fn poll<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = now();
    loop {
        // The last look comes after the time is up, so that a slow look is not the end of it.
        let last = now().duration_since(start) >= within;
        let found = look();
        if found.is_some() || last {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a deadline needs a clock, and the pure core has no part in it"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_is_waited_for() {
        let mut looks = 0;
        eventually(PATIENCE, "the third look", || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "the impossible")]
    fn a_condition_that_never_holds_fails_the_test_and_is_named() {
        eventually(Duration::from_millis(30), "the impossible", || false);
    }
}
