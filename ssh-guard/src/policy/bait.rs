//! Bait accounts: names that nobody has a reason to try.

use std::collections::HashSet;

use super::account::{Account, Accounts};
use super::weight::Weight;

/// The accounts that are bait.
#[derive(Debug)]
pub struct Bait(HashSet<Account>);

impl Bait {
    /// What a failure on a bait account weighs for a source that is known-good: it is not banned at once.
    pub const WEIGHT_IF_KNOWN: f64 = 2.0;

    /// Takes the accounts of these names.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, accounts: &Accounts) -> Self {
        Self(names.into_iter().map(|name| accounts.of(name)).collect())
    }

    /// Whether the account is bait.
    #[must_use]
    pub fn is(&self, account: Account) -> bool {
        self.0.contains(&account)
    }

    /// What a failure of `weight` on a bait account counts for a known-good source.
    #[must_use]
    pub fn weigh(weight: Weight) -> Weight {
        weight.max(Weight::new(Self::WEIGHT_IF_KNOWN))
    }
}
