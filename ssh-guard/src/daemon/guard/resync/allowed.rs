//! The kernel's allowlist beside what is to be excepted from blocks.

use ssh_guard_common::source::Source;
use ssh_guard_common::time::Ticks;

use super::super::Guard;
use super::{Pass, Step};
use crate::fault::Fault;
use crate::kernel::Allowed;
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::bannable::Protected;

impl Guard {
    /// Lets a network pass in the kernel again that is allowed or excepted.
    pub(super) fn check_allowed(&mut self, network: Network, pass: &mut Pass) -> Result<(), Fault> {
        let ends: Vec<Ticks> = self.ends_of(network).map(|end| self.maps.clock.ticks_at(end)).collect();
        if ends.is_empty() || self.maps.allowlist.passes(network, &ends)? {
            return Ok(());
        }
        let end = self.ends_of(network).last().flatten();
        self.let_pass(network, end)?;
        pass.drift.missing += usize::from(!pass.slept);
        Ok(())
    }

    /// What is excepted from blocks beside the allowlist.
    pub(super) fn excepted(&self) -> Vec<Network> {
        let all = [Network::new(Source::from_v4(0), 0), Network::new(Source::from_words([0; 4]), 0)];
        let special = all.into_iter().flat_map(Protected::special_in);
        let forced = special.filter(|special| self.is_excepted(*special));
        self.protected.addresses().chain(forced).collect()
    }

    /// Takes out of the kernel's allowlist what nobody allowed, and says what comes next.
    pub(super) fn check_passing(
        &mut self,
        after: Option<Allowed>,
        pass: &mut Pass,
    ) -> Result<Option<Step>, Fault> {
        let there = self.maps.allowlist.after(after, PART)?;
        if there.is_empty() {
            return Ok(None);
        }
        let mut kept = after;
        for allowed in there {
            if allowed.meant().any(|network| self.may_pass(network) && allowed.is_of(network)) {
                kept = Some(allowed);
            } else {
                self.maps.allowlist.take(allowed)?;
                self.blocked.notify_one();
                pass.drift.too_many += 1;
            }
        }
        Ok(Some(Step::Passing(kept)))
    }

    fn may_pass(&self, network: Network) -> bool {
        // What a forced ban excepted stays so after it, and means nothing then: no other ban holds it.
        self.ends_of(network).next().is_some()
            || Protected::special_in(network).any(|special| special == network)
    }

    /// The ends that a network may have in the kernel's allowlist: what is allowed for a while may be excepted for good.
    fn ends_of(&self, network: Network) -> impl Iterator<Item = Option<Moment>> {
        let allowed = self.allowlist.until_of(network);
        let excepted = self.is_excepted(network).then_some(None);
        allowed.into_iter().chain(excepted)
    }

    fn is_excepted(&self, network: Network) -> bool {
        self.protected.addresses().chain(self.forced_exceptions(network)).any(|own| own == network)
    }
}

/// Keys that are looked at in one part: for one of IPv6 many networks are looked up.
const PART: usize = 128;
