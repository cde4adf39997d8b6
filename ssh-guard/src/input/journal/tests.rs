use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::input::{Origin, Spec, Stats, follow};

struct Channel(mpsc::Sender<String>, Vec<String>);

impl Sink for Channel {
    fn line(&mut self, line: &Line<'_>) {
        assert_eq!((line.process, line.pid), (Some(&b"sshd"[..]), Some(7)));
        self.1.push(String::from_utf8_lossy(line.text).into_owned());
    }

    async fn flush(&mut self) {
        for line in self.1.drain(..) {
            self.0.send(line).await.unwrap();
        }
    }
}

/// Follows a `journalctl` that is `script`, until `test` is done with the lines.
fn with_journalctl<F: Future<Output = ()>>(
    directory: &Path,
    script: &str,
    test: impl FnOnce(mpsc::Receiver<String>, Arc<Stats>) -> F,
) {
    with_resumed(directory, script, None, test);
}

/// The same, from a place that an earlier daemon has reached.
fn with_resumed<T, F: Future<Output = T>>(
    directory: &Path,
    script: &str,
    resume: Option<Resume>,
    test: impl FnOnce(mpsc::Receiver<String>, Arc<Stats>) -> F,
) -> T {
    let command = directory.join("journalctl");
    let entry = r#"entry() { echo "{\"__CURSOR\":\"c$1\",\"__REALTIME_TIMESTAMP\":\"170000000$1000000\",\"_UID\":\"0\",\"_PID\":\"7\",\"_COMM\":\"${2:-sshd}\",\"MESSAGE\":\"message $1\"}"; }"#;
    let script =
        format!("#!/bin/sh\ncd '{}'\necho \"$*\" >> calls\n{entry}\n{script}\n", directory.display());
    fs::write(&command, script).unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, lines) = mpsc::channel(4);
        let stats = Arc::new(Stats::default());
        let stop = CancellationToken::new();
        let origin = Origin::Journal(Journal { command, ..Journal::default() });
        let spec = Spec { name: "journal".into(), origin, line_bytes: 100, resume };
        let task = tokio::spawn(follow(spec, Channel(sender, Vec::new()), stats.clone(), stop.clone()));
        let tested =
            tokio::time::timeout(Duration::from_secs(30), test(lines, stats)).await.expect("in time");
        stop.cancel();
        task.await.unwrap();
        tested
    })
}

/// Where each child was told to begin.
fn begins(directory: &Path) -> Vec<String> {
    let calls = fs::read_to_string(directory.join("calls")).unwrap();
    let is_begin = |word: &&str| word.starts_with("--since") || word.starts_with("--after");
    calls.lines().map(|call| call.split(' ').find(is_begin).unwrap().to_owned()).collect()
}

#[test]
fn a_child_that_ends_is_started_again_after_the_last_entry() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        case "$*" in
            *--since=*) entry 1; entry 2 logger; printf '{"__CURSOR":"cut short'; echo 'corrupt file' >&2; exit 1;;
            *--after-cursor=c2*) entry 3; kill -9 $$;;
            *--after-cursor=c3*) entry 4; exec sleep 1000;;
        esac"#;
    with_journalctl(directory.path(), script, |mut lines, stats| async move {
        for number in [1, 3, 4] {
            assert_eq!(lines.recv().await.unwrap(), format!("message {number}"));
        }
        assert_eq!((stats.restarts(), stats.errors(), stats.not_vouched()), (2, 2, 1));
        assert_eq!(stats.fault(), None, "it works again");
    });
    let begins = begins(directory.path());
    assert!(begins[0].starts_with("--since=@"), "{begins:?}");
    assert_eq!(begins[1..], ["--after-cursor=c2", "--after-cursor=c3"]);
}

#[test]
fn a_cursor_that_is_refused_is_replaced_by_the_time_of_the_last_entry() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        case "$*" in
            *--after-cursor=c1*) echo 'Failed to seek to cursor: Invalid argument' >&2; exit 1;;
            *--since=@1700000001.000001*) entry 2; exec sleep 1000;;
            *--since=*) entry 1; exit 0;;
        esac"#;
    with_journalctl(directory.path(), script, |mut lines, stats| async move {
        assert_eq!(lines.recv().await.unwrap(), "message 1");
        assert_eq!(lines.recv().await.unwrap(), "message 2");
        assert_eq!(stats.restarts(), 2);
    });
}

#[test]
fn a_child_that_cannot_run_is_reported_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    with_journalctl(directory.path(), "echo 'No such journal' >&2; exit 3", |mut lines, stats| async move {
        while stats.restarts() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let fault = stats.fault().unwrap();
        assert!(fault.contains("exit status: 3, 'No such journal'"), "{fault}");
        fs::remove_file(path.join("journalctl")).unwrap();
        while !stats.fault().unwrap().contains("cannot run") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(lines.try_recv().is_err());
    });
}

#[test]
fn no_child_outlives_the_input() {
    let directory = tempfile::tempdir().unwrap();
    with_journalctl(directory.path(), "echo $$ > pid; entry 1; exec sleep 1000", |mut lines, _| async move {
        assert_eq!(lines.recv().await.unwrap(), "message 1");
    });
    let pid = fs::read_to_string(directory.path().join("pid")).unwrap();
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn what_is_too_long_or_no_entry_is_counted_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        entry "1 $(head -c 200 /dev/zero | tr '\0' x)"
        head -c 100000 /dev/zero | tr '\0' y; echo
        echo '-- No entries --'
        entry 2
        exec sleep 1000"#;
    with_journalctl(directory.path(), script, |mut lines, stats| async move {
        assert_eq!(lines.recv().await.unwrap(), "message 2");
        assert_eq!((stats.too_long(), stats.unreadable()), (2, 1));
        assert_eq!(stats.lines(), 1);
    });
}

/// Goes on where an earlier daemon has stopped, in a journal whose `journalctl` is `script`; gives the texts of the first
/// `count` lines.
fn resumed(directory: &Path, script: &str, age: Duration, count: usize) -> Vec<String> {
    let stopped = clock::micros(clock::since_epoch().saturating_sub(age));
    let place = Place::Journal(crate::input::JournalPlace {
        directory: None,
        cursor: Some("c1".into()),
        boot: None,
        realtime: stopped,
    });
    let resume = Some(Resume { place, reach: Duration::from_mins(10) });
    let mut texts = Vec::new();
    with_resumed(directory, script, resume, |mut lines, stats| async move {
        for _ in 0..count {
            texts.push(lines.recv().await.unwrap());
        }
        assert_eq!(stats.fault(), None);
        texts
    })
}

#[test]
fn a_daemon_that_is_started_again_reads_what_was_logged_meanwhile_in_all_boots_and_then_follows() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        case "$*" in
            *--follow*--after-cursor=c3*) entry 4; exec sleep 1000;;
            *--follow*) exit 1;;
            *--cursor=c1*) entry 1; entry 2; entry 3;;
        esac"#;
    let texts = resumed(directory.path(), script, Duration::from_secs(5), 3);
    assert_eq!(texts, ["message 2", "message 3", "message 4"]);
}

#[test]
fn a_journal_that_was_left_longer_ago_than_the_reach_is_read_by_time() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        case "$*" in
            *--follow*--after-cursor=c2*) entry 3; exec sleep 1000;;
            *--follow*) exit 1;;
            *--since=@*) entry 2;;
        esac"#;
    let texts = resumed(directory.path(), script, Duration::from_hours(1), 2);
    assert_eq!(texts, ["message 2", "message 3"]);
}

#[test]
fn a_cursor_of_an_earlier_daemon_that_is_refused_is_replaced_by_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"
        case "$*" in
            *--cursor=c1*) echo 'Failed to seek to cursor: Invalid argument' >&2; exit 1;;
            *--follow*--after-cursor=c2*) entry 3; exec sleep 1000;;
            *--follow*) exit 1;;
            *--since=@*) entry 2;;
        esac"#;
    let texts = resumed(directory.path(), script, Duration::from_secs(5), 2);
    assert_eq!(texts, ["message 2", "message 3"]);
}
