//! A list of bans, searched from end to end, beside the ledger.

use proptest::prelude::*;

use super::*;

const CAPACITY: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Ban(u32, u64, By),
    Unban(u32),
    Extend(u32, u64),
    Wait(u64),
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![3 => Just(By::Automatic), 1 => Just(By::Hand)];
    prop_oneof![
        6 => (0..12_u32, 0..40_u64, by).prop_map(|(number, length, by)| Step::Ban(number, length, by)),
        1 => (0..12_u32).prop_map(Step::Unban),
        1 => (0..12_u32, 0..40_u64).prop_map(|(number, length)| Step::Extend(number, length)),
        2 => (0..10_u64).prop_map(Step::Wait),
        2 => Just(Step::Expire),
    ]
}

#[derive(Default)]
struct Model(Vec<Ban>);

impl Model {
    /// Whether the ban was taken, and whom it displaced.
    fn ban(&mut self, new: &Ban, now: Moment) -> (bool, Option<Source>) {
        if new.until <= now {
            return (false, None);
        }
        if let Some(place) = self.0.iter().position(|ban| ban.source == new.source) {
            let old = self.0[place].clone();
            let stands = old.until > now;
            let automatic = old.by == By::Automatic;
            if stands && (automatic && new.until < old.until || !automatic && new.by == By::Automatic) {
                return (false, None);
            }
            let keeps = stands && automatic && new.by == By::Hand;
            let (offences, rung) = if keeps { (old.offences, old.rung) } else { (new.offences, new.rung) };
            self.0[place] = Ban { rung, offences, ..new.clone() };
            return (true, None);
        }
        let mut displaced = None;
        if self.0.len() == CAPACITY {
            let over = |ban: &&Ban| ban.by == By::Hand && ban.until <= now;
            let end = |ban: &&Ban| (ban.until, ban.source);
            let first = self.0.iter().filter(over).min_by_key(end);
            let first = first.or(self.0.iter().filter(|ban| ban.by == By::Automatic).min_by_key(end));
            let Some(first) = first else { return (false, None) };
            displaced = Some(first.source);
            self.0.retain(|ban| Some(ban.source) != displaced);
        }
        self.0.push(new.clone());
        (true, displaced)
    }

    fn sorted(&mut self) -> &[Ban] {
        self.0.sort_by_key(|ban| ban.source);
        &self.0
    }
}

proptest! {
    #[test]
    fn the_ledger_is_what_a_list_of_bans_says(steps in prop::collection::vec(step(), 0..200)) {
        let (mut ledger, mut model) = (ledger(CAPACITY), Model::default());
        let mut seconds = 0;
        for step in steps {
            let now = at(seconds);
            match step {
                Step::Ban(number, length, by) => {
                    let new = Ban { since: now, ..ban(number, seconds + length, by) };
                    let taken = ledger.insert(&new, now);
                    let taken = (taken.is_ok(), taken.ok().flatten().map(|old| old.source));
                    prop_assert_eq!(taken, model.ban(&new, now));
                }
                Step::Unban(number) => {
                    let was = model.0.iter().position(|ban| ban.source == source(number));
                    prop_assert_eq!(ledger.remove(host(number)), was.map(|place| model.0.remove(place)));
                }
                Step::Extend(number, length) => {
                    let until = at(seconds + length);
                    ledger.extend(host(number), until);
                    if let Some(ban) = model.0.iter_mut().find(|ban| ban.source == source(number)) {
                        (ban.until, ban.extended) = (until, true);
                    }
                }
                Step::Wait(wait) => seconds += wait,
                Step::Expire => {
                    let expired = ledger.expire(now);
                    prop_assert!(expired.bans.is_sorted_by_key(|ban| ban.until));
                    prop_assert!(expired.bans.iter().all(|ban| ban.until <= now));
                    model.0.retain(|ban| ban.until > now);
                    prop_assert_eq!(expired.next, model.0.iter().map(|ban| ban.until).min());
                }
            }
            let all: Vec<Ban> = ledger.after(None).cloned().collect();
            prop_assert_eq!(all, model.sorted());
            prop_assert_eq!(ledger.counts().ipv4, model.0.len());
            let mut automatic: Vec<&Ban> = model.0.iter().filter(|ban| ban.by == By::Automatic).collect();
            automatic.sort_by_key(|ban| (ban.until, ban.source));
            prop_assert_eq!(ledger.held().ipv4, automatic.len() as u64);
            prop_assert!(ledger.ending(Scope::Source, None).eq(automatic.iter().copied()));
            if let Some(first) = automatic.first() {
                let after = Some((first.until, first.network()));
                prop_assert!(ledger.ending(Scope::Source, after).eq(automatic[1..].iter().copied()));
            }
            prop_assert!(ledger.len() <= CAPACITY);
        }
    }
}
