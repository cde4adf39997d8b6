//! Who belongs to which group, as the machine's directories say (nss): /etc/group, or whatever network they ask.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, User, getgrouplist};

/// Whether a user belongs to a group, as their first group or as another.
#[must_use]
pub fn belongs_to(user: &User, group: Gid) -> bool {
    let Ok(name) = CString::new(user.name.as_str()) else { return false };
    user.gid == group || getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

/// Whether the account of that name belongs to one of these groups; nobody does who has no account, or to a group that
/// is not there. May take long, where a network is asked.
///
/// # Errors
/// If a directory does not answer.
pub fn belongs_to_any(account: &str, groups: &[String]) -> Result<bool, Errno> {
    let Some(user) = User::from_name(account)? else { return Ok(false) };
    for group in groups {
        if Group::from_name(group)?.is_some_and(|group| belongs_to(&user, group.gid)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_group_as_the_first_one_belongs_to_it_and_who_is_not_there_to_none() {
        let root = User::from_uid(nix::unistd::Uid::from_raw(0)).unwrap().unwrap();
        let group = Group::from_gid(root.gid).unwrap().unwrap().name;
        assert_eq!(belongs_to_any(&root.name, &["no such group".to_owned(), group.clone()]), Ok(true));
        assert_eq!(belongs_to_any(&root.name, &["no such group".to_owned()]), Ok(false));
        assert_eq!(belongs_to_any(&root.name, &[]), Ok(false));
        assert_eq!(belongs_to_any("no such account", &[group]), Ok(false));
    }
}
