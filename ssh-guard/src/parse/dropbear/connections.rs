//! Which process of Dropbear serves which session.

use std::num::NonZeroUsize;

use lru::LruCache;

use super::super::Record;
use super::super::text::Origin;

/// The sessions that Dropbear's processes serve, by the machine and the number of the process.
///
/// A client opens as many as it likes without logging in, so their number is bounded, and the oldest one
/// makes room: the worst that follows is that a line without an address stays without one.
#[derive(Debug)]
pub(super) struct Connections {
    origins: LruCache<(Box<[u8]>, u32), Origin>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { origins: LruCache::new(CAPACITY) }
    }
}

impl Connections {
    /// Notes that the writer of `record` serves the session from `origin`, and no earlier one of its number.
    pub(super) fn begin(&mut self, record: &Record<'_>, origin: Origin) {
        if let Some(key) = key(record) {
            self.origins.put(key, origin);
        }
    }

    /// The origin of the session that the writer of `record` serves.
    pub(super) fn origin(&mut self, record: &Record<'_>) -> Origin {
        key(record).and_then(|key| self.origins.get(&key).copied()).unwrap_or(Origin::UNKNOWN)
    }

    /// Forgets the session, as its process has ended.
    pub(super) fn end(&mut self, record: &Record<'_>) {
        if let Some(key) = key(record) {
            self.origins.pop(&key);
        }
    }
}

/// A host's name is longer than any (RFC 1035 §2.3.4) only where a line is not what it seems.
fn key(record: &Record<'_>) -> Option<(Box<[u8]>, u32)> {
    let pid = record.pid?;
    (record.host.len() <= 255).then(|| (record.host.into(), pid))
}

/// Dropbear serves 30 sessions without a login at once, unless it was built otherwise (`MAX_UNAUTH_CLIENTS`); a
/// file may hold the lines of many machines.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    fn record(host: &'static str, pid: Option<u32>) -> Record<'static> {
        Record { host: host.as_bytes(), pid, ..Record::default() }
    }

    fn origin(port: u16) -> Origin {
        Origin { address: Some("203.0.113.7".parse().unwrap()), port: Some(port) }
    }

    #[test]
    fn a_process_number_belongs_to_its_machine_and_to_its_last_session() {
        let mut connections = Connections::default();
        connections.begin(&record("a", Some(7)), origin(1));
        connections.begin(&record("b", Some(7)), origin(2));
        assert_eq!(connections.origin(&record("a", Some(7))), origin(1));
        connections.begin(&record("a", Some(7)), origin(3));
        assert_eq!(connections.origin(&record("a", Some(7))), origin(3));
        connections.end(&record("a", Some(7)));
        assert_eq!(connections.origin(&record("a", Some(7))), Origin::UNKNOWN);
        assert_eq!(connections.origin(&record("b", Some(7))), origin(2));
        connections.begin(&record("a", None), origin(4));
        assert_eq!(connections.origin(&record("a", None)), Origin::UNKNOWN);
    }

    #[test]
    fn a_flood_of_sessions_takes_no_more_than_its_room() {
        let mut connections = Connections::default();
        for pid in 0..100_000 {
            connections.begin(&record("a", Some(pid)), origin(1));
        }
        assert_eq!(connections.origins.len(), CAPACITY.get());
        assert_eq!(connections.origin(&record("a", Some(99_999))), origin(1));
        assert_eq!(connections.origin(&record("a", Some(0))), Origin::UNKNOWN);
    }
}
