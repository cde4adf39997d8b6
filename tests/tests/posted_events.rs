//! Auth events that applications post, up to the ban in the kernel.

#![expect(clippy::unwrap_used, reason = "what helps a test panics where the test has failed")]

use std::process::Command;

use serde_json::{Value, json};
use ssh_guard_tests::daemon::{Answer, Daemon, Site};
use ssh_guard_tests::http::Response;
use ssh_guard_tests::lab::Lab;
use ssh_guard_tests::needs;
use ssh_guard_tests::site::NOBODY;
use ssh_guard_tests::skip::Need;
use ssh_guard_tests::wait::{PATIENCE, eventually};

const ALL: [Need; 3] = [Need::Root, Need::Bpf, Need::Netns];

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// No other input: as on a machine whose only server posts.
const ALONE: &str = "[[input]]\nkind = 'socket'\n";

fn failure(source: &str) -> String {
    json!({"source": source, "event": "failure", "user": "root", "service": "vsftpd"}).to_string()
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|why| panic!("no JSON ({why}): {response:?}"))
}

#[test]
fn six_posted_failures_ban_and_five_do_not() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), ALONE);
    for number in 1..=6 {
        let answer = daemon.post_events(JSON, &failure("203.0.113.7"));
        assert_eq!((answer.status, body(&answer)), (200, json!({"taken": 1, "refused": 0, "errors": []})));
        // What was taken waits for the guard; by the time it has answered a command it has judged it.
        eventually(PATIENCE, "it is judged", || metric(&daemon, FAILURES) == number);
        assert_eq!(daemon.banned().len(), usize::from(number == 6), "after {number}");
    }
    let bans = daemon.json(&["bans"]);
    assert_eq!(
        (&bans["bans"][0]["source"], &bans["bans"][0]["in_kernel"]),
        (&"203.0.113.7".into(), &true.into())
    );
    let input = daemon.input("socket");
    assert_eq!(
        (&input["kind"], &input["lines"], &input["understood"]),
        (&"socket".into(), &6.into(), &6.into())
    );
    assert_eq!(metric(&daemon, "ssh_guard_event_to_block_seconds_count"), 1);
}

const FAILURES: &str = "ssh_guard_auth_events_total{event=\"failure\",kind=\"password\"}";

fn metric(daemon: &Daemon<'_>, series: &str) -> u64 {
    let metrics = daemon.metrics();
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no '{series}' in {metrics}")).parse().unwrap()
}

#[test]
fn a_batch_with_a_bad_line_bans_by_its_good_ones() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), ALONE);
    let good = failure("203.0.113.7");
    let no_address = json!({"event": "failure", "user": "root"}).to_string();
    let name = failure("host.example");
    let lines = [&*good, &good, &no_address, &good, &good, &name, &good, &good].join("\n");
    let answer = daemon.post_events(LINES, &lines);
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = body(&answer);
    assert_eq!((&told["taken"], &told["refused"]), (&6.into(), &2.into()));
    assert_eq!(told["errors"][0]["line"], 3);
    assert!(told["errors"][0]["error"].as_str().unwrap().contains("'source'"), "{told}");
    assert_eq!(told["errors"][1]["line"], 6);
    assert!(told["errors"][1]["error"].as_str().unwrap().contains("never resolved"), "{told}");
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
}

#[test]
fn what_cannot_be_taken_is_refused_in_words_and_takes_nothing() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), ALONE);
    let endless = "\n".repeat(2 << 20);
    let many = format!("{}\n", failure("203.0.113.7")).repeat(10_001);
    for (status, content_type, sent, told) in [
        (400, JSON, r#"{"event":"failure"}"#, "an event needs 'source'"),
        (
            400,
            JSON,
            r#"{"source":"host.example","event":"failure"}"#,
            "which is no address; names are never resolved",
        ),
        (400, JSON, "not json", "no event: "),
        (400, LINES, "not json\nnor this", r#""refused":2"#),
        (415, "text/plain", "x", "application/x-ndjson"),
        (413, LINES, &endless, "more than 1048576 bytes"),
        (413, LINES, &many, "more than 10000 events"),
    ] {
        let answer = daemon.post_events(content_type, sent);
        assert!(answer.status == status && answer.body.contains(told), "{status} '{told}': {answer:?}");
    }
    assert!(daemon.banned().is_empty());
    assert_eq!(daemon.input("socket")["understood"], 0);
}

#[test]
fn what_is_never_banned_may_be_posted_and_is_not_banned() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), &format!("allow.sources = ['198.51.100.0/24']\n{ALONE}"));
    for source in ["127.0.0.1", "fe80::1%eth0", "198.51.100.7", "10.77.0.1"] {
        let lines = vec![failure(source); 20].join("\n");
        assert_eq!(body(&daemon.post_events(LINES, &lines))["taken"], 20);
    }
    eventually(PATIENCE, "all is judged", || metric(&daemon, FAILURES) == 80);
    assert!(daemon.banned().is_empty());
}

#[test]
fn an_event_of_the_past_counts_as_of_then() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let daemon = Daemon::start(lab.server(), &format!("policy.window = '1m'\n{ALONE}"));
    let of =
        |source: &str, at: &str| json!({"source": source, "event": "failure", "at": at}).to_string() + "\n";
    let answer = daemon.post_events(LINES, &of("203.0.113.7", "2001-02-03T04:05:06Z").repeat(20));
    assert_eq!(body(&answer)["taken"], 20);
    let answer = daemon.post_events(LINES, &of("203.0.113.8", "2999-02-03T04:05:06Z").repeat(6));
    assert_eq!(body(&answer)["taken"], 6);
    eventually(PATIENCE, "what claims to be of the future is of now", || daemon.banned() == ["203.0.113.8"]);
}

/// Posts as another user, with curl.
fn curl(lab: &Lab, ids: (u32, u32), socket: &std::path::Path, path: &str) -> Answer {
    let mut command = Command::new("curl");
    command
        .args(["-q", "--silent", "--show-error", "--write-out", " %{http_code}", "--unix-socket"])
        .arg(socket);
    if path == "/v1/events" {
        command.args(["--header", "Content-Type: application/json", "--data"]).arg(failure("203.0.113.7"));
    }
    command.arg(format!("http://ssh-guard{path}"));
    std::os::unix::process::CommandExt::gid(&mut command, ids.1);
    std::os::unix::process::CommandExt::uid(&mut command, ids.0);
    Answer::of(lab.server(), command)
}

#[test]
fn members_of_the_events_group_post_and_can_do_nothing_else() {
    needs!(ALL[0], ALL[1], ALL[2], Need::Program("curl"));
    let lab = Lab::new();
    // Debian's `games` stands for a file-transfer server's group, `nobody` for its user.
    let games = nix::unistd::Group::from_name("games").unwrap().unwrap().gid.as_raw();
    let site = Site::new(&format!("control.events-group = 'games'\n{ALONE}"));
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(site.folder(), open).unwrap();
    let mut daemon = Daemon::start_at(site, lab.server(), &[]);
    let (events, control) = (daemon.events_socket(), daemon.socket());

    let member = (NOBODY, games);
    for _ in 0..6 {
        let answer = curl(&lab, member, &events, "/v1/events");
        assert!(answer.stdout.ends_with(" 200"), "{answer:?}");
    }
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
    for path in ["/v1/status", "/v1/bans", "/v1/ban"] {
        let answer = curl(&lab, member, &events, path);
        assert!(answer.stdout.ends_with(" 404"), "{path}: {answer:?}");
    }
    for (ids, socket) in [(member, &control), ((NOBODY, NOBODY), &events), ((NOBODY, NOBODY), &control)] {
        let answer = curl(&lab, ids, socket, "/v1/events");
        assert_eq!(answer.code, 7, "it cannot even connect: {answer:?}");
    }
    assert_eq!(daemon.terminate(), 0);
    assert!(!events.exists(), "the socket goes with the daemon");
}

#[test]
fn without_an_events_group_there_is_no_socket_of_its_own_and_root_may_post() {
    needs!(ALL[0], ALL[1], ALL[2]);
    let lab = Lab::new();
    let site = Site::with_log("policy.threshold = 0.5");
    let daemon = Daemon::start_at(site, lab.server(), &[]);
    assert!(!daemon.events_socket().exists());
    assert_eq!(daemon.post_events(JSON, &failure("203.0.113.7")).status, 200);
    eventually(PATIENCE, "the source is banned", || daemon.banned() == ["203.0.113.7"]);
}
