//! `ssh-guard why`, with a real server whose lines it shows.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use serde_json::{Value, json};
use ssh_guard_tests::client::{Client, Login};
use ssh_guard_tests::daemon::Daemon;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::sshd::{ACCOUNTS, Logging, PASSWORD, Sshd};
use ssh_guard_tests::wait::{PATIENCE, eventually};

const SSH: [Need; 5] = [Need::Root, Need::Bpf, Need::Netns, Need::Program("sshd"), Need::Program("sshpass")];
const POST: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

const MALLORY: &str = "203.0.113.7";

fn reading(sshd: &Sshd) -> String {
    format!("[[input]]\nkind = 'file'\npath = '{}'\n", sshd.log_file().display())
}

fn fail(client: &Client<'_>, times: usize) {
    for _ in 0..times {
        // The last may be cut off before its refusal arrives.
        let login = client.fail_password("root");
        assert!(!matches!(login, Login::Accepted(_)), "{login:?}");
    }
}

fn why(daemon: &Daemon<'_>, asked: &str) -> Value {
    daemon.json(&["why", asked])
}

fn text(daemon: &Daemon<'_>, asked: &str) -> String {
    let answer = daemon.cli(&["why", asked]);
    assert_eq!(answer.code, 0, "{answer:?}");
    answer.stdout
}

/// Waits until the guard has judged so much of the source.
fn wait_for_score(daemon: &Daemon<'_>, asked: &str, score: f64) {
    eventually(PATIENCE, &format!("the score of {asked} is {score}"), || {
        (why(daemon, asked)["score"].as_f64().unwrap() - score).abs() < 1e-9
    });
}

fn steps(why: &Value) -> Vec<String> {
    why["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().to_owned()).collect()
}

fn post(daemon: &Daemon<'_>, source: &str, times: usize) {
    let failure = json!({"source": source, "event": "failure", "user": "root"}).to_string();
    let answer = daemon.post_events("application/x-ndjson", &vec![failure; times].join("\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_ban_is_explained_by_the_six_failures_their_lines_and_the_arithmetic() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3], SSH[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(&sshd));
    fail(&lab.client(MALLORY), 6);
    eventually(PATIENCE, "the source is banned", || daemon.banned() == [MALLORY]);

    let told = why(&daemon, MALLORY);
    assert_eq!((&told["source"], &told["verdict"]), (&MALLORY.into(), &"blocked".into()), "{told}");
    assert_eq!((&told["rule"], &told["threshold"]), (&"score above 5 within 10m".into(), &5.0.into()));
    assert_eq!((&told["in_kernel"], &told["drift"]), (&true.into(), &false.into()), "{told}");
    assert_eq!((&told["ban"]["reason"], &told["ban"]["rung"]), (&"threshold".into(), &0.into()));
    assert_eq!(told["undo"], "ssh-guard unban 203.0.113.7");
    let events = told["events"].as_array().unwrap();
    assert_eq!(events.len(), 6, "{told}");
    let log = sshd.log();
    for event in events {
        let of = |key: &str| event[key].as_str().unwrap().to_owned();
        assert_eq!(["event", "kind", "user", "counts"].map(of), ["failure", "password", "root", "ban"]);
        let line = of("line");
        assert!(log.lines().any(|logged| logged == line), "'{line}' is not in {log}");
        assert!(line.contains("Failed password for root from 203.0.113.7 port "), "{line}");
    }
    let steps = steps(&told);
    assert!(steps[0].ends_with("by the rule: score above 5 within 10m"), "{steps:?}");
    assert!(steps[1].starts_with("6 failures on 1 account since "), "{steps:?}");
    assert!(steps[1].ends_with(": 6 × 1 = 6"), "{steps:?}");
    assert!(steps[2].starts_with("offence 1: step 1 of 4 of the ladder, 10m"), "{steps:?}");

    let shown = text(&daemon, MALLORY);
    let mut lines = shown.lines();
    assert_eq!(lines.next(), told["answer"].as_str());
    assert!(shown.starts_with("203.0.113.7 is blocked until "), "{shown}");
    assert_eq!(lines.next(), Some("to undo that: ssh-guard unban 203.0.113.7"));
    assert_eq!(shown.matches("Failed password for root from 203.0.113.7").count(), 6, "{shown}");

    let undone = daemon.cli(&["unban", MALLORY]);
    assert_eq!(undone.code, 0, "{undone:?}");
    let after = why(&daemon, MALLORY);
    assert_eq!((&after["verdict"], &after["undo"]), (&"passed".into(), &Value::Null), "{after}");
    let events = after["events"].as_array().unwrap();
    assert!(events.len() == 6 && events.iter().all(|event| event["counts"] == "cleared"), "{after}");
}

#[test]
fn who_is_not_banned_is_told_why_not_and_what_is_left() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3], SSH[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(&sshd));
    let nobody = why(&daemon, MALLORY);
    assert_eq!((&nobody["verdict"], &nobody["events"]), (&"passed".into(), &json!([])), "{nobody}");
    assert_eq!(
        nobody["answer"],
        "203.0.113.7 is not blocked: the score is 0: nothing counts within 10m; above 5 bans"
    );
    fail(&lab.client(MALLORY), 2);
    wait_for_score(&daemon, MALLORY, 2.0);
    let told = why(&daemon, MALLORY);
    assert_eq!(
        (&told["verdict"], &told["ban"], &told["undo"]),
        (&"passed".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(
        told["answer"],
        "203.0.113.7 is not blocked: 2 failures on 1 account within 10m: 2 × 1 = 2; above 5 bans, 3 is left"
    );
    let counts: Vec<_> = told["events"].as_array().unwrap().iter().map(|event| &event["counts"]).collect();
    assert_eq!(counts, ["score", "score"]);
}

#[test]
fn a_known_good_source_is_told_as_such() {
    needs!(SSH[0], SSH[1], SSH[2], SSH[3], SSH[4]);
    let lab = Lab::new();
    let sshd = Sshd::start(lab.server(), Logging::File);
    let daemon = Daemon::start(lab.server(), &reading(&sshd));
    let client = lab.client("198.51.100.7");
    assert!(matches!(client.login_with_password(ACCOUNTS[0], PASSWORD), Login::Accepted(_)));
    // A login counts once its session was seen.
    eventually(PATIENCE, "it is known-good", || why(&daemon, "198.51.100.7")["known_good"] == 1);
    assert_eq!(client.fail_password(ACCOUNTS[0]), Login::Denied);
    wait_for_score(&daemon, "198.51.100.7", 0.25);
    let told = why(&daemon, "198.51.100.7");
    assert_eq!((&told["verdict"], &told["known_good"]), (&"passed".into(), &1.into()), "{told}");
    let known = steps(&told).into_iter().find(|step| step.starts_with("known-good for 1 account until "));
    assert!(known.unwrap().contains("a failure on it counts 0.25 of its weight"), "{told}");
    let events = told["events"].as_array().unwrap();
    let [login, failure] = &events[..] else { panic!("{told}") };
    assert_eq!((&login["event"], &login["counts"]), (&"success".into(), &"login".into()), "{told}");
    assert_eq!((&failure["weight"], &failure["known_good"]), (&0.25.into(), &true.into()), "{told}");
    assert!(login["line"].as_str().unwrap().contains("Accepted password for alice from 198.51.100.7 port "));
}

#[test]
fn an_address_in_a_banned_network_is_told_which_and_how_to_lift_both() {
    needs!(POST[0], POST[1], POST[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), "[[input]]\nkind = 'socket'\n");
    let banned = daemon.cli(&["ban", "203.0.113.0/24", "--for", "1h", "--reason", "a farm"]);
    assert_eq!(banned.code, 0, "{banned:?}");
    let told = why(&daemon, MALLORY);
    assert_eq!((&told["verdict"], &told["ban"]), (&"blocked_network".into(), &Value::Null), "{told}");
    assert_eq!(told["networks"][0]["source"], "203.0.113.0/24", "{told}");
    let answer = told["answer"].as_str().unwrap();
    assert!(answer.ends_with(": it lies in 203.0.113.0/24, which is banned: a farm"), "{answer}");
    assert_eq!(told["undo"], "ssh-guard unban 203.0.113.0/24");

    post(&daemon, MALLORY, 6);
    eventually(PATIENCE, "the source is banned as well", || daemon.banned().len() == 2);
    let both = why(&daemon, MALLORY);
    assert_eq!((&both["verdict"], &both["drift"]), (&"blocked".into(), &false.into()), "{both}");
    assert!(both["events"].as_array().unwrap().iter().all(|event| event["line"].is_null()), "{both}");
    let undo = both["undo"].as_str().unwrap();
    assert_eq!(undo, "ssh-guard unban 203.0.113.0/24 203.0.113.7");
    let undone = daemon.cli(&undo.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(undone.code, 0, "{undone:?}");
    assert_eq!(why(&daemon, MALLORY)["verdict"], "passed");

    let network = why(&daemon, "203.0.113.0/24");
    assert_eq!((&network["source"], &network["verdict"]), (&"203.0.113.0/24".into(), &"passed".into()));
}

#[test]
fn what_is_allowed_never_banned_or_listed_is_told_so() {
    needs!(POST[0], POST[1], POST[2]);
    let lab = Lab::new();
    let config = "allow.sources = ['198.51.100.0/24']\nblock.networks = ['203.0.113.0/24']\n\
                  [[input]]\nkind = 'socket'\n";
    let daemon = Daemon::start(lab.server(), config);
    post(&daemon, "198.51.100.7", 9);
    wait_for_score(&daemon, "198.51.100.7", 9.0);
    let told = why(&daemon, "198.51.100.7");
    assert_eq!(
        (&told["verdict"], &told["allowed"]["network"]),
        (&"allowed".into(), &"198.51.100.0/24".into())
    );
    assert_eq!((&told["undo"], told["events"].as_array().unwrap().len()), (&Value::Null, 9), "{told}");

    let own = why(&daemon, "10.77.0.1");
    assert_eq!(own["verdict"], "never_banned");
    assert_eq!(own["answer"], "10.77.0.1 is never banned: it is an address of this host");

    let listed = why(&daemon, MALLORY);
    assert_eq!(
        (&listed["verdict"], &listed["lists"][0]["reason"]),
        (&"blocked_network".into(), &"list".into())
    );
    let undo = listed["undo"].as_str().unwrap();
    assert_eq!(undo, "ssh-guard allow 203.0.113.7");
    assert_eq!(daemon.cli(&undo.split(' ').skip(1).collect::<Vec<_>>()).code, 0);
    assert_eq!(why(&daemon, MALLORY)["verdict"], "allowed");
}

#[test]
fn what_is_no_address_is_refused_in_words() {
    needs!(POST[0], POST[1], POST[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), "[[input]]\nkind = 'socket'\n");
    daemon.cli(&["why", "300.1.2.3"]).assert_refused(2, &["'300.1.2.3' is not an address or a network"]);
    daemon.cli(&["why", "203.0.113.7/24"]).assert_refused(2, &["write '203.0.113.0/24' for the network"]);
    // An address stands for its source.
    let told = why(&daemon, "2001:db8:7::9");
    assert_eq!((&told["source"], &told["verdict"]), (&"2001:db8:7::/64".into(), &"passed".into()));
}

#[test]
fn events_with_hostile_names_reach_no_terminal_unescaped() {
    needs!(POST[0], POST[1], POST[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), "[[input]]\nkind = 'socket'\n");
    let name = "\u{1b}[2J\u{9b}31mroot\r\n203.0.113.7 is not blocked \u{202e}";
    let event = json!({"source": MALLORY, "event": "failure", "user": name}).to_string();
    assert_eq!(daemon.post_events("application/json", &event).status, 200);
    wait_for_score(&daemon, MALLORY, 1.0);
    assert_eq!(why(&daemon, MALLORY)["events"][0]["user"], name);
    for args in [&["why", MALLORY][..], &["why", MALLORY, "--json"]] {
        let shown = daemon.cli(args).stdout;
        let commands = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(commands) && shown.contains("31mroot\\r\\n203"), "{shown:?}");
    }
}
