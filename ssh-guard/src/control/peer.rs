//! Who is at the other end of the control socket, and what they may do.

use nix::unistd::{Gid, Uid, User};
use tokio::net::UnixStream;

use crate::membership;

/// A process at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    uid: Uid,
    gid: Gid,
}

impl Peer {
    /// Who connected, as the kernel says (`SO_PEERCRED`, unix(7)).
    pub(super) fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        Some(Self { uid: Uid::from_raw(credentials.uid()), gid: Gid::from_raw(credentials.gid()) })
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
        let stranger = Peer { uid: Uid::from_raw(65_534), gid: Gid::from_raw(65_534) };
        assert!(!stranger.may_change(None));
        assert!(!stranger.may_change(Some(Gid::from_raw(4))));
        assert!(stranger.may_change(Some(Gid::from_raw(65_534))));
        assert!(Peer { uid: Uid::from_raw(0), gid: Gid::from_raw(0) }.may_change(None));
    }

    #[tokio::test]
    async fn the_kernel_says_who_connected() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Peer::of(&one), Some(Peer { uid: Uid::effective(), gid: Gid::effective() }));
    }
}
