//! A machine: boots a kernel, and hears what it says.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{
    initramfs::Contents,
    kernels::Kernel,
    make,
    report::{Expected, Report},
};

/// Seconds after which a machine is switched off whatever it does: several times what the slowest one needs.
const PATIENCE: &str = "900";

/// Runs the tests on a kernel; what its console said is kept in `consoles`.
pub fn run(folder: &Path, kernel: &Kernel, contents: &Contents, expected: &[Expected<'_>]) -> Result<Report> {
    let system = make(folder.join("initramfs"))?.join(&kernel.release);
    fs::write(&system, contents.for_kernel(&kernel.folder)?)
        .with_context(|| format!("cannot write '{}'", system.display()))?;
    let output = command(&kernel.image, &system).output().context("cannot run qemu")?;
    fs::remove_file(&system).with_context(|| format!("cannot delete '{}'", system.display()))?;
    let heard = [output.stdout, output.stderr].concat();
    let console = make(folder.join("consoles"))?.join(&kernel.release);
    fs::write(&console, &heard).with_context(|| format!("cannot write '{}'", console.display()))?;
    Ok(Report::read(String::from_utf8_lossy(&heard).into_owned(), expected))
}

/// Makes the command that boots a kernel; its console is the standard output.
fn command(image: &Path, system: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE, "qemu-system-x86_64"]);
    // Not KVM: where this itself runs in a virtual machine, that need not work, even if it is there.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", "2G"]);
    command.args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.arg("-kernel").arg(image).arg("-initrd").arg(system);
    // A kernel that panics ends the machine. What guards against other programs on the processor has nobody to guard against.
    command.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
    command.stdin(std::process::Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_imitated_and_ends_when_its_kernel_does_or_its_time_is_up() {
        let command = crate::command::shown(&command(Path::new("/k/vmlinuz"), Path::new("/k/system")));
        assert!(
            command.starts_with("timeout --kill-after=5 900 qemu-system-x86_64 -accel tcg,"),
            "{command}"
        );
        assert!(command.contains("-no-reboot") && command.contains("panic=-1"), "{command}");
        assert!(command.contains("-kernel /k/vmlinuz -initrd /k/system"), "{command}");
    }
}
