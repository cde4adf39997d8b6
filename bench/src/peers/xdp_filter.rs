//! The program of xdp-filter as Debian packages it, its map made large enough: the tool itself stops at 10,000 addresses.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use aya::maps::{PerCpuHashMap, PerCpuValues};
use aya::programs::Program;
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::bed::Bed;

/// The variant that lets pass what no rule names, and knows rules for addresses: `xdp-filter load --policy allow
/// --features ipv4,ipv6`.
const OBJECT: &str = "xdpfilt_alw_ip";
/// "Drop what comes from here" (`MAP_FLAG_SRC` of xdp-filter's `common_kern_user.h`).
const FROM_HERE: u64 = 1;

/// Puts the program on a bed.
///
/// # Errors
/// If the object is not there, or the kernel refuses it.
pub fn put(bed: &Bed, list: &[Ipv4Addr]) -> Result<Ebpf> {
    let bytes = object()?;
    // On the receiver's side, as on a thread of its own: the mount below is the thread's own.
    let mut ebpf = bed.receiver.within(|| load(&bytes, list.len()))?;
    let map = ebpf.take_map("filter_ipv4").context("the object has no map 'filter_ipv4'")?;
    let mut map = PerCpuHashMap::<_, [u8; 4], u64>::try_from(map)?;
    let cpus = nr_cpus().map_err(|(_, error)| error).context("cannot count the CPUs")?;
    for address in list {
        let values = PerCpuValues::try_from(vec![FROM_HERE; cpus])?;
        map.insert(address.octets(), values, 0).with_context(|| format!("{address} does not fit"))?;
    }
    let Some(Program::Xdp(program)) = ebpf.program_mut(OBJECT) else {
        bail!("the object has no XDP program '{OBJECT}'");
    };
    program.load().context("the kernel refuses it")?;
    bed.attach(program)?;
    Ok(ebpf)
}

/// Loads the object. Its maps ask to be pinned, so they are: into a BPF file system that goes with this thread.
fn load(object: &[u8], entries: usize) -> Result<Ebpf> {
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), none).context("cannot mount bpffs")?;
    EbpfLoader::new()
        .default_map_pin_directory("/sys/fs/bpf")
        .map_max_entries("filter_ipv4", u32::try_from(entries.max(1))?)
        .load(object)
        .context("the object cannot be loaded")
}

/// The object, from the folder of the machine's architecture.
fn object() -> Result<Vec<u8>> {
    let folders =
        fs::read_dir("/usr/lib").context("cannot list '/usr/lib'")?.flatten().map(|entry| entry.path());
    let candidates = [PathBuf::from("/usr/lib")].into_iter().chain(folders);
    let found =
        candidates.map(|folder| folder.join("bpf").join(format!("{OBJECT}.o"))).find(|file| file.is_file());
    let file = found.with_context(|| format!("no '/usr/lib/*/bpf/{OBJECT}.o' (Debian's xdp-tools)"))?;
    fs::read(&file).with_context(|| format!("cannot read '{}'", file.display()))
}
