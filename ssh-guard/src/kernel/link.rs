//! BPF links, by which a program is attached until the last descriptor and the last pin of the link are gone. aya's own
//! do not tell which interface they are on, name interfaces by names that change, and make an attachment without a link
//! of what the kernel refuses.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aya_obj::generated::{
    BPF_F_BEFORE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, bpf_attach_type, bpf_attr, bpf_cmd, bpf_link_info,
    bpf_link_type,
};

use super::syscall::{bpf, nothing};

/// A link.
#[derive(Debug)]
pub(super) struct Link(OwnedFd);

/// What a link attaches, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attached {
    /// The number of the program.
    pub(super) program: u32,
    /// The number of the interface; 0 once that is gone.
    pub(super) interface: u32,
}

/// Where a link puts a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// XDP in the driver.
    Native,
    /// XDP behind the driver.
    Generic,
    /// Traffic control, what comes in (6.6 and later).
    Ingress,
    /// Traffic control, what goes out.
    Egress,
}

impl Place {
    /// The attach type, and the flags. In traffic control a program comes before all that are there: one that says
    /// what becomes of a packet ends the row.
    fn kind(self) -> (bpf_attach_type, u32) {
        match self {
            Self::Native => (bpf_attach_type::BPF_XDP, XDP_FLAGS_DRV_MODE),
            Self::Generic => (bpf_attach_type::BPF_XDP, XDP_FLAGS_SKB_MODE),
            Self::Ingress => (bpf_attach_type::BPF_TCX_INGRESS, BPF_F_BEFORE),
            Self::Egress => (bpf_attach_type::BPF_TCX_EGRESS, BPF_F_BEFORE),
        }
    }
}

impl Link {
    /// Attaches a program to an interface.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn attach(program: BorrowedFd<'_>, interface: u32, place: Place) -> io::Result<Self> {
        let (kind, flags) = place.kind();
        let mut attr = nothing();
        attr.link_create.__bindgen_anon_1.prog_fd = number(program);
        attr.link_create.__bindgen_anon_2.target_ifindex = interface;
        attr.link_create.attach_type = kind as u32;
        attr.link_create.flags = flags;
        call(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(Self::of)
    }

    /// Opens a pinned link; none if nothing is pinned there.
    ///
    /// # Errors
    /// What the kernel says, and if something else is pinned there.
    pub(super) fn pinned(path: &Path) -> io::Result<Option<Self>> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut attr = nothing();
        attr.__bindgen_anon_4.pathname = path.as_ptr().expose_provenance() as u64;
        match call(bpf_cmd::BPF_OBJ_GET, &mut attr).map(Self::of) {
            Ok(link) => Ok(Some(link)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pins it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn pin(&self, path: &Path) -> io::Result<()> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut attr = nothing();
        attr.__bindgen_anon_4.pathname = path.as_ptr().expose_provenance() as u64;
        attr.__bindgen_anon_4.bpf_fd = self.0.as_raw_fd().cast_unsigned();
        call(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
    }

    /// Puts a program in the place of the one that it attaches, with no packet in between.
    ///
    /// # Errors
    /// What the kernel says; ENOLINK if the interface is gone.
    pub(super) fn replace(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let mut attr = nothing();
        attr.link_update.link_fd = self.0.as_raw_fd().cast_unsigned();
        attr.link_update.__bindgen_anon_1.new_prog_fd = number(program);
        call(bpf_cmd::BPF_LINK_UPDATE, &mut attr).map(drop)
    }

    /// Takes the program off at once. To close the link and its pins does it some time later.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn detach(&self) -> io::Result<()> {
        let mut attr = nothing();
        attr.link_detach.link_fd = self.0.as_raw_fd().cast_unsigned();
        call(bpf_cmd::BPF_LINK_DETACH, &mut attr).map(drop)
    }

    /// What it attaches, and where.
    ///
    /// # Errors
    /// What the kernel says, and if it is a link of another kind.
    pub(super) fn attached(&self) -> io::Result<Attached> {
        // SAFETY: a struct of plain numbers, whatever member of its union is meant.
        let mut info = unsafe { mem::zeroed::<bpf_link_info>() };
        let mut attr = nothing();
        attr.info.bpf_fd = self.0.as_raw_fd().cast_unsigned();
        attr.info.info_len = u32::try_from(size_of_val(&info)).unwrap_or(u32::MAX);
        attr.info.info = (&raw mut info).expose_provenance() as u64;
        call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
        let is = |kind: bpf_link_type| info.type_ == kind as u32;
        let interface = if is(bpf_link_type::BPF_LINK_TYPE_XDP) {
            // SAFETY: the kernel has written the member of a link of this kind.
            unsafe { info.__bindgen_anon_1.xdp.ifindex }
        } else if is(bpf_link_type::BPF_LINK_TYPE_TCX) {
            // SAFETY: as above.
            unsafe { info.__bindgen_anon_1.tcx.ifindex }
        } else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok(Attached { program: info.prog_id, interface })
    }

    /// Takes what a call has just opened.
    fn of(descriptor: RawFd) -> Self {
        // SAFETY: the kernel has just opened it for this caller, so nobody else closes it.
        Self(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }
}

fn number(program: BorrowedFd<'_>) -> u32 {
    program.as_raw_fd().cast_unsigned()
}

/// Makes a call about links.
fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<RawFd> {
    // SAFETY: the callers above fill the members that their commands read; what those point at outlives the call.
    unsafe { bpf(command, attr) }
}
