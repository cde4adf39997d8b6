//! What follows when the files of the allowlist change.

use tracing::{info, warn};

use super::Guard;
use crate::daemon::allow_files::Reallowed;
use crate::fault::Fault;
use crate::network::Network;

impl Guard {
    /// Lets pass what is allowed now, and judges again what is allowed no more. What was allowed by hand as well, for good
    /// or for a time, is the file's from then on.
    pub(super) fn reallow(&mut self, change: Reallowed) {
        let Reallowed { new, gone } = change;
        // What is new comes first: who is in both is let pass throughout.
        for network in &new {
            match self.allow_as_configured(*network) {
                Ok(ended) => {
                    info!(%network, "is allowed now");
                    for ended in ended {
                        info!(%network, "{ended}");
                    }
                }
                Err(fault) => warn!(%network, error = fault.told(), "is not allowed"),
            }
        }
        self.allow_no_more(&gone);
        for network in &gone {
            if !self.allowlist.remove(*network) {
                continue;
            }
            let left = self
                .leave_allowlist(*network)
                .and_then(|()| self.settle_blocks(*network))
                .and_then(|_| self.settle_by_and_by(*network));
            match left {
                Ok(()) => info!(%network, "is allowed no more"),
                Err(fault) => warn!(%network, error = fault.told(), "is still allowed"),
            }
        }
    }

    fn allow_as_configured(&mut self, network: Network) -> Result<Vec<String>, Fault> {
        self.put_in_allowlist(network, None)?;
        let ended = self.settle_blocks(network)?;
        self.settle_by_and_by(network)?;
        Ok(ended)
    }
}
