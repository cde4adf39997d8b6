//! What series of a metric are told apart by, where nothing else in the project has a word for it.

/// What became of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineOutcome {
    /// It says something about a login.
    Understood,
    /// It says nothing about a login.
    Ignored,
    /// It was longer than `limits.line-bytes`.
    TooLong,
}

/// Why a ban is no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unbanned {
    /// Its time came.
    Expired,
    /// Somebody lifted it.
    Manual,
    /// Its source was put into the allowlist.
    Allowed,
    /// An operator is logged in from its source.
    Protected,
    /// It made room for another ban.
    Displaced,
    /// Nothing came from the network for long.
    Quiet,
}

/// What the kernel refused to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapOperation {
    /// To block a source.
    Block,
    /// To unblock a source.
    Unblock,
    /// To block a network.
    BlockNetwork,
    /// To unblock a network.
    UnblockNetwork,
    /// To allow a network.
    Allow,
    /// To take a network out of the allowlist.
    Disallow,
    /// To read what was counted.
    Read,
    /// To read the sessions.
    ReadSessions,
    /// To forget a session, or what was said of it.
    Forget,
    /// To mark a session as authenticated.
    Mark,
    /// To say that a source holds as many sessions as it may.
    Crowd,
    /// To say that it does not any more.
    Uncrowd,
    /// To take a source for known-good.
    Know,
    /// To take it for known-good no more.
    Unknow,
    /// To write the program's settings.
    Set,
}

impl LineOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Understood, Self::Ignored, Self::TooLong];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Understood => "understood",
            Self::Ignored => "ignored",
            Self::TooLong => "too-long",
        }
    }
}

impl Unbanned {
    pub(super) const ALL: [Self; 6] =
        [Self::Expired, Self::Manual, Self::Allowed, Self::Protected, Self::Displaced, Self::Quiet];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Manual => "manual",
            Self::Allowed => "allowed",
            Self::Protected => "protected",
            Self::Displaced => "displaced",
            Self::Quiet => "quiet",
        }
    }
}

impl MapOperation {
    pub(super) const ALL: [Self; 15] = [
        Self::Block,
        Self::Unblock,
        Self::BlockNetwork,
        Self::UnblockNetwork,
        Self::Allow,
        Self::Disallow,
        Self::Read,
        Self::ReadSessions,
        Self::Forget,
        Self::Mark,
        Self::Crowd,
        Self::Uncrowd,
        Self::Know,
        Self::Unknow,
        Self::Set,
    ];

    /// The map and the operation.
    pub(super) const fn labels(self) -> [&'static str; 2] {
        match self {
            Self::Block => ["blocklist", "insert"],
            Self::Unblock => ["blocklist", "remove"],
            Self::BlockNetwork => ["networks", "insert"],
            Self::UnblockNetwork => ["networks", "remove"],
            Self::Allow => ["allowlist", "insert"],
            Self::Disallow => ["allowlist", "remove"],
            Self::Read => ["counters", "read"],
            Self::ReadSessions => ["sessions", "read"],
            Self::Forget => ["sessions", "remove"],
            Self::Mark => ["authenticated", "insert"],
            Self::Crowd => ["crowded", "insert"],
            Self::Uncrowd => ["crowded", "remove"],
            Self::Know => ["known_good", "insert"],
            Self::Unknow => ["known_good", "remove"],
            Self::Set => ["settings", "insert"],
        }
    }
}
