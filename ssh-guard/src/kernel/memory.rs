//! The memory of a map, as this process sees it.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use ssh_guard_common::flat::{At, CELL_WORDS, Cell, Cells};

/// Cells of a flat table, shared with the kernel's programs.
#[derive(Debug)]
pub(super) struct Memory {
    start: NonNull<AtomicU32>,
    words: NonZeroUsize,
}

// SAFETY: the memory belongs to the process, not to a thread, and is only ever accessed by atomic operations.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Maps an array map (`BPF_F_MMAPABLE`, kernel 5.5 and later) of so many cells.
    ///
    /// # Errors
    /// If the map cannot be mapped, or is smaller.
    pub(super) fn of_map(map: impl AsFd, cells: u32) -> nix::Result<Self> {
        let words = words(cells)?;
        let length = bytes(words)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, at a place that the kernel chooses, takes nothing from anybody.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map, 0)? };
        Ok(Self { start: start.cast(), words })
    }

    /// Memory that no map stands behind.
    #[cfg(test)]
    pub(super) fn alone(cells: u32) -> Self {
        use nix::sys::mman::mmap_anonymous;

        let words = words(cells).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: as in `of_map`.
        let start =
            unsafe { mmap_anonymous(None, bytes(words).unwrap(), access, MapFlags::MAP_SHARED).unwrap() };
        Self { start: start.cast(), words }
    }

    /// The same memory, mapped where it is a second time, as another reader has it.
    #[cfg(test)]
    pub(super) fn again(&self) -> Self {
        use nix::sys::mman::{MRemapFlags, mremap};

        let length = bytes(self.words).unwrap().get();
        // SAFETY: an old length of 0 leaves the old mapping as it is and makes a new one of the same shared pages.
        let start =
            unsafe { mremap(self.start.cast(), 0, length, MRemapFlags::MREMAP_MAYMOVE, None).unwrap() };
        Self { start: start.cast(), words: self.words }
    }

    /// The words, in their order.
    pub(super) fn words(&self) -> &[AtomicU32] {
        // SAFETY: the mapping has these words, page-aligned, for as long as it lives; nobody writes them but by atomic
        // operations, or by the programs' loads and stores of whole words.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words.get()) }
    }

    /// A word of a cell.
    pub(super) fn at(&self, at: At) -> &AtomicU32 {
        &self.words()[at.cell as usize * CELL_WORDS + at.word]
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Ok(length) = bytes(self.words) else { return };
        // SAFETY: the mapping is ours, of this length, and nobody can hold a word of it any more.
        if let Err(error) = unsafe { munmap(self.start.cast(), length.get()) } {
            tracing::debug!(%error, "cannot unmap a table");
        }
    }
}

fn words(cells: u32) -> nix::Result<NonZeroUsize> {
    NonZeroUsize::new(cells as usize * CELL_WORDS).ok_or(nix::Error::EINVAL)
}

fn bytes(words: NonZeroUsize) -> nix::Result<NonZeroUsize> {
    words.checked_mul(NonZeroUsize::MIN.saturating_add(3)).ok_or(nix::Error::EINVAL)
}

/// A cell of the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(&'a [AtomicU32]);

impl<'a> Cells for &'a Memory {
    type Cell = Words<'a>;

    fn cell(&self, number: u32) -> Option<Words<'a>> {
        let from = number as usize * CELL_WORDS;
        self.words().get(from..from + CELL_WORDS).map(Words)
    }
}

impl Cell for Words<'_> {
    fn word(self, number: usize) -> u32 {
        self.0[number % CELL_WORDS].load(Ordering::Acquire)
    }
}
