//! The memory of a flat table, as the programs have it.

use core::arch::asm;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::Array;
use ssh_guard_common::flat::{At, CELL_WORDS, Cell, Cells};

use crate::join::join;

/// The map of a flat table.
pub type Table = Array<Line, 1, { BPF_F_MMAPABLE as usize }>;

/// A cell of a flat table.
#[repr(C, align(64))]
pub struct Line([u32; CELL_WORDS]);

/// A table, to look things up in.
pub struct Lines(pub &'static Table);

impl Cells for Lines {
    type Cell = Words;

    #[inline(always)]
    fn cell(&self, number: u32) -> Option<Words> {
        self.0.get_ptr(number).map(|line| Words(line.cast()))
    }
}

#[derive(Clone, Copy)]
pub struct Words(*const u32);

impl Cell for Words {
    #[inline(always)]
    fn word(self, number: usize) -> u32 {
        // SAFETY: the lookup returned a cell, and the number is brought below its words; the map lives as long as the
        // program. The daemon writes whole words, so one is read as it was or as it is.
        unsafe { self.0.add(number % CELL_WORDS).read_volatile() }
    }

    #[inline(always)]
    fn wide<const NUMBER: usize>(self) -> u64 {
        let word: u64;
        // SAFETY: as above; the number is checked where it is written.
        unsafe {
            asm!(
                "{word} = *(u32 *)({cell} + {at})",
                word = out(reg) word,
                cell = in(reg) self.0,
                at = const const { assert!(NUMBER < CELL_WORDS); NUMBER * size_of::<u32>() },
                options(readonly, nostack),
            );
        }
        word
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a slot is below the words of a cell")]
    fn joined(self, slot: u32) -> u32 {
        join::<{ CELL_WORDS as u64 - 1 }>(u64::from(slot), self.wide::<1>()) as u32
    }
}

/// A word of a table, to write it.
#[inline(always)]
pub fn word_of(table: &'static Table, at: At) -> Option<*mut u32> {
    let line = table.get_ptr_mut(at.cell)?;
    Some(line.cast::<u32>().wrapping_add(at.word % CELL_WORDS))
}
