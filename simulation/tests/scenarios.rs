//! What has to come of the scenarios, and that the document says what does.

use ssh_guard_simulation::document::Project;
use ssh_guard_simulation::run::{Played, play};
use ssh_guard_simulation::scenario::Scenario;

/// The scenarios that are played whole: the others take a build for use (`cargo xtask simulate --check`).
const WHOLE: [&str; 8] = [
    "c-one-farm",
    "d-ipv6-rotation",
    "e-mistyped",
    "f-expired-key",
    "g-spoofed-syns",
    "h-insider",
    "i-health-check",
    "j-forged-lines",
];

/// Those whose crowd is made smaller.
const DIVIDED: [&str; 3] = ["a-the-story", "b-low-and-slow-1-made-up", "b-low-and-slow-2-existing"];

/// How many times smaller.
const BY: u64 = 10;

fn scenario(name: &str) -> Scenario {
    let all = Project::here().scenarios().expect("all scenarios are understood");
    all.into_iter().find(|scenario| scenario.name == name).expect("there is one of that name")
}

fn played(scenario: Scenario) -> Played {
    let played = play(scenario, &Project::here().ordinary().expect("the ordinary days are understood"));
    let missed = played.missed();
    assert!(missed.is_empty(), "{}: {missed:#?}", played.scenario.name);
    played
}

#[test]
fn small_scenarios_end_as_they_have_to_and_as_the_document_says() {
    for name in WHOLE {
        Project::here().check(&played(scenario(name))).unwrap();
    }
}

#[test]
fn a_botnet_a_tenth_of_the_size_is_stopped() {
    let played = played(scenario("a-the-story").divided(BY));
    let [ours, others @ ..] = &played.results[..] else { panic!("nothing was played") };
    assert_eq!(ours.attempts, 300_000);
    assert!(others.iter().all(|other| other.stopped() < Some(0.5)), "it was a hard one");
    assert_eq!(ours.refused.values().sum::<u64>(), 0);
}

#[test]
fn a_slow_botnet_a_tenth_of_the_size_is_stopped_on_names_that_nobody_has() {
    played(scenario("b-low-and-slow-1-made-up").divided(BY));
}

#[test]
fn a_slow_botnet_a_tenth_of_the_size_makes_nobody_lose_a_login_on_names_that_partners_have() {
    let played = played(scenario("b-low-and-slow-2-existing").divided(BY));
    let [ours, others @ ..] = &played.results[..] else { panic!("nothing was played") };
    assert!(others.iter().all(|other| ours.stopped() > other.stopped()));
}

#[test]
fn every_scenario_is_played() {
    let all = Project::here().scenarios().unwrap();
    let mut names: Vec<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
    names.sort_unstable();
    let mut known = [&WHOLE[..], &DIVIDED[..]].concat();
    known.sort_unstable();
    assert_eq!(names, known);
}
