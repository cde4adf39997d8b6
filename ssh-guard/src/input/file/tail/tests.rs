use std::io::Write;
use std::os::unix::fs::symlink;

use super::*;

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
