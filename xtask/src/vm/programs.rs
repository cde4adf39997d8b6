//! The test programs that run in the machines, and the daemon that they start.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::command::{cargo, run, say, shown};

/// The tests of a program that run in the machines: those whose outcome the kernel decides and that need nothing else.
pub struct Tests {
    /// The program.
    pub program: &'static str,
    /// Those of its tests that run; all of them if none is named. A processor that is imitated is slow, so of several that
    /// ask the same of a kernel one is enough.
    pub only: &'static [&'static str],
}

/// All of them.
pub const TESTS: &[Tests] = &[
    Tests { program: "verifier", only: &[] },
    Tests { program: "verdicts", only: &[] },
    Tests {
        program: "networks",
        only: &[
            "all_of_a_family_can_be_banned_and_the_other_is_not_touched",
            "a_banned_network_ends_by_itself",
            "a_full_trie_still_takes_changes_of_what_is_in_it",
            "hits_are_counted_for_the_narrowest_network_and_about_right",
        ],
    },
    Tests {
        program: "limits",
        only: &[
            "a_source_may_ask_for_a_minutes_sessions_at_once_and_for_no_more",
            "each_known_good_source_is_found_however_full_the_tables_are",
            "in_flood_mode_one_in_four_passes_once_the_budget_is_used_up",
            "nothing_is_limited_once_the_lease_has_ended",
        ],
    },
    // Which odd frames reach a listener is another thing in each kernel; what reaches it of the blocked must be nothing.
    Tests {
        program: "around",
        only: &["what_the_programs_let_through_of_a_blocked_source_opens_no_session"],
    },
    Tests {
        program: "attach",
        only: &[
            "a_daemon_that_is_told_to_end_leaves_its_program_and_a_new_one_takes_its_place",
            "another_xdp_program_stays_and_nothing_is_left_of_the_attempt",
            "native_mode_takes_jumbo_frames_where_the_kernel_does_and_says_what_to_do_where_not",
        ],
    },
    // Before 6.6 by filters, later by links.
    Tests { program: "attach_tc", only: &["in_mode_tc_bans_hold_through_a_crash_and_a_restart"] },
    Tests {
        program: "witness",
        only: &[
            "what_is_sent_again_after_the_end_opens_no_session_and_another_one_between_the_same_ends_does",
            "tags_options_and_extension_headers_hide_no_session",
        ],
    },
    Tests { program: "keeper", only: &["an_interface_that_is_deleted_and_made_again_is_guarded_again"] },
    Tests {
        program: "adopt",
        only: &[
            "no_packet_of_the_banned_passes_while_a_daemon_is_killed_and_another_of_other_sizes_takes_over",
            "pins_that_no_daemon_of_this_kind_wrote_are_left_as_they_are",
        ],
    },
];

/// The target that links libraries into the programs: that of this machine, by its name, as the flags for it are then no part of
/// what build scripts are made with.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Seconds that tests wait in the machines for what takes milliseconds elsewhere.
const PATIENCE: &str = "120";

/// Programs that need no library.
pub struct Programs {
    /// Each program of tests.
    tests: Vec<(&'static str, PathBuf)>,
    /// The daemon.
    pub daemon: PathBuf,
}

impl Programs {
    /// Builds all of them, in a folder of their own: others than these would have to be built anew after it.
    pub fn build(folder: &Path) -> Result<Self> {
        let target = folder.join("build");
        let mut build = build(&target, "test");
        build.args(["--no-run", "--message-format=json-render-diagnostics", "--package", "ssh-guard-tests"]);
        build.args(TESTS.iter().flat_map(|tests| ["--test", tests.program]));
        say(&format!("$ {}", shown(&build)));
        let output = build.stderr(std::process::Stdio::inherit()).output().context("cannot run cargo")?;
        if !output.status.success() {
            bail!("the tests do not compile: {}", output.status);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let tests = TESTS.iter().map(|Tests { program, .. }| {
            let file =
                executable(&messages, program).with_context(|| format!("cargo built no '{program}'"))?;
            Ok((*program, file))
        });
        let tests = tests.collect::<Result<_>>()?;
        run(self::build(&target, "build").args(["--package", "ssh-guard"]))?;
        Ok(Self { tests, daemon: target.join(TARGET).join("debug/ssh-guard") })
    }

    /// Each program of tests, with what it is called.
    pub fn tests(&self) -> &[(&'static str, PathBuf)] {
        &self.tests
    }
}

/// Makes a command that builds programs without libraries and without what only a debugger reads.
fn build(target: &Path, verb: &str) -> Command {
    let mut command = cargo(verb);
    let variable = TARGET.replace('-', "_").to_uppercase();
    command
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), "-Ctarget-feature=+crt-static")
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .env("CARGO_PROFILE_DEV_STRIP", "symbols")
        .env("SSH_GUARD_TEST_PATIENCE", PATIENCE)
        .args(["--target", TARGET, "--target-dir"])
        .arg(target);
    command
}

/// The file of a program of tests, of cargo's messages, one a line.
fn executable(messages: &str, program: &str) -> Option<PathBuf> {
    messages.lines().filter(|line| line.contains("\"reason\":\"compiler-artifact\"")).find_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        let path = rest.split('"').next()?;
        let (name, _) = path.rsplit('/').next()?.rsplit_once('-')?;
        (name == program).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_among_what_cargo_built() {
        let artifact = |executable: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{}},\"executable\":{executable},\"fresh\":true}}\n"
            )
        };
        let messages = [
            artifact("null"),
            artifact("\"/t/debug/deps/attach-0123abcd\""),
            "{\"reason\":\"build-finished\",\"success\":true}\n".to_owned(),
        ]
        .concat();
        assert_eq!(executable(&messages, "attach"), Some("/t/debug/deps/attach-0123abcd".into()));
        assert_eq!(executable(&messages, "adopt"), None);
        assert_eq!(executable("", "attach"), None);
    }

    #[test]
    fn every_test_that_is_named_is_one() {
        for Tests { program, only } in TESTS {
            let file = crate::command::root().join(format!("tests/tests/{program}.rs"));
            let source = std::fs::read_to_string(&file).unwrap();
            for test in *only {
                assert!(source.contains(&format!("#[test]\nfn {test}() {{\n")), "{program}: {test}");
            }
        }
    }

    #[test]
    fn programs_are_built_to_run_without_libraries() {
        let command = format!("{:?}", build(Path::new("/t"), "test"));
        for part in
            ["X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=\"-Ctarget-feature=+crt-static\"", "\"--target-dir\" \"/t\""]
        {
            assert!(command.contains(part), "{command}");
        }
    }
}
