//! Five failures in ten minutes ban for ten minutes, as fail2ban's defaults have it (jail.conf: `maxretry = 5`,
//! `findtime = 10m`, `bantime = 10m`).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ssh_guard::event::{AuthEvent, Kind};
use ssh_guard::moment::Moment;

use super::{Begun, Contender};
use crate::session::End;

/// Counts the failed passwords of each address; a failed password counts once, however many lines tell of it.
#[derive(Debug, Default)]
pub struct Counting {
    failures: HashMap<IpAddr, VecDeque<Moment>>,
    banned: HashMap<IpAddr, Moment>,
}

const MOST: usize = 5;
const WINDOW: Duration = Duration::from_mins(10);
const BAN: Duration = Duration::from_mins(10);

impl Contender for Counting {
    fn name(&self) -> &'static str {
        "5 in 10 minutes"
    }

    fn drops(&mut self, from: IpAddr, now: Moment) -> bool {
        self.banned.get(&from).is_some_and(|until| *until > now)
    }

    fn hear(&mut self, event: &AuthEvent, now: Moment, begun: &mut Vec<Begun>) -> bool {
        let Some(from) = event.address.filter(|_| event.kind == Kind::Password) else { return true };
        let failures = self.failures.entry(from).or_default();
        failures.push_back(now);
        while failures.front().is_some_and(|at| now.since(*at) >= WINDOW) {
            failures.pop_front();
        }
        if failures.len() >= MOST {
            self.failures.remove(&from);
            self.banned.insert(from, now.plus(BAN));
            begun.push(Begun { banned: from.into(), is_network: false, rung: 0 });
        }
        true
    }

    fn leave(&mut self, _: IpAddr, _: End, _: Moment, _: &mut Vec<Begun>) {
        // The log has told of it.
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::session::{Account, Act, Session};

    #[test]
    fn the_fifth_failure_within_ten_minutes_bans_for_ten_minutes() {
        let mut counting = Counting::default();
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let account = Account { name: "root".into(), exists: true };
        let mut fail = |seconds: u64| {
            let at = Moment::from_start(Duration::from_secs(seconds));
            let act = Act::LogIn { wrong: 1, right: false };
            let mut steps = Vec::new();
            Session { at, from, who: 0, account: 0, act }.steps(&account, NonZeroU64::MIN, &mut steps);
            let mut begun = Vec::new();
            for step in &steps {
                assert!(counting.hear(&step.event, at, &mut begun));
            }
            let ends = at.plus(Duration::from_mins(10));
            let last = ends.minus(Duration::from_secs(1));
            assert_eq!(counting.drops(from, last), !begun.is_empty());
            assert!(!counting.drops(from, ends));
            begun.len()
        };
        // The first is ten minutes ago when the fifth comes.
        assert_eq!([0, 1, 2, 3, 600].map(&mut fail), [0; 5]);
        assert_eq!(fail(600), 1);
    }
}
