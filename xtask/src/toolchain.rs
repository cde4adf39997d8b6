//! The two tool chains that can compile the programs, and which of them is taken.
//!
//! This file and `ebpf.rs` are part of `ssh-guard/build.rs` too, so they use nothing but `std`.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// Names the tool chain to take, whatever else is there: a [`Kind`] in lower case.
pub const FORCED: &str = "SSH_GUARD_BPF_TOOLCHAIN";

/// The major version of LLVM that bpf-linker is built against; it reads bitcode of this one and of older ones.
pub const LINKER_LLVM: u32 = 22;

/// Where a tool chain comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Debian's `rustc-web`, whose `libstd-rust-web-dev-bpf` is a compiled `core`.
    Debian,
    /// A nightly of rustup, which compiles `core` from its `rust-src`.
    Nightly,
}

/// A tool chain with all that compiling the programs needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Toolchain {
    /// Where it comes from.
    pub kind: Kind,
    /// The folder of its `cargo` and `rustc`.
    pub bin: PathBuf,
    /// The version of its `rustc`.
    pub release: String,
}

impl Kind {
    /// Every kind, the preferred one first: Debian's has no `core` to build.
    pub const ALL: [Self; 2] = [Self::Debian, Self::Nightly];

    /// Reads the kind that [`FORCED`] names; an error if it names none.
    pub fn forced() -> Result<Option<Self>, String> {
        let Some(name) = env::var_os(FORCED).filter(|name| !name.is_empty()) else { return Ok(None) };
        let kind = Self::ALL.into_iter().find(|kind| name == kind.as_str());
        kind.map(Some).ok_or_else(|| format!("{FORCED} is '{}', not 'debian' or 'nightly'", name.display()))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Nightly => "nightly",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debian => "Debian's rustc",
            Self::Nightly => "rustup's nightly",
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.release)
    }
}

/// Takes the first kind that `look` finds complete, or the forced one; the error says what each of them lacks.
pub fn choose<T>(forced: Option<Kind>, mut look: impl FnMut(Kind) -> Result<T, String>) -> Result<T, String> {
    let mut lacks = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| forced.is_none_or(|forced| forced == *kind)) {
        match look(kind) {
            Ok(found) => return Ok(found),
            Err(why) => lacks.push(format!("{kind}: {why}")),
        }
    }
    Err(lacks.join("; "))
}

/// Looks for the tool chain of that kind on this machine; the error says what it lacks.
pub fn find(kind: Kind, target: &str) -> Result<Toolchain, String> {
    let bin = match kind {
        Kind::Debian => PathBuf::from("/usr/bin"),
        Kind::Nightly => nightly_bin()?,
    };
    let rustc = bin.join("rustc");
    if !bin.join("cargo").is_file() {
        return Err(format!("no '{}'", bin.join("cargo").display()));
    }
    let version = output(Command::new(&rustc).arg("-vV"))?;
    let (release, llvm) = versions(&version).ok_or_else(|| format!("cannot read '{version}'"))?;
    if llvm > LINKER_LLVM {
        return Err(format!("its LLVM {llvm} is newer than the {LINKER_LLVM} that bpf-linker reads"));
    }
    let sysroot = PathBuf::from(output(Command::new(&rustc).args(["--print", "sysroot"]))?.trim());
    let complete = match kind {
        Kind::Debian => has_core(&sysroot.join("lib/rustlib").join(target).join("lib")),
        Kind::Nightly => sysroot.join("lib/rustlib/src/rust/library/core").is_dir(),
    };
    if !complete {
        return Err(match kind {
            Kind::Debian => format!("no compiled core for {target} (libstd-rust-web-dev-bpf)"),
            Kind::Nightly => "no source of core (component rust-src)".to_owned(),
        });
    }
    Ok(Toolchain { kind, bin, release: release.to_owned() })
}

/// Finds a program on `PATH`.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Finds rustup, on `PATH` or where it installs itself.
pub fn rustup() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    on_path("rustup").or_else(|| Some(home?.join("bin/rustup")).filter(|file| file.is_file()))
}

fn nightly_bin() -> Result<PathBuf, String> {
    let mut which = Command::new(rustup().ok_or("rustup is not installed")?);
    // Looking must not install anything.
    which.args(["which", "--toolchain", "nightly", "rustc"]).env("RUSTUP_AUTO_INSTALL", "0");
    let rustc = output(&mut which)?;
    Path::new(rustc.trim()).parent().map(Path::to_owned).ok_or_else(|| format!("no folder in '{rustc}'"))
}

fn has_core(folder: &Path) -> bool {
    folder.read_dir().into_iter().flatten().flatten().any(|file| {
        let name = file.file_name();
        name.to_string_lossy().starts_with("libcore-")
            && Path::new(&name).extension() == Some("rlib".as_ref())
    })
}

/// Reads what `rustc -vV` prints: the release, and the major version of LLVM.
fn versions(verbose: &str) -> Option<(&str, u32)> {
    let field = |name| verbose.lines().find_map(|line| line.strip_prefix(name));
    let (major, _) = field("LLVM version: ")?.split_once('.')?;
    Some((field("release: ")?, major.parse().ok()?))
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("cannot run '{program}': {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("'{program}' failed: {}", said.lines().next().unwrap_or("it said nothing")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(there: Kind) -> impl FnMut(Kind) -> Result<Kind, String> {
        move |kind| if kind == there { Ok(kind) } else { Err("not there".to_owned()) }
    }

    #[test]
    fn debians_is_taken_where_both_are_complete() {
        assert_eq!(choose(None, Ok), Ok(Kind::Debian));
    }

    #[test]
    fn the_one_that_is_complete_is_taken() {
        assert_eq!(choose(None, only(Kind::Nightly)), Ok(Kind::Nightly));
        assert_eq!(choose(None, only(Kind::Debian)), Ok(Kind::Debian));
    }

    #[test]
    fn a_forced_one_is_taken_or_none() {
        assert_eq!(choose(Some(Kind::Nightly), Ok), Ok(Kind::Nightly));
        let error = choose(Some(Kind::Nightly), only(Kind::Debian)).unwrap_err();
        assert_eq!(error, "rustup's nightly: not there");
    }

    #[test]
    fn where_none_is_complete_the_error_says_what_each_lacks() {
        let error = choose(None, |kind| Err::<(), _>(format!("no {}", kind.as_str()))).unwrap_err();
        assert_eq!(error, "Debian's rustc: no debian; rustup's nightly: no nightly");
    }

    #[test]
    fn the_versions_are_read_from_what_rustc_says() {
        let nightly = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                       release: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        assert_eq!(versions(nightly), Some(("1.97.0-nightly", 22)));
        assert_eq!(versions("rustc 1.96.0\n"), None);
        assert_eq!(versions("release: 1.96.0\nLLVM version: new\n"), None);
    }

    #[test]
    fn a_folder_without_core_is_not_complete() {
        assert!(!has_core(Path::new("/nonexistent")));
        assert!(!has_core(Path::new("/proc")));
    }
}
