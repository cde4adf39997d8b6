//! The sessions, as the programs count them, and what the daemon adds: which of them are authenticated, and which sources
//! hold as many as they may. Whoever holds this is the only writer of the last two.

use aya::maps::{HashMap, Map, MapData, MapError};
use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord};
use ssh_guard_common::source::Source;

use super::{NOT_THERE, batch, is_missing, is_there};
use crate::fault::{Exit, Fault};

/// The maps `SESSIONS`, `AUTHENTICATED` and `CROWDED`.
pub struct Sessions {
    records: HashMap<MapData, SessionKey, SessionRecord>,
    records_in_batches: MapData,
    marks: HashMap<MapData, SessionKey, Authenticated>,
    marks_in_batches: MapData,
    crowded: HashMap<MapData, Source, u32>,
}

/// The maps, as they come out of the object; of those that are read in batches a second handle.
pub(super) struct Maps {
    pub(super) sessions: [Map; 2],
    pub(super) authenticated: [Map; 2],
    pub(super) crowded: Map,
}

impl Sessions {
    pub(super) fn new(maps: Maps) -> Result<Self, Fault> {
        let strange = |error: MapError| {
            Fault::new(Exit::Failure, "a map of sessions is not what it should be").because(error)
        };
        let Maps { sessions: [sessions, records], authenticated: [authenticated, marks], crowded } = maps;
        let (Map::LruHashMap(records), Map::LruHashMap(marks)) = (records, marks) else {
            return Err(Fault::new(Exit::Failure, "a map of sessions is not what it should be"));
        };
        Ok(Self {
            records: HashMap::try_from(sessions).map_err(strange)?,
            records_in_batches: records,
            marks: HashMap::try_from(authenticated).map_err(strange)?,
            marks_in_batches: marks,
            crowded: HashMap::try_from(crowded).map_err(strange)?,
        })
    }

    /// Every session, in no order.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn all(&self) -> Result<Vec<(SessionKey, SessionRecord)>, Fault> {
        batch::all(&self.records_in_batches).map_err(|error| unreadable(error.into()))
    }

    /// Every mark that a session is authenticated, of sessions that are over as well.
    ///
    /// # Errors
    /// If the kernel refuses to read the map.
    pub fn marks(&self) -> Result<Vec<(SessionKey, Authenticated)>, Fault> {
        batch::all(&self.marks_in_batches).map_err(|error| unreadable(error.into()))
    }

    /// Puts in a session that an earlier daemon followed, unless these programs have begun to count it.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn restore(&mut self, session: SessionKey, record: SessionRecord) -> Result<(), Fault> {
        match self.records.insert(session, record, NOT_THERE) {
            Err(error) if !is_there(&error) => Err(unwritable(error)),
            _ => Ok(()),
        }
    }

    /// Puts in that a session has ended which an earlier daemon followed to its end, if it stands here as it was restored.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn restore_end(
        &mut self,
        session: SessionKey,
        restored: &SessionRecord,
        record: SessionRecord,
    ) -> Result<(), Fault> {
        match self.records.get(&session, 0) {
            Ok(there) if there == *restored => self.records.insert(session, record, 0).map_err(unwritable),
            Err(error) if !is_missing(&error) => Err(unreadable(error.into())),
            _ => Ok(()),
        }
    }

    /// Follows a session no longer.
    ///
    /// # Errors
    /// If the kernel refuses to write the maps.
    pub fn forget(&mut self, session: &SessionKey) -> Result<(), Fault> {
        gone(self.records.remove(session))?;
        self.unmark(session)
    }

    /// Takes the mark off a session.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn unmark(&mut self, session: &SessionKey) -> Result<(), Fault> {
        gone(self.marks.remove(session))
    }

    /// Marks a session as authenticated.
    ///
    /// # Errors
    /// If the kernel refuses to write the map.
    pub fn mark(&mut self, session: SessionKey, mark: Authenticated) -> Result<(), Fault> {
        self.marks.insert(session, mark, 0).map_err(unwritable)
    }

    /// Says what a source holds so many of that it may open no more, as bits of
    /// [`crowd`](ssh_guard_common::records::crowd); none is that it may.
    ///
    /// # Errors
    /// If the map is full, or the kernel refuses to write it.
    pub fn crowd(&mut self, source: Source, crowd: u32) -> Result<(), Fault> {
        if crowd == 0 {
            return gone(self.crowded.remove(&source));
        }
        self.crowded.insert(source, crowd, 0).map_err(unwritable)
    }
}

fn gone(removed: Result<(), MapError>) -> Result<(), Fault> {
    match removed {
        Err(error) if !is_missing(&error) => Err(unwritable(error)),
        _ => Ok(()),
    }
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    Fault::new(Exit::Failure, "cannot read the map of sessions").because(error)
}

fn unwritable(error: MapError) -> Fault {
    Fault::new(Exit::Failure, "cannot write a map of sessions").because(error)
}
