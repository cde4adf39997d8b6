//! The modules that a kernel needs for the tests and has not built in.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// What the tests need of a kernel beyond its core: the interfaces of their networks, what programs of traffic control hang on,
/// and asking for sockets.
pub const WANTED: &[&str] = &["veth", "dummy", "8021q", "sch_ingress", "cls_bpf", "inet_diag", "tcp_diag"];

/// A module that a kernel can load, and the name of its file.
pub struct Module {
    pub file: String,
    pub contents: Vec<u8>,
}

/// The modules below a folder that are wanted and those that they need, each behind those.
pub fn of(folder: &Path) -> Result<Vec<Module>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    let built_in = files.iter().filter(|file| file.ends_with("modules.builtin"));
    let built_in: String = built_in.filter_map(|file| fs::read_to_string(file).ok()).collect();
    let mut modules = Vec::new();
    for name in WANTED {
        load(name, &files, &built_in, &mut modules)?;
    }
    Ok(modules)
}

fn load(name: &str, files: &[PathBuf], built_in: &str, modules: &mut Vec<Module>) -> Result<()> {
    if modules.iter().any(|module| name_of(&module.file) == Some(name.to_owned())) {
        return Ok(());
    }
    let file = files.iter().find(|file| {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        name_of(&file).is_some_and(|found| found == name)
    });
    let Some(file) = file else {
        let is_built_in = built_in
            .lines()
            .any(|line| line.rsplit('/').next().and_then(name_of).is_some_and(|found| found == name));
        if is_built_in {
            return Ok(());
        }
        bail!("the kernel has no module '{name}'");
    };
    let contents = unpacked(file)?;
    for needed in needs(&contents) {
        load(&needed, files, built_in, modules)?;
    }
    modules.push(Module { file: format!("{name}.ko"), contents });
    Ok(())
}

/// The module's name, as the kernel has it, of its file's.
fn name_of(file: &str) -> Option<String> {
    let (name, rest) = file.split_once(".ko")?;
    ["", ".xz", ".zst", ".gz"].contains(&rest).then(|| name.replace('-', "_"))
}

/// The modules that a module says it needs.
fn needs(module: &[u8]) -> Vec<String> {
    // A string of the section `.modinfo`, between zeros.
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let rest = &module[at + KEY.len()..];
    let list = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(list);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// A module as the kernel takes it; packed modules are unpacked.
fn unpacked(file: &Path) -> Result<Vec<u8>> {
    let unpack = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).with_context(|| format!("cannot read '{}'", file.display())),
    };
    let output = Command::new(unpack).arg("-dc").arg(file).output();
    let output = output.with_context(|| format!("cannot run '{unpack}'"))?;
    if !output.status.success() {
        bail!("'{unpack}' cannot unpack '{}'", file.display());
    }
    Ok(output.stdout)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read '{}'", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_the_name_that_the_kernel_gives_it() {
        assert_eq!(name_of("sch_ingress.ko.xz").as_deref(), Some("sch_ingress"));
        assert_eq!(name_of("crc32c-intel.ko").as_deref(), Some("crc32c_intel"));
        assert_eq!(name_of("modules.order"), None);
        assert_eq!(name_of("veth.ko.txt"), None);
    }

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(needs(b"\x7fELF\0license=GPL\0depends=garp,mrp-x\0name=8021q\0"), ["garp", "mrp_x"]);
        assert_eq!(needs(b"\0depends=\0name=veth\0"), Vec::<String>::new());
        assert_eq!(needs(b"no section"), Vec::<String>::new());
    }

    #[test]
    fn what_is_needed_comes_first_and_what_is_built_in_is_left_out() {
        let folder = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        fs::create_dir_all(folder.join("net")).unwrap();
        for (name, needs) in [
            ("veth", ""),
            ("8021q", "garp"),
            ("garp", "stp"),
            ("stp", ""),
            ("sch_ingress", ""),
            ("cls_bpf", ""),
            ("inet_diag", ""),
            ("tcp_diag", "inet_diag"),
        ] {
            fs::write(folder.join(format!("net/{name}.ko")), format!("\0depends={needs}\0")).unwrap();
        }
        let missing = of(&folder).err().map(|error| error.to_string());
        fs::write(folder.join("modules.builtin"), "kernel/drivers/net/dummy.ko\n").unwrap();
        let loaded =
            of(&folder).map(|modules| modules.into_iter().map(|module| module.file).collect::<Vec<_>>());
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(missing.as_deref(), Some("the kernel has no module 'dummy'"));
        let expected = ["veth.ko", "stp.ko", "garp.ko", "8021q.ko", "sch_ingress.ko", "cls_bpf.ko"];
        let loaded = loaded.unwrap();
        assert_eq!(loaded[..6], expected);
        assert_eq!(loaded[6..], ["inet_diag.ko", "tcp_diag.ko"]);
    }
}
