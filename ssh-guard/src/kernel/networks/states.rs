//! The writer of the two bits that each /24 has: see [`ssh_guard_common::networks`].

use std::sync::atomic::Ordering::{Relaxed, Release};

use ssh_guard_common::networks::{PER_WORD, State, at, number_of};

use super::super::memory::Memory;
use crate::network::Network;

/// The states of the /24s in a stretch of addresses, as they are to be.
#[derive(Debug)]
pub(in crate::kernel) struct Stretch {
    numbers: Numbers,
    words: Vec<u32>,
}

/// The first and the last /24 of a stretch.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    first: u32,
    last: u32,
}

impl Stretch {
    /// The /24s in an IPv4 network, or the one that it lies in, all in the same state.
    pub(in crate::kernel) fn of(network: Network, state: State) -> Self {
        let numbers = Numbers::of(network);
        let words = numbers.last / PER_WORD - numbers.first / PER_WORD + 1;
        Self { numbers, words: vec![pattern(state); words as usize] }
    }

    /// Changes the states of the /24s in a network of the stretch, or of the one that it lies in.
    pub(super) fn fill(&mut self, network: Network, state: State) {
        let numbers = Numbers::of(network);
        let begin = self.numbers.first / PER_WORD;
        for word in numbers.first / PER_WORD..=numbers.last / PER_WORD {
            let mask = numbers.mask(word);
            let there = &mut self.words[(word - begin) as usize];
            *there = *there & !mask | pattern(state) & mask;
        }
    }

    /// How many /24s of the stretch are in another state.
    pub(super) fn differs(&self, memory: &Memory) -> usize {
        let words = (self.numbers.first / PER_WORD..).zip(&self.words);
        let others = words.map(|(word, states)| {
            let other = (memory.at(at(word)).load(Relaxed) ^ states) & self.numbers.mask(word);
            ((other | other >> 1) & LOW_BITS).count_ones()
        });
        others.sum::<u32>() as usize
    }

    /// Writes the states, each word of which readers see before or after.
    pub(in crate::kernel) fn store(&self, memory: &Memory) {
        for (word, states) in (self.numbers.first / PER_WORD..).zip(&self.words) {
            let mask = self.numbers.mask(word);
            let there = memory.at(at(word));
            let old = there.load(Relaxed);
            let new = old & !mask | states & mask;
            if new != old {
                there.store(new, Release);
            }
        }
    }
}

impl Numbers {
    fn of(network: Network) -> Self {
        Self { first: number_of(network.first()), last: number_of(network.last()) }
    }

    /// The bits of a word that tell of these /24s; some do.
    fn mask(self, word: u32) -> u32 {
        let first = self.first.max(word * PER_WORD) % PER_WORD;
        let last = self.last.min(word * PER_WORD + (PER_WORD - 1)) % PER_WORD;
        u32::MAX << (first * 2) & u32::MAX >> ((PER_WORD - 1 - last) * 2)
    }
}

/// A word of /24s in the same state.
fn pattern(state: State) -> u32 {
    LOW_BITS * state as u32
}

/// The lower bit of each /24 of a word.
const LOW_BITS: u32 = 0x5555_5555;
