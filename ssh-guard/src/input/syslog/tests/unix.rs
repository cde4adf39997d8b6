use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use super::*;

/// A folder with the path of a socket in it.
fn socket_path() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/log.sock");
    (folder, path)
}

#[test]
fn a_unix_socket_is_its_owners_alone_and_goes_with_the_input() {
    let (_folder, path) = socket_path();
    let running = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    let socket = UnixDatagram::unbound().unwrap();
    eventually("it listens", || socket.connect(&path).is_ok());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    socket.send(b"<38>a\nb\n").unwrap();
    socket.send("x".repeat(LIMIT + 9).as_bytes()).unwrap();
    socket.send(b"<38>c").unwrap();
    assert_eq!(running.wait_for(2), ["<38>a\nb", "<38>c"]);
    assert_eq!(running.stats.too_long(), 1);
    drop(running);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_that_is_used_is_not() {
    let (_folder, path) = socket_path();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixDatagram::bind(&path).unwrap());
    let running = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    let socket = UnixDatagram::unbound().unwrap();
    eventually("it is replaced", || socket.connect(&path).is_ok());
    let inode = std::fs::metadata(&path).unwrap().ino();
    let second = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    eventually("the second one says why", || {
        second.stats.fault().is_some_and(|fault| fault.contains("somebody receives there already"))
    });
    drop(second);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "it left the first one's in place");
    socket.send(b"<38>a").unwrap();
    assert_eq!(running.wait_for(1), ["<38>a"]);
    drop(running);

    std::fs::write(&path, "precious").unwrap();
    let third = Running::start(Listen::Unix(path.clone()), &[], Vec::new());
    eventually("it says why", || {
        third.stats.fault().is_some_and(|fault| fault.contains("something else lies there"))
    });
    drop(third);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
