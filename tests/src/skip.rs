//! What a test needs of the machine, and what happens where it is missing.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};

/// Something that not every machine grants a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// User id 0.
    Root,
    /// A kernel that loads XDP programs for this user.
    Bpf,
    /// Network namespaces, and `ip` to furnish them.
    Netns,
    /// A program of this name.
    Program(&'static str),
}

impl Need {
    /// Tells whether the machine has it.
    #[must_use]
    pub fn is_met(self) -> bool {
        match self {
            Self::Root => nix::unistd::geteuid().is_root(),
            Self::Bpf => aya::sys::is_program_supported(aya::programs::ProgramType::Xdp).unwrap_or(false),
            Self::Netns => find_program("ip").is_some() && may_make_namespaces(),
            Self::Program(name) => find_program(name).is_some(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("not root"),
            Self::Bpf => f.write_str("no XDP program may be loaded"),
            Self::Netns => f.write_str("no network namespace can be made"),
            Self::Program(name) => write!(f, "no program '{name}'"),
        }
    }
}

/// Ends the test that calls it, with a line `SKIPPED name: why`, unless the machine has all that is named.
///
/// # Panics
/// Where the environment says `CI=true`: there, nothing may be skipped.
#[macro_export]
macro_rules! needs {
    ($($need:expr),+ $(,)?) => {
        if !$crate::skip::all_met(&[$($need),+]) {
            return;
        }
    };
}

/// Tells whether the machine has all of `needs`, and says what it lacks; [`needs!`] calls it.
///
/// # Panics
/// With `CI=true`, if anything is missing.
#[must_use]
pub fn all_met(needs: &[Need]) -> bool {
    let missing = needs.iter().find(|need| !need.is_met());
    missing.inspect(|missing| skipped(missing)).is_none()
}

/// Says that the test that runs ends here, and why; for what only the test itself can find out.
///
/// # Panics
/// With `CI=true`.
pub fn skipped(why: &dyn fmt::Display) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {why}", thread.name().unwrap_or("?"));
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{line}");
    // Not `eprintln!`: what that writes is shown for failed tests only.
    writeln!(std::io::stderr(), "{line}").expect("standard error takes a line");
}

/// Finds a program in `PATH`, or where system programs are kept that an ordinary `PATH` leaves out.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/lib/systemd", "/lib/systemd"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok()
}

fn may_make_namespaces() -> bool {
    // A thread of its own, since it moves into the namespace it makes.
    let made = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok());
    made.join().expect("the thread only makes one call")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_one_that_is_not_there_is_not() {
        assert!(Need::Program("sh").is_met());
        let missing = Need::Program("no-such-program-anywhere");
        assert!(!missing.is_met());
        assert_eq!(missing.to_string(), "no program 'no-such-program-anywhere'");
    }

    #[test]
    #[ignore = "run by the test below, in a process of its own"]
    fn needs_what_nobody_has() {
        needs!(Need::Program("no-such-program-anywhere"));
        unreachable!("the test went on");
    }

    #[test]
    fn a_missing_need_ends_a_test_early_but_fails_it_where_nothing_may_be_skipped() {
        let run = |ci: &str| {
            let mut test = Command::new(std::env::current_exe().unwrap());
            test.args(["--ignored", "--exact", "skip::tests::needs_what_nobody_has"]).env("CI", ci);
            let output = test.output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8(said).unwrap())
        };
        let line = "SKIPPED skip::tests::needs_what_nobody_has: no program 'no-such-program-anywhere'";
        for (ci, skipped) in [("false", true), ("true", false)] {
            let (passed, said) = run(ci);
            assert!(said.contains("running 1 test"), "{said}");
            assert!(said.contains(line) && !said.contains("the test went on"), "{said}");
            assert_eq!(passed, skipped, "{said}");
        }
    }
}
