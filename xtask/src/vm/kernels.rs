//! Debian's kernels: which ones, and how they come into a folder. Nothing is installed: apt works on lists of its own, with
//! Debian's keys, and checks what it fetches; the packages are only unpacked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::make;
use crate::command::{run, say};

/// A kernel that the tests run on: the newest of its kind.
#[derive(PartialEq, Eq, Debug)]
pub struct Series {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Whose archives have it, by the names that apt gives them.
    suites: &'static [&'static str],
}

/// All of them, from the oldest that the guard works with.
pub const SERIES: &[Series] = &[
    Series { name: "5.10", suites: &["bullseye", "bullseye-security"] },
    Series { name: "6.1", suites: &["bookworm", "bookworm-security"] },
    Series { name: "6.12", suites: &["trixie", "trixie-security"] },
    Series { name: "backports", suites: &["trixie-backports"] },
];

/// A kernel in a folder.
pub struct Kernel {
    /// What it says of itself (`uname -r`).
    pub release: String,
    /// The kernel, as a boot loader takes it.
    pub image: PathBuf,
    /// Its modules are somewhere below.
    pub folder: PathBuf,
}

/// The package that depends on the newest kernel: that for clouds is smaller, and has what the tests need.
const META: &str = "linux-image-cloud-amd64";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The series of these names; all of them if there are none.
pub fn named(names: &[String]) -> Result<Vec<&'static Series>> {
    if names.is_empty() {
        return Ok(SERIES.iter().collect());
    }
    let find = |name: &String| {
        SERIES.iter().find(|series| series.name == name).with_context(|| {
            let known: Vec<_> = SERIES.iter().map(|series| series.name).collect();
            format!("no kernel '{name}': there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Fetches the newest kernel of each series, unless it is there.
pub fn fetch(folder: &Path, series: &[&'static Series]) -> Result<Vec<Kernel>> {
    let apt = Apt::new(folder)?;
    say("vm: asking Debian which kernels are the newest");
    run(apt.command("apt-get").args(["update", "--quiet=2", "--error-on=any"]))
        .context("Debian's archives cannot be read")?;
    let listed = apt.ask("apt-cache", &["madison", META])?;
    series.iter().map(|series| newest(folder, &apt, &versions(&listed, series.suites))).collect()
}

/// The newest of these versions that the archives have: they may list one that they have no longer, or not yet.
fn newest(folder: &Path, apt: &Apt, versions: &[&str]) -> Result<Kernel> {
    let mut last = anyhow::anyhow!("Debian lists no '{META}' in this series");
    for version in versions {
        match kernel(folder, apt, version) {
            Ok(kernel) => return Ok(kernel),
            Err(error) => {
                say(&format!("vm: {version}: {error:#}"));
                last = error;
            }
        }
    }
    Err(last)
}

/// Unpacks the packages of a kernel into a folder of its own.
fn kernel(folder: &Path, apt: &Apt, version: &str) -> Result<Kernel> {
    let unpacked = folder.join("kernels").join(version.replace('~', "-"));
    if !unpacked.is_dir() {
        let partial = make(folder.join("kernels/partial"))?;
        // Whatever an earlier attempt left there.
        fs::remove_dir_all(&partial).context("cannot empty a folder")?;
        let mut wanted = parts(&apt.ask("apt-cache", &["show", &format!("{META}={version}")])?);
        let mut next = 0;
        while let Some((name, version)) = wanted.get(next) {
            let package = format!("{name}={version}");
            apt.unpack(&package, &make(partial.clone())?)?;
            let mut further = parts(&apt.ask("apt-cache", &["show", &package])?);
            further.retain(|part| !wanted.contains(part));
            wanted.extend(further);
            next += 1;
        }
        fs::rename(&partial, &unpacked).with_context(|| format!("cannot make '{}'", unpacked.display()))?;
    }
    let (release, image) = image(&unpacked)?;
    Ok(Kernel { release, image, folder: unpacked })
}

/// The versions in these suites, the newest first, of what `apt-cache madison` lists in that order.
fn versions<'a>(madison: &'a str, suites: &[&str]) -> Vec<&'a str> {
    let version = |line: &'a str| {
        let mut columns = line.split('|').map(str::trim);
        let (_, version, archive) = (columns.next()?, columns.next()?, columns.next()?);
        // Such as `http://deb.debian.org/debian trixie-backports/main amd64 Packages`.
        let (suite, _) = archive.split(' ').nth(1)?.split_once('/')?;
        suites.contains(&suite).then_some(version)
    };
    madison.lines().filter_map(version).collect()
}

/// The packages with parts of a kernel that another one depends on, of what `apt-cache show` tells, with their versions.
fn parts(shown: &str) -> Vec<(String, String)> {
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
    let part = |dependency: &str| {
        let (name, version) = dependency.split_once(" (= ")?;
        let kind = name.strip_prefix("linux-")?.split_once('-')?.0;
        // What is only there to depend on others has no number in its name.
        let is_part = ["image", "binary", "modules"].contains(&kind) && name.contains('.');
        is_part.then(|| (name.to_owned(), version.trim_end_matches(')').to_owned()))
    };
    depends.split(", ").filter_map(part).collect()
}

/// The release and the image of a kernel that was unpacked: in `boot`, or, of newer ones, beside its modules.
fn image(unpacked: &Path) -> Result<(String, PathBuf)> {
    for modules in ["lib/modules", "usr/lib/modules"] {
        let Ok(entries) = fs::read_dir(unpacked.join(modules)) else { continue };
        for entry in entries.flatten() {
            let release = entry.file_name().to_string_lossy().into_owned();
            let images = [unpacked.join(format!("boot/vmlinuz-{release}")), entry.path().join("vmlinuz")];
            if let Some(image) = images.into_iter().find(|image| image.is_file()) {
                return Ok((release, image));
            }
        }
    }
    bail!("no kernel is in '{}': delete that folder, and try again", unpacked.display())
}

/// Apt, with lists and a folder of its own, as if nothing were installed.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Self> {
        let folder = make(folder.join("apt"))?;
        for below in ["lists/partial", "cache/archives/partial", "packages"] {
            make(folder.join(below))?;
        }
        let own = folder.display();
        let configuration = format!(
            "Dir::State \"{own}\";\nDir::State::Lists \"{own}/lists\";\nDir::State::status \"{own}/status\";\n\
             Dir::Cache \"{own}/cache\";\nDir::Etc::SourceList \"{own}/sources.list\";\n\
             Dir::Etc::SourceParts \"/dev/null\";\nDir::Etc::Preferences \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"/dev/null\";\nAPT::Architecture \"amd64\";\n\
             Acquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n"
        );
        for (file, text) in
            [("apt.conf", configuration), ("sources.list", sources()), ("status", String::new())]
        {
            fs::write(folder.join(file), text).with_context(|| format!("cannot write '{own}/{file}'"))?;
        }
        Ok(Self { folder })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf")).current_dir(self.folder.join("packages"));
        command
    }

    /// What a question is answered.
    fn ask(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = self.command(program).args(arguments).output();
        let output = output.with_context(|| format!("cannot run '{program}'"))?;
        if !output.status.success() {
            bail!(
                "'{program} {}' failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fetches a package and unpacks it.
    fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let packages = self.folder.join("packages");
        // Whatever an earlier attempt left there.
        fs::remove_dir_all(&packages)
            .and_then(|()| fs::create_dir(&packages))
            .context("cannot empty a folder")?;
        run(self.command("apt-get").args(["download", "--quiet", package]))?;
        let archive = fs::read_dir(&packages)?.flatten().next().context("apt fetched nothing")?.path();
        run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(into))?;
        fs::remove_file(&archive).with_context(|| format!("cannot delete '{}'", archive.display()))
    }
}

/// The archives of all series.
fn sources() -> String {
    let suites = SERIES.iter().flat_map(|series| series.suites);
    let lines = suites.map(|suite| {
        let archive = if suite.ends_with("-security") {
            "http://security.debian.org/debian-security"
        } else {
            "http://deb.debian.org/debian"
        };
        format!("deb [arch=amd64 signed-by={KEYRING}] {archive} {suite} main\n")
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
linux-image-cloud-amd64 | 7.3.4-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages
linux-image-cloud-amd64 | 6.12.117-1 | http://security.debian.org/debian-security trixie-security/main amd64 Packages
linux-image-cloud-amd64 | 6.12.107-1 | http://deb.debian.org/debian trixie/main amd64 Packages
linux-image-cloud-amd64 | 5.10.262-1 | http://security.debian.org/debian-security bullseye-security/main amd64 Packages
linux-image-cloud-amd64 | 5.10.223-1 | http://deb.debian.org/debian bullseye/main amd64 Packages
";

    #[test]
    fn the_newest_version_of_a_series_comes_first_and_that_of_no_other_at_all() {
        let versions_of = |name: &str| {
            let series = SERIES.iter().find(|series| series.name == name).unwrap();
            versions(MADISON, series.suites)
        };
        assert_eq!(versions_of("5.10"), ["5.10.262-1", "5.10.223-1"]);
        assert_eq!(versions_of("6.1"), Vec::<&str>::new());
        assert_eq!(versions_of("6.12"), ["6.12.117-1", "6.12.107-1"]);
        assert_eq!(versions_of("backports"), ["7.3.4-1~bpo13+1"]);
    }

    #[test]
    fn a_kernel_may_stand_in_one_package_or_in_several() {
        let parts_of = |depends: &str| parts(&format!("Package: x\n{depends}\nSize: 3\n"));
        let part = |name: &str| (name.to_owned(), "1".to_owned());
        assert_eq!(
            parts_of("Depends: linux-image-6.1.0-56-cloud-amd64 (= 1)"),
            [part("linux-image-6.1.0-56-cloud-amd64")]
        );
        assert_eq!(
            parts_of(
                "Depends: dracut | linux-initramfs-tool, linux-base-7.3.4+deb13-cloud-amd64 (= 1), \
                 linux-binary-7.3.4+deb13-cloud-amd64 (= 1), linux-modules-7.3.4+deb13-cloud-amd64 (= 1)"
            ),
            [part("linux-binary-7.3.4+deb13-cloud-amd64"), part("linux-modules-7.3.4+deb13-cloud-amd64")]
        );
        assert_eq!(parts_of("Depends: linux-base (>= 4.3~), linux-modules-cloud-amd64 (= 1)"), []);
        assert_eq!(parts_of("Recommends: linux-image-6.1.0 (= 1)"), []);
    }

    #[test]
    fn kernels_are_named_by_their_series() {
        assert_eq!(named(&[]).unwrap().len(), SERIES.len());
        assert_eq!(named(&["6.1".to_owned()]).unwrap(), [&SERIES[1]]);
        let error = named(&["6.2".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "no kernel '6.2': there are 5.10, 6.1, 6.12, backports");
    }

    #[test]
    fn security_updates_come_from_their_own_archive() {
        let sources = sources();
        assert!(sources.contains("] http://security.debian.org/debian-security bookworm-security main\n"));
        assert!(sources.contains("] http://deb.debian.org/debian trixie-backports main\n"));
        assert_eq!(sources.lines().count(), 7);
    }
}
