//! Protection against oneself: what operators and the allowlist are kept from, by real logins and real commands in them.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::path::Path;
use std::time::Duration;

use ssh_guard_tests::client::{Connect, Login};
use ssh_guard_tests::daemon::Daemon;
use ssh_guard_tests::guarded::Guarded;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];

const V4: &str = "203.0.113.7";
const NETWORK: &str = "203.0.113.0/24";
const OTHER: &str = "198.51.100.8";
const V6: &str = "2001:db8:7::7";
const SOURCE_V6: &str = "2001:db8:7::/64";

/// A trial and a bit.
const TRIAL: Duration = Duration::from_secs(75);
/// Less than it takes to send a SYN again.
const SHORT: Duration = Duration::from_millis(600);

/// A command for somebody who is logged in: neither environment nor terminal tell where they come from.
fn within(daemon: &Daemon<'_>, args: &str) -> String {
    let (program, socket) = (daemon.site().program().display(), daemon.socket());
    format!("env -i setsid -w {program} --socket {} {args}", socket.display())
}

fn closed(daemon: &Daemon<'_>) -> u64 {
    daemon.json(&["status"])["sockets_closed"].as_u64().unwrap()
}

fn protected(guarded: &Guarded<'_>, count: u64) {
    eventually(PATIENCE, "the sources are protected that operators are logged in from", || {
        guarded.daemon.json(&["status"])["protected"] == count
    });
}

fn passes(lab: &Lab, address: &str) -> bool {
    lab.client(address).connect(22, SHORT) == Connect::Open
}

/// So many wrong passwords.
fn fail(lab: &Lab, address: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(lab.client(address).fail_password("bob"), Login::Denied, "{address}");
    }
}

fn list(guarded: &Guarded<'_>, name: &str, lines: &str) -> String {
    let path = guarded.daemon.site().folder().join(name);
    std::fs::write(&path, lines).unwrap();
    path.display().to_string()
}

#[test]
fn no_rule_bans_where_an_operator_is_logged_in_from_as_long_as_that_lasts() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let neighbours = [("203.0.113.8", "203.0.113.8"), ("2001:db8:8::8", "2001:db8:8::/64")];
    for ((address, source), (other, others)) in [(V4, V4), (V6, SOURCE_V6)].into_iter().zip(neighbours) {
        let lab = Lab::new();
        let guarded = Guarded::start(&lab, "guard.operators = ['alice']\npolicy.threshold = 2");
        let mut session = lab.client(address).hold_session("alice", &guarded.sshd.key());
        // Nobody else's session protects anything.
        let _bobs = lab.client(other).hold_session("bob", &guarded.sshd.key());
        protected(&guarded, 1);
        guarded.wait_for(others, "sessions_authenticated", 1);
        fail(&lab, address, 3);
        eventually(PATIENCE, "all were counted", || {
            guarded.source(source).is_some_and(|source| source["score"].as_f64() >= Some(3.0))
        });
        assert!(guarded.daemon.banned().is_empty());
        eventually(PATIENCE, "who has no operator is banned", || {
            lab.client(other).fail_password("carol") == Login::TimedOut
        });
        assert!(session.echoes("still", PATIENCE));

        drop(session);
        protected(&guarded, 0);
        eventually(PATIENCE, "it is judged again", || {
            let _refused_or_not = lab.client(address).fail_password("bob");
            guarded.daemon.banned().contains(&source.to_owned())
        });
    }
}

#[test]
fn an_operator_who_is_logged_in_is_known_again_when_the_daemon_is_started_again() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let mut guarded = Guarded::start(&lab, "guard.operators = ['root']");
    let _session = lab.client(V4).hold_session("root", &guarded.sshd.key());
    let _nobodys = lab.client(OTHER).hold_session("alice", &guarded.sshd.key());
    protected(&guarded, 1);
    guarded.wait_for(OTHER, "sessions_authenticated", 1);
    guarded.daemon.kill9();
    guarded.daemon.start_again();
    protected(&guarded, 1);
    assert_eq!(guarded.sessions(V4)[0]["account"], "root");
    guarded.daemon.cli(&["ban", V4]).assert_refused(2, &["'root' is an operator"]);
    assert_eq!(guarded.daemon.cli(&["ban", OTHER]).code, 0);
}

#[test]
fn no_command_cuts_an_operator_off_in_passing() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    // Root is a member of the group by its number alone.
    let guarded = Guarded::start(
        &lab,
        "guard.operators = ['%root']\nallow.sources = ['192.0.2.7']\nblock.networks = ['192.0.2.7']",
    );
    let daemon = &guarded.daemon;
    let mut sessions =
        [V4, V6, "192.0.2.7"].map(|address| lab.client(address).hold_session("root", &guarded.sshd.key()));
    let _nobodys = lab.client(OTHER).hold_session("alice", &guarded.sshd.key());
    protected(&guarded, 3);
    let listed = list(&guarded, "listed", &format!("192.0.2.99\n{NETWORK}\n"));
    for (args, address) in [
        (&["ban", V4][..], V4),
        (&["ban", OTHER, NETWORK], V4),
        (&["ban", "2001:db8:7::99"], V6),
        (&["ban", "--file", &listed], V4),
        (&["allow", "--remove", "192.0.2.7"], "192.0.2.7"),
    ] {
        let told =
            format!("'root' is an operator, and is logged in from {address}, which that would cut off");
        daemon.cli(args).assert_refused(2, &[&told, "add --force"]);
    }
    assert!(daemon.banned().iter().all(|banned| banned == "192.0.2.7"), "{:?}", daemon.banned());
    for session in &mut sessions {
        assert!(session.echoes("still", PATIENCE));
    }
    assert_eq!(closed(daemon), 0);
    // What cuts nobody off goes on, and what is meant does.
    assert_eq!(daemon.cli(&["ban", OTHER]).code, 0);
    assert_eq!(daemon.cli(&["ban", "--force", V4]).code, 0);
    eventually(PATIENCE, "the session ends", || sessions[0].has_ended());
    assert!(sessions[1].echoes("yet", PATIENCE));
}

#[test]
fn a_ban_of_oneself_is_undone_after_a_minute_and_closes_nothing() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let daemon = &guarded.daemon;
    let mut shell = lab.client(V4).hold_shell("root", &guarded.sshd.key());
    let mut older = lab.client(OTHER).hold_shell("root", &guarded.sshd.key());
    let (code, said) = older.run(&within(daemon, "confirm"));
    assert!(code == 1 && said.contains("there is nothing to confirm"), "{said}");
    let (code, said) = shell.run(&within(daemon, &format!("ban {NETWORK} 192.0.2.66")));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("your own session comes from 203.0.113.7"), "{said}");
    assert!(said.contains("ssh-guard confirm"), "{said}");
    assert_eq!(daemon.banned(), ["192.0.2.66", NETWORK]);
    eventually(PATIENCE, "it is in force", || !passes(&lab, V4));
    // Who was there before, or comes from no session, confirms nothing; and one trial is enough.
    let (code, said) = older.run(&within(daemon, "confirm"));
    assert!(code == 2 && said.contains("your session was there before the change was made"), "{said}");
    daemon.cli(&["confirm"]).assert_refused(2, &["it comes from no session of a guarded port"]);
    let (code, said) = older.run(&within(daemon, &format!("ban {OTHER}")));
    assert!(code == 1 && said.contains("another such change is on trial"), "{said}");

    eventually(TRIAL, "it is undone", || daemon.banned().is_empty());
    assert!(passes(&lab, V4));
    assert!(shell.run("echo still").1.contains("still"), "the session goes on");
    assert_eq!(closed(daemon), 0);
    assert!(daemon.output().contains("nobody has confirmed the change that was on trial"));
}

#[test]
fn a_ban_of_oneself_is_kept_that_a_later_session_confirms() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let daemon = &guarded.daemon;
    let key = guarded.sshd.key();
    for (address, banned) in [(V4, V4), (V6, SOURCE_V6)] {
        let before = closed(daemon);
        let mut shell = lab.client(address).hold_shell("root", &key);
        let (code, said) = shell.run(&within(daemon, &format!("ban {address} --for 2h")));
        assert!(code == 0 && said.contains("so it is a trial"), "{said}");
        let confirmed = lab.client(OTHER).login_with_key("root", &key, &within(daemon, "confirm"));
        let Login::Accepted(said) = confirmed else { panic!("{confirmed:?}") };
        assert!(said.starts_with("banned "), "{said}");
        eventually(PATIENCE, "the old session is closed", || shell.has_ended());
        eventually(PATIENCE, "that is counted", || closed(daemon) == before + 1);
        assert!(daemon.banned().contains(&banned.to_owned()));
        assert!(!passes(&lab, address));
    }
    daemon.cli(&["confirm"]).assert_refused(1, &["there is nothing to confirm"]);
    // With --force nothing is tried.
    let mut shell = lab.client("192.0.2.7").hold_shell("root", &key);
    shell.try_run(&within(daemon, "ban 192.0.2.7 --force"), Duration::ZERO);
    eventually(PATIENCE, "it is closed at once", || shell.has_ended());
}

#[test]
fn a_list_that_holds_oneself_stands_beside_the_one_that_it_replaces_until_it_is_confirmed() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let daemon = &guarded.daemon;
    let key = guarded.sshd.key();
    let path = list(&guarded, "listed", "192.0.2.1\n192.0.2.2\n");
    assert_eq!(daemon.cli(&["ban", "--file", &path]).code, 0);
    list(&guarded, "listed", &format!("192.0.2.2\n192.0.2.3\n{V4}\n"));
    let mut shell = lab.client(V4).hold_shell("root", &key);
    let ban = within(daemon, &format!("ban --file {path}"));
    let (code, said) = shell.run(&ban);
    assert!(code == 0 && said.contains("so it is a trial"), "{said}");
    assert!(!passes(&lab, V4));
    let mut all: Vec<String> = daemon.banned();
    all.dedup();
    assert_eq!(all, ["192.0.2.1", "192.0.2.2", "192.0.2.3", V4]);
    eventually(TRIAL, "it is undone", || daemon.banned() == ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(shell.run("echo still").0, 0);

    let (code, said) = shell.run(&ban);
    assert!(code == 0 && said.contains("so it is a trial"), "{said}");
    let confirmed = lab.client(OTHER).login_with_key("root", &key, &within(daemon, "confirm"));
    assert!(matches!(confirmed, Login::Accepted(_)), "{confirmed:?}");
    eventually(PATIENCE, "the session is closed", || shell.has_ended());
    let listed = || daemon.banned() == ["192.0.2.2", "192.0.2.3", V4];
    eventually(PATIENCE, "it takes the other's place", listed);
    let status = daemon.json(&["status"]);
    assert_eq!((&status["bans"]["ipv4"], &status["bans"]["networks"]), (&3.into(), &0.into()));
    let bans = daemon.json(&["bans"]);
    assert!(bans["bans"].as_array().unwrap().iter().all(|ban| ban["until"].is_null()), "{bans}");
}

#[test]
fn an_allowlist_without_oneself_is_a_trial_too() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let config = format!("allow.sources = ['{V4}', '198.51.100.0/24']\nblock.networks = ['{V4}']");
    let guarded = Guarded::start(&lab, &config);
    let daemon = &guarded.daemon;
    let key = guarded.sshd.key();
    let mut shell = lab.client(V4).hold_shell("root", &key);
    let remove = within(daemon, &format!("allow --remove {V4}"));
    let (code, said) = shell.run(&remove);
    assert!(code == 0 && said.contains("so it is a trial"), "{said}");
    eventually(PATIENCE, "what is listed is dropped", || !passes(&lab, V4));
    eventually(TRIAL, "it is allowed again", || passes(&lab, V4));
    assert_eq!(shell.run("echo still").0, 0);
    assert_eq!(closed(daemon), 0);
    // What somebody else is in is no trial.
    let (code, said) = shell.run(&within(daemon, "allow --remove 198.51.100.0/24"));
    assert!(code == 0 && !said.contains("trial"), "{said}");

    let (code, said) = shell.run(&remove);
    assert!(code == 0 && said.contains("so it is a trial"), "{said}");
    let confirmed = lab.client(OTHER).login_with_key("root", &key, &within(daemon, "confirm"));
    assert_eq!(confirmed, Login::Accepted(format!("{V4}/32 is no longer allowed\n")));
    eventually(PATIENCE, "the session is closed", || shell.has_ended());
}

#[test]
fn a_trial_ends_though_its_daemon_dies_and_closes_nothing_though_another_one_starts() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let mut guarded = Guarded::start(&lab, "");
    let mut shell = lab.client(V4).hold_shell("root", &guarded.sshd.key());
    let (code, said) = shell.run(&within(&guarded.daemon, &format!("ban {V4} --for 7d")));
    assert!(code == 0 && said.contains("so it is a trial"), "{said}");
    guarded.daemon.kill9();
    assert!(!passes(&lab, V4));
    guarded.daemon.start_again();
    assert_eq!(guarded.daemon.banned(), [V4]);
    guarded.daemon.kill9();
    eventually(TRIAL, "the kernel ends it", || passes(&lab, V4));
    assert_eq!(shell.run("echo still").0, 0);
}

#[test]
fn who_sits_at_a_terminal_that_is_no_sessions_may_be_anybody_who_is_logged_in() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4], Need::Program("tmux"));
    let lab = Lab::new();
    let guarded = Guarded::start(&lab, "");
    let daemon = &guarded.daemon;
    let _session = lab.client(V4).hold_session("alice", &guarded.sshd.key());
    let mut shell = lab.client(OTHER).hold_shell("root", &guarded.sshd.key());
    guarded.wait_for(V4, "sessions_authenticated", 1);
    let folder = daemon.site().folder();
    let mut in_tmux = |args: &str, said: &Path| {
        let (program, socket) = (daemon.site().program().display(), daemon.socket());
        let command = format!("{program} --socket {} {args}", socket.display());
        let (code, _) = shell.run(&format!(
            "tmux -S {}/tmux new-session -d \"{command} > {said} 2>&1; echo ended >> {said}\"",
            folder.display(),
            said = said.display(),
        ));
        assert_eq!(code, 0);
        eventually(PATIENCE, "the command in tmux ends", || {
            std::fs::read_to_string(said).is_ok_and(|said| said.ends_with("ended\n"))
        });
        std::fs::read_to_string(said).unwrap()
    };
    let said = in_tmux("ban 192.0.2.66", &folder.join("said1"));
    assert!(said.starts_with("banned 192.0.2.66/32 until "), "nobody is logged in from there: {said}");
    let said = in_tmux(&format!("ban {V4}"), &folder.join("said2"));
    assert!(said.contains("somebody is logged in from 203.0.113.7") && said.contains("'tmux'"), "{said}");
    let said = in_tmux("confirm", &folder.join("said3"));
    assert!(said.contains("this does not confirm") && said.contains("'tmux'"), "{said}");
}

#[test]
fn the_files_of_the_allowlist_are_read_again_when_they_change() {
    needs!(ALL[0], ALL[1], ALL[2], ALL[3], ALL[4]);
    let lab = Lab::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("partners.txt");
    std::fs::write(&path, format!("{OTHER}\n")).unwrap();
    let config = format!("allow.files = ['{}']\nblock.networks = ['{OTHER}']", path.display());
    let guarded = Guarded::start(&lab, &config);
    let daemon = &guarded.daemon;
    assert!(passes(&lab, OTHER) && passes(&lab, V4));
    assert_eq!(daemon.cli(&["ban", V4]).code, 0);
    assert!(!passes(&lab, V4));
    // What is new is let pass, and its ban ends; what is gone is dropped again, and closed.
    let mut session = lab.client(OTHER).hold_session("alice", &guarded.sshd.key());
    let beside = folder.path().join("new");
    std::fs::write(&beside, format!("{V4}\n{V6}\n")).unwrap();
    std::fs::rename(&beside, &path).unwrap();
    eventually(PATIENCE, "it passes", || passes(&lab, V4));
    eventually(PATIENCE, "the other is dropped", || !passes(&lab, OTHER));
    eventually(PATIENCE, "and its session is closed", || session.has_ended());
    assert_eq!(daemon.banned(), [OTHER]);
    // In place, and wrong: the old content stays, and the line is told.
    std::fs::write(&path, format!("{OTHER}\nrubbish\n")).unwrap();
    eventually(PATIENCE, "the line is told", || daemon.output().contains("partners.txt:2: 'rubbish'"));
    std::fs::write(&path, "").unwrap();
    eventually(PATIENCE, "it is told", || daemon.output().contains("it lists nothing"));
    assert!(passes(&lab, V4) && !passes(&lab, OTHER));
    std::fs::write(&path, format!("{OTHER}\n")).unwrap();
    eventually(PATIENCE, "it is allowed again", || passes(&lab, OTHER));
    // What is allowed by hand stands beside it, with its end.
    assert_eq!(daemon.cli(&["allow", "192.0.2.0/24", "--for", "1h"]).code, 0);
    let told = daemon.json(&["allow", "--list"]);
    let told = told["allowlist"].as_array().unwrap();
    let networks: Vec<_> = told.iter().map(|entry| (&entry["network"], entry["until"].is_null())).collect();
    assert_eq!(networks, [(&"192.0.2.0/24".into(), false), (&OTHER.into(), true)]);
}
