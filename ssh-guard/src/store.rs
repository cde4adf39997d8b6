//! What outlives the daemon and the machine: a database of `SQLite`.
//!
//! The daemon works without it. It is written about once a second, never on the way of a ban; what was not written when the daemon
//! is killed is read again from the inputs. A file that is broken is moved aside, never deleted; one that a newer version has made, or
//! another program, is left as it is.

mod error;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, params};

pub use self::error::StoreError;
use crate::input::Place;

/// The database, open for its one writer.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Held as long as the database is open: two daemons that write the places of inputs of the same names would make each
    /// other skip lines.
    lock: Flock<File>,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the broken file is now that was found in its place.
    pub moved_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the database at `path`, and makes it and its folder where they are missing; a broken one is moved aside.
    ///
    /// # Errors
    ///
    /// If it cannot be made or read, is another's, or another daemon has it.
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        let lock = lock(path)?;
        match connect(path) {
            Ok(connection) => {
                Ok(Opened { store: Self { connection, path: path.to_owned(), lock }, moved_aside: None })
            }
            Err(error) if error.is_broken() => {
                let moved_aside = Some(move_aside(path)?);
                let connection = connect(path)?;
                Ok(Opened { store: Self { connection, path: path.to_owned(), lock }, moved_aside })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens it anew after it was found broken, as [`Store::open`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reopen(self) -> Result<Opened, StoreError> {
        let Self { connection, path, lock } = self;
        drop(connection);
        let moved_aside = Some(move_aside(&path)?);
        Ok(Opened { store: Self { connection: connect(&path)?, path, lock }, moved_aside })
    }

    /// The places of all inputs, by their names; those that this version cannot read are left out.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn places(&self) -> Result<BTreeMap<String, Place>, StoreError> {
        let failed = |source| StoreError::Read { path: self.path.clone(), source };
        let mut select = self.connection.prepare("SELECT input, place FROM places").map_err(failed)?;
        let rows = select.query_map((), |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).map_err(failed)?;
        let mut places = BTreeMap::new();
        for row in rows {
            let (input, place): (String, String) = row.map_err(failed)?;
            match serde_json::from_str(&place) {
                Ok(place) => drop(places.insert(input, place)),
                Err(error) => tracing::warn!(
                    input,
                    %error,
                    "how far this input was read is not understood: what was logged since is not read"
                ),
            }
        }
        Ok(places)
    }

    /// Writes the places of some inputs, all or none; `now` is in microseconds since 1970.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_places(&mut self, places: &BTreeMap<String, Place>, now: u64) -> Result<(), StoreError> {
        let path = &self.path;
        let failed = |source| StoreError::Write { path: path.clone(), source };
        let transaction = self.connection.transaction().map_err(failed)?;
        for (input, place) in places {
            let text = serde_json::to_string(place).map_err(|source| StoreError::Form { source })?;
            transaction
                .prepare(
                    "INSERT INTO places (input, kind, place, written_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (input) DO UPDATE SET kind = ?2, place = ?3, written_at = ?4",
                )
                .and_then(|mut insert| insert.execute(params![input, kind(place), text, now.cast_signed()]))
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn kind(place: &Place) -> &'static str {
    match place {
        Place::File(_) => "file",
        Place::Journal(_) => "journal",
    }
}

/// Makes the folder and takes the lock.
fn lock(path: &Path) -> Result<Flock<File>, StoreError> {
    let failed = |source| StoreError::Make { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, number)| match number {
        nix::errno::Errno::EWOULDBLOCK => StoreError::Taken { path: path.to_owned() },
        number => failed(number.into()),
    })
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // What stands in logs is nobody's business: SQLite gives its other files the mode of this one.
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Make { path: path.to_owned(), source })?;
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) =
        (number("application_id").map_err(failed)?, number("user_version").map_err(failed)?);
    let is_empty = connection
        .query_row("SELECT 1 FROM sqlite_schema LIMIT 1", (), |_| Ok(()))
        .optional()
        .map_err(failed)?
        .is_none();
    if application != APPLICATION && !(application == 0 && version == 0 && is_empty) {
        return Err(StoreError::Strange { path: path.to_owned() });
    }
    if version > SCHEMA {
        return Err(StoreError::Newer { path: path.to_owned(), version });
    }
    let sound: String =
        connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(failed)?;
    if sound != "ok" {
        return Err(StoreError::Broken { path: path.to_owned(), why: sound });
    }
    let failed = |source| StoreError::Write { path: path.to_owned(), source };
    // With a log beside it the database is whole whatever happens, and a second's places at most are lost.
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    if version < SCHEMA {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(TABLES).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        transaction.pragma_update(None, "user_version", SCHEMA).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(connection)
}

/// Gives a broken database, and what `SQLite` keeps beside it, a name that is free.
fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Make { path: path.to_owned(), source };
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = (1..=MOST_BROKEN)
        .map(|number| beside(&format!(".broken-{number}")))
        .find(|aside| !aside.exists())
        .ok_or_else(|| failed(io::Error::other(format!("{MOST_BROKEN} broken ones lie there already"))))?;
    fs::rename(path, &aside).map_err(failed)?;
    for end in ["-wal", "-shm"] {
        let mut name = aside.as_os_str().to_owned();
        name.push(end);
        match fs::rename(beside(end), name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(aside)
}

/// Whether `SQLite` says that what it reads is no database of its own.
fn says_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// `SSHG`, by which the file is known.
const APPLICATION: i64 = 0x5353_4847;
/// The version of the tables.
const SCHEMA: i64 = 1;
const TABLES: &str = "
    CREATE TABLE places (
        input TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        place TEXT NOT NULL,
        written_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;";
/// How long a reader of the file, such as a backup, may keep it.
const BUSY: Duration = Duration::from_secs(2);
/// More broken files than this are no accident, and would fill the disk.
const MOST_BROKEN: u32 = 16;

#[cfg(test)]
mod tests;
