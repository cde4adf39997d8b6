//! bpf(2), for what aya has no call for.

use std::io;
use std::mem;

use aya_obj::generated::{bpf_attr, bpf_cmd};

/// The argument of a call, all zeros.
pub(super) fn nothing() -> bpf_attr {
    // SAFETY: a union of plain numbers.
    unsafe { mem::zeroed() }
}

/// Calls bpf(2); what it answers is a number, or a descriptor that nobody else has.
///
/// # Safety
/// The members that the command reads must be filled, and what they point at be what the command takes it for, and outlive
/// the call.
///
/// # Errors
/// What the kernel says.
pub(super) unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the caller vouches for what the kernel finds there.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of_val(attr)) };
    i32::try_from(answer).ok().filter(|answer| *answer >= 0).ok_or_else(io::Error::last_os_error)
}
