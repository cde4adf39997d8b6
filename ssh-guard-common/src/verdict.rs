//! What the program concludes about one packet.

/// A verdict; its number is its index in `VERDICTS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Verdict {
    /// Nothing speaks against the packet: it passes.
    Passed = 0,
    /// The source is in the allowlist: the packet passes.
    Allowed = 1,
    /// The source is in the blocklist: the packet is dropped.
    Blocked = 2,
    /// The address is in a banned network: the packet is dropped.
    BlockedNetwork = 3,
    /// The source asks for new sessions too often: the packet is dropped.
    RateLimited = 4,
    /// The server has more unauthenticated sessions than it should, and the source is not known-good: the packet is dropped.
    FloodLimited = 5,
    /// The source has too many open sessions: the packet is dropped.
    SessionLimited = 6,
}

impl Verdict {
    /// Every verdict, in the order of the numbers.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::Allowed,
        Self::Blocked,
        Self::BlockedNetwork,
        Self::RateLimited,
        Self::FloodLimited,
        Self::SessionLimited,
    ];

    /// The word for it, in metrics and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::BlockedNetwork => "blocked_network",
            Self::RateLimited => "rate_limited",
            Self::FloodLimited => "flood_limited",
            Self::SessionLimited => "session_limited",
        }
    }

    /// Whether the packet is dropped, unless this is a dry run.
    #[inline(always)]
    #[must_use]
    pub const fn drops(self) -> bool {
        match self {
            Self::Passed | Self::Allowed => false,
            Self::Blocked
            | Self::BlockedNetwork
            | Self::RateLimited
            | Self::FloodLimited
            | Self::SessionLimited => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_found_at_its_number() {
        for (number, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, number);
        }
    }
}
