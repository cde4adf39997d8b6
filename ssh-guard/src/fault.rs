//! What a command tells the operator when it cannot do what it was asked.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

/// A failure as the operator reads it: what failed and why, what to do, and the exit code.
#[derive(Debug)]
pub struct Fault {
    exit: Exit,
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn Error + Send + Sync>>,
    beside: Vec<Fault>,
}

/// Why the process ends, as its exit code tells; 69 and above are those of `sysexits.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Something failed.
    Failure,
    /// The command line was wrong.
    Usage,
    /// The daemon does not answer.
    NoDaemon,
    /// The caller lacks a permission.
    NotPermitted,
    /// The configuration was wrong.
    Configuration,
}

impl Fault {
    /// Says `what` failed and why: lower case, names quoted with '…', no full stop.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), hint: None, cause: None, beside: Vec::new() }
    }

    /// Says what the operator can do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Keeps the error that led here; the report names it and its own causes after a colon.
    #[must_use]
    pub fn because(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Adds another failure to the report; the exit code stays.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.beside.push(other);
        self
    }

    /// The exit code of the process that ends with this failure.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What failed, with the chain of its causes.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = self.what.clone();
        let mut last = self.what.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors repeat their cause in their own text.
            if !last.ends_with(&text) {
                told.push_str(": ");
                told.push_str(&text);
                last = text;
            }
            cause = error.source();
        }
        told
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn way_out(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Writes what goes to standard error: for each failure a line `ssh-guard: …`, with the chain of its causes,
    /// and its `hint: …`.
    #[must_use]
    pub fn report(&self) -> String {
        let mut report = format!("ssh-guard: {}\n", self.told());
        if let Some(hint) = &self.hint {
            writeln!(report, "hint: {hint}").expect("a string takes all");
        }
        self.beside.iter().for_each(|other| report.push_str(&other.report()));
        report
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Exit {
    /// The number of the exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NoDaemon => 69,
            Self::NotPermitted => 77,
            Self::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_failure_its_causes_and_the_way_out() {
        let refused = std::io::Error::other("connection refused");
        let fault = Fault::new(Exit::NoDaemon, "no daemon answers on '/run/x.sock'")
            .because(refused)
            .hint("start it with 'systemctl start ssh-guard'");
        assert_eq!(
            fault.report(),
            "ssh-guard: no daemon answers on '/run/x.sock': connection refused\n\
             hint: start it with 'systemctl start ssh-guard'\n"
        );
        assert_eq!(fault.exit().code(), 69);
        assert_eq!(fault.source().unwrap().to_string(), "connection refused");
    }

    #[test]
    fn a_cause_that_the_failure_quotes_is_told_once() {
        let inner = Fault::new(Exit::Failure, "device busy");
        let outer = Fault::new(Exit::Failure, "cannot attach: device busy").because(inner);
        assert_eq!(outer.report(), "ssh-guard: cannot attach: device busy\n");
    }

    #[test]
    fn failures_are_told_beside_each_other_and_the_first_decides_the_code() {
        let fault = Fault::new(Exit::Configuration, "one").and(Fault::new(Exit::Failure, "two").hint("do"));
        assert_eq!(fault.report(), "ssh-guard: one\nssh-guard: two\nhint: do\n");
        assert_eq!(fault.exit(), Exit::Configuration);
    }
}
