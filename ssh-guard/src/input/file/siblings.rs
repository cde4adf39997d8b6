//! Finds what a log file has become by rotation: the files beside it that carry its name and a number or a date.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::open::open;
use super::packed;
use super::reader::FileId;
use crate::input::{Head, Mark};

/// A file beside the log, open.
#[derive(Debug)]
pub(super) struct Sibling {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    pub(super) packed: bool,
    /// The first bytes of what it holds.
    pub(super) head: Vec<u8>,
}

/// What lies beside a log.
#[derive(Default, Debug)]
pub(super) struct Siblings {
    /// What can be read, the one that was written last at the end.
    pub(super) files: Vec<Sibling>,
    /// What cannot, and why.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
}

/// No more are looked into than this, of those written last: rotation that keeps more does not happen between two runs.
const MOST: usize = 64;

impl Siblings {
    /// Looks beside `path`; `own`, the file that it names, is left out.
    pub(super) fn of(path: &Path, own: Option<FileId>) -> Self {
        // Where the path is a link, rotation happens beside the file that it leads to.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let (Some(folder), Some(base)) = (path.parent(), path.file_name()) else { return Self::default() };
        let Ok(entries) = fs::read_dir(folder) else { return Self::default() };
        let base = base.to_string_lossy();
        let mut named: Vec<(PathBuf, Form, Metadata)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let form = form(&base, &entry.file_name().to_string_lossy())?;
                let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
                (Some(FileId::from(&metadata)) != own).then(|| (entry.path(), form, metadata))
            })
            .collect();
        named.sort_by_key(|(_, _, metadata)| written(metadata));
        let mut siblings = Self::default();
        for (path, form, _) in named.split_off(named.len().saturating_sub(MOST)) {
            match Sibling::open(&path, form) {
                // It may have been replaced meanwhile.
                Ok(sibling) if Some(sibling.id()) != own => siblings.add(sibling),
                Ok(_) => {}
                Err(error) => siblings.unreadable.push((path, error)),
            }
        }
        siblings
    }

    /// Adds a file, unless it is another name or a copy of one that is there: a compressed one beside the plain one, while
    /// rotation is at it. The plain one stays, or else the longer one.
    fn add(&mut self, sibling: Sibling) {
        let Some(index) = self.index(|other| other.is_same(&sibling)) else {
            self.files.push(sibling);
            return;
        };
        let worth = |sibling: &Sibling| (!sibling.packed, sibling.metadata.len());
        if worth(&self.files[index]) < worth(&sibling) {
            self.files.remove(index);
            self.files.push(sibling);
        }
    }

    /// Takes out the files that were read up to these marks.
    pub(super) fn take_all(&mut self, marks: &[&Mark]) -> Vec<Option<Sibling>> {
        let mut taken: Vec<Option<Sibling>> = marks.iter().map(|_| None).collect();
        // Those whose beginnings tell first: the number of one that was all but empty may be another's by now.
        for tells in [true, false] {
            for (mark, taken) in marks.iter().zip(&mut taken).filter(|(mark, _)| mark.head.tells() == tells) {
                *taken = self.take(mark);
            }
        }
        taken
    }

    /// Takes out the file that was read up to `mark`: the same one, or else a copy of it.
    fn take(&mut self, mark: &Mark) -> Option<Sibling> {
        // A compressed file is never the one that was read; it may have got its number.
        let is_it =
            |sibling: &&Sibling| sibling.id() == FileId::from(mark) && !sibling.packed && sibling.holds(mark);
        let is_copy = |sibling: &&Sibling| mark.head.tells() && sibling.holds(mark);
        let index = self.index(is_it).or_else(|| self.index(is_copy))?;
        Some(self.files.remove(index))
    }

    fn index(&self, fits: impl Fn(&&Sibling) -> bool) -> Option<usize> {
        self.files.iter().position(|sibling| fits(&sibling))
    }
}

impl Sibling {
    fn open(path: &Path, form: Form) -> io::Result<Self> {
        if form == Form::Foreign {
            return Err(io::Error::other("only gzip is read of what is compressed"));
        }
        let mut file = open(path).map_err(io::Error::other)?;
        let metadata = file.metadata()?;
        let packed = form == Form::Packed;
        let head = if packed {
            let head = packed::head_of(&file)?;
            file.rewind()?;
            head
        } else {
            let mut head = vec![0; Head::MOST];
            let count = file.read_at(&mut head, 0)?;
            head.truncate(count);
            head
        };
        Ok(Self { file, metadata, packed, head })
    }

    pub(super) fn id(&self) -> FileId {
        FileId::from(&self.metadata)
    }

    /// Whether it holds the same as another one, as far as their beginnings tell.
    fn is_same(&self, other: &Self) -> bool {
        let (short, long) = if self.head.len() < other.head.len() {
            (&self.head, &other.head)
        } else {
            (&other.head, &self.head)
        };
        self.id() == other.id() || (Head::of(short).tells() && long.starts_with(short))
    }

    /// Whether what was read up to `mark` may be in it. How much a packed one holds shows only when it is read.
    fn holds(&self, mark: &Mark) -> bool {
        mark.head.fits(&self.head) && (self.packed || self.metadata.len() >= mark.offset)
    }

    /// Whether it begins as the file of `mark` does, and so is a copy.
    pub(super) fn is_copy_of(&self, mark: &Mark) -> bool {
        mark.head.tells() && mark.head.fits(&self.head)
    }

    /// When it was written last, in nanoseconds since 1970; gzip and logrotate keep that.
    pub(super) fn written(&self) -> i128 {
        written(&self.metadata)
    }
}

pub(super) fn written(metadata: &Metadata) -> i128 {
    i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Plain,
    Packed,
    /// Compressed in a way that is not read.
    Foreign,
}

/// What a file named `name` is to the log named `base`: `auth.log.1`, `auth.log-20261123`, `auth.log.2.gz`; and where
/// logrotate is told the `extension`, `auth.1.log`, `auth-20261123.log.gz`.
fn form(base: &str, name: &str) -> Option<Form> {
    let endings =
        [(".gz", Form::Packed), (".xz", Form::Foreign), (".zst", Form::Foreign), (".bz2", Form::Foreign)];
    let (name, form) = endings
        .iter()
        .find_map(|(ending, form)| Some((name.strip_suffix(ending)?, *form)))
        .unwrap_or((name, Form::Plain));
    let numbered = |rest: &str| {
        let mut bytes = rest.bytes();
        bytes.next().is_some_and(|byte| b".-_".contains(&byte))
            && bytes.next().is_some_and(|byte| byte.is_ascii_digit())
            && bytes.all(|byte| byte.is_ascii_digit() || b".-_:T".contains(&byte))
    };
    let is_rotated = name.strip_prefix(base).is_some_and(numbered)
        || base.rsplit_once('.').is_some_and(|(stem, extension)| {
            let middle = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension));
            middle.and_then(|middle| middle.strip_suffix('.')).is_some_and(numbered)
        });
    is_rotated.then_some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_known_by_their_names_and_other_logs_are_not() {
        for (name, expected) in [
            ("auth.log.1", Some(Form::Plain)),
            ("auth.log.10.gz", Some(Form::Packed)),
            ("auth.log-20261123", Some(Form::Plain)),
            ("auth.log-20261123-1700000000.gz", Some(Form::Packed)),
            ("auth.log-2026-11-23T03:12.xz", Some(Form::Foreign)),
            ("auth.1.log", Some(Form::Plain)),
            ("auth-20261123.log.gz", Some(Form::Packed)),
            ("auth.log", None),
            ("auth.log.gz", None),
            ("auth.log.bak", None),
            ("auth.log.1.bak", None),
            ("auth.log.1~", None),
            ("auth2.log", None),
            ("authpriv.log.1", None),
            ("other.log.1", None),
            ("auth..log", None),
        ] {
            assert_eq!(form("auth.log", name), expected, "{name}");
        }
        assert_eq!(form("secure", "secure-20261123"), Some(Form::Plain));
        assert_eq!(form("secure", "secure2"), None);
    }
}
