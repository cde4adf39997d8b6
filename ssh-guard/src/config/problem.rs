//! What is wrong with a configuration.

use std::fmt;

use super::file::FileError;
use crate::fault::{Exit, Fault};

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, the line if one is to blame (`FILE:LINE: `), and what is wrong there.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration, at least one thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    first: Problem,
    others: Vec<Problem>,
    exit: Exit,
}

impl ConfigError {
    /// Gathers what is wrong, in the order in which it is to be told; nothing is wrong if there is no problem.
    #[must_use]
    pub fn gather(problems: impl IntoIterator<Item = Problem>) -> Option<Self> {
        let mut problems = problems.into_iter();
        let first = problems.next()?;
        Some(Self { first, others: problems.collect(), exit: Exit::Configuration })
    }

    /// What is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { first: problem, others: Vec::new(), exit: Exit::Configuration }
    }
}

impl From<FileError> for ConfigError {
    fn from(error: FileError) -> Self {
        let exit = if error.is_denied() { Exit::NotPermitted } else { Exit::Configuration };
        Self { exit, ..Self::from(error.problem()) }
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let ConfigError { first, others, exit } = error;
        let fault = |problem: Problem| match problem {
            Problem { message, hint: Some(hint) } => Self::new(exit, message).hint(hint),
            Problem { message, hint: None } => Self::new(exit, message),
        };
        let untold = others.len().saturating_sub(MAX_TOLD - 1);
        let told = others.into_iter().take(MAX_TOLD - 1).map(fault);
        let whole = told.fold(fault(first), Self::and);
        if untold == 0 {
            return whole;
        }
        whole.and(Self::new(exit, format!("there are {untold} errors more in the configuration")))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.message)?;
        self.others.iter().take(MAX_TOLD - 1).try_for_each(|problem| write!(f, "; {}", problem.message))
    }
}

impl std::error::Error for ConfigError {}

/// As many problems as fit on a screen with their hints.
const MAX_TOLD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_row_of_problems_is_cut_and_counted() {
        let problem = |number| Problem { message: format!("f:{number}: wrong"), hint: None };
        let report = Fault::from(ConfigError::gather((1..=25).map(problem)).unwrap()).report();
        assert_eq!(report.lines().count(), 21);
        assert!(report.starts_with("ssh-guard: f:1: wrong\n"));
        assert!(report.ends_with("\nssh-guard: there are 5 errors more in the configuration\n"));
        let twenty = Fault::from(ConfigError::gather((1..=20).map(problem)).unwrap()).report();
        assert!(twenty.ends_with("\nssh-guard: f:20: wrong\n"));
        assert_eq!(ConfigError::gather([]), None);
    }
}
