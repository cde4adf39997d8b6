//! What a machine said of its tests.

use std::{fmt, ops::RangeInclusive};

/// What became of the tests on a kernel.
#[derive(Debug)]
pub struct Report {
    /// All that the machine wrote.
    pub console: String,
    /// The programs that were to run, in their order.
    pub programs: Vec<Ran>,
    /// Seconds since it booted, when its tests were done; nothing if it never said so.
    pub seconds: Option<u32>,
}

/// What became of the tests of a program.
#[derive(PartialEq, Eq, Debug)]
pub struct Ran {
    /// The program.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Those that passed, without those that were skipped.
    pub passed: usize,
    /// Those that failed.
    pub failed: usize,
    /// Each that was skipped, with the reason.
    pub skipped: Vec<String>,
}

/// A program of tests that is to run.
pub struct Expected<'a> {
    /// The program.
    pub name: &'a str,
    /// How many tests it is to run.
    pub tests: RangeInclusive<usize>,
}

/// How a program of tests ended.
#[derive(PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All of its tests passed or were skipped.
    Passed,
    /// Not so, for this reason.
    Failed(String),
}

/// Begins each line of a machine that is meant for this.
pub const MARK: &str = "vm-says:";

impl Report {
    /// Reads what a machine wrote that was to run these programs.
    pub fn read(console: String, expected: &[Expected<'_>]) -> Self {
        let lines: Vec<&str> = console.lines().map(str::trim_end).collect();
        let said = |what: &str| {
            let line = format!("{MARK} {what}");
            lines.iter().position(|found| *found == line)
        };
        let programs = expected.iter().map(|expected| {
            let name = expected.name;
            let Some(begin) = said(&format!("begin {name}")) else { return Ran::never(name) };
            let rest = &lines[begin + 1..];
            let end = format!("{MARK} end {name} ");
            let Some(length) = rest.iter().position(|line| line.starts_with(&end)) else {
                return Ran { outcome: failed("it did not end in time"), ..Ran::never(name) };
            };
            Ran::read(expected, &rest[..length], &rest[length][end.len()..])
        });
        let programs = programs.collect();
        let done = format!("{MARK} done ");
        // The uptime, in seconds with a fraction.
        let seconds = lines.iter().find_map(|line| line.strip_prefix(&done)?.split('.').next()?.parse().ok());
        Self { console, programs, seconds }
    }

    /// Whether every program ran and passed, and the machine said that it was done.
    pub fn passed(&self) -> bool {
        let passed = self.programs.iter().all(|program| program.outcome == Outcome::Passed);
        passed && self.seconds.is_some() && self.sum(|program| program.passed) > 0
    }

    fn sum(&self, of: impl Fn(&Ran) -> usize) -> usize {
        self.programs.iter().map(of).sum()
    }
}

impl Ran {
    fn never(name: &str) -> Self {
        let outcome = failed("it was not started");
        Self { name: name.to_owned(), outcome, passed: 0, failed: 0, skipped: Vec::new() }
    }

    /// Reads what a program wrote, and its exit code.
    fn read(expected: &Expected<'_>, lines: &[&str], code: &str) -> Self {
        let skipped: Vec<String> = lines
            .iter()
            .filter_map(|line| line.split_once("SKIPPED "))
            .map(|(_, why)| format!("SKIPPED {why}"))
            .collect();
        let result = lines.iter().rev().find_map(|line| counts(line));
        let (passed, failed_tests) = result.unwrap_or_default();
        let ran = passed + failed_tests;
        let outcome = match (code, result) {
            (_, None) => failed(&format!("it told no result, and exited with {code}")),
            _ if failed_tests > 0 => failed(&format!("{failed_tests} of its tests failed")),
            _ if !expected.tests.contains(&ran) => {
                failed(&format!("it ran {ran} tests, not {}", expected.tests.start()))
            }
            ("0", _) => Outcome::Passed,
            _ => failed(&format!("it exited with {code}")),
        };
        let passed = passed.saturating_sub(skipped.len());
        Self { name: expected.name.to_owned(), outcome, passed, failed: failed_tests, skipped }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed] = [self.sum(|program| program.passed), self.sum(|program| program.failed)];
        let skipped = self.sum(|program| program.skipped.len());
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped, ")?;
        match self.seconds {
            Some(seconds) => write!(f, "{seconds} s"),
            None => write!(f, "and the machine never said that it was done"),
        }
    }
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed(why.to_owned())
}

/// Passed and failed tests, of the line that a program of tests ends with.
fn counts(line: &str) -> Option<(usize, usize)> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers =
        rest.split("; ").map(|part| part.split(' ').next().and_then(|number| number.parse().ok()));
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str =
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.20s\n";
    const FAILED: &str =
        "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n";

    /// What a machine writes: its console ends lines as terminals do.
    fn console(one: &str, two: &str, end: &str) -> String {
        let text = format!("SeaBIOS\n{MARK} begin one\n{one}{MARK} begin two\n{two}{end}");
        text.replace('\n', "\r\n")
    }

    fn read(one: &str, two: &str, end: &str) -> Report {
        let expected = ["one", "two"].map(|name| Expected { name, tests: 3..=3 });
        Report::read(console(one, two, end), &expected)
    }

    fn ended(name: &str, result: &str, code: u8) -> String {
        format!("\nrunning 3 tests\ntest a ... ok\n{result}\n{MARK} end {name} {code}\n")
    }

    const DONE: &str = "vm-says: done 41.73\n";

    #[test]
    fn tests_that_pass_are_counted_and_those_that_were_skipped_are_no_part_of_them() {
        let skipping = format!("SKIPPED c: no program 'sshd'\n{}", ended("two", PASSED, 0));
        let report = read(&ended("one", PASSED, 0), &skipping, DONE);
        assert!(report.passed(), "{report:?}");
        assert_eq!(report.to_string(), "5 passed, 0 failed, 1 skipped, 41 s");
        assert_eq!(report.programs[1].skipped, ["SKIPPED c: no program 'sshd'"]);
    }

    #[test]
    fn a_test_that_fails_fails_the_kernel() {
        let report = read(&ended("one", PASSED, 0), &ended("two", FAILED, 101), DONE);
        assert!(!report.passed());
        assert_eq!(report.to_string(), "5 passed, 1 failed, 0 skipped, 41 s");
        assert_eq!(report.programs[1].outcome, failed("1 of its tests failed"));
    }

    #[test]
    fn a_kernel_that_says_nothing_or_not_all_has_not_passed() {
        let good = [ended("one", PASSED, 0), ended("two", PASSED, 0)];
        assert!(read(&good[0], &good[1], DONE).passed());
        for (one, two, end, why) in [
            (&good[0], "", "", "it did not end in time"),
            (&good[0], "Kernel panic - not syncing\n", "", "it did not end in time"),
            (&good[0], &*ended("two", "Killed", 137), DONE, "it told no result, and exited with 137"),
            (&good[0], &*ended("two", PASSED, 139), DONE, "it exited with 139"),
            (
                &good[0],
                &*ended("two", &PASSED.replace("3 passed", "2 passed"), 0),
                DONE,
                "it ran 2 tests, not 3",
            ),
        ] {
            let report = read(one, two, end);
            assert!(!report.passed());
            assert_eq!(report.programs[1].outcome, failed(why));
        }
        assert!(!read(&good[0], &good[1], "").passed(), "it never was done");
        let nothing = Report::read(String::new(), &[Expected { name: "one", tests: 0..=9 }]);
        assert_eq!(nothing.programs[0].outcome, failed("it was not started"));
        assert!(!nothing.passed());
        assert!(!Report::read(DONE.to_owned(), &[]).passed(), "no test at all");
    }
}
