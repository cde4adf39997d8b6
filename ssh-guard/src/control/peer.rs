//! Who is at the other end of the control socket, and what they may do.

use nix::unistd::{Gid, Uid, User};
use tokio::net::UnixStream;

use crate::clock;
use crate::membership;
use crate::moment::Moment;

/// A process at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    uid: Uid,
    gid: Gid,
    pid: Option<u32>,
    connected: Moment,
}

impl Peer {
    /// Who connected, as the kernel says (`SO_PEERCRED`, unix(7)).
    #[must_use]
    pub fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        // Where it lies outside of what the daemon sees, its number is 0.
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        let (uid, gid) = (Uid::from_raw(credentials.uid()), Gid::from_raw(credentials.gid()));
        Some(Self { uid, gid, pid, connected: clock::now() })
    }

    /// The number of the process that connected, which may have ended by now, and another one have its number.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// When it had connected.
    #[must_use]
    pub fn connected(&self) -> Moment {
        self.connected
    }

    /// Whether the peer is root, the daemon's own user, or of the configured group. The socket's mode lets nobody
    /// else in; a descriptor that was handed on would.
    pub(super) fn may_change(self, group: Option<Gid>) -> bool {
        if self.uid.is_root() || self.uid == Uid::effective() {
            return true;
        }
        let Some(group) = group else { return false };
        self.gid == group || self.belongs_to(group)
    }

    fn belongs_to(self, group: Gid) -> bool {
        let Ok(Some(user)) = User::from_uid(self.uid) else { return false };
        membership::belongs_to(&user, group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_changes_nothing_and_a_member_of_the_group_may() {
        let peer = |id| {
            let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
            Peer { uid, gid, pid: None, connected: clock::now() }
        };
        let stranger = peer(65_534);
        assert!(!stranger.may_change(None));
        assert!(!stranger.may_change(Some(Gid::from_raw(4))));
        assert!(stranger.may_change(Some(Gid::from_raw(65_534))));
        assert!(peer(0).may_change(None));
    }

    #[tokio::test]
    async fn the_kernel_says_who_connected() {
        let (one, _other) = UnixStream::pair().unwrap();
        let Peer { uid, gid, pid, .. } = Peer::of(&one).unwrap();
        assert_eq!((uid, gid, pid), (Uid::effective(), Gid::effective(), Some(std::process::id())));
    }
}
