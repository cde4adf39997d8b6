use super::*;
use crate::needs;
use crate::skip::Need;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

/// Pins a folder and answers `status`, both as its configuration and its arguments say.
const STAND_IN: &str = r#"#!/bin/sh
dir=$(dirname "$2")
case "$3" in
run)
    pins=$(sed -n 's/^pin-path = "\(.*\)"$/\1/p' "$2")
    mkdir -p "$pins/v1/maps"
    trap 'rm "$dir/ready"; exit 0' TERM
    echo "guarding"
    touch "$dir/ready"
    while :; do sleep 0.02; done ;;
status)
    test -e "$dir/ready" || { echo "no daemon" >&2; exit 69; }
    echo '{"version":"0"}' ;;
esac
"#;

fn stand_in(dir: &TempDir, script: &str) -> PathBuf {
    let program = dir.path().join("stand-in");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn a_daemon_is_started_asked_ended_and_started_again() {
    needs!(Need::Root, Need::Netns, Need::Bpf);
    let dir = TempDir::new().unwrap();
    let namespace = Namespace::new();
    let mut daemon = Daemon::start_program(&stand_in(&dir, STAND_IN), &namespace, "");
    assert_eq!(daemon.json(&["status"])["version"], "0");
    assert!(namespace.pids().contains(&daemon.pid()));
    assert_eq!(daemon.terminate(), 0);
    let answer = daemon.cli(&["status", "--json"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (69, "no daemon\n"));
    daemon.start_again();
    daemon.kill9();
    let pins = daemon.pin_path().to_owned();
    assert!(pins.join("v1/maps").exists());
    drop(daemon);
    assert!(!pins.exists());
}

#[test]
#[should_panic(expected = "cannot attach")]
fn a_daemon_that_ends_at_once_is_reported_with_its_words() {
    if Need::Root.is_met() && Need::Netns.is_met() {
        let dir = TempDir::new().unwrap();
        let program = stand_in(&dir, "#!/bin/sh\necho cannot attach to eth0 >&2\nexit 1\n");
        drop(Daemon::start_program(&program, &Namespace::new(), ""));
    }
    panic!("cannot attach without root");
}
