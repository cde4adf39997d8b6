//! Where the program looks a banned IPv4 network up.
//!
//! A trie costs a lookup many times what a [flat table](crate::flat) does, and the more the longer the list is. So two
//! bits for each /24 say whether anything of it is banned at all, and whether it is banned as a whole and nothing in it by
//! itself: then the /24 stands in a flat table. Only what is left asks the trie.
//!
//! There is one writer, in user space. It writes an entry before it lets the bits point there, and points them elsewhere
//! before it takes the entry out.

use crate::flat::{At, CELL_WORDS, Cell, Cells};
use crate::source::Source;

/// Cells of the map with two bits for each of the 2^24 networks of length 24.
pub const CELLS: u32 = (1 << 24) / PER_WORD / WORDS;

/// How many /24s a word tells of.
pub const PER_WORD: u32 = u32::BITS / 2;

/// Words of a cell.
#[expect(clippy::cast_possible_truncation, reason = "there are 16")]
const WORDS: u32 = CELL_WORDS as u32;

/// What is banned of a /24.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// Nothing.
    Nothing = 0,
    /// All of it, and nothing in it by itself: the flat table has it.
    Table = 1,
    /// The trie knows.
    Trie = 2,
}

/// The number of the /24 that an IPv4 address lies in.
#[inline(always)]
#[must_use]
pub const fn number_of(address: Source) -> u32 {
    let [_, _, _, word] = address.words();
    u32::from_be(word) >> 8
}

/// The first address of the /24 that an IPv4 address lies in.
#[inline(always)]
#[must_use]
pub const fn first_of(address: Source) -> Source {
    let [_, _, _, word] = address.words();
    Source::from_v4(word & 0xffff_ff00_u32.to_be())
}

/// What the bits say of the /24 that an IPv4 address lies in.
#[inline(always)]
pub fn state_of(cells: &impl Cells, address: Source) -> State {
    let number = number_of(address);
    let at = at(number / PER_WORD);
    let Some(cell) = cells.cell(at.cell) else { return State::Nothing };
    match cell.word(at.word) >> (number % PER_WORD * 2) & 3 {
        0 => State::Nothing,
        1 => State::Table,
        _ => State::Trie,
    }
}

/// Where a word of the bits stands.
#[inline(always)]
#[must_use]
pub const fn at(word: u32) -> At {
    At { cell: word / WORDS, word: (word % WORDS) as usize }
}

/// The maps, as a reader has them.
pub trait Maps {
    /// A block that is in force.
    type Block;

    /// What the bits say of the address.
    fn state(&self, address: Source) -> State;
    /// The block of the /24 with this first address in the flat table.
    fn in_table(&self, first: Source) -> Option<Self::Block>;
    /// The block of the narrowest network around the address in the trie.
    fn in_trie(&self, address: Source) -> Option<Self::Block>;
}

/// Finds the block of an IPv4 address.
#[inline(always)]
pub fn find<M: Maps>(maps: &M, address: Source) -> Option<M::Block> {
    let mut state = maps.state(address);
    if state == State::Table {
        if let Some(block) = maps.in_table(first_of(address)) {
            return Some(block);
        }
        // The /24 may have left for the trie, or been unbanned while a network around it is not, since the bits were read.
        state = maps.state(address);
    }
    if state == State::Trie { maps.in_trie(address) } else { None }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_of_all_networks_of_length_24_has_bits_of_its_own() {
        assert_eq!(number_of(source("0.0.0.255")), 0);
        assert_eq!(number_of(source("0.0.1.0")), 1);
        assert_eq!(number_of(source("255.255.255.0")), (1 << 24) - 1);
        assert_eq!(at((1 << 24) / PER_WORD - 1), At { cell: CELLS - 1, word: CELL_WORDS - 1 });
        assert_eq!(first_of(source("203.0.113.7")), source("203.0.113.0"));
    }

    /// One word, which tells of 0.0.0.0 to 0.0.15.255.
    #[derive(Clone, Copy)]
    struct Word(u32);

    impl Cells for Word {
        type Cell = Self;

        fn cell(&self, number: u32) -> Option<Self> {
            (number == 0).then_some(*self)
        }
    }

    impl Cell for Word {
        fn word(self, number: usize) -> u32 {
            if number == 0 { self.0 } else { 0 }
        }
    }

    use State::{Nothing, Table, Trie};

    #[test]
    fn the_bits_of_a_network_say_where_to_ask() {
        let cells = Word(0b10 << 30 | 0b01 << 2);
        let states = ["0.0.0.9", "0.0.1.9", "0.0.2.9", "0.0.15.9", "0.0.16.9", "9.0.1.9"]
            .map(|address| state_of(&cells, source(address)));
        assert_eq!(states, [Nothing, Table, Nothing, Trie, Nothing, Nothing]);
    }
}
