use std::time::Duration;

use super::*;

/// A machine with these processes.
struct Scene(Vec<Each>);

/// Number, parent, start in seconds, sockets (none: they may not be looked at), and whether its terminal is shared.
type Each = (u32, u32, u64, Option<Vec<u64>>, bool);

impl Processes for Scene {
    fn look(&self, pid: u32) -> Option<Process> {
        let process = self.0.iter().find(|process| process.0 == pid)?;
        Some(Process { parent: process.1, has_shared_terminal: process.4, started: at(process.2) })
    }

    fn sockets(&self, pid: u32) -> io::Result<Vec<u64>> {
        let process = self.0.iter().find(|process| process.0 == pid);
        process.and_then(|process| process.3.clone()).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
    }
}

fn at(seconds: u64) -> Moment {
    Moment::from_start(Duration::from_secs(seconds))
}

fn client(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Sockets 70 and 71 are sessions of guarded ports, 99 is none.
fn found(scene: &Scene, pid: u32) -> Caller {
    let clients = HashMap::from([(70, client("203.0.113.7")), (71, client("2001:db8::7"))]);
    walk(scene, pid, at(1000), &clients)
}

fn session(address: &str, since: u64) -> Caller {
    Caller::Session { address: client(address), since: at(since) }
}

/// init, sshd, its half with privileges, the user's half, a shell on a terminal, sudo and this command.
fn logged_in() -> Scene {
    Scene(vec![
        (1, 0, 0, Some(vec![70]), false),
        (500, 1, 10, Some(vec![99]), false),
        (600, 500, 100, Some(vec![70, 99]), false),
        (610, 600, 102, Some(vec![70]), false),
        (620, 610, 103, Some(vec![]), true),
        (630, 620, 200, Some(vec![99]), true),
        (640, 630, 200, Some(vec![]), true),
    ])
}

#[test]
fn the_session_is_that_of_the_nearest_parent_that_holds_one() {
    assert_eq!(found(&logged_in(), 640), session("203.0.113.7", 102));
    let mut nested = logged_in();
    nested.0[4].3 = Some(vec![71]);
    assert_eq!(found(&nested, 640), session("2001:db8::7", 103));
}

#[test]
fn who_is_at_a_console_comes_from_nowhere_whatever_init_holds() {
    let scene = Scene(vec![
        (1, 0, 0, Some(vec![70]), false),
        (300, 1, 5, Some(vec![99]), false),
        (310, 300, 6, Some(vec![]), false),
    ]);
    assert_eq!(found(&scene, 310), Caller::Nowhere);
}

#[test]
fn a_terminal_that_belongs_to_no_session_may_be_anybodys() {
    let scene = Scene(vec![
        (1, 0, 0, Some(vec![]), false),
        (300, 1, 5, Some(vec![99]), false),
        (310, 300, 6, Some(vec![]), true),
    ]);
    assert_eq!(found(&scene, 310), Caller::Unknown(TERMINAL));
}

#[test]
fn a_process_that_may_not_be_looked_at_may_serve_a_session() {
    let mut scene = logged_in();
    scene.0[2].3 = None;
    assert_eq!(found(&scene, 640), session("203.0.113.7", 102), "a nearer one told");
    scene.0[3].3 = None;
    assert_eq!(found(&scene, 640), Caller::Unknown(DENIED));
}

#[test]
fn a_number_that_another_process_has_by_now_is_believed_nothing() {
    let mut scene = logged_in();
    scene.0[6].2 = 1001;
    assert_eq!(found(&scene, 640), Caller::Unknown(GONE), "it is younger than the connection");
    let mut scene = logged_in();
    scene.0[3].2 = 104;
    assert_eq!(found(&scene, 640), Caller::Unknown(GONE), "it is younger than its child");
    assert_eq!(found(&logged_in(), 641), Caller::Unknown(GONE));
}

#[test]
fn what_was_started_from_outside_of_a_container_cannot_be_told() {
    let scene = Scene(vec![(1, 0, 0, Some(vec![]), false), (44, 0, 6, Some(vec![]), false)]);
    assert_eq!(found(&scene, 44), Caller::Unknown(OUTSIDE));
}

#[test]
fn a_process_that_serves_many_sessions_is_none_of_them() {
    let scene = Scene(vec![(1, 0, 0, Some(vec![]), false), (44, 1, 6, Some(vec![70, 71]), false)]);
    assert!(matches!(found(&scene, 44), Caller::Unknown(_)));
}

#[test]
fn parents_are_followed_up_to_a_bound() {
    let chain = |depth: u32| {
        let above = (2..=depth).map(|pid| (pid, pid - 1, u64::from(pid), Some(vec![]), false));
        Scene([(1, 0, 0, Some(vec![]), false)].into_iter().chain(above).collect())
    };
    let deepest = u32::try_from(DEEPEST).unwrap();
    assert_eq!(found(&chain(deepest), deepest), Caller::Nowhere);
    assert!(matches!(found(&chain(deepest + 1), deepest + 1), Caller::Unknown(_)));
}
