//! What there is to say about a list before it is in force.

use crate::allowlist::{Allowlist, Covered};
use crate::ban::Scope;
use crate::clock;
use crate::control::api::Done;
use crate::fault::{Exit, Fault};
use crate::lists::{Entry, List};
use crate::moment::Moment;
use crate::network::Network;
use crate::policy::bannable::{Protected, is_wide};

/// Entries that are not blocked, or should not be.
#[derive(Default, Debug)]
pub(in crate::daemon) struct Remarks {
    sources: usize,
    networks: usize,
    allowed: Few,
    never: Few,
    wide: Few,
}

/// How many there are, and the first of them.
#[derive(Default, Debug)]
struct Few {
    count: usize,
    first: Vec<Network>,
}

impl Remarks {
    /// Looks at an entry.
    pub(in crate::daemon) fn note(
        &mut self,
        (network, scope): Entry,
        protected: &Protected,
        allowlist: &Allowlist,
        forced: bool,
    ) {
        if protected.why_not(&network).is_some() {
            return self.never.note(network);
        }
        if allowlist.covers(network.first(), network.prefix()) == Covered::Whole {
            return self.allowed.note(network);
        }
        if is_wide(network) && !forced {
            self.wide.note(network);
        }
        match scope {
            Scope::Source => self.sources += 1,
            Scope::Network => self.networks += 1,
        }
    }

    /// Refuses a list with networks that nobody lists on purpose.
    pub(in crate::daemon) fn check(&self, name: &str, hint: &str) -> Result<(), Fault> {
        if self.wide.count == 0 {
            return Ok(());
        }
        let what = format!(
            "'{name}' lists networks that are wider than a /8, or a /16 of IPv6: {}",
            self.wide.told()
        );
        Err(Fault::new(Exit::Usage, what + "; nothing is changed").hint(hint))
    }

    /// Tells what is in force, and what of the list is not.
    pub(in crate::daemon) fn tell(&self, list: &List, replaces: bool) -> Done {
        let Self { sources, networks, .. } = self;
        let until = match list.until {
            Moment::UNTIL_LIFTED => "they are unbanned".to_owned(),
            until => clock::wall(until).to_string(),
        };
        let name = list.name.as_str();
        let mut done = vec![format!(
            "banned {sources} sources and {networks} networks that are listed in '{name}', until {until}"
        )];
        if replaces {
            done.push(format!("that takes the place of what '{name}' listed before"));
        }
        done.extend(self.excepted());
        Done { done }
    }

    /// Tells what of the list is not in force.
    pub(in crate::daemon) fn excepted(&self) -> Vec<String> {
        let told = |few: &Few, why: &str| {
            (few.count > 0).then(|| format!("{} of them {why}: {}", few.count, few.told()))
        };
        let allowed = told(&self.allowed, "pass, as long as they are in the allowlist");
        let never = told(&self.never, "pass, as they are never banned");
        allowed.into_iter().chain(never).collect()
    }
}

impl Few {
    fn note(&mut self, network: Network) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(network);
        }
    }

    fn told(&self) -> String {
        let mut told: Vec<String> = self.first.iter().map(Network::to_string).collect();
        if self.count > self.first.len() {
            told.push("…".to_owned());
        }
        told.join(", ")
    }
}

const TOLD: usize = 5;
