//! Reads files that hold lists, whatever they turn out to be.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::fault::{Exit, Fault};
use crate::lists::parse::{Listed, NoList, Parser};

/// Reads the list at `path`.
///
/// # Errors
/// If it cannot be read, is no file, is larger than 1 GiB, or no list; with `exit`, unless permissions lack.
pub fn read(path: &Path, exit: Exit) -> Result<Listed, Fault> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| cannot_read(&name, &error, exit);
    let file = open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?.file_type();
    if !kind.is_file() {
        let what = match () {
            () if kind.is_dir() => "it is a directory",
            () if kind.is_fifo() => "it is a pipe",
            () => "it is no file",
        };
        let fault = Fault::new(exit, format!("cannot read '{name}': {what}"));
        return Err(if kind.is_dir() {
            fault.hint("name a file in it")
        } else {
            fault.hint("what is no file can be piped in: ssh-guard ban --file -")
        });
    }
    read_from(file, &name, exit)
}

/// Reads a list from what is open already; errors call it `name`.
///
/// # Errors
/// As [`read`].
pub fn read_from(input: impl Read, name: &str, exit: Exit) -> Result<Listed, Fault> {
    read_up_to(LARGEST, input, name, exit)
}

fn read_up_to(largest: usize, mut input: impl Read, name: &str, exit: Exit) -> Result<Listed, Fault> {
    let mut parser = Parser::default();
    let mut piece = vec![0; PIECE];
    let mut left = largest;
    loop {
        let read = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(cannot_read(name, &error, exit)),
        };
        left = left.checked_sub(read).ok_or_else(|| {
            Fault::new(exit, format!("'{name}' is larger than 1 GiB"))
                .hint("check that it is the list that was meant")
        })?;
        parser.feed(&piece[..read]).map_err(|error| no_list(name, &error, exit))?;
    }
    parser.finish().map_err(|error| no_list(name, &error, exit))
}

/// Opens without waiting: a pipe would have that last until somebody writes.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

fn cannot_read(name: &str, error: &io::Error, exit: Exit) -> Fault {
    let told = |why: &str| format!("cannot read '{name}': {why}");
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(exit, told("there is no such file")).hint("check the path"),
        io::ErrorKind::PermissionDenied => {
            Fault::new(Exit::NotPermitted, told("permission denied")).hint("let your user read the file")
        }
        io::ErrorKind::IsADirectory => Fault::new(exit, told("it is a directory")).hint("name a file in it"),
        _ => Fault::new(exit, told(&error.to_string())),
    }
}

fn no_list(name: &str, error: &NoList, exit: Exit) -> Fault {
    let fault = Fault::new(exit, format!("'{name}' is not taken: {error}"));
    match error {
        NoList::Rubbish(_) => {
            fault.hint("write an address or a network on each line, and comments after '#' or ';'")
        }
        NoList::TooLong { .. } => fault.hint("name networks in place of the addresses in them"),
    }
}

const PIECE: usize = 1 << 18;
const LARGEST: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        read(path, Exit::Configuration).unwrap_err().report()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for (path, why) in [
            (directory.path(), "it is a directory"),
            (&pipe, "it is a pipe"),
            (Path::new("/dev/zero"), "it is no file"),
            (Path::new("/nonexistent/list"), "there is no such file"),
        ] {
            let told = refused(path);
            assert!(
                told.starts_with(&format!("ssh-guard: cannot read '{}': {why}\n", path.display())),
                "{told}"
            );
        }
    }

    #[test]
    fn what_does_not_end_is_not_read_for_ever_nor_into_memory() {
        let told = read_up_to(1 << 20, io::repeat(b'\n'), "endless", Exit::Failure).unwrap_err().report();
        assert!(told.starts_with("ssh-guard: 'endless' is larger than 1 GiB\n"), "{told}");
        let zeros = read_from(io::repeat(0).take(1 << 22), "zeros", Exit::Failure).unwrap_err().report();
        assert!(zeros.contains("line 1: the line is longer than 1048576 bytes"), "{zeros}");
    }

    #[test]
    fn rubbish_is_told_with_its_line() {
        let told = read_from(&b"203.0.113.7\nrubbish\n"[..], "-", Exit::Usage).unwrap_err().report();
        assert_eq!(
            told,
            "ssh-guard: '-' is not taken: line 2: 'rubbish' is not an address or a network: names are never resolved\n\
             hint: write an address or a network on each line, and comments after '#' or ';'\n"
        );
    }
}
