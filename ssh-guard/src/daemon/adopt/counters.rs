//! Takes over what an earlier daemon's programs counted: sessions, who is authenticated, sources. They count on until others
//! take their place, so what is new by then is copied afterwards. A count may be lost in between, and none is made twice.

use std::collections::HashMap;

use ssh_guard_common::records::{SessionKey, SessionRecord};
use tracing::{debug, info, warn};

use crate::fault::Fault;
use crate::kernel::{Counted, Earlier, Pins, Sampler, Sessions};
use crate::session::last_word;

/// What has been copied.
#[derive(Default)]
pub(in crate::daemon) struct Counters {
    earlier: Counted,
    sessions: HashMap<SessionKey, SessionRecord>,
    with_sources: bool,
    last_account: u32,
}

/// Where it is copied to.
pub(in crate::daemon) struct Counting<'a> {
    pub(in crate::daemon) sessions: &'a mut Sessions,
    pub(in crate::daemon) sampler: &'a mut Sampler,
}

impl Counters {
    /// Copies what there is, before these programs see the first packet. What cannot be read or written begins anew.
    pub(in crate::daemon) fn take_over(
        pins: &Pins,
        earlier: Option<&Earlier>,
        counting: &mut Counting<'_>,
        ports: &[u16],
        mask: ssh_guard_common::source::SourceMask,
    ) -> Self {
        let Some(before) = earlier else { return Self::default() };
        let (counted, strange) = Counted::find(pins);
        if !strange.is_empty() {
            info!(maps = strange.join(", "), "an earlier version counted in another form: these begin anew");
        }
        let with_sources = before.mask() == mask;
        if !with_sources {
            info!("sources are others now: what they sent is counted anew");
        }
        let mut counters = Self { earlier: counted, with_sources, ..Self::default() };
        match counters.copy(counting, ports) {
            Ok(sources) => {
                debug!(
                    sessions = counters.sessions.len(),
                    sources, "took over what an earlier daemon counted"
                );
            }
            Err(fault) => {
                warn!(error = fault.told(), "what an earlier daemon counted is lost, or a part of it");
            }
        }
        counters
    }

    /// Copies what is new since, once these programs count; returns the greatest number that an account has.
    pub(in crate::daemon) fn finish(mut self, counting: &mut Counting<'_>, ports: &[u16]) -> u32 {
        if let Err(fault) = self.copy(counting, ports) {
            warn!(error = fault.told(), "what an earlier daemon counted last is lost");
        }
        self.last_account
    }

    /// Copies what has not been copied yet; returns how many sources there are.
    fn copy(&mut self, counting: &mut Counting<'_>, ports: &[u16]) -> Result<usize, Fault> {
        // The sources first: what ends meanwhile is missing then, and not there twice.
        let mut sources = if self.with_sources { self.earlier.sources()? } else { Vec::new() };
        let mut sessions = self.earlier.sessions()?;
        sessions.retain(|(key, _)| ports.contains(&key.port));
        // Where there is less room than before, the last ones stay.
        sources.sort_unstable_by_key(|(_, record)| record.last_seen);
        sessions.sort_unstable_by_key(|(_, record)| last_word(record));
        for (key, record) in sessions {
            match self.sessions.get(&key) {
                None => {
                    counting.sessions.restore(key, record)?;
                    self.sessions.insert(key, record);
                }
                Some(before) if before.ended == 0 && record.ended != 0 => {
                    counting.sessions.restore_end(key, before, record)?;
                }
                Some(_) => {}
            }
        }
        for (key, mark) in self.earlier.marks()? {
            self.last_account = self.last_account.max(mark.account);
            counting.sessions.mark(key, mark)?;
        }
        let count = sources.len();
        for (source, record) in sources {
            counting.sampler.restore(source, record)?;
        }
        Ok(count)
    }
}
