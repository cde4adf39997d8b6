//! Finds out whose sessions are open that an earlier daemon saw the logins of: the kernel keeps the numbers that it gave to
//! accounts, and the names are gone with it.
//!
//! OpenSSH serves each session by processes of its own. One of them has become the user, unless that is root.

use std::collections::HashMap;
use std::fs;

use nix::unistd::{Uid, User};
use ssh_guard_common::source::Source;

use crate::daemon::caller::process::sockets_of;
use crate::fault::Fault;
use crate::kernel::Sockets;

/// A session's client: its address, and its port.
pub(super) type Client = (Source, u16);

/// The accounts of the sessions of these ports that are open, as far as the server's processes tell. For sessions that are
/// authenticated: before, one of them may belong to nobody's account.
pub(super) fn accounts(ports: &[u16]) -> Result<HashMap<Client, String>, Fault> {
    let sockets = Sockets::open()?.list(ports)?;
    let client = |remote: std::net::SocketAddr| (Source::from(remote.ip()), remote.port());
    let clients = sockets.iter().map(|socket| (u64::from(socket.inode()), client(socket.remote()))).collect();
    let users = users(servers().filter_map(|pid| Some((user_of(pid)?, sockets_of(pid).ok()?))), &clients);
    let named = |(client, user)| Some((client, User::from_uid(user).ok().flatten()?.name));
    Ok(users.into_iter().filter_map(named).collect())
}

/// The user of each session: whoever holds its socket, root only if nobody else does.
fn users(
    holders: impl Iterator<Item = (Uid, Vec<u64>)>,
    clients: &HashMap<u64, Client>,
) -> HashMap<Client, Uid> {
    let mut users = HashMap::new();
    for (user, sockets) in holders {
        for client in sockets.iter().filter_map(|socket| clients.get(socket)) {
            let known = users.entry(*client).or_insert(user);
            if known.is_root() {
                *known = user;
            }
        }
    }
    users
}

/// The processes of OpenSSH's server.
fn servers() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    numbers.filter(move |pid| ["sshd", "sshd-session"].contains(&name(*pid).trim_end()))
}

/// As whom a process acts.
fn user_of(pid: u32) -> Option<Uid> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Who started it, as whom it acts, and two more.
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok().map(Uid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_session_is_its_users_and_roots_only_if_it_is_nobody_elses() {
        let client = |port| (Source::from("203.0.113.7".parse::<IpAddr>().unwrap()), port);
        let clients = HashMap::from([(70, client(4000)), (71, client(4001)), (72, client(4002))]);
        let (root, alice) = (Uid::from_raw(0), Uid::from_raw(1000));
        let holders = [(root, vec![1, 70, 71]), (alice, vec![70, 2]), (root, vec![70]), (alice, vec![])];
        let found = users(holders.into_iter(), &clients);
        assert_eq!(found, HashMap::from([(client(4000), alice), (client(4001), root)]));
    }

    #[test]
    fn a_process_acts_as_its_effective_user() {
        assert_eq!(user_of(std::process::id()), Some(Uid::effective()));
        assert_eq!(user_of(u32::MAX), None);
    }
}
