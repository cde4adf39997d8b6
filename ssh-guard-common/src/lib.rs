//! common
#![cfg_attr(not(test), no_std)]
pub mod source;
pub mod verdict;
