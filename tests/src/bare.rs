//! The library's hooks without a daemon, as a kernel that lacks this or that would have them.

use ssh_guard::config::settings::Mode;
use ssh_guard::interface::{Interface, Network};
use ssh_guard::kernel::{
    Attachment, Blocklist, Capacities, Hooks, Loaded, Pins, Programs, SettingsMap, load_with,
};
use ssh_guard_common::records::Settings;
use ssh_guard_common::source::SourceMask;
use ssh_guard_common::time::NEVER;

use crate::bpffs::PinFolder;
use crate::lab::Lab;
use crate::programs::source_of;

/// Who is blocked.
pub const BANNED: &str = "203.0.113.7";

/// A place for pins, and what stands in for daemons that use it.
#[derive(Default)]
pub struct Bare {
    pins: PinFolder,
}

/// What stands in for a daemon.
pub struct Running {
    /// What attaches.
    pub hooks: Hooks,
    _maps: (Blocklist, SettingsMap),
}

impl Bare {
    /// Names a folder for its pins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads the programs, port 22, and blocks [`BANNED`]; without `tcx` as if traffic control had no links (before Linux
    /// 6.6), without `frags` as if XDP had one buffer only (before 5.18).
    ///
    /// # Panics
    /// When the kernel refuses them.
    #[must_use]
    pub fn start(&self, tcx: bool, frags: bool) -> Running {
        let capacities = Capacities {
            blocklist: 64,
            networks: 64,
            allowlist: 64,
            known_good: 64,
            sources: 1024,
            sessions: 1024,
        };
        let programs = Programs {
            ports: vec![22],
            mask: SourceMask::new(32, 64),
            dry_run: false,
            new_sessions_per_minute: 0,
            capacities,
        };
        let loaded = load_with(&programs, None, frags).expect("the kernel takes it");
        let Loaded { ebpf, kept, mut blocklist, mut settings, .. } = loaded;
        settings.put_to_use(Settings::BLOCKLIST, true).expect("the kernel takes it");
        blocklist.block(source_of(BANNED), NEVER, false).expect("the kernel takes it");
        let hooks = Hooks::new(ebpf, kept, Pins::prepare(self.pins.path()).expect("the kernel takes it"));
        let hooks = if tcx { hooks } else { hooks.without_tcx() };
        Running { hooks, _maps: (blocklist, settings) }
    }
}

impl Running {
    /// Attaches to `eth0` as the daemon does.
    ///
    /// # Panics
    /// When that fails, or the kernel says otherwise.
    pub fn attach(&mut self, lab: &Lab, mode: Mode) -> Attachment {
        let attached = lab.server().within(|| {
            let eth0 = interface("eth0");
            let attachment =
                self.hooks.attach(&eth0, mode).expect("the kernel takes it").expect("the kernel takes it");
            self.hooks.settle(eth0.index, attachment.mode).expect("the kernel takes it");
            self.hooks.attach_witness(&eth0).expect("the kernel takes it");
            attachment
        });
        let seen = lab.server().within(|| self.hooks.look(&interface("eth0")));
        assert_eq!((seen.mode, seen.witness), (Some(attached.mode), true), "as the kernel says");
        attached
    }
}

/// An interface of the calling thread's namespace.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn interface(name: &str) -> Interface {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("the kernel takes it");
    let all = runtime.block_on(Network::interfaces()).expect("the kernel takes it");
    all.into_iter().find(|interface| interface.name == name).expect("the kernel takes it")
}
