//! The first and only file system of a machine: a shell, the programs, and a script that runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    archive::Archive,
    modules::{self, Module},
    programs::{Programs, TESTS, Tests},
    report::MARK,
};
use crate::packages;

/// What all machines have, and how their script begins and ends.
pub struct Contents {
    archive: Archive,
    /// For the test programs, from the command line.
    arguments: Vec<String>,
}

/// Each folder behind the one that it is in.
const FOLDERS: &[&str] = &[
    "bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root", "proc", "sys", "dev", "tmp", "run", "var",
    "var/log", "tests", "modules",
];

impl Contents {
    /// Collects what all machines have.
    pub fn of(programs: &Programs, arguments: &[String]) -> Result<Self> {
        let mut archive = Archive::default();
        for folder in FOLDERS {
            archive.folder(folder);
        }
        archive.copy("bin/busybox", &program("busybox")?)?;
        archive.link("bin/sh", "busybox");
        archive.copy("sbin/ssh-guard", &programs.daemon)?;
        for (name, file) in programs.tests() {
            archive.copy(&format!("tests/{name}"), file)?;
        }
        copy_with_libraries(&mut archive, "ip")?;
        Ok(Self { archive, arguments: arguments.to_vec() })
    }

    /// The file system for a kernel whose modules are below a folder.
    pub fn for_kernel(&self, folder: &Path) -> Result<Vec<u8>> {
        let modules = modules::of(folder)?;
        let mut archive = self.archive.clone();
        for Module { file, contents } in &modules {
            archive.file(&format!("modules/{file}"), contents);
        }
        let files: Vec<&str> = modules.iter().map(|module| &*module.file).collect();
        archive.file("init", script(&files, &self.arguments).as_bytes());
        Ok(archive.finish())
    }
}

/// What the kernel runs first: it makes the machine ready, runs the tests, says how they ended, and switches off.
fn script(modules: &[&str], arguments: &[String]) -> String {
    let load: Vec<_> = modules.iter().map(|file| format!("insmod /modules/{file}")).collect();
    let load = load.join("\n");
    let tests: String = TESTS.iter().map(|tests| run(tests, arguments)).collect();
    format!(
        "#!/bin/sh\n\
         /bin/busybox --install -s /bin\n\
         # iproute2's is the one that the tests speak to.\n\
         rm -f /bin/ip\n\
         export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root SSH_GUARD_BIN=/sbin/ssh-guard\n\
         mount -t proc proc /proc\nmount -t sysfs sysfs /sys\nmount -t devtmpfs dev /dev\n\
         mkdir -p /dev/pts /dev/shm\nmount -t devpts devpts /dev/pts\n\
         mount -t tmpfs tmpfs /tmp\nmount -t tmpfs tmpfs /run\nmount -t bpf bpf /sys/fs/bpf\n\
         # Nothing but what is said here is to stand between the lines of the tests.\n\
         echo 1 > /proc/sys/kernel/printk\n\
         {load}\n\
         ip link set lo up\ncd /tmp\n\
         {tests}\
         read up rest < /proc/uptime\n\
         echo \"{MARK} done $up\"\n\
         poweroff -f\n"
    )
}

/// The part of the script that runs a program of tests: those that are listed, or those that the arguments choose.
fn run(tests: &Tests, arguments: &[String]) -> String {
    let Tests { program, only } = tests;
    // One at a time: another machine has the other processor, and Linux 5.10 was once seen to hang with two at a time.
    let mut line = format!("/tests/{program} --test-threads 1");
    if arguments.is_empty() && !only.is_empty() {
        line += " --exact";
        line.extend(only.iter().map(|test| format!(" {test}")));
    }
    line.extend(arguments.iter().map(|argument| format!(" '{}'", argument.replace('\'', r"'\''"))));
    format!("echo '{MARK} begin {program}'\n{line} 2>&1\necho \"{MARK} end {program} $?\"\n")
}

fn program(name: &str) -> Result<PathBuf> {
    packages::find(name).with_context(|| format!("no program '{name}'"))
}

/// Adds a program of this machine, and the libraries that it is linked to.
fn copy_with_libraries(archive: &mut Archive, name: &str) -> Result<()> {
    let file = program(name)?;
    archive.copy(&format!("sbin/{name}"), &file)?;
    let output = Command::new("ldd").arg(&file).output().context("cannot run 'ldd'")?;
    let mut made = Vec::new();
    for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
        for folder in folders(&library) {
            if !made.contains(&folder) && !FOLDERS.contains(&&*folder) {
                archive.folder(&folder);
                made.push(folder);
            }
        }
        archive.copy(&library, Path::new(&library))?;
    }
    Ok(())
}

/// The files that `ldd` tells of.
fn libraries(told: &str) -> Vec<String> {
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    told.lines().filter_map(path).collect()
}

/// The folders that a file is in, from the outermost, as an archive names them.
fn folders(file: &str) -> Vec<String> {
    let parts: Vec<&str> = file.trim_start_matches('/').split('/').collect();
    (1..parts.len()).map(|length| parts[..length].join("/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_loads_its_modules_runs_all_tests_and_says_so_at_last() {
        let script = script(&["garp.ko", "8021q.ko"], &[]);
        let place = |text: &str| script.find(text).unwrap_or_else(|| panic!("no '{text}' in\n{script}"));
        let mut places = vec![place("insmod /modules/garp.ko\ninsmod /modules/8021q.ko\n")];
        places.extend(TESTS.iter().map(|tests| place(&format!("vm-says: begin {}", tests.program))));
        places.extend([place("vm-says: done $up"), place("poweroff")]);
        assert!(places.is_sorted(), "{script}");
    }

    #[test]
    fn a_program_runs_the_tests_that_are_named_and_takes_arguments() {
        let tests = Tests { program: "attach", only: &["one", "two"] };
        let line = |arguments: &[String]| run(&tests, arguments).lines().nth(1).map(str::to_owned);
        assert_eq!(line(&[]).unwrap(), "/tests/attach --test-threads 1 --exact one two 2>&1");
        let argument = ["it's".to_owned()];
        assert_eq!(line(&argument).unwrap(), r"/tests/attach --test-threads 1 'it'\''s' 2>&1");
    }

    #[test]
    fn the_libraries_of_a_program_are_found_with_their_folders() {
        let told = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibelf.so.1 => /lib/x86_64-linux-gnu/libelf.so.1 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(libraries(told), ["/lib/x86_64-linux-gnu/libelf.so.1", "/lib64/ld-linux-x86-64.so.2"]);
        assert_eq!(libraries("\tnot a dynamic executable\n"), Vec::<String>::new());
        assert_eq!(folders("/lib/x86/libelf.so.1"), ["lib", "lib/x86"]);
    }
}
