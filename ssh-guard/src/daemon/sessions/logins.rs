//! Finds the sessions of logins: marks them as authenticated, and says which logins are true.

use std::collections::HashMap;

use ssh_guard_common::records::{Authenticated, SessionKey, SessionRecord};
use ssh_guard_common::time::Ticks;
use tracing::{debug, warn};

use super::{Registrar, lock};
use crate::control::api::InterfaceStatus;
use crate::observe::MapOperation;
use crate::session::successes::{Settled, Success};

impl Registrar {
    /// Whether a login without a session in the maps was none: a witness sees what servers send on every interface that is
    /// guarded.
    pub(super) fn vouches(&self, interfaces: &[InterfaceStatus]) -> bool {
        let mut attached = interfaces.iter().filter(|interface| interface.attached).peekable();
        !self.blindness.is_blind() && attached.peek().is_some() && attached.all(|interface| interface.witness)
    }

    /// Marks the sessions that the log says are authenticated, and takes their logins for true.
    pub(super) fn mark(
        &mut self,
        records: &[(SessionKey, SessionRecord)],
        marks: &mut HashMap<SessionKey, Authenticated>,
        vouches: bool,
        now: Ticks,
    ) {
        let lost = self.successes.lost();
        let Settled { found, seen, unseen } = self.successes.settle(records, marks, now);
        self.admitted.extend(seen.into_iter().filter_map(|success| success.login));
        for success in unseen {
            match success.login {
                Some(_) if vouches => self.doubt(&success),
                login => self.admitted.extend(login),
            }
        }
        for found in found {
            let mut book = lock(&self.book);
            let account = found.account.as_deref().map_or(0, |name| book.accounts.number(name));
            let mark = Authenticated { account, session: found.first_seen };
            book.past.touch(&self.rules.mask.apply(found.key.client)).authenticated += 1;
            drop(book);
            marks.insert(found.key, mark);
            let written = self.maps.mark(found.key, mark);
            self.note(written, MapOperation::Mark);
        }
        self.metrics.logins_lost().inc_by(self.successes.lost() - lost);
    }

    /// Takes note of a login of which no session was seen: nothing follows from it.
    fn doubt(&mut self, success: &Success) {
        let address = success.client.address();
        // Its session may have been forgotten while nobody read.
        if success.late {
            return debug!(%address, "a login that was read late counts for nothing: its session is not known any more");
        }
        self.metrics.logins_unseen().inc();
        if !std::mem::replace(&mut self.doubted, true) {
            warn!(
                %address,
                hint = "if it came by an interface that is not guarded, all is well; else somebody on this machine forges lines: \
                        read the journal, not files ('input.kind')",
                "a login was told of, and no session of it was seen: it does not count, as none of this kind will"
            );
        }
    }
}
