//! Who is known-good, in the kernel: whoever has logged in lately passes a banned network, and is not limited unless many
//! stand behind it.

use ssh_guard_common::records::Settings;
use tracing::{debug, warn};

use super::Guard;
use crate::clock;
use crate::fault::Fault;
use crate::moment::Moment;
use crate::observe::MapOperation;
use crate::policy::{Admitted, Login};

/// How far the table has been looked through for those whose end has come.
#[derive(Default)]
pub(in crate::daemon) struct Known {
    bucket: u32,
    /// Whether anybody was there since the first bucket.
    anybody: bool,
    /// It was said that the kernel does not take somebody.
    complained: bool,
}

/// Buckets looked at in a second: all of them are in three minutes.
const BUCKETS: u32 = 128;

impl Guard {
    /// Takes a login for true that happened at a moment.
    pub(super) fn admit(&mut self, login: Login, at: Moment) {
        let Admitted { until, shared } = self.policy.admit(login, at);
        let now = clock::now();
        if until <= now {
            return;
        }
        let clock = &self.maps.clock;
        // An earlier login may be worth more: one that an earlier daemon knew of, or by its configuration.
        let before = self.maps.known_good.until_of(login.source);
        let written = before.and_then(|before| {
            let until = clock.ticks_at(Some(until)).max(before.unwrap_or_default());
            self.maps.settings.put_to_use(Settings::KNOWN_GOOD, true)?;
            self.maps.known_good.know(login.source, until, shared)
        });
        self.known.anybody = true;
        match written {
            Ok(()) => debug!(source = %login.source, shared, "known-good"),
            Err(fault) => self.tell_unknown(&fault),
        }
    }

    /// Forgets whose end has come, a part of the table with each call.
    pub(super) fn forget_known_good(&mut self, now: Moment) {
        let (now, all) = (self.maps.clock.ticks_of(now), self.maps.known_good.buckets());
        for bucket in self.known.bucket..all.min(self.known.bucket + BUCKETS) {
            match self.maps.known_good.expire(bucket, now) {
                Ok(left) => self.known.anybody |= left > 0,
                Err(fault) => {
                    self.metrics.refused(MapOperation::Unknow);
                    debug!(error = fault.told(), "somebody stays in the table of known-good sources");
                    self.known.anybody = true;
                }
            }
        }
        self.known.bucket += BUCKETS;
        if self.known.bucket < all {
            return;
        }
        let anybody = std::mem::take(&mut self.known.anybody);
        self.known.bucket = 0;
        if let Err(fault) = self.maps.settings.put_to_use(Settings::KNOWN_GOOD, anybody) {
            warn!(error = fault.told(), "the program keeps asking a map that holds nothing");
        }
    }

    fn tell_unknown(&mut self, fault: &Fault) {
        self.metrics.refused(MapOperation::Know);
        if std::mem::replace(&mut self.known.complained, true) {
            debug!(error = fault.told(), "limited as if nobody had logged in there");
        } else {
            warn!(
                error = fault.told(),
                hint =
                    "it is limited as if nobody had logged in there; put into the allowlist who must get in",
                "not all who log in are known-good"
            );
        }
    }
}
