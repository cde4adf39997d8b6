//! The same rules, written without regard to memory or time, beside the tables.

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::event::Process;
use crate::policy::account::Accounts;
use crate::policy::sources::{Limits, Sources};
use crate::policy::weight::Weight;
use crate::policy::window::Entry;

const WINDOW: u64 = 60;

/// All that ever happened to one source.
#[derive(Default)]
struct Model {
    past: Vec<(u64, u8, f64, bool)>,
}

impl Model {
    fn sum(&self, now: u64, pre_auth: bool) -> f64 {
        let counts = |(at, _, _, pre): &&(u64, u8, f64, bool)| *pre == pre_auth && at + WINDOW > now;
        self.past.iter().filter(counts).map(|(_, _, weight, _)| weight).sum()
    }

    fn add(&mut self, now: u64, account: u8, weight: f64, pre_auth: bool) {
        let room = if pre_auth { (2.5 - self.sum(now, true)).max(0.0) } else { f64::MAX };
        self.past.push((now, account, weight.min(room), pre_auth));
    }

    fn forgive(&mut self, account: u8) {
        self.past.retain(|(_, of, _, _)| *of != account);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Fail(u8),
    Look,
    Succeed(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20_u64).prop_map(Step::Wait),
        (0..4_u8).prop_map(Step::Fail),
        Just(Step::Look),
        (0..4_u8).prop_map(Step::Succeed),
    ]
}

fn sources() -> Sources<Source> {
    let window = Duration::from_secs(WINDOW);
    Sources::new(Limits { capacity: 100, window, half: Weight::new(2.5) })
}

proptest! {
    #[test]
    fn the_score_is_what_a_list_of_all_events_says(steps in prop::collection::vec(step(), 0..120)) {
        let (mut sources, mut model, accounts) = (sources(), Model::default(), Accounts::default());
        let account = |number: u8| accounts.of(&number.to_string());
        let mut now = 0;
        let mut entries = 0;
        for step in steps {
            let at = Moment::from_start(Duration::from_secs(now));
            let entry = Entry { at, account: None, weight: Weight::new(1.0), count: 1, pre_auth: false };
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Fail(user) if entries < 20 => {
                    sources.add(source(MALLORY), Entry { account: Some(account(user)), ..entry });
                    model.add(now, user, 1.0, false);
                    entries += 1;
                }
                Step::Fail(_) => {}
                Step::Look => {
                    sources.add(source(MALLORY), Entry { weight: Weight::new(0.3), pre_auth: true, ..entry });
                    model.add(now, u8::MAX, 0.3, true);
                }
                Step::Succeed(user) => {
                    sources.forgive(source(MALLORY), account(user), at);
                    model.forgive(user);
                    entries = 0;
                    entries += model.past.iter().filter(|(_, of, _, _)| *of != u8::MAX).count();
                }
            }
            let at = Moment::from_start(Duration::from_secs(now));
            let score = sources.score(source(MALLORY), at);
            prop_assert!((score.failures.value() - model.sum(now, false)).abs() < 1e-6);
            prop_assert!((score.pre_auth.value() - model.sum(now, true)).abs() < 1e-6);
            if score.total().is_zero() {
                sources.sweep(1, at);
                prop_assert!(sources.is_empty());
            }
        }
    }

    #[test]
    fn a_full_window_loses_nothing_more_than_an_eighth_of_its_length_early(
        waits in prop::collection::vec(prop_oneof![Just(0), 0..50_u64, 0..5_000_u64], 1..600)
    ) {
        let (mut sources, mut past, mut now) = (sources(), Vec::new(), 0);
        for wait in waits {
            now += wait;
            past.push(now);
            let at = Moment::from_start(Duration::from_millis(now));
            let entry = Entry { at, account: None, weight: Weight::new(1.0), count: 1, pre_auth: false };
            let score = sources.add(source(MALLORY), entry).0.total();
            let within = |millis: u64| {
                let count = past.iter().filter(|at| **at + millis > now).count();
                Weight::new(1.0).times(NonZeroU32::new(count.try_into().unwrap()).unwrap())
            };
            prop_assert!(score <= within(WINDOW * 1000));
            prop_assert!(score >= within(WINDOW * 1000 * 7 / 8));
        }
    }

    #[test]
    fn no_line_of_any_kind_in_any_order_adds_more_than_it_weighs(
        lines in prop::collection::vec((0..19_usize, 0..3_u8, 0..4_u16, 1..4_u32, 0..9_u64, 0..3_u64), 0..60)
    ) {
        let rules = Rules { threshold: 1e6, ..Rules::default() };
        let mut stage = Stage::with(rules);
        for (kind, user, port, count, wait, process) in lines {
            stage.wait(wait);
            let user = ["root", "x"].get(usize::from(user)).copied();
            let port = Some(port).filter(|port| *port > 0);
            let process = NonZeroU64::new(process).map(Process);
            let event = AuthEvent { process, ..times(count, event(Kind::ALL[kind], user, port)) };
            let judgement = stage.hear(MALLORY, event);
            prop_assert!(judgement.weight >= 0.0 && judgement.weight <= f64::from(count));
        }
    }
}
