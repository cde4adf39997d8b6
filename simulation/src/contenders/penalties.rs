//! The arithmetic of OpenSSH's `PerSourcePenalties` (srclimit.c), by its defaults in `sshd_config(5)`: each session that ends
//! without a login costs its address seconds, which add up and pass as time does; once more than 15 of them are left, no new
//! session is taken until all have passed.
//!
//! Its tables hold 65,536 addresses of a family, more than owe a penalty at a time here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ssh_guard::event::AuthEvent;
use ssh_guard::moment::Moment;

use super::{Begun, Contender};
use crate::session::End;

/// What each address owes.
#[derive(Debug, Default)]
pub struct Penalties(HashMap<IpAddr, Penalty>);

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Moment,
    active: bool,
}

/// `min`: what has to be more than this before it counts.
const LEAST: Duration = Duration::from_secs(15);
/// `max`.
const MOST: Duration = Duration::from_mins(10);

/// What a session costs: `authfail`, `invaliduser`, `noauth`.
fn cost(end: End) -> Duration {
    Duration::from_secs(match end {
        End::LoggedIn => 0,
        End::Failed | End::NoSuchUser => 5,
        End::Untried => 1,
    })
}

impl Contender for Penalties {
    fn name(&self) -> &'static str {
        "PerSourcePenalties"
    }

    fn drops(&mut self, from: IpAddr, now: Moment) -> bool {
        self.0.get(&from).is_some_and(|penalty| penalty.active && penalty.until >= now)
    }

    fn hear(&mut self, _: &AuthEvent, _: Moment, _: &mut Vec<Begun>) -> bool {
        // It reads no log.
        true
    }

    fn leave(&mut self, from: IpAddr, end: End, now: Moment, begun: &mut Vec<Begun>) {
        let cost = cost(end);
        if cost.is_zero() {
            return;
        }
        let penalty = self.0.entry(from).or_insert(Penalty { until: now, active: false });
        if penalty.until < now {
            *penalty = Penalty { until: now, active: false };
        }
        penalty.until = penalty.until.plus(cost).min(now.plus(MOST));
        if penalty.until.since(now) > LEAST && !penalty.active {
            penalty.active = true;
            begun.push(Begun { banned: from.into(), is_network: false, rung: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn more_than_fifteen_seconds_of_penalty_shut_an_address_out_until_all_have_passed() {
        let mut penalties = Penalties::default();
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let mut begun = Vec::new();
        for _ in 0..3 {
            penalties.leave(from, End::Failed, at(0), &mut begun);
            assert!(!penalties.drops(from, at(0)), "fifteen are not more than fifteen");
        }
        penalties.leave(from, End::Untried, at(0), &mut begun);
        assert_eq!(begun.len(), 1);
        assert!(penalties.drops(from, at(16)));
        assert!(!penalties.drops(from, at(17)));
    }

    #[test]
    fn penalties_pass_as_time_does() {
        let mut penalties = Penalties::default();
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let mut begun = Vec::new();
        for nth in 0..1000 {
            penalties.leave(from, End::Failed, at(5 * nth), &mut begun);
        }
        assert_eq!(begun, []);
    }

    #[test]
    fn no_penalty_is_longer_than_ten_minutes() {
        let mut penalties = Penalties::default();
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        for _ in 0..1000 {
            penalties.leave(from, End::NoSuchUser, at(0), &mut Vec::new());
        }
        assert!(penalties.drops(from, at(600)));
        assert!(!penalties.drops(from, at(601)));
    }
}
