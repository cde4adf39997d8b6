//! Fuzzes all that reads what strangers may write.
//!
//! `fuzz/` is laid out as cargo-fuzz wants it, and is built here with the flags that cargo-fuzz would use, so that neither
//! that nor a nightly is needed: `RUSTC_BOOTSTRAP` allows the sanitizer, which stable tool chains bring along.

mod seeds;

use std::{
    collections::VecDeque,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Mutex,
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command::{cargo, root, run, say},
    packages,
};

/// Builds all targets and runs them for as long as each run of the tests can wait for them, however many there are.
pub fn shortly() -> Result<()> {
    fuzz(&[], short(targets()?.len(), workers()), &[])
}

/// For how many seconds each of so many targets runs among the tests, so many at a time.
fn short(targets: usize, workers: usize) -> u32 {
    let seconds = AMONG_TESTS * workers / targets.max(1);
    u32::try_from(seconds).map_or(LONGEST, |seconds| seconds.clamp(SHORTEST, LONGEST))
}

/// For how many seconds they run among the tests, together.
const AMONG_TESTS: usize = 45;

/// In less a target gets no further than what it begins with.
const SHORTEST: u32 = 2;

/// What is found in longer runs is found with `cargo xtask fuzz`.
const LONGEST: u32 = 5;

/// Builds the targets named, or all of them, and runs each for some seconds; `arguments`, if there are any, go to
/// libFuzzer in place of that.
pub fn fuzz(named: &[String], seconds: u32, arguments: &[String]) -> Result<()> {
    let chosen = choose(&targets()?, named)?;
    packages::ensure(packages::FUZZ)?;
    build(&chosen)?;
    if !arguments.is_empty() {
        return chosen.iter().try_for_each(|target| run(program(target).args(arguments)));
    }
    for target in &chosen {
        seeds::write(target, &root())?;
    }
    say(&format!("fuzz: {} targets, {seconds} s each", chosen.len()));
    let failed = run_all(&chosen, seconds)?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("fuzzing found something in {}", failed.join(", "))
}

/// The targets that there are, by the names of their files.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let mut found = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot list '{}'", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn choose(targets: &[String], named: &[String]) -> Result<Vec<String>> {
    if named.is_empty() {
        return Ok(targets.to_vec());
    }
    if let Some(unknown) = named.iter().find(|name| !targets.contains(name)) {
        bail!("there is no target '{unknown}'; there are {}", targets.join(", "));
    }
    Ok(named.to_vec())
}

fn build(targets: &[String]) -> Result<()> {
    let mut build = cargo("build");
    // Of its own, so that neither build throws away what the other one made.
    build.args([
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz",
        "--release",
        "--locked",
    ]);
    // Named, so that build scripts and macros are built without these flags.
    build.args(["--target", &host()]);
    for target in targets {
        build.args(["--bin", target]);
    }
    let mut flags = COVERAGE.to_vec();
    if has_address_sanitizer() {
        flags.push("-Zsanitizer=address");
        build.env("RUSTC_BOOTSTRAP", "1");
    } else {
        say("fuzz: this compiler brings no address sanitizer: without it");
    }
    run(build.env("RUSTFLAGS", flags.join(" ")))
}

/// What has libFuzzer see which ways are taken (cargo-fuzz, `src/project.rs`).
const COVERAGE: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

fn host() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

fn has_address_sanitizer() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir"]).output();
    let folder = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let files = folder.ok().and_then(|folder| Path::new(&folder).read_dir().ok());
    files
        .into_iter()
        .flatten()
        .flatten()
        .any(|file| file.file_name().to_string_lossy().ends_with("_rt.asan.a"))
}

fn program(target: &str) -> Command {
    let mut program = Command::new(root().join("target/fuzz").join(host()).join("release").join(target));
    program.current_dir(root());
    program
}

/// Runs as many at a time as there are processors; the names of those that found something.
fn run_all(targets: &[String], seconds: u32) -> Result<Vec<String>> {
    let waiting = Mutex::new(targets.iter().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let work = || -> Result<()> {
        while let Some(target) = next() {
            if !run_one(target, seconds)?
                && let Ok(mut failed) = failed.lock()
            {
                failed.push(target.clone());
            }
        }
        Ok(())
    };
    let workers = workers().min(targets.len());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a worker panicked")))
    })?;
    Ok(failed.into_inner().unwrap_or_default())
}

fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs a target; whether all it was told to promise held.
fn run_one(target: &str, seconds: u32) -> Result<bool> {
    let artifacts = root().join("fuzz/artifacts").join(target);
    fs::create_dir_all(&artifacts).with_context(|| format!("cannot make '{}'", artifacts.display()))?;
    let mut command = program(target);
    command.arg(format!("-max_total_time={seconds}"));
    command.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=1024"]);
    command.arg(format!("-artifact_prefix=fuzz/artifacts/{target}/"));
    command.arg(corpus(target));
    let output = command.output().with_context(|| format!("cannot run '{target}'"))?;
    if output.status.success() {
        say(&format!("fuzz: {target}: {} runs", runs(&output).unwrap_or("some")));
        return Ok(true);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let artifact = artifact(&said);
    say(&format!("{}\nfuzz: {target}: {}", complaint(&said), output.status));
    say(&match artifact {
        Some(file) => format!("fuzz: again: cargo xtask fuzz {target} -- {file}"),
        None => "fuzz: nothing was written to try it again with".to_owned(),
    });
    Ok(false)
}

/// Where cargo-fuzz keeps what was found to be worth trying.
fn corpus(target: &str) -> PathBuf {
    Path::new("fuzz/corpus").join(target)
}

fn runs(output: &Output) -> Option<&str> {
    let said = str::from_utf8(&output.stderr).ok()?;
    said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).map(str::trim)
}

fn artifact(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file))
}

/// What the target says is wrong, and on which way it got there.
fn complaint(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    let first =
        ["panicked at ", "ERROR: "].iter().find_map(|mark| lines.iter().position(|line| line.contains(mark)));
    lines[first.unwrap_or(0)..].iter().take(COMPLAINT_LINES).copied().collect::<Vec<_>>().join("\n")
}

/// How much of a complaint is shown: what it is about stands above the ways through libFuzzer itself.
const COMPLAINT_LINES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_package_and_has_seeds() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() >= 19, "{targets:?}");
        for target in &targets {
            let program = format!("[[bin]]\nname = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
            assert!(manifest.contains(&program), "fuzz/Cargo.toml lacks {program}");
            assert!(!seeds::of(target, &root()).unwrap().is_empty(), "'{target}' has nothing to begin with");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn a_target_that_is_not_there_is_an_error_that_names_those_that_are() {
        let targets = ["header".to_owned(), "lines".to_owned()];
        assert_eq!(choose(&targets, &[]).unwrap(), targets);
        assert_eq!(choose(&targets, &targets[1..]).unwrap(), ["lines"]);
        let error = choose(&targets, &["line".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "there is no target 'line'; there are header, lines");
    }

    #[test]
    fn the_tests_wait_no_longer_for_more_targets_while_each_has_a_chance() {
        assert_eq!([short(1, 2), short(18, 2), short(30, 2), short(1000, 2)], [5, 5, 3, 2]);
        assert_eq!([short(19, 1), short(19, 64)], [2, 5]);
    }

    #[test]
    fn what_was_found_is_read_from_what_libfuzzer_says() {
        let said = "==1== ERROR\nartifact_prefix='x/'; Test unit written to fuzz/artifacts/lines/crash-1\nBase64: eA==\n";
        assert_eq!(artifact(said), Some("fuzz/artifacts/lines/crash-1"));
        assert_eq!(
            complaint("INFO: seed\nthread 'x' panicked at a.rs:1:\nno\n"),
            "thread 'x' panicked at a.rs:1:\nno"
        );
    }
}
