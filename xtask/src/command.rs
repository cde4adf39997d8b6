//! Runs other programs, each one shown before it runs.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::toolchain;

/// Tells the person who typed the verb.
#[expect(clippy::print_stderr, reason = "a person reads it; standard output is the commands'")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// Shows a command and runs it; an error unless it succeeds.
pub fn run(command: &mut Command) -> Result<()> {
    say(&format!("$ {}", shown(command)));
    let program = command.get_program().display().to_string();
    let status = command.status().with_context(|| format!("cannot run '{program}'"))?;
    if !status.success() {
        // The whole command stands above what it said.
        bail!("'{}' failed: {status}", brief(command));
    }
    Ok(())
}

/// Makes a command of the cargo that runs this, in the workspace's root.
pub fn cargo(verb: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).arg(verb);
    cargo
}

/// Makes a command that runs as root: itself, or through sudo.
pub fn as_root(program: &str) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let sudo = toolchain::on_path("sudo")
        .with_context(|| format!("'{program}' needs root: run this as root, or install sudo"))?;
    let mut command = Command::new(sudo);
    command.arg(program);
    Ok(command)
}

/// Whether this process is root's; `/proc/self` belongs to the effective user (proc(5)).
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Writes a command as a person would type it.
pub fn shown(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        Some(format!("{}={}", name.display(), quoted(&value?.to_string_lossy())))
    });
    let words = [command.get_program()].into_iter().chain(command.get_args());
    set.chain(words.map(|word| quoted(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

/// Names a command by its program and what it is told first.
fn brief(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let words = [program].into_iter().chain(command.get_args().take(1));
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+/.,:^@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    match word.replace('\'', r"'\''") {
        // What separates the flags that cargo hands to rustc.
        separated if separated.contains('\x1f') => format!("$'{}'", separated.replace('\x1f', r"\x1f")),
        spaced => format!("'{spaced}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("cargo");
        command
            .args(["test", "a b", "it's", ""])
            .env("CI", "true")
            .env("FLAGS", "-g\x1f-O")
            .env_remove("RUSTC");
        assert_eq!(shown(&command), r"CI=true FLAGS=$'-g\x1f-O' cargo test 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_command_that_fails_is_an_error_that_names_it() {
        let error = run(Command::new("/bin/sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "'sh -c' failed: exit status: 3");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let error = run(&mut Command::new("/nonexistent/tool")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot run '/nonexistent/tool': "), "{error:#}");
    }

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }
}
