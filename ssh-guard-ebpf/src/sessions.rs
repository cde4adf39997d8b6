//! Sessions and their sources: what is counted of them. The judge counts what clients send; the witness says that a session
//! is proven, and that it has ended.

use ssh_guard_common::packet::Segment;
use ssh_guard_common::records::{SessionKey, SessionRecord, Settings, SourceRecord};
use ssh_guard_common::source::Source;
use ssh_guard_common::time::{Ticks, ticks};

use crate::judge::Going;
use crate::maps::{self, ASKERS, SESSIONS, SOURCES};
use crate::{atomic, clock, settings};

/// The tick it is. The first one is counted as the second: 0 stands for what has not happened.
#[inline(always)]
fn now(settings: &Settings) -> Ticks {
    ticks(clock::jiffies(), settings.base).max(1)
}

/// Counts a packet of a client's that is let through: in its session, or, if that is not known or has ended, with its
/// source.
#[inline(always)]
pub fn count(key: SessionKey, source: Source, bytes: u64, going: Going) {
    let Some(settings) = maps::settings(0) else { return };
    let now = now(settings);
    if let Some(record) = SESSIONS.get_ptr_mut(&key) {
        // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call; should the entry be
        // evicted meanwhile, a packet is counted for another session.
        unsafe {
            if (&raw const (*record).ended).read_volatile() == 0 {
                atomic::add(&raw mut (*record).packets, 1);
                atomic::add(&raw mut (*record).bytes, bytes);
                set(&raw mut (*record).last_seen, now);
                if going.ends && (*record).closing == 0 {
                    set(&raw mut (*record).closing, now);
                }
                return;
            }
        }
    } else if going.speaks && settings.in_use & Settings::UNPROVEN != 0 {
        let first = SessionRecord { packets: 1, bytes, first_seen: now, last_seen: now, ..FRESH };
        // Another CPU may be first, or every entry of the map busy: a count is lost, no decision.
        let _counted = SESSIONS.insert(&key, &first, 0);
        opened(source, now);
        return;
    }
    if let Some(record) = SOURCES.get_ptr_mut(&source.key()) {
        // SAFETY: as above.
        unsafe {
            atomic::add(&raw mut (*record).packets, 1);
            atomic::add(&raw mut (*record).bytes, bytes);
            set(&raw mut (*record).last_seen, now);
        }
    }
}

/// Takes note of a segment that the server sends.
#[inline(always)]
pub fn witness(segment: &Segment) {
    // What comes with a SYN is no proof that the client is there, and a flood brings many of them out.
    if segment.flags.shakes_hands() {
        return;
    }
    let Some(settings) = maps::settings(0) else { return };
    let now = now(settings);
    let Segment { source: client, source_port: client_port, server, port, flags, sequence, payload } =
        *segment;
    let speaks = payload > 0;
    let key = SessionKey { client, server, client_port, port };
    let source = settings::source_mask().apply(client);
    let Some(record) = SESSIONS.get_ptr_mut(&key) else {
        if speaks {
            let first = SessionRecord { first_seen: now, last_seen: now, answered: now, ..FRESH };
            // As above.
            let _counted = SESSIONS.insert(&key, &first, 0);
            opened(source, now);
        }
        return;
    };
    // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call; should the entry be
    // evicted meanwhile, another session is told wrongly, for display.
    unsafe {
        let SessionRecord { answered, ended, end_sequence, .. } = *record;
        if ended != 0 {
            // What lies shortly before the end was sent again. Anything else is a new session between the same ends.
            if !speaks || end_sequence.wrapping_sub(sequence) <= MOST_SENT_AGAIN {
                set(&raw mut (*record).answered, now);
                return;
            }
            (&raw mut (*record).packets).write_volatile(0);
            (&raw mut (*record).bytes).write_volatile(0);
            (&raw mut (*record).first_seen).write_volatile(now);
            (&raw mut (*record).last_seen).write_volatile(now);
            (&raw mut (*record).closing).write_volatile(0);
            (&raw mut (*record).answered).write_volatile(now);
            (&raw mut (*record).ended).write_volatile(0);
            opened(source, now);
        } else if answered != 0 {
            set(&raw mut (*record).answered, now);
        } else if speaks {
            // It was counted from the client's first payload, while no server was seen.
            (&raw mut (*record).answered).write_volatile(now);
        }
        if flags.ends_session() {
            end(record, source, sequence, payload, now);
        }
    }
}

/// More than a server keeps to send again (`net.ipv4.tcp_wmem`; 4 MiB by default), and less than a new session's numbers
/// are away from an old one's, almost always.
const MOST_SENT_AGAIN: u32 = 16 << 20;

/// Counts what was sent in a session with its source from now on.
///
/// # Safety
/// `record` must come from a lookup of this run.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the payload of a packet")]
unsafe fn end(record: *mut SessionRecord, source: Source, sequence: u32, payload: usize, now: Ticks) {
    // SAFETY: the caller vouches for the record. Another CPU that counts a packet in it at this moment may lose it.
    let (packets, bytes) = unsafe {
        (&raw mut (*record).end_sequence).write_volatile(sequence.wrapping_add(payload as u32));
        (&raw mut (*record).ended).write_volatile(now);
        ((&raw const (*record).packets).read_volatile(), (&raw const (*record).bytes).read_volatile())
    };
    if let Some(of_source) = SOURCES.get_ptr_mut(&source.key()) {
        // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call.
        unsafe {
            atomic::add(&raw mut (*of_source).packets, packets);
            atomic::add(&raw mut (*of_source).bytes, bytes);
            set(&raw mut (*of_source).last_seen, now);
        }
    }
}

/// Counts a session that begins.
#[inline(always)]
fn opened(source: Source, now: Ticks) {
    let Some(record) = SOURCES.get_ptr_mut(&source.key()) else {
        let first = SourceRecord { opened: 1, last_seen: now, ..NOBODY };
        // Another CPU may be first, or every entry of the map busy: a count is lost, no decision.
        let _counted = SOURCES.insert(&source.key(), &first, 0);
        return;
    };
    // SAFETY: the lookup returned it and the program holds RCU, so the memory outlives this call. Sessions of a source that
    // begin on two CPUs at once may be counted as one.
    unsafe {
        let opened = &raw mut (*record).opened;
        opened.write_volatile(opened.read_volatile().wrapping_add(1));
        set(&raw mut (*record).half_open, 0);
        set(&raw mut (*record).last_seen, now);
    }
}

/// Takes note of a source that keeps asking for sessions. One that is not known gets a record, for it to be seen; a flood
/// fills the map no faster than a few a tick.
#[inline(always)]
pub fn keeps_asking(source: Source) {
    let Some(settings) = maps::settings(0) else { return };
    let now = now(settings);
    if let Some(record) = SOURCES.get_ptr_mut(&source.key()) {
        // SAFETY: as above; a count that another CPU adds at the same time may be lost.
        unsafe {
            let half_open = &raw mut (*record).half_open;
            half_open.write_volatile(half_open.read_volatile().wrapping_add(1));
            set(&raw mut (*record).asked, now);
        }
        return;
    }
    let Some(made) = ASKERS.get_ptr_mut(0) else { return };
    // SAFETY: the map lives as long as the program. CPUs that write at once write the same tick; a count may be lost.
    unsafe {
        let tick = made.cast::<u32>();
        let count = tick.add(1);
        let before = if tick.read_volatile() == now { count.read_volatile() } else { 0 };
        if before >= settings::askers_per_tick() {
            return;
        }
        tick.write_volatile(now);
        count.write_volatile(before + 1);
    }
    let first = SourceRecord { half_open: 1, last_seen: now, asked: now, ..NOBODY };
    // As above.
    let _counted = SOURCES.insert(&source.key(), &first, 0);
}

const FRESH: SessionRecord = SessionRecord {
    packets: 0,
    bytes: 0,
    first_seen: 0,
    last_seen: 0,
    closing: 0,
    answered: 0,
    ended: 0,
    end_sequence: 0,
};

const NOBODY: SourceRecord =
    SourceRecord { packets: 0, bytes: 0, opened: 0, half_open: 0, last_seen: 0, asked: 0 };

/// Writes a word unless it is there already: other CPUs need not fetch the line again then.
///
/// # Safety
/// `word` must lie in a map's value that outlives the call.
#[inline(always)]
unsafe fn set(word: *mut u32, value: u32) {
    // SAFETY: the caller vouches for the word.
    unsafe {
        if word.read_volatile() != value {
            word.write_volatile(value);
        }
    }
}
