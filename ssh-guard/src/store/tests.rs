use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::input::{JournalPlace, Place};

fn place(realtime: u64) -> Place {
    let cursor = Some(format!("s=1;i={realtime}"));
    Place::Journal(JournalPlace { directory: None, cursor, boot: Some("b".into()), realtime })
}

fn places(realtime: u64) -> BTreeMap<String, Place> {
    [("journal".to_owned(), place(realtime))].into()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lib/ssh-guard/state.db");
    (folder, path)
}

fn opened(path: &Path) -> Store {
    let Opened { store, moved_aside } = Store::open(path).unwrap();
    assert_eq!(moved_aside, None);
    store
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    assert!(store.places().unwrap().is_empty());
    store.write_places(&places(1), 5).unwrap();
    store.write_places(&places(2), 6).unwrap();
    drop(store);
    assert_eq!(opened(&path).places().unwrap(), places(2));
}

#[test]
fn nobody_else_may_read_it() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    store.write_places(&places(1), 5).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()) & 0o027, 0);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[test]
fn two_daemons_do_not_share_it() {
    let (_folder, path) = folder();
    let store = opened(&path);
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    drop(store);
    opened(&path);
}

#[test]
fn a_broken_one_is_moved_aside_and_never_deleted() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    store.write_places(&places(1), 5).unwrap();
    drop(store);
    for number in 1..=2 {
        // The head of the file says that it is a database; or nothing does.
        let mut bytes = fs::read(&path).unwrap();
        let from = if number == 1 { 100 } else { 0 };
        bytes[from..].fill(0xa5);
        fs::write(&path, &bytes).unwrap();
        let Opened { store, moved_aside } = Store::open(&path).unwrap();
        let aside = path.with_file_name(format!("state.db.broken-{number}"));
        assert_eq!(moved_aside.as_ref(), Some(&aside));
        assert_eq!(fs::read(aside).unwrap(), bytes);
        assert!(store.places().unwrap().is_empty());
    }
}

#[test]
fn one_that_breaks_while_it_is_open_is_moved_aside_as_well() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    store.write_places(&places(1), 5).unwrap();
    let Opened { mut store, moved_aside } = store.reopen().unwrap();
    assert!(moved_aside.unwrap().exists());
    store.write_places(&places(2), 5).unwrap();
    assert_eq!(store.places().unwrap(), places(2));
}

#[test]
fn one_of_a_newer_version_or_of_another_program_is_left_as_it_is() {
    let (_folder, path) = folder();
    drop(opened(&path));
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    other.pragma_update(None, "user_version", SCHEMA).unwrap();
    other.pragma_update(None, "application_id", 7).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Strange { .. }), "{error}");
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        4,
        "the database, its log, its index, the lock"
    );
}

#[test]
fn a_disk_that_is_full_is_told_and_what_was_written_stays() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    store.write_places(&places(1), 5).unwrap();
    store.connection.pragma_update(None, "max_page_count", 4).unwrap();
    let many: BTreeMap<_, _> = (0..1000).map(|number| (number.to_string(), place(number))).collect();
    let error = store.write_places(&many, 6).unwrap_err();
    assert!(error.hint().contains("make room"), "{error}: {}", error.hint());
    assert_eq!(store.places().unwrap(), places(1));
    store.connection.pragma_update(None, "max_page_count", 1000).unwrap();
    store.write_places(&many, 6).unwrap();
    assert_eq!(store.places().unwrap().len(), 1001);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do() {
    let (folder, _) = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = Store::open(&folder.path().join("file/state.db")).unwrap_err();
    assert!(matches!(error, StoreError::Make { .. }) && error.hint().contains("store.path"), "{error}");
}

#[test]
fn a_place_that_is_not_understood_is_left_out() {
    let (_folder, path) = folder();
    let mut store = opened(&path);
    store.write_places(&places(1), 5).unwrap();
    let insert = "INSERT INTO places VALUES ('x', 'later', '{\"later\":1}', 0)";
    store.connection.execute(insert, ()).unwrap();
    assert_eq!(store.places().unwrap(), places(1));
}
