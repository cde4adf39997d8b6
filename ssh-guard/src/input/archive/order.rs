//! In which order several logs are read.

use std::path::{Path, PathBuf};

/// Puts the files of one rotated log (`auth.log`, `auth.log.1`, `auth.log.2.gz`, `auth.log-20261123.gz`) where the first of them
/// stands, the oldest first: so a pattern of the shell's, which sorts them by name, gives them in the order of time. Tells
/// for each whether it goes on where the one before ended.
#[must_use]
pub fn oldest_first(paths: Vec<PathBuf>) -> Vec<(PathBuf, bool)> {
    let mut logs: Vec<(PathBuf, Vec<(Age, PathBuf)>)> = Vec::new();
    for path in paths {
        let (log, age) = sorted(&path);
        match logs.iter_mut().find(|(other, _)| *other == log && log != Path::new("-")) {
            Some((_, files)) => files.push((age, path)),
            None => logs.push((log, vec![(age, path)])),
        }
    }
    let in_order = |(_, mut files): (PathBuf, Vec<(Age, PathBuf)>)| {
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        files.into_iter().enumerate().map(|(index, (_, path))| (path, index > 0))
    };
    logs.into_iter().flat_map(in_order).collect()
}

/// How old a rotated file is; less is older.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Age {
    /// Rotated on a day, or at a second (logrotate's `dateext`, `dateformat`).
    Dated(String),
    /// Rotated so many times; more is older.
    Rotated(std::cmp::Reverse<u32>),
    /// Still written.
    Current,
}

/// The log that a file belongs to, by its path, and the file's age.
fn sorted(path: &Path) -> (PathBuf, Age) {
    let current = || (path.to_owned(), Age::Current);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return current() };
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let rotated = name.rsplit_once('.').and_then(|(log, times)| {
        let digits = (1..=5).contains(&times.len()) && is_number(times);
        digits.then(|| (log, Age::Rotated(std::cmp::Reverse(times.parse().ok()?))).into()).flatten()
    });
    let dated = || {
        name.match_indices('-').find_map(|(at, _)| {
            let (log, date) = (&name[..at], &name[at + 1..]);
            let digits = date.bytes().filter(u8::is_ascii_digit).count();
            let fits = digits >= 8 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            fits.then(|| (log, Age::Dated(date.replace('-', ""))))
        })
    };
    match rotated.or_else(dated) {
        Some((log, age)) if !log.is_empty() => (path.with_file_name(log), age),
        _ => (path.with_file_name(name), Age::Current),
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(paths: &[&str]) -> Vec<(String, bool)> {
        let paths = paths.iter().map(PathBuf::from).collect();
        oldest_first(paths).into_iter().map(|(path, on)| (path.display().to_string(), on)).collect()
    }

    #[track_caller]
    fn assert_ordered(paths: &[&str], expected: &[(&str, bool)]) {
        let expected: Vec<_> = expected.iter().map(|(path, on)| ((*path).to_owned(), *on)).collect();
        assert_eq!(ordered(paths), expected);
    }

    #[test]
    fn rotated_files_are_read_oldest_first_whatever_the_shell_makes_of_their_names() {
        assert_ordered(
            &["l/auth.log", "l/auth.log.1", "l/auth.log.10.gz", "l/auth.log.2.gz"],
            &[
                ("l/auth.log.10.gz", false),
                ("l/auth.log.2.gz", true),
                ("l/auth.log.1", true),
                ("l/auth.log", true),
            ],
        );
        assert_ordered(
            &["secure", "secure-20261122.gz", "secure-20261115.gz", "secure-2026-11-01"],
            &[
                ("secure-2026-11-01", false),
                ("secure-20261115.gz", true),
                ("secure-20261122.gz", true),
                ("secure", true),
            ],
        );
    }

    #[test]
    fn other_files_stay_where_they_stand() {
        assert_ordered(
            &["b/auth.log", "a/auth.log.1", "-", "a/auth.log", "ssh-guard-2.log", "host-10", "-"],
            &[
                ("b/auth.log", false),
                ("a/auth.log.1", false),
                ("a/auth.log", true),
                ("-", false),
                ("ssh-guard-2.log", false),
                ("host-10", false),
                ("-", false),
            ],
        );
    }

    #[test]
    fn a_file_that_is_only_packed_is_the_current_one() {
        assert_ordered(&["auth.log.gz", "auth.log.1.gz"], &[("auth.log.1.gz", false), ("auth.log.gz", true)]);
    }
}
