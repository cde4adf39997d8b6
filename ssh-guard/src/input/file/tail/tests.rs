use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;
use crate::input::file::resume::Since;

const NOW: Duration = Duration::from_secs(1000);

fn append_to(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

fn append(path: &Path, text: &str) {
    append_to(path).write_all(text.as_bytes()).unwrap();
}

/// Everything new.
fn poll(tail: &mut Tail) -> Vec<String> {
    let mut got = Vec::new();
    let mut on_line = |line: &[u8], _| got.push(String::from_utf8_lossy(line).into_owned());
    while tail.step(Moment::from_start(NOW), &mut on_line).unwrap() == Step::Again {}
    got
}

#[test]
fn a_log_begins_to_be_read_at_its_last_line_if_that_has_no_end_yet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let long = "x".repeat(50);
    for (before, after, expected) in [
        ("old\nnew be", "gun\n", vec!["new begun"]),
        ("new be", "gun\n", vec!["new begun"]),
        ("old\n", "new\n", vec!["new"]),
        ("", "new\n", vec!["new"]),
        (&format!("old\n{long}"), "x\nnew\n", vec!["new"]),
    ] {
        fs::write(&path, before).unwrap();
        let mut tail = Tail::new(path.clone(), 20);
        assert_eq!(poll(&mut tail), [""; 0], "{before:?}");
        append(&path, after);
        assert_eq!(poll(&mut tail), expected, "{before:?}");
    }
}

#[test]
fn a_log_that_became_shorter_is_read_from_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "the same line\n".repeat(40)).unwrap();
    let mut tail = Tail::new(path.clone(), 20);
    assert_eq!(poll(&mut tail), [""; 0]);
    // Its beginning is what it was, so only its size tells.
    fs::write(&path, "the same line\n".repeat(30)).unwrap();
    assert_eq!(poll(&mut tail), ["the same line"; 30]);
}

#[test]
fn a_link_that_changes_there_and_back_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    append(&at("a"), "old\n");
    symlink(at("a"), at("log")).unwrap();
    let mut tail = Tail::new(at("log"), 20);
    assert_eq!(poll(&mut tail), [""; 0]);
    for (target, line) in [("b", "b 1"), ("a", "a 1"), ("b", "b 2"), ("a", "a 2")] {
        append(&at(target), &format!("{line}\n"));
        symlink(at(target), at("next")).unwrap();
        fs::rename(at("next"), at("log")).unwrap();
        assert_eq!(poll(&mut tail), [line]);
    }
}

#[test]
fn no_more_renamed_files_are_read_than_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut tail = Tail::new(path.clone(), 20);
    let mut writers = Vec::new();
    for number in 0..=MAX_RETIRED + 1 {
        writers.push(append_to(&path));
        assert!(poll(&mut tail).is_empty());
        fs::rename(&path, directory.path().join(format!("log.{number}"))).unwrap();
    }
    for (number, writer) in writers.iter_mut().enumerate() {
        writeln!(writer, "late {number}").unwrap();
    }
    let expected: Vec<_> = (1..=MAX_RETIRED + 1).map(|number| format!("late {number}")).collect();
    assert_eq!(poll(&mut tail), expected);
    assert_eq!(tail.open_files().count(), MAX_RETIRED + 1);
}

/// What is new at a time, and whether it lay there for long.
fn poll_at(tail: &mut Tail, seconds: u64) -> Vec<(String, Written)> {
    let mut got = Vec::new();
    let mut on_line = |line: &[u8], written| got.push((String::from_utf8_lossy(line).into_owned(), written));
    let now = Moment::from_start(Duration::from_secs(seconds));
    while tail.step(now, &mut on_line).is_ok_and(|step| step == Step::Again) {}
    got
}

#[test]
fn what_lay_there_while_nobody_read_was_written_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "old\n").unwrap();
    let mut tail = Tail::new(path.clone(), 200);
    assert_eq!(poll_at(&mut tail, 100), []);
    append(&path, "live\n");
    assert_eq!(poll_at(&mut tail, 101), [("live".to_owned(), Written::Now)]);
    append(&path, "before\n");
    let since = Some(Moment::from_start(Duration::from_secs(101)));
    let before = Written::Before { told: None, since };
    assert_eq!(poll_at(&mut tail, 201), [("before".to_owned(), before)]);
    append(&path, "live again\n");
    assert_eq!(poll_at(&mut tail, 202), [("live again".to_owned(), Written::Now)]);

    // As while permission is lost: the name leads to nothing that can be read.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let since = Some(Moment::from_start(Duration::from_secs(202)));
    for seconds in 203..220 {
        assert_eq!(poll_at(&mut tail, seconds), []);
    }
    fs::remove_dir(&path).unwrap();
    append(&path, "meanwhile\n");
    assert_eq!(poll_at(&mut tail, 220), [("meanwhile".to_owned(), Written::Before { told: None, since })]);
    append(&path, "live at last\n");
    assert_eq!(poll_at(&mut tail, 221), [("live at last".to_owned(), Written::Now)]);
}

#[test]
fn a_partial_line_of_a_file_that_is_cut_off_or_let_go_is_lost_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "").unwrap();
    let mut tail = Tail::new(path.clone(), 200);
    assert_eq!(poll_at(&mut tail, 100), []);
    append(&path, "never en");
    assert_eq!(poll_at(&mut tail, 101), []);
    fs::write(&path, "").unwrap();
    assert_eq!(poll_at(&mut tail, 102), []);
    assert_eq!(tail.take_lost(), 1);
    append(&path, "nor thi");
    assert_eq!(poll_at(&mut tail, 103), []);
    fs::rename(&path, directory.path().join("log.1")).unwrap();
    append(&path, "");
    assert_eq!(poll_at(&mut tail, 104), []);
    assert_eq!(tail.take_lost(), 0, "its writer may go on");
    assert_eq!(poll_at(&mut tail, 104 + RETIRE_AFTER.as_secs()), []);
    assert_eq!(tail.take_lost(), 1);
}

fn resumed(path: &Path, place: &FilePlace) -> (Tail, Vec<String>) {
    Tail::resume(path.to_owned(), 200, place, Since { idle: None, worth: 0 }).unwrap()
}

#[test]
fn what_is_gone_is_told_and_counted_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "Nov 23 03:12:01 lab sshd[1]: the first line\n").unwrap();
    let mut tail = Tail::new(path.clone(), 200);
    assert_eq!(poll(&mut tail), [""; 0]);
    let place = tail.place(Some(1));
    append(&path, "in a form that is not read\n");
    fs::rename(&path, directory.path().join("log.1.xz")).unwrap();
    append(&path, "new\n");
    let (mut tail, told) = resumed(&path, &place);
    assert_eq!(poll(&mut tail), ["new"]);
    assert_eq!(tail.take_lost(), 2, "{told:?}");
    assert!(told[0].contains("is gone") && told[1].contains("only gzip"), "{told:?}");

    // Damaged in the middle: what comes before is read.
    let packed = directory.path().join("log.1.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writeln!(encoder, "Nov 23 03:12:01 lab sshd[1]: the first line\nthe second").unwrap();
    let mut bytes = encoder.finish().unwrap();
    let checksum = bytes.len() - 8;
    bytes[checksum] ^= 1;
    fs::write(packed, bytes).unwrap();
    let (mut tail, told) = resumed(&path, &place);
    let (mut got, mut faults) = (Vec::new(), 0);
    loop {
        let mut on_line = |line: &[u8], _| got.push(String::from_utf8_lossy(line).into_owned());
        match tail.step(Moment::from_start(NOW), &mut on_line) {
            Ok(Step::Again) => {}
            Ok(Step::Idle) => break,
            Err(_) => faults += 1,
        }
    }
    assert_eq!((got, faults), (vec!["the second".to_owned(), "new".to_owned()], 1), "{told:?}");
}

#[test]
fn a_log_that_was_not_there_yet_is_read_from_its_beginning_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut tail = Tail::new(path.clone(), 200);
    assert_eq!(poll_at(&mut tail, 100), []);
    assert!(tail.idle().is_some());
    let place = tail.place(Some(1));
    append(&path, "new\n");
    assert_eq!(poll(&mut resumed(&path, &place).0), ["new"]);
}
